"""The directory as a whole: whose it is, who holds it, what a full or broken disk does to it, and its files' names."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from kproto.errors import ErrorCode
from kproto.ids import parse_uuid
from storage.engine import FetchedRecords, Read, RecordSlice, StoreError
from storage.local.segment import MAX_RECENT
from storage.seams.disk import Features, SystemDisk
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import EPOCH_MS, batch, batches, content, joined, spec
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, read_all, values_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


# -- whose directory it is ---------------------------------------------------------------------------------------------


async def test_a_cluster_id_is_made_once(place: Place) -> None:
    """A new directory gets a random id in Kafka's form; it is kept."""
    async with place.open() as store:
        first = store.cluster_id
        assert len(parse_uuid(first)) == 16
    async with place.open() as store:
        assert store.cluster_id == first


async def test_a_directory_in_use(place: Place) -> None:
    """A second holder, in this process or another, gets one sentence; afterwards the directory is free again."""
    async with place.open():
        with pytest.raises(StoreError, match="in use by another process"):
            await place.store().open()
        other = (
            "import fcntl, sys\n"
            "file = open(sys.argv[1], 'r+b')\n"
            "try: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except OSError: sys.exit(7)\n"
        )
        command = [sys.executable, "-c", other, str(place.path / ".lock")]
        found = await trio.run_process(command, check=False)
        assert found.returncode == 7, "the lock that a JVM takes is held as well"
    async with place.open():
        pass


async def test_a_directory_of_another_node(place: Place) -> None:
    """The sentence names both nodes and what to do."""
    async with place.open(node_id=1):
        pass
    with pytest.raises(StoreError, match=r"belongs to node 1, this is node 2: set node\.id=1"):
        await place.store(node_id=2).open()
    with pytest.raises(StoreError, match="not to another-cluster"):
        await place.store(cluster_id="another-cluster").open()
    async with place.open():
        pass


async def test_logs_without_an_identity_are_not_adopted(place: Place) -> None:
    """A directory with logs and no meta.properties belongs to a cluster; to guess which one is worse than to ask."""
    (place.path / "orders-0").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"holds logs \(orders-0\) but no meta.properties"):
        await place.store().open()


async def test_an_unreadable_identity(place: Place) -> None:
    """So is one whose meta.properties is damaged."""
    place.path.mkdir()
    (place.path / "meta.properties").write_bytes(bytes(100))
    with pytest.raises(StoreError, match=r"meta\.properties cannot be read"):
        await place.store().open()


async def test_a_damaged_list_of_log_starts_stops_the_start(place: Place) -> None:
    """Without it deleted records would come back: the sentence says so."""
    async with place.open():
        pass
    (place.path / "log-start-offset-checkpoint").write_bytes(b"0\n3\n")
    with pytest.raises(StoreError, match="deleted records would come back"):
        await place.store().open()


async def test_damaged_recovery_points_cost_time_only(place: Place) -> None:
    """Every log is then read through."""
    async with place.open() as store:
        await append(log_of(store), *batches(5))
    for stop in (place, place.as_killed()):
        (stop.path / "recovery-point-offset-checkpoint").write_bytes(b"\0\0\0")
        async with stop.open() as store:
            assert await read_all(store, log_of(store)) == joined(batches(5))


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A path below a file is refused in one sentence."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file, and a directory is needed there"):
        await Place(tmp_path / "file" / "data").store().open()


# -- coming and going --------------------------------------------------------------------------------------------------


async def test_the_files_of_a_log(place: Place) -> None:
    """After a clean stop a partition has the files that Kafka would have left."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=400)
        await store.create_logs([log.spec])
        assert place.names() == ["partition.metadata"]
        for part in batches(4):
            await append(log, part)
    assert place.names() == [
        f"{0:020d}.index",
        f"{0:020d}.log",
        f"{0:020d}.timeindex",
        f"{2:020d}.index",
        f"{2:020d}.log",
        f"{2:020d}.snapshot",
        f"{2:020d}.timeindex",
        f"{4:020d}.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ]
    assert {path.name for path in place.path.iterdir()} == {
        ".kafka_cleanshutdown",
        ".lock",
        "log-start-offset-checkpoint",
        "meta.properties",
        "orders-0",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
    }


async def test_a_clean_start_visits_no_log(place: Place) -> None:
    """However many logs there are: one listing, three checkpoints, no log is looked at before its first use."""
    async with place.open() as store:
        await store.create_logs([spec("many", partition) for partition in range(100)])
        await append(log_of(store, "many", 5), batch(b"x"))
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        assert len(store.existing()) == 100
        assert disk.calls["list_directory"] == 1
        assert disk.calls["open"] == 1, "the list of dirty logs"
        assert disk.calls["open_read"] == 0
        assert log_of(store, "many", 5).log_end_offset == 1
        assert disk.calls["list_directory"] == 2


async def test_creation_is_batched(place: Place) -> None:
    """A hundred logs are made durable with one sync of the directory that lists them."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        disk.calls.clear()
        await store.create_logs([spec("many", partition) for partition in range(100)])
        assert disk.calls["sync_directory"] == 1
        assert disk.calls["datasync"] == 0


