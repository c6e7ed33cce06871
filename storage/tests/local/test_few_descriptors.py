"""However few files may be open: every log opens, is recovered, written, read and synced.

The limits here are the process's own (`setrlimit`) or those of a disk that counts. What is to be shown is that the
engine keeps within what it was given, also while nothing gives it time to sync.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import FetchedRecords, Read
from storage.local.engine import LocalStore
from storage.seams.disk import File
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import batch, content
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, values_of

FEW = 40


class CountingDisk(HurriedDisk):
    """A disk on which this process may have so many files open: one more is refused, as by the system."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.peak = 0

    def open(self, path: str, *, create: bool = False) -> File:
        self._check(path)
        return super().open(path, create=create)

    def open_read(self, path: str) -> File:
        self._check(path)
        return super().open_read(path)

    def _check(self, path: str) -> None:
        if self.open_files >= self.most:
            raise OSError(errno.EMFILE, "Too many open files", path)
        self.peak = max(self.peak, self.open_files + 1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


@contextmanager
def refused(code: ErrorCode) -> Iterator[None]:
    """The block is refused with this code."""
    with pytest.raises(KafkaError) as caught:
        yield
    assert caught.value.code is code


@asynccontextmanager
async def small_store(place: Place, disk: CountingDisk | FaultyDisk | None = None) -> AsyncIterator[LocalStore]:
    """A store that may have few files open, with its upkeep."""
    limits = {"open_files": 10, "lent_files": 10}
    async with place.open(disk or CountingDisk(FEW), **limits) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        yield store
        nursery.cancel_scope.cancel()


async def fill(store: LocalStore, segments: int, partition: int = 0) -> None:
    """A log of so many segments of one record each."""
    log = log_of(store, partition=partition, segment_bytes=1)
    for number in range(segments):
        await store.make_ready([log])
        log.begin_append([batch(b"%d" % number)])


async def test_a_segment_for_each_record(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A client that makes its log begin a segment with each record, and waits for nothing, is slowed down: appends wait
    for syncs, and other logs are made, written and read as always."""
    disk = CountingDisk(FEW)
    async with small_store(place, disk) as store:
        await fill(store, 100)
        await append(log_of(store, partition=1), batch(b"beside"))
        assert await values_of(store, log_of(store, partition=1)) == [b"beside"]
        assert len(await values_of(store, log_of(store, segment_bytes=1))) == 100
    assert disk.peak <= 25


async def test_a_record_to_each_of_many_partitions(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """More partitions than files may be open, each appended to and none synced by its client."""
    disk = CountingDisk(FEW)
    async with small_store(place, disk) as store:
        for partition in range(80):
            log = log_of(store, partition=partition)
            await store.make_ready([log])
            assert log.is_ready
            log.begin_append([batch(b"x")])
        for partition in range(80):
            assert await values_of(store, log_of(store, partition=partition)) == [b"x"]
    assert disk.peak <= 25


@pytest.mark.parametrize("clean", [True, False])
async def test_many_segments_are_opened_with_few_files(
    place: Place, clean: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """A log of sixty segments above its recovery point is opened, recovered, synced and written again; so is one
    after a clean stop."""
    async with small_store(place) as store:
        await fill(store, 60)
        killed = place.as_killed()
    disk = CountingDisk(15)
    async with (place if clean else killed).open(disk, open_files=5, lent_files=5) as store:
        log = log_of(store, segment_bytes=1)
        assert len(await values_of(store, log)) == 60
        await append(log, batch(b"on"))
    assert store.has_stopped is False
    async with place.open(CountingDisk(15), open_files=5, lent_files=5) as store:
        assert store.volume.data.is_held


async def test_old_segments_hold_no_file(place: Place) -> None:
    """Once synced, a segment that is written no more lets go of its file."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=1)
        for number in range(20):
            await append(log, batch(b"%d" % number))
        assert len(store.descriptors) == 1


async def test_a_sync_without_descriptors_is_tried_again(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """ "Too many open files" where a sync opens something is no failed sync: the directory goes on, the append is
    acknowledged when there are descriptors again, and not before."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        disk.fail("sync_directory", errno.EMFILE)
        done = log.begin_append([batch(b"x")])
        with trio.move_on_after(5) as waiting:
            await done.wait_durable()
        assert waiting.cancelled_caught
        assert not store.has_stopped
        assert not done.durable
        disk.heal()
        await done.wait_durable()
        assert await values_of(store, log) == [b"x"]


async def test_replies_share_what_there_is(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Slices in replies that their peers do not read take up their share of descriptors; then records come from
    memory."""
    disk = CountingDisk(FEW)
    async with small_store(place, disk) as store:
        logs = [log_of(store, partition=partition) for partition in range(60)]
        for log in logs:
            await append(log, batch(b"x"))
        replies = [await store.read_many([Read(log, 0, 1000, 1)], 1000) for log in logs]
        assert disk.peak < FEW
        found = [one for [one] in replies if isinstance(one, FetchedRecords)]
        assert len(found) == 60
        assert len({bytes(content(one)) for one in found}) == 1
        assert store.read_now([Read(logs[0], 0, 1000, 1)], 1000) is None
        del replies, found
        assert store.read_now([Read(logs[0], 0, 1000, 1)], 1000) is not None


async def test_logs_are_opened_when_descriptors_come_back(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A log that cannot be opened for want of descriptors is tried again for a while, and refused after it."""
    async with place.open() as store:
        await append(log_of(store), batch(b"x"))
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        disk.fail("open", errno.EMFILE)
        log = log_of(store)
        await store.open_logs([log])
        assert not log.is_open
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"no")])

        async def heal_soon() -> None:
            await trio.sleep(1)
            disk.heal()

        nursery.start_soon(heal_soon)
        await store.open_logs([log])
        assert log.is_open
        assert await append(log, batch(b"yes")) == 1
