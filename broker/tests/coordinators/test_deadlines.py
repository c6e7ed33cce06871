"""Deadlines: the nearest of many, moved often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.coordinators.deadlines import Deadlines


def test_the_nearest_deadline_is_known() -> None:
    """Whatever was set, moved or cancelled before."""
    deadlines: Deadlines[str] = Deadlines()
    assert deadlines.nearest() is None
    deadlines.set("a", 10)
    deadlines.set("b", 5)
    assert deadlines.nearest() == 5
    deadlines.set("b", 20)
    assert deadlines.nearest() == 10
    deadlines.cancel("a")
    assert deadlines.nearest() == 20
    assert deadlines.pop_due(19) is None
    assert deadlines.pop_due(20) == "b"
    assert deadlines.nearest() is None


def test_moving_a_deadline_away_costs_no_memory() -> None:
    """A session that is kept alive for a year has one entry."""
    deadlines: Deadlines[str] = Deadlines()
    for at in range(100_000):
        deadlines.set("session", at)
    deadlines.check()
    assert deadlines.nearest() == 99_999


def test_bringing_a_deadline_nearer_costs_no_memory() -> None:
    """One name that has been set 100,000 times is a few entries, wherever its deadline went."""
    deadlines: Deadlines[str] = Deadlines()
    for at in range(100_000, 0, -1):
        deadlines.set("session", at)
        deadlines.set("session", at + at % 7)
    deadlines.check()
    assert len(deadlines._heap) < 100


def test_a_series_ends_though_names_are_set_again() -> None:
    """What is due when it begins is taken out once; what is set again for a time that has come waits for the next."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("b", 5)
    deadlines.set("moved", 1)
    deadlines.set("moved", 7)
    deadlines.set("a", 5)
    latest, taken = deadlines.latest, []
    while (name := deadlines.pop_due(7, latest)) is not None:
        taken.append(name)
        deadlines.set(name, 7)
    assert taken == ["b", "a", "moved"]
    assert deadlines.nearest() == 7


def test_names_that_come_and_go_leave_nothing_behind() -> None:
    """Even if their time lies far ahead."""
    deadlines: Deadlines[int] = Deadlines()
    for name in range(10_000):
        deadlines.set(name, 1_000_000)
        deadlines.cancel(name)
    deadlines.check()
    assert len(deadlines) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "set", "cancel", "pop"]), st.integers(0, 5), st.integers(0, 30)), max_size=60
    )
)
def test_it_behaves_like_a_dictionary_searched_for_its_least_value(steps: list[tuple[str, int, int]]) -> None:
    """The plain model, step by step."""
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, int] = {}
    for step, name, at in steps:
        if step == "set":
            deadlines.set(name, at)
            model[name] = at
        elif step == "cancel":
            deadlines.cancel(name)
            model.pop(name, None)
        else:
            popped = deadlines.pop_due(at)
            least = min(model.values(), default=31)
            assert (popped is None) == (least > at)
            if popped is not None:
                assert model.pop(popped) == least
        deadlines.check()
        assert deadlines.nearest() == min(model.values(), default=None)
        assert dict.fromkeys(deadlines.names()) == dict.fromkeys(model)