async def test_a_deleted_log_is_gone_from_the_disk(place: Place) -> None:
    """Its directory is renamed at once, removed by the upkeep; a new one of the name is another."""
    async with place.open() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store)
        await append(log, *batches(3))
        await store.delete_logs([log.spec])
        assert not (place.path / "orders-0").exists()
        assert not store.existing()
        await trio.testing.wait_all_tasks_blocked()
        assert not any(path.name.endswith("-delete") for path in place.path.iterdir())
        again = store.log(spec(generation=2))
        assert again.log_end_offset == 0
        await append(again, batch(b"new"))
        nursery.cancel_scope.cancel()
    async with place.open() as store:
        assert await values_of(store, store.log(spec(generation=2))) == [b"new"]


@pytest.mark.parametrize("how", ["deleted", "set aside", "removed by hand"])
async def test_a_new_log_owes_nothing_to_an_old_one(place: Place, how: str) -> None:
    """A new log under an old name is not measured by the old one's recovery point or start, whatever happens."""
    async with place.open() as store:
        log = log_of(store)
        await append(log, *batches(10))
        await log.delete_before(5)
    if how == "removed by hand":
        shutil.rmtree(place.path / "orders-0")
    async with place.open() as store:
        if how == "deleted":
            await store.delete_logs([log_of(store).spec])
        log = store.log(spec(generation=2))
        if how == "removed by hand":
            await store.create_logs([log.spec])
        await append(log, *batches(2))
        killed = place.as_killed()
    async with killed.open() as store:
        log = store.log(spec(generation=2))
        assert (log.log_start_offset, log.log_end_offset) == (0, 2)


async def test_a_log_of_an_older_topic_is_set_aside(place: Place) -> None:
    """A directory whose topic id is not the one asked for is kept under another name, never mixed, never deleted."""
    async with place.open() as store:
        await append(log_of(store), batch(b"old"))
    async with place.open() as store:
        log = store.log(spec(generation=2))
        assert log.log_end_offset == 0
        await append(log, batch(b"new"))
        [stray] = [path for path in place.path.iterdir() if path.name.endswith("-stray")]
        assert (stray / f"{0:020d}.log").stat().st_size > 0
    async with place.open() as store:
        assert set(store.existing()) == {("orders", 0)}
        assert await values_of(store, store.log(spec(generation=2))) == [b"new"]


async def test_nothing_is_set_aside_while_a_checkpoint_is_written(place: Place) -> None:
    """Setting a log aside writes checkpoints, which is one task's work at a time (README K2). An open, which cannot
    wait for that task, is refused meanwhile; the next one does it."""
    async with place.open() as store:
        await append(log_of(store), *batches(10))
    async with place.open() as store:
        for lock in (store.volume.checkpointing, store.volume.reshaping):
            async with lock:
                with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                    _ = store.log(spec(generation=2)).log_end_offset
                assert store.data.recovery_points == {("orders", 0): 10}
        assert store.log(spec(generation=2)).log_end_offset == 0
        assert store.data.recovery_points == {}


