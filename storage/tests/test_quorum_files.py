"""Snapshots and quorum state, in memory and on disk: the contract, Kafka's files, and every fault of the disk."""

from __future__ import annotations

import errno
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from kproto.errors import ErrorCode, KafkaError
from kproto.formats.metadata_snapshot import SnapshotId
from storage.engine import LogStore
from storage.local.engine import LocalStore
from storage.memory.engine import MemoryStore
from storage.quorum_state import DamagedQuorumState, QuorumState, decode
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.conformance.quorum import (
    DurableQuorumFilesConformance,
    QuorumFilesConformance,
    pieces,
    values_of,
)
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes
from storage.testing.lab import refused
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import HurriedDisk, Place


class TestMemory(QuorumFilesConformance):
    """In memory."""

    @asynccontextmanager
    async def store(self, place: None) -> AsyncIterator[LogStore]:
        yield MemoryStore(VirtualClock(), SeededEntropy(1))


def local_store(disk: SimulatedDisk) -> LocalStore:
    return LocalStore(
        "/data", node_id=1, disk=disk, clock=VirtualClock(), entropy=SeededEntropy(1), offload=InlineOffload()
    )


class TestLocal(QuorumFilesConformance, DurableQuorumFilesConformance):
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


# --- files


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            QuorumState(0, 1, 2, voters=(1,)),
            '{"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,'
            '"currentVoters":[{"voterId":1}],"data_version":0}',
        ),
        (
            QuorumState(1, 1, 1),
            '{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}',
        ),
    ],
)
def test_quorum_state_is_kafkas(state: QuorumState, text: str) -> None:
    """Letter for letter what Kafka has written, and read again."""
    assert state.encode() == text.encode()
    assert decode(text.encode()) == state


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"data_version":2}', '{"data_version":0,"leaderId":"1"}', '{"data_version":1,"leaderId":1}',
        '{"data_version":true}', '{"data_version":0,"leaderId":1,"leaderEpoch":1,"votedId":1,"currentVoters":[1]}',
        '{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"short","data_version":1}', "\xff",
    ],
)  # fmt: skip
def test_no_quorum_state(text: str) -> None:
    """Anything else is refused with a reason."""
    with pytest.raises(DamagedQuorumState):
        decode(text.encode("latin-1"))


def test_null_voters_are_none() -> None:
    """Kafka's field may be null."""
    values = json.loads(QuorumState(0, 1, 2).encode()) | {"currentVoters": None}
    assert decode(json.dumps(values).encode()).voters == ()


async def test_the_names_are_kafkas_and_what_was_left_over_goes(tmp_path: Path) -> None:
    """An unfinished snapshot, and one that Kafka was about to remove, go when the next one is written."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        log = store.log(spec())
        log.begin_append([batch(b"x")])
        folder = place.path / "orders-0"
        for name in (f"{0:020d}-{0:010d}-123.checkpoint.part", f"{1:020d}-{0:010d}.checkpoint.deleted"):
            (folder / name).write_bytes(b"left over")
        (folder / "mine.checkpoint").write_bytes(b"of a person")
        files = store.quorum_files(spec())
        assert await files.snapshots() == []
        await files.write_snapshot(SnapshotId(1, 3), pieces)
        await files.write_quorum_state(QuorumState(1, 1, 2))
    assert [name for name in place.names() if "checkpoint" in name or "quorum" in name] == [
        "00000000000000000001-0000000003.checkpoint", "leader-epoch-checkpoint", "mine.checkpoint", "quorum-state",
    ]  # fmt: skip
    assert (folder / "quorum-state").read_bytes() == QuorumState(1, 1, 2).encode()


async def test_an_unreadable_quorum_state_is_refused(tmp_path: Path) -> None:
    """With the file's name; the file is left as it is."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        store.log(spec()).begin_append([batch(b"x")])
        path = place.path / "orders-0" / "quorum-state"
        path.write_bytes(b"{")
        with pytest.raises(KafkaError, match="quorum-state cannot be read"):
            await store.quorum_files(spec()).quorum_state()
        assert path.read_bytes() == b"{"


# --- faults


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("operation", ["create", "write", "datasync", "rename", "sync_directory"])
async def test_a_fault_leaves_no_half_snapshot(tmp_path: Path, operation: str, code: int) -> None:
    """L14: whatever fails, there is none of that name or a whole one; afterwards it can be written."""
    disk = FaultyDisk(HurriedDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        append = store.log(spec()).begin_append([batch(b"x")])
        await append.wait_durable()
        files = store.quorum_files(spec())
        disk.fail(operation, code, times=1)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await files.write_snapshot(SnapshotId(1, 0), lambda: pieces(b"a"))
        for found in await files.snapshots():
            assert values_of(await files.read_snapshot(found.id)) == [b"a"]
        await files.write_snapshot(SnapshotId(1, 0), lambda: pieces(b"a"))
        assert values_of(await files.read_snapshot(SnapshotId(1, 0))) == [b"a"]
        assert not [name for name in Place(tmp_path / "data").names() if name.endswith(".part")]


async def test_a_stopped_directory_gets_no_snapshot(tmp_path: Path) -> None:
    """A deletion may have failed there that the snapshot would have forgotten."""
    async with Place(tmp_path / "data").open() as store:
        store.log(spec()).begin_append([batch(b"x")])
        store.volume.health.stop("on command")
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await store.quorum_files(spec()).write_snapshot(SnapshotId(1, 0), pieces)


@pytest.mark.parametrize("reorder", [False, True])
async def test_a_power_cut_leaves_no_half_snapshot(reorder: bool) -> None:
    """L14: cut at any operation, a snapshot that was answered is there, and one that is there is whole."""
    wanted = [SnapshotId(1, 0), SnapshotId(2, 0)]
    for stop_after in range(1, 40):
        chance = random.Random(stop_after)
        disk = SimulatedDisk()
        store = local_store(disk)
        await store.open()
        await store.log(spec()).begin_append([batch(b"x")]).wait_durable()
        await store.create_logs([spec()])
        disk.operations, disk.stop_after = 0, stop_after
        answered: list[SnapshotId] = []
        with until_the_power_goes():
            files = store.quorum_files(spec())
            for snapshot_id in wanted:
                await files.write_snapshot(snapshot_id, lambda: pieces(b"a" * 700, b"b"))
                answered.append(snapshot_id)
            await files.write_quorum_state(QuorumState(1, 1, 2))
        disk = disk.after_power_cut(chance, reorder=reorder)
        disk.stop_after = None
        store = local_store(disk)
        await store.open()
        files = store.quorum_files(spec())
        found = [snapshot.id for snapshot in await files.snapshots()]
        assert set(answered) <= set(found), stop_after
        for snapshot_id in found:
            assert values_of(await files.read_snapshot(snapshot_id)) == [b"a" * 700, b"b"], stop_after
        state = await files.quorum_state()
        assert state in (None, QuorumState(1, 1, 2))
