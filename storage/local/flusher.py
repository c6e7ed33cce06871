"""Group commit: one sync answers every task that waits for it.

An append that must be durable asks for it here. If no sync is running, the asking task becomes the one that runs the
next: it takes what is unsynced in every log that a task waits for, hands all of it to worker threads in one hop,
and when they are done, each task whose bytes were covered goes on. Appends made meanwhile are not covered (they may lie
behind what the kernel wrote out) and wait for the next round, which then covers all of them. So the busier it gets, the
more appends share a sync, and a lone append waits for exactly one.

No task is in charge: there is no background task to start, stop or crash. A task that runs a round does so shielded
from cancellation, since others wait for the outcome, and runs one round only.

**A sync that fails is final.** The kernel may have marked the lost pages clean, so asking again would succeed and mean
nothing (ATC '20, "Can applications recover from fsync failures?"). The log directory stops: no append of any of its
logs is acknowledged any more, and the next start begins with what the platter says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.local.log import Log, Unsynced
from storage.local.surroundings import Health
from storage.seams.disk import Disk
from storage.seams.offload import Lane, Offload
from storage.statistics import FlushStatistics

PARALLEL: Final = 4
"""Threads per round. Syncs of different files at the same time share a journal commit of the file system."""


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


class Flusher:
    """Runs rounds of syncs for all logs of a directory."""

    def __init__(self, disk: Disk, offload: Offload, health: Health) -> None:
        self._disk = disk
        self._offload = offload
        self._health = health
        self._wanted: dict[Durable, None] = {}
        self._round_over: trio.Event | None = None  # set while a round runs
        self._rounds = self._syncs = self._waiting = self._failures = 0

    async def wait(self, target: Durable, end: int) -> None:
        """Return when `target` is durable below offset `end`. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        while True:
            log = target.opened
            if log is None:
                if target.is_deleted:
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the log has been deleted")
                return
            if log.synced_end >= end:
                return
            if log.failure is not None:
                raise log.broken()
            self._wanted[target] = None
            self._waiting += 1
            try:
                if self._round_over is not None:
                    await self._round_over.wait()
                else:
                    await self._run_round()
            finally:
                self._waiting -= 1

    async def wait_all(self, targets: Sequence[tuple[Durable, int]]) -> None:
        """Return when each of these is durable below its offset, which takes one round of syncs for all of them.

        Raises KafkaError(KAFKA_STORAGE_ERROR) for the first that can no longer become so, when all are decided.
        """
        self._wanted.update(dict.fromkeys(target for target, _ in targets))
        failure: KafkaError | None = None
        for target, end in targets:
            try:
                await self.wait(target, end)
            except KafkaError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def flush(self, targets: Sequence[Durable]) -> None:
        """Sync these logs as they are now, in one round. A failure stops their directory; it is not raised."""
        while self._round_over is not None:
            await self._round_over.wait()
        for target in targets:
            self._wanted[target] = None
        await self._run_round()

    def statistics(self) -> FlushStatistics:
        """Rounds, and who waits for one."""
        return FlushStatistics(self._rounds, self._syncs, self._waiting, self._failures)

    async def _run_round(self) -> None:
        over = self._round_over = trio.Event()
        self._rounds += 1
        wanted, self._wanted = self._wanted, {}
        jobs = [(target, log, log.take_unsynced()) for target in wanted if (log := target.opened) is not None]
        failures: list[OSError | None] = [None] * len(jobs)
        try:
            with trio.CancelScope(shield=True):
                if len(jobs) == 1:
                    failures = await self._offload.run(self.sync, [jobs[0][2]], lane=Lane.SYNC)
                elif jobs:
                    await self._sync_in_parallel([job[2] for job in jobs], failures)
            for (target, log, unsynced), failure in zip(jobs, failures, strict=True):
                if failure is None:
                    self._syncs += 1
                    log.synced(unsynced)
                    target.synced()
                    continue
                self._failures += 1
                if target.opened is log:
                    self._health.stop(f"{log.directory}: sync failed: {failure}")
        finally:
            self._round_over = None
            over.set()

    async def _sync_in_parallel(self, jobs: list[Unsynced], failures: list[OSError | None]) -> None:
        async def part(numbers: range) -> None:
            results = await self._offload.run(self.sync, [jobs[number] for number in numbers], lane=Lane.SYNC)
            for number, result in zip(numbers, results, strict=True):
                failures[number] = result

        async with trio.open_nursery() as nursery:
            for first in range(min(PARALLEL, len(jobs))):
                nursery.start_soon(part, range(first, len(jobs), PARALLEL))

    def sync(self, jobs: list[Unsynced]) -> list[OSError | None]:
        """In a thread: bytes first, then names, so that a durable name never leads to missing bytes."""
        results: list[OSError | None] = []
        for job in jobs:
            try:
                for _, file, _ in job.segments:
                    file.datasync()
                for path in job.indexes:
                    file = self._disk.open(path)
                    file.datasync()
                    file.close()
                for path in dict.fromkeys(job.directories):
                    self._disk.sync_directory(path)
                results.append(None)
            except OSError as error:
                results.append(error)
        return results