async def test_idle_logs_are_closed(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A log that is not used for two minutes holds no memory; the next use finds it as it was."""
    async with place.open() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store)
        await append(log, *batches(5))
        await trio.sleep(185)
        assert log.opened is None
        assert log.log_end_offset == 5
        assert await append(log, batch(b"x")) == 5
        nursery.cancel_scope.cancel()
    async with place.open() as store:
        assert log_of(store).log_end_offset == 6


async def test_deleted_segments_stay_for_a_while(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """`file.delete.delay.ms` after records are deleted, their files go."""
    async with place.open() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store, segment_bytes=400, file_delete_delay_ms=5000)
        await append(log, *batches(2))
        await append(log, *batches(2))
        await log.delete_before(2)
        assert f"{0:020d}.log.deleted" in place.names()
        await trio.sleep(6)
        assert not any(name.endswith(".deleted") for name in place.names())
        nursery.cancel_scope.cancel()


# -- a full disk, a broken disk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", [0, 1, 60, 100])
@pytest.mark.parametrize("together", [1, 3])
async def test_a_full_disk(place: Place, short: int, together: int) -> None:
    """A write that does not fit is taken back whole; reads go on; when there is room again, so do appends."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        await append(log, *batches(3))
        before = place.file(".log").read_bytes()
        disk.fail("write", errno.ENOSPC, path=".log", short=short)
        for _ in range(3):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.begin_append(batches(together))
            assert place.file(".log").read_bytes() == before
        assert await read_all(store, log) == before
        disk.heal()
        assert await append(log, batch(b"room again")) == 3
        assert len(await values_of(store, log)) == 4


async def test_a_write_that_cannot_be_taken_back(place: Place) -> None:
    """Then the log stops, so that half a batch is never read; the next start cuts it off."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        await append(log, *batches(3))
        disk.fail("write", errno.ENOSPC, path=".log", short=30)
        disk.fail("truncate", errno.EIO, path=".log")
        for _ in range(2):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.begin_append([batch(b"no")])
            disk.heal()
        assert await read_all(store, log) == joined(batches(3))
        await append(log_of(store, "other"), batch(b"fine"))
    async with place.open() as store:
        assert await read_all(store, log_of(store)) == joined(batches(3))
        assert await append(log_of(store), batch(b"on")) == 3


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
async def test_too_many_open_files(place: Place, code: int) -> None:
    """A segment that cannot be opened for want of descriptors is refused, and no more: connections give them back."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, segment_bytes=200)
        await append(log, batch(b"x" * 100))
        disk.fail("create", code)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"y" * 100)])
        disk.heal()
        assert await append(log, batch(b"z" * 100)) == 1
        await append(log_of(store, "other"), batch(b"fine"))


async def test_too_many_open_files_to_open_a_log(place: Place) -> None:
    """It is not offline for good: when descriptors have come back, so does the log."""
    async with place.open() as store:
        await append(log_of(store), *batches(3))
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        disk.fail("open", errno.EMFILE)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log_of(store).begin_append([batch(b"no")])
        disk.heal()
        assert await append(log_of(store), batch(b"yes")) == 3


async def test_a_broken_disk_stops_the_directory(place: Place) -> None:
    """A write error that is not "full": nothing more is accepted, what is there can be read."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log, other = log_of(store), log_of(store, "other")
        await append(log, *batches(3))
        await append(other, batch(b"x"))
        disk.fail("write", errno.EIO, path="orders-0", times=1)
        for refusing in (log, log, other):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                refusing.begin_append([batch(b"no")])
        assert await read_all(store, log) == joined(batches(3))


async def test_no_room_for_a_new_segment(place: Place) -> None:
    """A roll that fails refuses the append and changes nothing; the next one tries again."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, segment_bytes=400)
        for part in batches(2):
            await append(log, part)
        disk.fail("create", errno.ENOSPC)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"no" * 100)])
        disk.heal()
        assert await append(log, batch(b"yes" * 100)) == 2
        assert len(log.open().segments) == 2


async def test_a_read_error(place: Place) -> None:
    """A sector that cannot be read fails the reads that need it, with a code that clients retry."""
    disk = FaultyDisk(HurriedDisk(Features.portable()))
    async with place.open(disk) as store:
        log = log_of(store)
        await append(log, *batches(3))
    async with place.open(disk) as store:
        log, other = log_of(store), log_of(store, "other")
        await append(other, batch(b"fine"))
        assert log.log_end_offset == 3
        disk.fail("read", errno.EIO, path="orders-0")
        found = await store.read_many([Read(log, 1, 1000, 3), Read(other, 0, 1000, 1)], 1000)
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            content(found[0])
        assert content(found[1]) == joined([batch(b"fine")])


# -- rolling and reading -----------------------------------------------------------------------------------------------


async def test_rolling_by_time(place: Place) -> None:
    """A batch `segment.ms` younger than the segment's first begins a new one; an older one does not."""
    async with place.open() as store:
        log = log_of(store, segment_ms=1000)
        for moment in (0, 1000, -5000, 1001, 1500, 2002):
            await append(log, batch(b"x", timestamps=[EPOCH_MS + moment]))
        assert [segment.base_offset for segment in log.open().segments] == [0, 3, 5]
    async with place.open() as store:
        log = log_of(store, segment_ms=1000)
        await append(log, batch(b"x", timestamps=[EPOCH_MS + 3002]))
        await append(log, batch(b"x", timestamps=[EPOCH_MS + 3003]))
        assert [segment.base_offset for segment in log.open().segments] == [0, 3, 5, 7]


