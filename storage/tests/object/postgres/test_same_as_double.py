"""PostgreSQL answers as the double does, whatever is asked: random commits, swaps and deletions, played to both.

The double judges each append by the rules of `storage/producers.py` and keeps rows in lists. PostgreSQL has a short way
for what is plain, in SQL, and must not be told from it. Producers here send batches in and out of order, again, in and
out of transactions, under old and new epochs; coordinators send markers early, late and twice.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from kproto.errors import KafkaError
from storage.engine import Batch
from storage.object.control_plane import (
    UNVERIFIED,
    Buried,
    Commit,
    CommitRun,
    ControlPlane,
    LogSwap,
    NewRun,
    RunAppend,
    RunsQuestion,
    Swap,
)
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.producers import ProducerState
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.testing.commit_builder import append, name, shown
from storage.testing.control_plane import MemoryControlPlane
from storage.testing.database import MemoryDatabase
from storage.testing.log_builder import ScriptedProducer, batch
from storage.testing.postgres import binaries, empty_database

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")

LOGS = 4
PRODUCERS = 6
END = 1 << 62


class World:
    """What random producers and coordinators send; `dice` decides."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.sent = 0
        self.next: dict[tuple[int, int], int] = {}
        self.epoch = dict.fromkeys(range(PRODUCERS), 0)
        self.ends = [0] * LOGS

    def commits(self) -> list[Commit]:
        """One to three, given together."""
        return [self.commit() for _ in range(self.dice.choice((1, 1, 1, 2, 3)))]

    def commit(self) -> Commit:
        self.sent += 1
        dice = self.dice
        inline = dice.random() < 0.5
        logs = [dice.randrange(LOGS) for _ in range(dice.randint(1, 4))]
        if not inline:
            logs = list(dict.fromkeys(logs))
        runs, position = [], 0
        for place, log in enumerate(logs):
            appends = [self.append(log) for _ in range(dice.choice((1, 1, 2, 3)))]
            length = sum(piece.length for piece in appends)
            data = dice.randbytes(length) if inline else None
            after = dice.randrange(place) if place and dice.random() < 0.2 else None
            runs.append(CommitRun(log + 1, 0 if inline else position, appends, data, after))
            position += length
        return Commit(f"k{self.sent}", 0 if inline else position, runs)

    def append(self, log: int) -> RunAppend:
        dice = self.dice
        expected = dice.choice((None, None, None, None, self.ends[log], self.ends[log] - 1))
        since = dice.choice((UNVERIFIED, UNVERIFIED, UNVERIFIED, self.ends[log], 0, None))
        batches = [self.batch(log) for _ in range(dice.choice((1, 1, 1, 1, 2)))]
        return append(*batches, expected_end=expected, transaction_version=dice.choice((0, 0, 2)), unended_since=since)

    def batch(self, log: int) -> Batch:
        dice = self.dice
        values = [b"v"] * dice.randint(1, 3)
        times = [dice.randrange(1000)] * len(values)
        producer = dice.randrange(-1, PRODUCERS)
        if producer < 0:
            return batch(*values, timestamps=times)
        if dice.random() < 0.05:
            self.epoch[producer] += 1
        epoch = self.epoch[producer] - (dice.random() < 0.03)
        scripted = ScriptedProducer(producer, max(0, epoch))
        if dice.random() < 0.25:
            return scripted.marker(commit=dice.random() < 0.4, coordinator_epoch=dice.choice((0, 0, 0, 0, 1)))
        key = producer, log
        sequence = self.next.get(key, 0)
        chance = dice.random()
        if chance < 0.1:
            sequence = max(0, sequence - len(values))
        elif chance < 0.15:
            sequence = dice.choice((0, sequence + 1))
        if producer == 0:
            sequence = -1  # one that never numbers its batches, as a coordinator; no producer does both
        self.next[key] = max(0, sequence) + len(values)
        return batch(
            *values,
            timestamps=times,
            producer_id=producer,
            producer_epoch=scripted.epoch,
            base_sequence=sequence,
            transactional=dice.random() < 0.6,
        )


