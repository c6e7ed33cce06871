"""Looks come in the order of deadlines: never early, late by a slot at most, and only where something is due."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from broker.network.watch import LOOK_SECONDS, LOOKS_AT_ONCE, SLOT_SECONDS, Ending, Watch


class Looked:
    """What is looked at: it answers with the next of its answers, then never wants to be looked at again."""

    def __init__(self, *answers: Ending | float) -> None:
        self.answers = list(answers)
        self.looks: list[float] = []

    def look(self, now: float) -> Ending | float:
        """Note when."""
        self.looks.append(now)
        return self.answers.pop(0) if self.answers else math.inf


def run(watch: Watch[Looked], begin: float, end: float) -> list[tuple[Looked, Ending]]:
    """Turn it as its caller does, without ever oversleeping; all that was to be closed."""
    closed: list[tuple[Looked, Ending]] = []
    now = begin
    while (now := watch.next_turn(now)) <= end:
        closed += watch.turn(now)
    return closed


def test_a_look_says_when_the_next_one_is() -> None:
    """New ones are looked at within a period; then as they ask for; one that is to be closed is closed once."""
    watch: Watch[Looked] = Watch(100.0)
    one = Looked(130.1, 500.0, Ending.IDLE)
    watch.soon(one, 100.0)
    assert run(watch, 100.0, 1000.0) == [(one, Ending.IDLE)]
    assert one.looks == [105.0, 130.25, 500.0]
    assert len(watch) == 0


def test_what_begins_brings_the_look_forward() -> None:
    """A connection at rest is looked at in ten minutes, or soon after it has begun something."""
    watch: Watch[Looked] = Watch(0.0)
    one = Looked(600.0)
    watch.soon(one, 0.0)
    run(watch, 0.0, 99.0)
    watch.soon(one, 99.2)
    watch.soon(one, 99.3)
    run(watch, 99.3, 700.0)
    assert one.looks == [5.0, 104.5]


def test_what_has_ended_is_not_looked_at() -> None:
    """Whether it is known or not."""
    watch: Watch[Looked] = Watch(0.0)
    one = Looked()
    watch.soon(one, 0.0)
    watch.forget(one)
    watch.forget(one)
    run(watch, 0.0, 20.0)
    assert one.looks == []


def test_a_short_period() -> None:
    """Where connections may be idle for less than LOOK_SECONDS, every look comes that much sooner."""
    watch: Watch[Looked] = Watch(0.0, 1.0)
    one = Looked()
    watch.soon(one, 0.1)
    run(watch, 0.0, 20.0)
    assert one.looks == [1.25]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.lists(st.floats(0.001, 900), max_size=4)), max_size=30),
    st.floats(0, 1e6),
)
def test_no_look_is_early_or_late(plans: list[tuple[float, list[float]]], begin: float) -> None:
    """However many there are and whatever they ask for, each is looked at when it is due, give or take a slot."""
    watch: Watch[Looked] = Watch(begin)
    connections = []
    for start, waits in sorted(plans):
        run_to = begin + start
        for closed, _ in run(watch, begin, run_to):
            raise AssertionError(closed)
        one = Looked()
        whens = [run_to + LOOK_SECONDS]
        for wait in waits:
            whens.append(whens[-1] + wait)
        one.answers = list(whens[1:])
        connections.append((one, whens))
        watch.soon(one, run_to)
    run(watch, begin, begin + 5_000)
    for one, whens in connections:
        assert len(one.looks) == len(whens)
        for looked, before, due in zip(one.looks, [-math.inf, *one.looks], whens, strict=False):
            # A look cannot be before the one that asked for it; a due time that is over is next turn's.
            assert looked >= due
            assert looked <= max(due, before) + 2 * SLOT_SECONDS


def test_many_that_end_together_are_found_by_and_by() -> None:
    """So many in one turn that others need not wait; the next turn is due at once, and nothing of them is left."""
    watch: Watch[Looked] = Watch(0.0)
    for _ in range(3 * LOOKS_AT_ONCE - 1):
        watch.soon(Looked(Ending.IDLE), 0.0)
    assert [len(watch.turn(5.0)) for _ in range(3)] == [LOOKS_AT_ONCE, LOOKS_AT_ONCE, LOOKS_AT_ONCE - 1]
    assert watch.next_turn(5.0) > 5.0
    assert len(watch) == 0


def test_a_turn_that_is_not_over_is_due_at_once() -> None:
    """`next_turn` is in the past while looks are left."""
    watch: Watch[Looked] = Watch(0.0)
    many = [Looked(8.0) for _ in range(LOOKS_AT_ONCE + 1)]
    for one in many:
        watch.soon(one, 0.0)
    watch.turn(5.0)
    assert watch.next_turn(5.0) <= 5.0
    run(watch, 5.0, 9.0)
    assert sorted(one.looks for one in many) == [[5.0, 8.0]] * len(many)
