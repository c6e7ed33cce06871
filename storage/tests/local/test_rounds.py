"""Rounds of group commit: they have a size, and no task that waits for one is forgotten, whatever happens to others."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from kproto.errors import ErrorCode
from storage.engine import Append
from storage.local import flusher
from storage.local.flusher import PARALLEL, ROUND
from storage.local.log import Log, Unsynced
from storage.local.syncing import Outcome
from storage.seams.disk import Disk
from storage.seams.offload import Arguments, InlineOffload, Lane, Result
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import batch
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of

PATIENCE = 60
"""Virtual seconds after which a task hangs."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


def slow() -> InlineOffload:
    """Threads whose work takes ten virtual milliseconds."""
    return InlineOffload(lambda: 0.01)


async def test_one_log_does_not_wait_for_hundreds(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """E14: while a request, or the upkeep, has hundreds of logs synced, another task's log is in the next round."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        many = [log_of(store, "many", partition) for partition in range(400)]
        appends = [log.begin_append([batch(b"x")]) for log in many]
        one = log_of(store, "one")
        await append(one, batch(b"there"))
        for upkeep in (False, True):
            async with trio.open_nursery() as nursery:
                if upkeep:
                    nursery.start_soon(store.volume.flusher.flush, many)
                else:
                    nursery.start_soon(store.wait_durable, list(appends))
                await trio.testing.wait_all_tasks_blocked()
                before = disk.calls["datasync"]
                with trio.fail_after(PATIENCE):
                    await append(one, batch(b"x"))
                assert disk.calls["datasync"] - before <= 2 * ROUND
            assert all(each.durable for each in appends)
            appends += [log.begin_append([batch(b"y")]) for log in many]


class _Long:
    """The time of a round, which is never over: the machine may be busy with other things."""

    used_up = False

    def __init__(self, seconds: float) -> None:
        assert seconds > 0


async def test_many_logs_take_few_rounds(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that waits for hundreds of logs, one after the other, waits for as many rounds as these fill."""
    monkeypatch.setattr(flusher, "Slices", _Long)
    async with place.open(offload=slow()) as store:
        appends = [log_of(store, partition=number).begin_append([batch(b"x")]) for number in range(400)]
        begun = store.volume.flusher.statistics().rounds
        await store.wait_durable(appends)
        assert store.volume.flusher.statistics().rounds - begun <= 400 // ROUND + 2


class _Short:
    """The time of a round in which each of the threads begins with one log, and with a second one."""

    def __init__(self, seconds: float) -> None:
        self.left = PARALLEL

    @property
    def used_up(self) -> bool:
        self.left -= 1
        return self.left < 0


async def test_on_a_slow_disk_rounds_are_short(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its time is over a round begins with no other log, and what was not begun is durable in the end."""
    monkeypatch.setattr(flusher, "Slices", _Short)
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk, offload=slow()) as store:
        appends = [log_of(store, partition=number).begin_append([batch(b"x")]) for number in range(40)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.wait_durable, appends)
            await trio.testing.wait_all_tasks_blocked()
            one = log_of(store, "one").begin_append([batch(b"x")])
            before = disk.calls["datasync"]
            await one.wait_durable()
            assert disk.calls["datasync"] - before <= 2 * 2 * PARALLEL
        assert all(each.durable for each in appends)


@pytest.mark.parametrize("seed", range(8))
async def test_a_task_that_leaves_takes_no_other_with_it(
    place: Place, autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    """E13: two hundred tasks wait for sixty logs in rounds of all sizes; half of them are cancelled at some moment."""
    chance = random.Random(seed)
    async with place.open(offload=InlineOffload(lambda: chance.choice([0, 0.001, 0.01]))) as store:
        logs = [log_of(store, partition=number) for number in range(60)]
        done: list[int] = []

        async def wait(number: int, scope: trio.CancelScope) -> None:
            await trio.sleep(chance.random() * 0.05)
            waiting = chance.choice(logs).begin_append([batch(b"x")])
            with scope:
                await waiting.wait_durable()
                done.append(number)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for number in range(200):
                    scope = trio.CancelScope()
                    if number % 2:
                        scope.deadline = trio.current_time() + chance.random() * 0.06
                    nursery.start_soon(wait, number, scope)
        assert set(range(0, 200, 2)) <= set(done)
        assert store.volume.flusher.statistics().waiting == 0


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_sync_that_lacks_a_descriptor_is_tried_again(
    place: Place, autojump_clock: trio.testing.MockClock, code: int
) -> None:
    """It is no failed sync: the acknowledgement comes later, and nothing stops."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        waiting = log.begin_append([batch(b"x")])
        disk.fail("sync_directory", code, times=3)
        with trio.fail_after(PATIENCE):
            await waiting.wait_durable()
        assert not store.has_stopped
        await append(log, batch(b"y"))
    assert (place.path / ".kafka_cleanshutdown").exists()


class _NoThreads(InlineOffload):
    """No thread can be started for syncs, for a while."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        if lane is Lane.SYNC and self.times:
            self.times -= 1
            raise RuntimeError("can't start new thread")
        return await super().run(work, *arguments, abandonable=abandonable, lane=lane)


async def test_a_sync_without_a_thread_is_tried_again(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Where the system starts no thread, nothing was synced and nothing has failed."""
    async with place.open(offload=_NoThreads(5)) as store:
        appends: list[Append] = [log_of(store, partition=number).begin_append([batch(b"x")]) for number in range(3)]
        with trio.fail_after(PATIENCE):
            await store.wait_durable(appends)
        assert not store.has_stopped


async def test_a_failure_is_known_whatever_else_goes_wrong(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One log of a round cannot be synced, and with another a mistake of ours comes to light: the directory stops, the
    other log is named offline, and every task has its answer."""
    disk = FaultyDisk(HurriedDisk())
    right = Log.synced

    def mistaken(log: Log, done: Unsynced) -> None:
        assert not log.directory.endswith("a-0"), "a mistake of ours"
        right(log, done)

    monkeypatch.setattr(Log, "synced", mistaken)
    async with place.open(disk, offload=slow()) as store:
        appends = {name: log_of(store, name).begin_append([batch(b"x")]) for name in ("a", "bad", "c")}
        disk.fail("datasync", errno.EIO, path="bad", times=1)
        with trio.fail_after(PATIENCE):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await store.wait_durable(appends.values())
        assert {name: each.durable for name, each in appends.items()} == {"a": False, "bad": False, "c": True}
        assert store.has_stopped
        opened = log_of(store, "a").opened
        assert opened is not None
        assert "a mistake of ours" in str(opened.failure)


class _End(BaseException):
    """Of the whole process: the power is gone, or the interpreter ends. No code here handles it."""


async def test_a_sync_that_never_ended_is_not_asked_again(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends the process ends it; a task that runs a moment longer gets no acknowledgement, and no second sync,
    which might succeed and mean nothing."""
    begun: list[Unsynced] = []

    def end(disk: Disk, job: Unsynced) -> Outcome:
        begun.append(job)
        raise _End

    async def wait(appended: Append) -> None:
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await appended.wait_durable()

    async with place.open(offload=slow()) as store:
        log = log_of(store)
        appends = [log.begin_append([batch(b"x")]) for _ in range(3)]
        monkeypatch.setattr(flusher, "sync_log", end)
        async with trio.open_nursery() as nursery:
            with pytest.raises(_End):
                nursery.start_soon(wait, appends[1])
                nursery.start_soon(wait, appends[2])
                await appends[0].wait_durable()
        assert len(begun) == 1
        assert store.has_stopped
        assert not any(each.durable for each in appends)
