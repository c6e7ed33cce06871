"""Group commit: one sync answers every task that waits for it.

An append that must be durable asks for it here. If no sync is running, the asking task becomes the one that runs the
next round: it takes what is unsynced in the logs that tasks wait for, hands it to worker threads in one hop, and when
they are done, each task whose bytes were covered goes on. Appends made meanwhile are not covered (they may lie behind
what the kernel wrote out) and wait for the next round, which then covers all of them. So the busier it gets, the more
appends share a sync, and a lone append waits for exactly one. Tasks that a round has woken together may have more to
append before they wait again: the one that runs the next round lets them all do so first.

**A round has a size.** It takes up to `ROUND` logs, in the order in which they were asked for, and its threads begin
with no other log when `ROUND_SECONDS` are over; the rest is for the next round. So a task that waits for one log does
not wait for ten thousand. Two lists are kept: *wanted* are logs that a task waits for; *expected* are logs that will be
(a request to thousands of partitions waits for one after the other) or that the upkeep wants to have synced. A round
takes what is wanted first, and from the other list what then fits; a quarter of it in any case, so that nothing waits
forever.

**No task is in charge**: there is no background task to start, stop or crash. A task that runs a round does so shielded
from cancellation, since others wait for the outcome, and runs one round only. From that follow three rules:

1. As long as a task waits, a round runs or a task has been woken that will run one. A task that leaves, for whatever
   reason, and a round that ends, wakes the first of those that wait (`_hand_on`); a task that wakes looks at everything
   again.
2. Whatever a round raises, and at whatever line, `_running` is taken back and its logs are looked at again by the tasks
   that wait for them.
3. Outcomes are settled worst first: a sync that has failed is known before anything else can go wrong.

**A sync that fails is final.** The kernel may have marked the lost pages clean, so asking again would succeed and mean
nothing (ATC '20, "Can applications recover from fsync failures?"). The log directory stops: no append of any of its
logs is acknowledged any more, and the next start begins with what the platter says. **What is not a failed sync**
(`syncing.py`): where a file could not be opened, or no thread be had, it is tried again after a pause. And files that
are the partition's no longer stop its log, not the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.local.log import Log, Unsynced
from storage.local.surroundings import Health
from storage.local.syncing import Lost, Outcome, Postponed, sync_log
from storage.seams.disk import SHORT_OF, Disk
from storage.seams.logging import get_logger
from storage.seams.offload import Lane, Offload
from storage.seams.slices import Slices
from storage.statistics import FlushStatistics

PARALLEL: Final = 4
"""Threads per round. Syncs of different files at the same time share a journal commit of the file system."""

ROUND: Final = 128
"""Logs of a round."""

ROUND_SECONDS: Final = 0.02
"""What its threads begin with, they begin within that time."""

PAUSE_SECONDS: Final = 0.1
"""Until a round is tried again that has found no descriptors, or no threads."""

INTERRUPTED: Final = OSError("the sync was interrupted")
"""Of a sync that has begun and not ended, whatever the reason."""


class Durable(Protocol):
    """A log as the flusher sees it."""

    @property
    def opened(self) -> Log | None:
        """The open log; None when it has been closed, as only a synced one is, or deleted."""
        ...

    @property
    def is_deleted(self) -> bool:
        """True once the log has been deleted: nothing of it will be durable any more."""
        ...

    def synced(self) -> None:
        """A round is over that has synced what the open log had when the round began."""
        ...


class _Job(NamedTuple):
    """One log's share of a round."""

    target: Durable
    log: Log
    unsynced: Unsynced


