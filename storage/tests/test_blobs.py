"""Blobs, in memory and on disk: the contract, the files' names, and every fault of the disk."""

from __future__ import annotations

import errno
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from kproto.errors import ErrorCode
from storage.engine import LogStore
from storage.local.engine import LocalStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.conformance.blobs import NOTE, SNAPSHOT, BlobsConformance, DurableBlobsConformance, pieces
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes
from storage.testing.lab import refused
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import HurriedDisk, Place


class TestMemory(BlobsConformance):
    """In memory."""

    @asynccontextmanager
    async def store(self, place: None) -> AsyncIterator[LogStore]:
        yield MemoryStore(VirtualClock(), SeededEntropy(1))


def local_store(disk: SimulatedDisk) -> LocalStore:
    return LocalStore(
        "/data", node_id=1, disk=disk, clock=VirtualClock(), entropy=SeededEntropy(1), offload=InlineOffload()
    )


class TestLocal(BlobsConformance, DurableBlobsConformance):
    """In files."""

    @contextmanager
    def place(self) -> Iterator[SimulatedDisk]:
        yield SimulatedDisk()

    @asynccontextmanager
    async def store(self, place: SimulatedDisk) -> AsyncIterator[LogStore]:
        store = local_store(place)
        await store.open()
        try:
            yield store
        finally:
            await store.close()


async def test_what_was_left_over_goes_and_nothing_else(tmp_path: Path) -> None:
    """An unfinished blob, and one that Kafka was about to remove, go when the next one is written; the engine's own
    files are neither blobs nor left over."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        log = store.log(spec())
        log.begin_append([batch(b"x")])
        folder = place.path / "orders-0"
        for name in (f"{0:020d}-{0:010d}-123.checkpoint.part", f"{1:020d}-{0:010d}.checkpoint.deleted"):
            (folder / name).write_bytes(b"left over")
        (folder / f"{0:020d}.log.deleted").write_bytes(b"the engine removes it in its own time")
        (folder / "mine.checkpoint").write_bytes(b"of a person")
        before = set(place.names())
        blobs = store.blobs(spec())
        assert await blobs.stored() == [("mine.checkpoint", 11)]
        await blobs.write(SNAPSHOT, pieces(b"a"))
        await blobs.write(NOTE, pieces(b"b"))
        assert await blobs.stored() == [(SNAPSHOT, 1), ("mine.checkpoint", 11), (NOTE, 1)]
        left_over = {name for name in before if name.endswith((".part", ".checkpoint.deleted"))}
        assert set(place.names()) == before - left_over | {SNAPSHOT, NOTE}


# --- faults


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("operation", ["create", "write", "datasync", "rename", "sync_directory"])
async def test_a_fault_leaves_no_half_blob(tmp_path: Path, operation: str, code: int) -> None:
    """L14: whatever fails, there is none of that name or a whole one; afterwards it can be written."""
    disk = FaultyDisk(HurriedDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        append = store.log(spec()).begin_append([batch(b"x")])
        await append.wait_durable()
        blobs = store.blobs(spec())
        disk.fail(operation, code, times=1)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await blobs.write(SNAPSHOT, pieces(b"a", b"b"))
        assert await blobs.read(SNAPSHOT) in (None, b"ab")
        await blobs.write(SNAPSHOT, pieces(b"a", b"b"))
        assert await blobs.read(SNAPSHOT) == b"ab"
        assert not [name for name in Place(tmp_path / "data").names() if name.endswith(".part")]


async def test_a_stopped_directory_gets_no_blob(tmp_path: Path) -> None:
    """A deletion may have failed there that a snapshot would have forgotten."""
    async with Place(tmp_path / "data").open() as store:
        store.log(spec()).begin_append([batch(b"x")])
        store.volume.health.stop("on command")
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await store.blobs(spec()).write(SNAPSHOT, pieces(b"a"))


@pytest.mark.parametrize("reorder", [False, True])
async def test_a_power_cut_leaves_no_half_blob(reorder: bool) -> None:
    """L14: cut at any operation, a blob that was answered is there, and one that is there is whole: the old one or the
    new one."""
    wanted = {"1.checkpoint": b"a" * 700, "2.checkpoint": b"b", NOTE: b"c" * 90}
    for stop_after in range(1, 48):
        chance = random.Random(stop_after)
        disk = SimulatedDisk()
        store = local_store(disk)
        await store.open()
        await store.log(spec()).begin_append([batch(b"x")]).wait_durable()
        await store.create_logs([spec()])
        await store.blobs(spec()).write(NOTE, pieces(b"old"))
        disk.operations, disk.stop_after = 0, stop_after
        answered: list[str] = []
        with until_the_power_goes():
            for name, data in wanted.items():
                await store.blobs(spec()).write(name, pieces(data[:50], data[50:]))
                answered.append(name)
        disk = disk.after_power_cut(chance, reorder=reorder)
        disk.stop_after = None
        store = local_store(disk)
        await store.open()
        blobs = store.blobs(spec())
        found = [name for name, _ in await blobs.stored()]
        assert {*answered, NOTE} <= set(found), stop_after
        for name in found:
            whole = await blobs.read(name)
            assert whole == wanted[name] or (name == NOTE and name not in answered and whole == b"old"), stop_after
