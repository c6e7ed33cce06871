"""A full disk can be emptied: found by filling one, on which DeleteRecords was refused for want of a few bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from kproto.errors import ErrorCode
from storage.local.reserve import NAME, Reserve
from storage.local.schedule import ROOM_INTERVAL
from storage.seams.disk import Space, SystemDisk
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, values_of


class SmallDisk(SystemDisk):
    """Says how much room there is."""

    usable = 64 << 20

    def space(self, path: str) -> Space:
        return Space(64 << 20, self.usable)


async def test_records_can_be_deleted_on_a_full_disk(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """The checkpoint that this takes uses the reserve. Producers are refused from then on, coordinators are not; when
    there is room again producers are served too, without a restart."""
    place, small = Place(tmp_path / "data"), SmallDisk()
    disk = FaultyDisk(small)
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log, coordinators = log_of(store), log_of(store, "__consumer_offsets")
        await append(log, batch(b"a"), batch(b"b"))
        assert (place.path / NAME).stat().st_size == 1 << 20
        small.usable = 0
        disk.fail("write_file_atomically", errno.ENOSPC, times=1)
        assert await log.delete_before(1) == 1
        assert not (place.path / NAME).exists()
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"refused")])
        await append(coordinators, batch(b"goes on"))
        await trio.sleep(10 * ROOM_INTERVAL)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"still refused")])
        small.usable = 3 << 20
        await trio.sleep(2 * ROOM_INTERVAL)
        assert await append(log, batch(b"c")) == 2
        assert (place.path / NAME).stat().st_size == 1 << 20
        nursery.cancel_scope.cancel()


async def test_what_is_internal_its_spec_says(tmp_path: Path) -> None:
    """A topic of producers may have a name like those of Kafka's own, and one of coordinators any other."""
    disk = FaultyDisk(SmallDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        named = store.log(spec("__orders")._replace(internal=False))
        meant = store.log(spec("state")._replace(internal=True))
        for log in (named, meant):
            await append(log, batch(b"a"))
        disk.fail("write", errno.ENOSPC, times=1)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            named.begin_append([batch(b"b")])
        disk.fail("write", errno.ENOSPC, times=1)
        assert await append(meant, batch(b"b")) == 1
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            named.begin_append([batch(b"refused while the reserve is spent")])


async def test_coordinators_have_the_reserve_and_producers_have_not(tmp_path: Path) -> None:
    """A coordinator's append finds room where a producer's is refused: a topic's deletion has to be written down."""
    place = Place(tmp_path / "data")
    disk = FaultyDisk(SmallDisk())
    async with place.open(disk) as store:
        log, coordinators = log_of(store), log_of(store, "__cluster_metadata")
        await append(log, batch(b"a"))
        await append(coordinators, batch(b"a"))
        disk.fail("write", errno.ENOSPC, times=1, short=7)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"b")])
        assert not store.data.reserve.spent
        disk.fail("write", errno.ENOSPC, times=1, short=7)
        assert await append(coordinators, batch(b"b")) == 1
        assert store.data.reserve.spent
        disk.fail("write", errno.ENOSPC, times=1, short=7)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            coordinators.begin_append([batch(b"c")])


