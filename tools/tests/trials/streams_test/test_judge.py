"""The judge of counts: for each word 1, 2, 3 ... up to how often it was sent."""

from __future__ import annotations

import pytest

from tools.trials.streams_test.judge import differences


def test_exact_counts_are_right() -> None:
    """Nothing to say."""
    assert list(differences({"a": 3, "b": 1}, {"a": [1, 2, 3], "b": [1]})) == []


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([1, 2], "a: was sent 3 times and counted 2 times"),
        ([1, 2, 3, 4], "a: was sent 3 times and counted 4 times"),
        ([], "a: was sent 3 times and counted 0 times"),
        ([1, 2, 2, 3], "a: after [1, 2] comes 2, and not 3"),
        ([1, 3, 2], "a: after [1] comes 3, and not 2"),
    ],
)
def test_every_fault_is_named(counts: list[int], said: str) -> None:
    """Lost, doubled, out of order."""
    assert list(differences({"a": 3}, {"a": counts})) == [said]


def test_a_word_that_was_never_sent() -> None:
    """Is counted too often."""
    assert list(differences({}, {"x": [1]})) == ["x: was sent 0 times and counted 1 times"]
