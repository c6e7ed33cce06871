"""Group commit: nothing is acknowledged as durable before the platter has it, and one sync answers many."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import Append
from storage.local import flusher
from storage.local.partition_log import LocalAppend, LocalLog
from storage.seams.offload import InlineOffload
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, batch
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, values_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


def slow() -> InlineOffload:
    """Threads whose work takes ten virtual milliseconds."""
    return InlineOffload(lambda: 0.01)


async def test_one_sync_answers_all_waiting_appends(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A hundred appends at once wait for one sync; those that come during it share the next one."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        log = log_of(store)
        await append(log, batch(b"the file is there"))
        disk.calls.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(log.begin_append([batch(b"x")]).wait_durable)
            await trio.sleep(0.005)
            for _ in range(100):
                nursery.start_soon(log.begin_append([batch(b"y")]).wait_durable)
        assert disk.calls["datasync"] == 2
        assert disk.calls["sync_directory"] == 0


async def test_an_append_is_not_durable_before_its_sync(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A sync under way may have missed what was appended after it began."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        log = log_of(store)
        order: list[tuple[str, int]] = []

        async def wait(name: str, waiting: Append) -> None:
            await waiting.wait_durable()
            assert waiting.durable
            order.append((name, disk.calls["datasync"]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "first", log.begin_append([batch(b"x")]))
            await trio.sleep(0.005)
            late = log.begin_append([batch(b"y")])
            assert not late.durable
            nursery.start_soon(wait, "late", late)
        assert order == [("first", 1), ("late", 2)]


async def test_several_logs_share_a_round(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Appends to ten logs wait for one round: a sync of each file, all at the same time."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        logs = [log_of(store, partition=partition) for partition in range(10)]
        begun = store.volume.flusher.statistics().rounds
        async with trio.open_nursery() as nursery:
            for log in logs:
                nursery.start_soon(append, log, batch(b"first"))
        assert store.volume.flusher.statistics().rounds - begun <= 2
        assert disk.calls["datasync"] == 10


async def test_tasks_that_a_round_has_woken_share_the_next_one_too(
    place: Place, autojump_clock: trio.testing.MockClock
) -> None:
    """Ten logs are appended to again and again, each as soon as it is durable: the first task that goes on does not
    begin a round of its own."""
    async with place.open(FaultyDisk(HurriedDisk()), offload=slow()) as store:
        logs = [log_of(store, partition=partition) for partition in range(10)]
        begun = store.volume.flusher.statistics().rounds

        async def append_again_and_again(log: LocalLog) -> None:
            for _ in range(5):
                await append(log, batch(b"x"))

        async with trio.open_nursery() as nursery:
            for log in logs:
                nursery.start_soon(append_again_and_again, log)
        assert store.volume.flusher.statistics().rounds - begun <= 5 + 2


async def test_a_task_is_not_woken_for_a_round_that_had_no_time_for_its_log(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits on, among the first of the next round; one of those that wait is woken to run it."""
    monkeypatch.setattr(flusher, "ROUND_SECONDS", 0)
    looks = 0
    real = flusher.Flusher._is_durable

    def counted(self: flusher.Flusher, target: flusher.Durable, end: int) -> bool:
        nonlocal looks
        looks += 1
        return real(self, target, end)

    monkeypatch.setattr(flusher.Flusher, "_is_durable", counted)
    async with place.open(FaultyDisk(HurriedDisk()), offload=slow()) as store:
        logs = [log_of(store, partition=partition) for partition in range(12)]
        begun, looks = store.volume.flusher.statistics().rounds, 0
        async with trio.open_nursery() as nursery:
            for log in logs:
                nursery.start_soon(append, log, batch(b"first"))
        rounds = store.volume.flusher.statistics().rounds - begun
        assert rounds >= 3, "four threads, each with one log a round"
        assert looks <= 3 * len(logs)


async def test_names_are_synced_too(place: Place) -> None:
    """The first append into a file waits for the file, its directory, and the directory above: in that order."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        disk.trace.clear()
        await append(log_of(store), batch(b"x"))
        synced = [(what, path) for what, path in disk.trace if what in ("datasync", "sync_directory")]
        data = str(place.path)
        assert synced[0] == ("datasync", f"{data}/orders-0/{0:020d}.log")
        assert set(synced[1:]) == {("sync_directory", data), ("sync_directory", f"{data}/orders-0")}
        disk.trace.clear()
        await append(log_of(store), batch(b"y"))
        assert [what for what, _ in disk.trace if "sync" in what] == ["datasync"]


async def test_a_roll_syncs_both_segments(place: Place) -> None:
    """An append behind a roll waits for what the old segment still owes, and for the new one's name."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, segment_bytes=260)
        await append(log, batch(b"x" * 100))
        disk.trace.clear()
        log.begin_append([batch(b"y" * 10)])
        await append(log, batch(b"z" * 100))
        synced = [path.rpartition("/")[2] for what, path in disk.trace if what in ("datasync", "sync_directory")]
        assert synced == [f"{0:020d}.log", f"{2:020d}.log", "orders-0"]


async def test_an_abort_is_durable_with_its_index(place: Place) -> None:
    """Once an abort marker is durable, readers leave the aborted batches out, whatever happens."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log, producer = log_of(store), ScriptedProducer(7)
        await append(log, producer.batch(b"x", transactional=True))
        disk.trace.clear()
        await append(log, producer.marker(commit=False))
        assert ("datasync", str(place.file(".txnindex"))) in disk.trace


async def test_a_duplicate_waits_for_the_original(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """A repeated batch is acknowledged as durable only when the first one is."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        log, producer = log_of(store), ScriptedProducer(7)
        log.begin_append([producer.batch(b"x")])
        repeated = log.begin_append([producer.repeat()])
        assert repeated.duplicate
        assert not repeated.durable
        await repeated.wait_durable()
        assert disk.calls["datasync"] == 1