class Flusher:
    """Runs rounds of syncs for all logs of a directory."""

    def __init__(self, disk: Disk, offload: Offload, health: Health) -> None:
        self._disk = disk
        self._offload = offload
        self._health = health
        self._wanted: dict[Durable, trio.Event] = {}  # set when the log is to be looked at again
        self._expected: dict[Durable, None] = {}
        self._running = False
        self._round_over = trio.Event()
        self._short = False  # of descriptors or threads
        self._crowded = False  # whether the last round has woken tasks of several logs
        self._rounds = self._syncs = self._waiting = self._failures = 0

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def wait(self, target: Durable, end: int) -> None:
        """Return when `target` is durable below offset `end`. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        self._waiting += 1
        try:
            while not self._is_durable(target, end):
                event = self._wanted.get(target)
                if event is None or event.is_set():  # set, if what was to put another in its place has failed
                    event = self._wanted[target] = trio.Event()
                if self._running:
                    await event.wait()
                else:
                    await self._run_round()
        finally:
            self._waiting -= 1
            self._hand_on()

    def _is_durable(self, target: Durable, end: int) -> bool:
        """Whether `target` is durable below `end`. Raises KafkaError if it will never be."""
        log = target.opened
        if log is None:
            if target.is_deleted:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the log has been deleted")
            return True
        if log.synced_end >= end:
            return True
        if log.failure is not None:
            raise log.broken()
        return False

    async def wait_all(self, targets: Sequence[tuple[Durable, int]]) -> None:
        """Return when each of these is durable below its offset; rounds take along as many of them as fit.

        Raises KafkaError(KAFKA_STORAGE_ERROR) for the first that can no longer become so, when all are decided.
        """
        self._expected.update(dict.fromkeys(target for target, _ in targets))
        failure: KafkaError | None = None
        for target, end in targets:
            try:
                await self.wait(target, end)
            except KafkaError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def flush(self, targets: Sequence[Durable]) -> None:
        """Sync these logs as they are now, beside those that tasks wait for.

        A failure stops their directory; it is not raised. Returns early when that has stopped, or when there are no
        descriptors, which the caller may be able to do something about: then a later round has what is left.
        """
        left = dict.fromkeys(targets)
        self._expected.update(left)
        try:
            while left and not self._health.has_stopped:
                if self._running:
                    await self._round_over.wait()
                else:
                    await self._run_round()
                left = {target: None for target in left if target in self._expected}
                if self._short:
                    return
        finally:
            self._hand_on()

    def _hand_on(self) -> None:
        """If no round runs and tasks wait for one, wake the first of them to run it."""
        if self._running or not self._wanted:
            return
        for target, event in list(self._wanted.items()):
            if event.statistics().tasks_waiting:
                # It finds its log not synced, and no round running; or it leaves, and hands on in its turn.
                event.set()
                self._wanted[target] = trio.Event()
                return

    def statistics(self) -> FlushStatistics:
        """Rounds, and who waits for one."""
        return FlushStatistics(self._rounds, self._syncs, self._waiting, self._failures)

    # -- one round -----------------------------------------------------------------------------------------------------

    async def _run_round(self) -> None:
        woken: dict[Durable, trio.Event] = {}
        jobs: list[_Job] = []
        outcomes: list[Outcome] = []
        try:
            self._running = True
            self._rounds += 1
            if self._crowded:  # in a turn of the loop tasks run in any order: behind the second, all have
                await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.lowlevel.cancel_shielded_checkpoint()
            missing = self._take(woken, jobs)
            self._crowded = len(woken) > 1
            outcomes += [Postponed(None)] * len(jobs)
            with trio.CancelScope(shield=True):
                try:
                    missing = await self._sync(jobs, outcomes) or missing
                finally:
                    self._settle(jobs, outcomes)
            self._keep_waiting(woken, jobs, outcomes)
            await self._pause(missing)  # where the task that runs the round may be cancelled: it may go on for long
        finally:
            self._running = False
            over, self._round_over = self._round_over, trio.Event()
            over.set()
            for event in woken.values():
                event.set()
            self._hand_on()

    def _keep_waiting(self, woken: dict[Durable, trio.Event], jobs: list[_Job], outcomes: list[Outcome]) -> None:
        """Tasks for whose log the round had no time left are the first of the next one, and are not woken for that."""
        late = {
            job.target: woken.pop(job.target)
            for job, outcome in zip(jobs, outcomes, strict=True)
            if isinstance(outcome, Postponed) and job.target in woken and job.target not in self._wanted
        }
        if late:
            self._wanted = {**late, **self._wanted}

    def _take(self, woken: dict[Durable, trio.Event], jobs: list[_Job]) -> Exception | None:
        """Take the logs of the next round off the lists.

        Adds them to `jobs`, and to `woken` those that tasks wait for, with their events. Returns what there was too
        little of, if there was.
        """
        wanted = list(islice(self._wanted, max(ROUND - len(self._expected), ROUND * 3 // 4)))
        woken.update((target, self._wanted.pop(target)) for target in wanted)
        for target in wanted:
            self._expected.pop(target, None)
        expected = list(islice(self._expected, ROUND - len(wanted)))
        for target in expected:
            del self._expected[target]
        missing: Exception | None = None
        for target in (*wanted, *expected):
            if (log := target.opened) is None:
                continue
            try:
                jobs.append(_Job(target, log, log.take_unsynced()))
            except OSError as error:
                if error.errno in SHORT_OF:
                    missing, self._expected[target] = error, None
                else:
                    log.fail(f"its files cannot be opened: {error}")
            except Exception as error:
                log.fail(f"{type(error).__name__}: {error}")
        return missing

    async def _sync(self, jobs: list[_Job], outcomes: list[Outcome]) -> Exception | None:
        """Sync in threads, which write down in `outcomes` how it ends. Returns what there was too little of."""
        round_time = Slices(ROUND_SECONDS)
        missing: Exception | None = None

        async def part(numbers: range) -> None:
            nonlocal missing
            try:
                await self._offload.run(self._sync_part, jobs, outcomes, numbers, round_time, lane=Lane.SYNC)
            except Exception as error:  # no thread could be had: what is done there raises nothing
                missing = error

        if len(jobs) == 1:
            await part(range(1))
        elif jobs:
            async with trio.open_nursery() as nursery:
                for first in range(min(PARALLEL, len(jobs))):
                    nursery.start_soon(part, range(first, len(jobs), PARALLEL))
        shortages = [outcome.error for outcome in outcomes if isinstance(outcome, Postponed) and outcome.error]
        return shortages[0] if shortages else missing

    def _sync_part(self, jobs: list[_Job], outcomes: list[Outcome], numbers: range, round_time: Slices) -> None:
        """In a thread. The first log is synced in any case, others as long as the round has time.
        Whatever happens, a sync that has begun is known."""
        for number in numbers:
            if number != numbers[0] and round_time.used_up:
                return
            outcomes[number] = INTERRUPTED
            outcomes[number] = sync_log(self._disk, jobs[number].unsynced)

    def sync(self, jobs: Sequence[Unsynced]) -> list[Outcome]:
        """Sync each of these, in a thread: for logs that no task can wait for."""
        return [sync_log(self._disk, job) for job in jobs]

    def _settle(self, jobs: list[_Job], outcomes: list[Outcome]) -> None:
        done: list[_Job] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, OSError):
                self._failures += 1
                if job.target.opened is job.log:
                    self._health.stop(f"{job.log.directory}: sync failed: {outcome}")
            elif isinstance(outcome, Lost):
                if job.target.opened is job.log:  # else it has been deleted meanwhile, by us
                    self._failures += 1
                    job.log.fail(outcome.reason)
            elif outcome is None:
                done.append(job)
            else:
                self._expected[job.target] = None
        for job in done:
            try:
                self._syncs += 1
                job.log.synced(job.unsynced)
                job.target.synced()
            except Exception as error:  # a mistake of ours must not harm other logs, nor be forgotten
                job.log.fail(f"what was synced could not be noted: {type(error).__name__}: {error}")

    async def _pause(self, missing: Exception | None) -> None:
        """Wait for descriptors or threads, if any were missing; log lines say when that begins and ends."""
        if (missing is not None) != self._short:
            self._short = missing is not None
            if missing is not None:
                get_logger("storage").warning("syncs wait for descriptors or threads", reason=str(missing))
            else:
                get_logger("storage").warning("syncs go on")
        if missing is not None:
            await trio.sleep(PAUSE_SECONDS)
