"""The judge of copies: it names what is lost, doubled, made up or out of order, and nothing else."""

from __future__ import annotations

import pytest

from tools.trials.exactly_once.judge import Values, differences

SOURCE: list[Values] = [[b"0", b"2", b"4"], [b"1", b"3"]]


def found(*target: Values) -> list[str]:
    """What is wrong with a target."""
    return list(differences("c", SOURCE, target))


def test_an_exact_copy_is_right() -> None:
    """Nothing to say."""
    assert found([b"0", b"2", b"4"], [b"1", b"3"]) == []


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ([b"0", b"4"], "1 lost: [b'2']"),
        ([b"0", b"2", b"2", b"4"], "1 copied more than once: [b'2']"),
        ([b"0", b"2", b"4", b"9"], "1 never sent: [b'9']"),
        ([b"0", b"4", b"2"], "another order from record 1 on: [b'4', b'2']"),
    ],
)
def test_every_fault_is_named(first: Values, said: str) -> None:
    """With its partition and the records it is about."""
    assert found(first, [b"1", b"3"]) == [f"c, partition 0: {said}"]


def test_each_partition_is_judged() -> None:
    """And each kind of fault in it."""
    assert found([b"0", b"0"], []) == [
        "c, partition 0: 2 lost: [b'2', b'4']",
        "c, partition 0: 1 copied more than once: [b'0']",
        "c, partition 1: 2 lost: [b'1', b'3']",
    ]