async def committed(plane: ControlPlane, commits: Sequence[Commit]) -> list[object]:
    """What commits have come to."""
    answers: list[object] = []
    for answer in await plane.commit(commits):
        if isinstance(answer, Buried):
            answers.append("buried")
        else:
            answers.append(
                [
                    (run.base_offset, None if run.appends is None else [*map(shown, run.appends)], run.positions)
                    for run in answer
                ]
            )
    return answers


async def swapped(plane: ControlPlane, log_id: int, first: int, count: int, key: str, inline: bool) -> object:
    """Put one run in the place of some."""
    [found] = await plane.runs([RunsQuestion(log_id, first, 1 << 30, END)])
    assert found is not None
    planned = found.runs[:count]
    if not planned:
        return None
    new = NewRun(planned[0].base_offset, planned[-1].last_offset, 0, 5, planned[0].max_timestamp)
    return await plane.swap(
        Swap(key, 0 if inline else 5, [LogSwap(log_id, planned, [new._replace(inline=b"inner") if inline else new])])
    )


def windows(states: Sequence[ProducerState]) -> dict[int, list[ProducerState]]:
    """What is known of each producer, as far as it matters: the timestamp of its last batch only, and nothing of what
    was before a batch without a sequence, which can be no repetition."""
    known: dict[int, list[ProducerState]] = {}
    for state in states:
        window = known.setdefault(state.producer_id, [])
        if window:
            window[-1] = window[-1]._replace(timestamp=0)
            if window[-1].last_sequence < 0:
                window.clear()
        if state.last_sequence < 0:
            window.clear()
            state = state._replace(offset_delta=0)
        window.append(state)
    return known


async def everything(plane: ControlPlane, dice: random.Random) -> list[object]:
    """What can be seen of all logs, but for the numbers of objects."""
    seen: list[object] = [await plane.positions(range(1, LOGS + 1))]
    for log_id in range(1, LOGS + 1):
        start, upto = dice.randrange(60), dice.randrange(200)
        questions = [RunsQuestion(log_id, 0, 1 << 30, END, True), RunsQuestion(log_id, start, 300, upto, True)]
        for found in await plane.runs(questions):
            assert found is not None
            seen.append([run._replace(object_id=0) for run in found.runs])
            seen.append(list(found.aborted))
        time = dice.randrange(1000)
        for run in (await plane.run_for_time(log_id, time), await plane.run_of_latest(log_id)):
            seen.append(run and run._replace(object_id=0))
        seen.append(await plane.aborted(log_id, start, upto))
        seen.append(windows(await plane.producers(log_id)))
    seen.append(sorted(candidate for candidate in await plane.merge_candidates(1, 100)))
    seen.append(await plane.object_counts())
    return seen


async def step(plane: ControlPlane, seed: int, world_commits: Sequence[Commit]) -> object:
    """One random deed; `seed` makes it the same on both."""
    dice = random.Random(seed)
    deed = dice.random()
    log_id = dice.randint(1, LOGS)
    if deed < 0.85:
        return await committed(plane, world_commits)
    if deed < 0.9:
        try:
            return await plane.delete_before(log_id, dice.randrange(60))
        except KafkaError as error:
            return error.code
    if deed < 0.94:
        return await plane.trim(dice.randint(1, 9))
    return await swapped(plane, log_id, dice.randrange(60), dice.randint(1, 4), f"s{seed}", dice.random() < 0.4)


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_history_is_the_same_on_both(seed: int) -> None:
    """Each answer, and all that can be seen afterwards."""
    double = MemoryControlPlane(MemoryDatabase(SystemClock(), SeededEntropy(seed)))
    real = PostgresControlPlane(
        empty_database(), 1, bytes(16), clock=SystemClock(), entropy=SeededEntropy(seed), lease_ms=3_600_000
    )
    world = World(seed)
    planes: list[ControlPlane] = [double, real]
    for plane in planes:
        await plane.open()
        assert await plane.create_logs([name(log) for log in range(LOGS)]) == list(range(1, LOGS + 1))
    for number in range(60):
        commits = world.commits()
        one, other = [await step(plane, seed * 1000 + number, commits) for plane in planes]
        assert other == one, f"step {number}: {commits}"
        if number % 5 == 4:
            one, other = [await everything(plane, random.Random(number)) for plane in planes]
            assert other == one, f"after step {number}"
        world.ends = [0 if p is None else p.end_offset for p in await double.positions(range(1, LOGS + 1))]
    await real.close()
