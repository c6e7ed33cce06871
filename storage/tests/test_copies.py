"""Both engines of one process are copied and replaced, and take each other's copies."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from kproto.errors import Malformed, Truncated
from storage.copies import whole_batches
from storage.engine import LogStore
from storage.local.engine import LocalStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.disk import Disk, Features
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import ThreadOffload
from storage.testing.conformance.copies import CopyConformance
from storage.testing.log_builder import batches
from storage.tests.local.local_lab import HurriedDisk


def local_store(directory: str, disk: Disk | None = None) -> LocalStore:
    """A store in a directory."""
    return LocalStore(
        directory,
        node_id=1,
        disk=disk or HurriedDisk(),
        clock=VirtualClock(),
        entropy=SeededEntropy(1),
        offload=ThreadOffload(),
    )


@asynccontextmanager
async def opened(store: LogStore) -> AsyncIterator[LogStore]:
    """The store, open as long as the block lasts."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class TestMemory(CopyConformance):
    """Chunks that never change are a copy."""

    @asynccontextmanager
    async def store(self, place: None) -> AsyncIterator[LogStore]:
        async with opened(MemoryStore(VirtualClock(), SeededEntropy(1))) as store:
            yield store

    @asynccontextmanager
    async def other_store(self) -> AsyncIterator[LogStore]:
        with tempfile.TemporaryDirectory() as directory:
            async with opened(local_store(f"{directory}/other")) as store:
                yield store


class TestLocal(CopyConformance):
    """Files with a second name are."""

    @contextmanager
    def place(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as directory:
            yield f"{directory}/data"

    def disk(self) -> Disk:
        return HurriedDisk()

    @asynccontextmanager
    async def store(self, place: str) -> AsyncIterator[LogStore]:
        async with opened(local_store(place, self.disk())) as store:
            yield store

    @asynccontextmanager
    async def other_store(self) -> AsyncIterator[LogStore]:
        async with opened(MemoryStore(VirtualClock(), SeededEntropy(2))) as store:
            yield store


class DiskWithoutLinks(HurriedDisk):
    """A file system that has no hard links, on a platform that has nothing else that is quick."""

    def __init__(self) -> None:
        super().__init__(Features.portable())

    def link(self, path: str, other: str) -> None:
        raise PermissionError(path)


class TestWithoutLinks(TestLocal):
    """There the bytes are copied."""

    def disk(self) -> Disk:
        return DiskWithoutLinks()


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
def test_batches_are_found_however_their_bytes_come(step: int) -> None:
    """A piece ends anywhere; a batch comes whole."""
    wanted = [bytes(each.data) for each in batches(4, size=50)]
    data = b"".join(wanted)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert [bytes(found) for found in whole_batches(pieces)] == wanted


def test_bytes_that_are_no_batches_are_refused() -> None:
    """Cut short, or a length that no batch has."""
    data = bytes(batches(1)[0].data)
    with pytest.raises(Truncated):
        list(whole_batches([data[:-1]]))
    with pytest.raises(Malformed):
        list(whole_batches([data, bytes(61)]))