async def test_rolling_when_an_index_is_full(place: Place) -> None:
    """`segment.index.bytes` bounds the indexes, and with them the segment."""
    async with place.open() as store:
        log = log_of(store, segment_index_bytes=100, index_interval_bytes=0)
        for number in range(40):
            await append(log, batch(b"x", timestamps=[EPOCH_MS + number]))
        assert len(log.open().segments) > 3
        assert len(await values_of(store, log)) == 40
    for index in (place.path / "orders-0").glob("*index"):
        assert index.stat().st_size <= 100


async def test_a_batch_larger_than_a_segment(place: Place) -> None:
    """It gets a segment of its own."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=300)
        for size in (10, 1000, 10):
            await append(log, batch(b"x" * size))
        assert [segment.base_offset for segment in log.open().segments] == [0, 1, 2]


async def test_the_end_of_a_long_segment_costs_no_search(place: Place) -> None:
    """A reader near the end causes no read of any file but the look whether the bytes are in memory."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        for _ in range(3 * MAX_RECENT):
            log.begin_append([batch(b"x")])
        end = log.log_end_offset
        disk.calls.clear()
        for start in range(end - MAX_RECENT // 2, end, 50):
            found = store.read_now([Read(log, start, 1 << 20, end)], 1 << 20)
            assert found is not None
        assert disk.calls["read"] == disk.calls["open_read"] == 0
        assert len(await values_of(store, log)) == end


async def test_what_is_not_in_memory_is_read_in_a_thread(place: Place) -> None:
    """`read_now` declines; `read_many` brings the bytes into memory and answers."""
    disk = FaultyDisk(HurriedDisk())
    if not disk.tells_residency:
        pytest.skip("this platform cannot tell what is in memory")
    async with place.open(disk) as store:
        log = log_of(store)
        await append(log, *batches(10))
        disk.cold = True
        reads = [Read(log, 0, 1 << 20, 10)]
        assert store.read_now(reads, 1 << 20) is None
        [found] = await store.read_many(reads, 1 << 20)
        assert content(found) == joined(batches(10))
        assert disk.calls["read_into"] == 1
        assert store.read_now(reads, 1 << 20) is not None


async def test_where_residency_is_unknown_the_tail_is_hot(place: Place) -> None:
    """Without RWF_NOWAIT what was written a moment ago is answered at once, older data in a thread."""
    disk = SystemDisk(Features.portable())
    async with place.open(disk) as store:
        log = log_of(store)
        await append(log, *batches(10))
        assert store.read_now([Read(log, 0, 1 << 20, 10)], 1 << 20) is not None
    async with place.open(disk) as store:
        log = log_of(store)
        assert store.read_now([Read(log, 0, 1 << 20, 10)], 1 << 20) is None
        await append(log, batch(b"hot"))
        assert store.read_now([Read(log, 10, 1 << 20, 11)], 1 << 20) is not None


async def test_slices_keep_their_file_open(place: Place) -> None:
    """A reply under way can be sent although its log was deleted and every file was closed meanwhile."""
    async with place.open(open_files=1) as store:
        log = log_of(store)
        await append(log, *batches(10))
        [found] = await store.read_many([Read(log, 0, 1 << 20, 10)], 1 << 20)
        assert isinstance(found, FetchedRecords)
        assert isinstance(found.records, RecordSlice)
        await store.delete_logs([log.spec])
    assert found.records.fileno() is not None or not Features.detect().descriptors
    assert content(found) == joined(batches(10))


def open_descriptors() -> int:
    """How many descriptors this process holds; 0 where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


async def test_few_descriptors(place: Place) -> None:
    """A thousand logs in use share fifty descriptors."""
    gc.collect()  # of what earlier tests abandoned, as a killed broker would
    others = open_descriptors()
    async with place.open(open_files=50) as store:
        logs = [log_of(store, partition=partition) for partition in range(300)]
        for log in logs:
            await append(log, batch(b"x"))
        for log in logs:
            assert await values_of(store, log) == [b"x"]
        assert len(store.descriptors) <= 60
        assert open_descriptors() - others < 100


async def test_unsynced_files_do_not_pile_up(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A file with unsynced bytes stays open; when there are too many of them, they are synced early."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, open_files=20) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        for partition in range(200):
            log_of(store, partition=partition).begin_append([batch(b"x")])
            await trio.sleep(0.01)
        assert disk.calls["datasync"] > 150
        assert len(store.descriptors) < 60
        nursery.cancel_scope.cancel()
