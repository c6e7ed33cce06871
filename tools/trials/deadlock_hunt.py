"""Brokers that do everything at once to the same logs of one database: does any of them ever wait for each other?

Each broker commits objects and small appends to logs in any order, opens transactions in several logs and ends them in
the opposite order, merges, deletes records from the front, lets retention and the trimming of what was deleted run,
and makes and deletes logs. PostgreSQL counts the deadlocks that it has had to break; there must be none, for a broken
one is a commit that was a second late. In the end the rows are looked at as well.

    python -m tools.trials hunt-deadlocks --minutes 60

Exit status 0: no deadlock, and every log is stable up to its end; 1: not so.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from storage.object.control_plane import (
    Buried,
    Commit,
    CommitRun,
    LogSwap,
    NewRun,
    Retention,
    RunAppend,
    RunsQuestion,
    Swap,
    Unavailable,
)
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.servers.postgres import PostgresServer
from storage.testing.commit_builder import append, name
from storage.testing.log_builder import ScriptedProducer
from tools.trials.places import folder

LOGS = 40
DAY_MS = 86_400_000
DEADLOCKS = "SELECT sum(deadlocks) FROM pg_stat_database"


class _Broker:
    """One broker. Its tasks go on until it is late."""

    def __init__(self, url: str, node_id: int, is_late: Callable[[], bool], done: Counter[str]) -> None:
        self.plane = PostgresControlPlane(
            url, node_id, bytes([node_id] * 16), clock=SystemClock(), entropy=SystemEntropy(), lease_ms=DAY_MS
        )
        self._dice = random.Random(node_id)
        self._node_id = node_id
        self._is_late = is_late
        self._done = done
        self._numbers = iter(range(1 << 40))

    async def commit(self, log_ids: Sequence[int]) -> None:
        """Objects, and transactions over several logs."""
        while not self._is_late():
            number = next(self._numbers)
            producer = ScriptedProducer(self._node_id << 40 | number)
            begun = producer.batch(transactional=True)
            chosen = self._dice.sample(log_ids, 8)
            key = f"{self._node_id}-{number}"
            data = [
                Commit(f"{key}-{part}", 100, [CommitRun(log_id, 0, [RunAppend(2, 50, 1)]) for log_id in chosen[part:]])
                for part in range(2)
            ]
            opens = [CommitRun(log_id, 0, [append(begun)], bytes(len(begun.data))) for log_id in chosen]
            marker = producer.marker(commit=number % 2 == 0)
            ends = [CommitRun(log_id, 0, [append(marker)], bytes(len(marker.data))) for log_id in chosen[::-1]]
            await self._until_done([*data, Commit(f"{key}-opens", 0, opens)])
            await self._until_done([Commit(f"{key}-ends", 0, ends)])

    async def _until_done(self, commits: list[Commit]) -> None:
        while True:
            try:
                answers = await self.plane.commit(commits)
                break
            except Unavailable as error:
                self._done[f"unavailable: {error}"] += 1
        self._done["commits"] += len(commits)
        self._done["entries"] += sum(len(each) for each in answers if not isinstance(each, Buried))

    async def keep_up(self, log_ids: Sequence[int]) -> None:
        """Merging, retention, and what deletes."""
        while not self._is_late():
            for what in (self._merge, self._delete, self._expire, self._come_and_go):
                try:
                    await what(log_ids)
                    self._done[what.__name__.strip("_")] += 1
                except Unavailable as error:
                    self._done[f"unavailable: {error}"] += 1

    async def _merge(self, log_ids: Sequence[int]) -> None:
        questions = [RunsQuestion(log_id, 0, 400, 1 << 62) for log_id in self._dice.sample(log_ids, 6)]
        swaps = []
        for question, found in zip(questions, await self.plane.runs(questions), strict=True):
            if found is not None and found.runs:
                new = NewRun(found.runs[0].base_offset, found.runs[-1].last_offset, 0, 9, 1)
                swaps.append(LogSwap(question.log_id, found.runs, [new]))
        await self.plane.swap(Swap(f"{self._node_id}-swap-{next(self._numbers)}", 9 * len(swaps), swaps))

    async def _delete(self, log_ids: Sequence[int]) -> None:
        for log_id in self._dice.sample(log_ids, 3):
            [positions] = await self.plane.positions([log_id])
            if positions is not None:
                await self.plane.delete_before(log_id, max(0, positions.end_offset - 10_000))
        await self.plane.trim(50)

    async def _expire(self, log_ids: Sequence[int]) -> None:
        limits = [Retention(log_id, DAY_MS, 200_000) for log_id in self._dice.sample(log_ids, 10)]
        await self.plane.expire(limits)
        await self.plane.expire_producers(100)
        await self.plane.deleted(await self.plane.deletable(100))

    async def _come_and_go(self, log_ids: Sequence[int]) -> None:
        names = [name(1000 * self._node_id + next(self._numbers)) for _ in range(4)]
        made = await self.plane.create_logs(names)
        runs = [CommitRun(log_id, 0, [RunAppend(2, 50, 1)]) for log_id in (*made, *self._dice.sample(log_ids, 4))]
        await self._until_done([Commit(f"{self._node_id}-gone-{made[0]}", 100, runs)])
        await self.plane.delete_logs(made)


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials hunt-deadlocks`."""
    options = parse(arguments)
    directory = Path(tempfile.mkdtemp(prefix="deadlock-hunt-", dir=options.directory))
    server = PostgresServer(directory, settings={"max_connections": "100", "deadlock_timeout": "200ms"})
    server.start()
    done: Counter[str] = Counter()
    try:
        unstable = trio.run(_hunt, server.create_database(), options.brokers, options.minutes * 60, done)
        [(deadlocks,)] = server.execute(DEADLOCKS)
    finally:
        server.stop()
    for what, count in sorted(done.items()):
        print(f"{what}: {count:,}")
    print(
        f"{deadlocks} deadlocks, {unstable} logs whose stable data does not reach their end; files are in {directory}"
    )
    return 1 if deadlocks != "0" or unstable else 0


async def _hunt(url: str, count: int, seconds: float, done: Counter[str]) -> int:
    """Let the brokers loose; how many logs are not stable up to their end afterwards."""
    until = time.monotonic() + seconds
    brokers = [_Broker(url, node_id, lambda: time.monotonic() > until, done) for node_id in range(1, count + 1)]
    for broker in brokers:
        await broker.plane.open()
    log_ids = await brokers[0].plane.create_logs([name(partition) for partition in range(LOGS)])
    async with trio.open_nursery() as nursery:
        for broker in brokers:
            nursery.start_soon(broker.commit, log_ids)
            nursery.start_soon(broker.commit, log_ids)
            nursery.start_soon(broker.keep_up, log_ids)
    found = await brokers[0].plane.positions(log_ids)
    for broker in brokers:
        await broker.plane.close()
    return sum(each is None or each.last_stable_offset != each.end_offset for each in found)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials hunt-deadlocks",
        description="Let brokers do everything at once to the same logs of one database; count deadlocks.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--brokers", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
