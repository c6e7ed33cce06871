"""A set of prefixes says whether one of them begins a name, whatever has been added and removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.security import prefixes
from broker.security.prefixes import Prefixes

WORDS = st.text("ab\U0010ffff", max_size=5)


@given(st.lists(st.sets(WORDS, max_size=12), min_size=1, max_size=6), st.booleans())
def test_a_name_is_begun_by_a_prefix_of_the_set(steps: list[set[str]], one_by_one: bool) -> None:
    """In each state, reached by changes one by one or by a run over all."""
    was, prefixes.ONE_BY_ONE = prefixes.ONE_BY_ONE, 0 if one_by_one else 1 << 30  # type: ignore[misc]  # a Final
    try:
        made, there = Prefixes(), set[str]()
        for wanted in [*steps, set()]:
            made.change(there - wanted, wanted - there)
            there = wanted
            made.check()
            assert set(made) == there and bool(made) == bool(there)
            for name in [*steps[0], *(word + "a" for word in steps[-1]), "", "abab"]:
                assert made.begin(name) == name.startswith(tuple(there))
    finally:
        prefixes.ONE_BY_ONE = was  # type: ignore[misc]  # as it was


def test_of_nested_prefixes_one_is_asked() -> None:
    """The shortest stands for all; with it gone the next one does."""
    nested = ["x" * length for length in range(1, 250)]
    made = Prefixes()
    made.change((), [*nested, "y"])
    assert made.shortest == ["x", "y"] and made.begin("xyz")
    made.change(["x"], ())
    assert made.shortest == ["xx", "y"] and not made.begin("xyz") and made.begin("xxyz")
