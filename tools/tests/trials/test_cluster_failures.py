"""The judge of `cluster-failures` finds each way in which a promise can be broken, and nothing where none is."""

from __future__ import annotations

import pytest

from tools.trials.cluster_failures.command import BATCH, rounds_of
from tools.trials.cluster_failures.load import Verdict, Written, judge

Records = dict[int, list[tuple[int, bytes]]]


def value(number: int, producer: str = "p0") -> bytes:
    """What a producer writes."""
    return f"{producer}:{number}:...".encode()


def written(count: int) -> Written:
    """A producer whose records 0, 1, ... were acknowledged with the offsets 0, 1, ... of partition 0."""
    return Written(
        "p0", {(0, number): number for number in range(count)}, set(), [float(number) for number in range(count)]
    )


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    """Lost, doubled, reordered, misplaced."""
    return verdict.lost, verdict.doubled, verdict.reordered, verdict.misplaced


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([(0, 0), (1, 1), (2, 2)], (0, 0, 0, 0)),
        ([(0, 0), (2, 2)], (1, 0, 0, 0)),
        ([(0, 0), (1, 1), (2, 2), (3, 1)], (0, 1, 0, 0)),
        ([(0, 1), (1, 0), (2, 2)], (0, 0, 1, 2)),
        ([(0, 0), (1, 1), (5, 2)], (0, 0, 0, 1)),
        ([(0, 0), (1, 1), (2, 2), (3, 3)], (0, 0, 0, 0)),  # one that was not acknowledged may be there
    ],
)
def test_each_broken_promise_is_counted(found: list[tuple[int, int]], wanted: tuple[int, int, int, int]) -> None:
    """Offsets and numbers that were read, and what is wrong with them."""
    records: Records = {0: [(offset, value(number)) for offset, number in found]}
    verdict = judge([written(3)], records)
    assert counts(verdict) == wanted
    assert verdict.is_sound is (wanted == (0, 0, 0, 0))


def test_producers_are_told_apart() -> None:
    """The order of one says nothing of another; the longest silence is that of all together."""
    other = Written("p1", {(0, 0): 1}, {(0, 1)}, [0.5, 9.0])
    verdict = judge([written(2), other], {0: [(0, value(0)), (1, value(0, "p1")), (2, value(1))]})
    assert (verdict.reordered, verdict.failed, verdict.silence) == (0, 1, 8.0)


def test_rounds_by_chance_are_the_same_however_often_they_are_interrupted() -> None:
    """They follow from the seed and the number of the batch; each ends with the one failure that is the last."""
    assert rounds_of(3, 7) == rounds_of(3, 7) != rounds_of(3, 8)
    assert [row.name for row in rounds_of(3, 7)].index("database failed over") == BATCH - 1