async def test_without_ack_fsync_no_append_waits(place: Place) -> None:
    """`ack.fsync=false`: an append is durable once the operating system has it."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, ack_fsync=False)
        done = log.begin_append([batch(b"x")])
        assert done.durable
        await done.wait_durable()
        assert disk.calls["datasync"] == 0
    assert disk.calls["datasync"] == 1, "a clean stop syncs everything"


def begin(log: LocalLog) -> LocalAppend:
    """Append one record and do not wait."""
    done = log.begin_append([batch(b"x")])
    assert isinstance(done, LocalAppend)
    return done


async def test_flush_messages(place: Place) -> None:
    """`flush.messages=3`: every third record must be synced, whatever acks its producer asked for."""
    async with place.open() as store:
        log = log_of(store, flush_messages=3, ack_fsync=False)
        appends = []
        for _ in range(7):
            done = begin(log)
            appends.append(done.durable_on_ack)
            if done.durable_on_ack:
                await done.wait_durable()
                assert done.durable
        assert appends == [False, False, True, False, False, True, False]
        assert begin(log_of(store, "each", flush_messages=1)).durable_on_ack


async def test_flush_ms(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """`flush.ms=500`: an append that no caller waits for is synced half a second later at the latest."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store, flush_ms=500)
        log.begin_append([batch(b"x")])
        await trio.sleep(0.4)
        assert disk.calls["datasync"] == 0
        log.begin_append([batch(b"y")])
        await trio.sleep(0.2)
        assert disk.calls["datasync"] == 1
        log.begin_append([batch(b"z")])
        await trio.sleep(0.6)
        assert disk.calls["datasync"] == 2
        nursery.cancel_scope.cancel()


async def test_flush_ms_of_a_log_that_is_never_quiet(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Appends that come while the sync runs are synced half a second later too, and not with the next checkpoint."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store, flush_ms=500)
        for _ in range(1200):  # six seconds, an append at least every half of a sync
            log.begin_append([batch(b"x")])
            await trio.sleep(0.005)
        assert 10 <= disk.calls["datasync"] <= 13
        nursery.cancel_scope.cancel()


async def test_flush_messages_of_a_log_that_is_never_quiet(
    place: Place, autojump_clock: trio.testing.MockClock
) -> None:
    """What has been synced does not count again, although more was appended meanwhile."""
    async with place.open(offload=slow()) as store, trio.open_nursery() as nursery:
        log = log_of(store, flush_messages=3)
        begin(log), begin(log)
        nursery.start_soon(begin(log).wait_durable)
        await trio.sleep(0.005)
        assert begin(log).durable_on_ack  # the sync is not over yet
        await trio.sleep(0.006)
        assert [begin(log).durable_on_ack for _ in range(3)] == [False, True, True]


async def test_upkeep_shortens_recovery(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """About once a minute everything is synced and the recovery points are written down."""
    async with place.open() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log_of(store).begin_append([batch(b"x", b"y")])
        await trio.sleep(61)
        assert (place.path / "recovery-point-offset-checkpoint").read_bytes() == b"0\n1\norders 0 2\n"
        nursery.cancel_scope.cancel()


async def test_a_cancelled_waiter_does_not_take_others_with_it(
    place: Place, autojump_clock: trio.testing.MockClock
) -> None:
    """The task that runs the round for all may be cancelled at any moment: the others still get their answer."""
    async with place.open(offload=slow()) as store:
        log = log_of(store)
        first, second = log.begin_append([batch(b"x")]), log.begin_append([batch(b"y")])
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def impatient() -> None:
                with scope:
                    await first.wait_durable()

            nursery.start_soon(impatient)
            await trio.sleep(0.001)
            nursery.start_soon(second.wait_durable)
            scope.cancel()
        assert second.durable


@pytest.mark.parametrize("operation", ["datasync", "sync_directory"])
async def test_a_failed_sync_is_final(place: Place, operation: str) -> None:
    """E10: after EIO from a sync no acknowledgement, ever; the directory stops, reads go on, the stop is not clean."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        fine, failing = log_of(store, "fine"), log_of(store, "failing")
        await append(fine, batch(b"kept"))
        disk.fail(operation, errno.EIO, path="failing", times=1)
        doomed = failing.begin_append([batch(b"x")])
        for _ in range(2):  # the second sync would succeed
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await doomed.wait_durable()
        for log in (fine, failing, log_of(store, "new")):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.begin_append([batch(b"no")])
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await store.create_logs([log_of(store, "another").spec])
        [directory] = await store.log_directories()
        assert isinstance(directory.error, KafkaError)
        assert await values_of(store, fine) == [b"kept"]
    assert not (place.path / ".kafka_cleanshutdown").exists()
    async with place.open() as store:
        assert await values_of(store, log_of(store, "fine")) == [b"kept"]
        await append(log_of(store, "fine"), batch(b"again"))


async def test_a_failed_sync_fails_its_whole_round(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """All who wait for that log learn it, not only the one that ran the round."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        log = log_of(store)
        await append(log, batch(b"x"))
        disk.fail("datasync", errno.EIO)
        failures = []

        async def wait(waiting: Append) -> None:
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await waiting.wait_durable()
            failures.append(waiting)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait, log.begin_append([batch(b"y")]))
        assert len(failures) == 5