async def test_a_new_segment_uses_the_reserve_too(tmp_path: Path) -> None:
    """A disk may run out of files before it runs out of bytes; the reserve is one."""
    disk = FaultyDisk(SmallDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        coordinators = log_of(store, "__cluster_metadata", segment_bytes=100)
        await append(coordinators, batch(b"a"))
        disk.fail("create", errno.ENOSPC, path=".log", times=1)
        assert await append(coordinators, batch(b"b")) == 1


@pytest.mark.parametrize(("usable", "spent"), [(1 << 20, True), (2 << 20, False)])
def test_room_twice_over(tmp_path: Path, usable: int, spent: bool) -> None:
    """The reserve is made where producers keep as much as it takes. One that is there stays."""
    disk = SmallDisk()
    disk.usable = usable
    reserve = Reserve(disk, str(tmp_path))
    reserve.make()
    assert reserve.spent is spent
    assert (tmp_path / NAME).exists() is not spent
    if not spent:
        disk.usable = 0
        again = Reserve(disk, str(tmp_path))
        again.make()
        assert not again.spent


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
async def test_a_deleted_log_gives_its_room_back(tmp_path: Path) -> None:
    """Its files stayed open, and so on the disk, until a thousand others had been opened."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        log = log_of(store, segment_bytes=100)
        await append(log, batch(b"a"))
        await append(log, batch(b"b"))
        await append(log_of(store, "others"), batch(b"c"))
        before = len(store.descriptors)
        await store.delete_logs([log.spec])
        assert len(store.descriptors) == before - 1  # the old segment has given up its own
        await store.removal.remove_due(float("inf"))
        assert not [path for path in open_files() if str(place.path) in path and "orders" in path]


def open_files() -> list[str]:
    """What this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


async def test_a_start_on_a_full_disk_serves(tmp_path: Path) -> None:
    """Recovery rebuilds indexes, which a full disk has no room for: they stay in memory, and the log is read."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        log = log_of(store, index_interval_bytes=100)
        for number in range(20):
            await append(log, batch(b"%d" % number * 50))
        killed = place.as_killed()
    disk = FaultyDisk(HurriedDisk())
    for operation in ("write_file", "write_file_atomically", "allocate"):
        disk.fail(operation, errno.ENOSPC)
    async with killed.open(disk) as store:
        log = log_of(store, index_interval_bytes=100)
        assert len(await values_of(store, log)) == 20
        assert len(await values_of(store, log)) == 20
        disk.heal()
        store.data.reserve.make()
        await append(log, batch(b"more"))
    assert killed.file(".index").stat().st_size > 0
    async with killed.open() as store:
        assert len(await values_of(store, log_of(store))) == 21


async def test_records_go_though_no_segment_can_be_begun(tmp_path: Path) -> None:
    """To delete everything a log begins a new segment. Where no file can be made, it keeps the last one instead."""
    place, disk = Place(tmp_path / "data"), FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, segment_bytes=100)
        for value in (b"a", b"b", b"c"):
            await append(log, batch(value))
        disk.fail("create", errno.ENOSPC, path=".log")
        assert await log.delete_before(3) == 3
        assert [name for name in place.names() if name.endswith(".log")] == ["00000000000000000002.log"]
        disk.heal()
        assert await append(log, batch(b"d")) == 3
        assert await values_of(store, log) == [b"d"]
    async with place.as_killed().open() as store:
        assert await values_of(store, log_of(store)) == [b"d"]


async def test_a_full_disk_does_not_stop_the_directory(tmp_path: Path) -> None:
    """A deletion for which there was no room, not even with the reserve, was taken for a broken disk."""
    disk = FaultyDisk(HurriedDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        log, other = log_of(store), log_of(store, "others")
        await append(log, batch(b"a"))
        await append(other, batch(b"a"))
        disk.fail("write_file_atomically", errno.ENOSPC, path="recovery-point-offset-checkpoint")
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await store.delete_logs([log.spec])
        assert not store.has_stopped
        disk.heal()
        store.data.reserve.make()
        assert await append(other, batch(b"b")) == 1


async def test_kafkas_high_watermarks_can_wait(tmp_path: Path) -> None:
    """A log is deleted though there is no room for the checkpoint that only Kafka reads."""
    disk = FaultyDisk(HurriedDisk())
    async with Place(tmp_path / "data").open(disk) as store:
        log = log_of(store)
        await append(log, batch(b"a"))
        disk.fail("write_file_atomically", errno.ENOSPC, path="replication-offset-checkpoint")
        await store.delete_logs([log.spec])
        assert ("orders", 0) not in store.existing()
