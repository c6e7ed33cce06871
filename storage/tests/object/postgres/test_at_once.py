"""Brokers that do everything at once on the same logs: none is in the way of another for good, rows are in order."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio

from storage.object.control_plane import (
    Buried,
    Commit,
    CommitRun,
    LogSwap,
    NewRun,
    RunAppend,
    RunsQuestion,
    Swap,
    Unavailable,
)
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.testing.commit_builder import append, name
from storage.testing.log_builder import ScriptedProducer
from storage.testing.postgres import binaries, empty_database, shared_server
from storage.tests.object.postgres.invariants import broken_promises

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")

LOGS = 12
BROKERS = 3
ROUNDS = 12


class Broker:
    """One broker, whose tasks each do one kind of thing to any of the logs."""

    def __init__(self, url: str, node_id: int) -> None:
        self.plane = PostgresControlPlane(
            url, node_id, bytes([node_id] * 16), clock=SystemClock(), entropy=SystemEntropy(), lease_ms=3_600_000
        )
        self.dice = random.Random(node_id)
        self.taken = 0
        self.unavailable: Counter[str] = Counter()

    async def commits(self, log_ids: list[int]) -> None:
        """In any order of the logs, two at a time, each with a transaction that ends in the next round."""
        for number in range(ROUNDS):
            producer = ScriptedProducer(self.plane.node_id * 1000 + number)
            begun = producer.batch(transactional=True)
            chosen = self.dice.sample(log_ids, 5)
            data = [
                Commit(
                    f"{self.plane.node_id}-{number}-{part}",
                    100,
                    [CommitRun(log_id, 0, [RunAppend(2, 50, 1)]) for log_id in chosen[part:]],
                )
                for part in range(2)
            ]
            opens = [CommitRun(log_id, 0, [append(begun)], bytes(len(begun.data))) for log_id in chosen]
            marker = producer.marker(commit=number % 2 == 0)
            ends = [CommitRun(log_id, 0, [append(marker)], bytes(len(marker.data))) for log_id in chosen[::-1]]
            key = f"{self.plane.node_id}-{number}"
            await self.until_done([*data, Commit(f"{key}-opens", 0, opens)])
            await self.until_done([Commit(f"{key}-ends", 0, ends)])

    async def until_done(self, commits: list[Commit]) -> None:
        """Commit, again while it cannot be."""
        while True:
            try:
                answers = await self.plane.commit(commits)
                break
            except Unavailable as error:
                self.unavailable[str(error)] += 1
        for answer in answers:
            assert not isinstance(answer, Buried)
            assert all(run.appends is None for run in answer)
            self.taken += len(answer)

    async def upkeep(self, log_ids: list[int]) -> None:
        """Merging, deleting and trimming, of whatever is there."""
        for number in range(ROUNDS):
            questions = [RunsQuestion(log_id, 0, 400, 1 << 62) for log_id in self.dice.sample(log_ids, 3)]
            swaps = []
            for question, found in zip(questions, await self.plane.runs(questions), strict=True):
                if found is not None and found.runs:
                    first, last = found.runs[0], found.runs[-1]
                    swaps.append(
                        LogSwap(question.log_id, found.runs, [NewRun(first.base_offset, last.last_offset, 0, 9, 1)])
                    )
            try:
                await self.plane.swap(Swap(f"{self.plane.node_id}-swap-{number}", 27, swaps))
                [positions] = await self.plane.positions(log_ids[:1])
                assert positions is not None
                await self.plane.delete_before(log_ids[0], positions.end_offset // 2)
                await self.plane.trim(20)
            except Unavailable as error:
                self.unavailable[str(error)] += 1


async def test_three_brokers_on_one_database() -> None:
    """Each commit comes through, none waits for a deadlock to be found, and stable data ends at the ends."""
    url = empty_database()
    database = url.rpartition("/")[2]
    deadlocks = f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'"
    before = shared_server().execute(deadlocks)
    brokers = [Broker(url, node_id) for node_id in range(1, BROKERS + 1)]
    for broker in brokers:
        await broker.plane.open()
    log_ids = await brokers[0].plane.create_logs([name(partition) for partition in range(LOGS)])
    async with trio.open_nursery() as nursery:
        for broker in brokers:
            nursery.start_soon(broker.commits, log_ids)
            nursery.start_soon(broker.upkeep, log_ids)
    assert [broker.taken for broker in brokers] == [ROUNDS * (5 + 4 + 5 + 5)] * BROKERS
    assert not any(broker.unavailable for broker in brokers), [broker.unavailable for broker in brokers]
    for positions in await brokers[0].plane.positions(log_ids):
        assert positions is not None
        assert positions.last_stable_offset == positions.end_offset
    for broker in brokers:
        await broker.plane.close()
    assert broken_promises(shared_server(), database) == []
    assert shared_server().execute(deadlocks) == before
