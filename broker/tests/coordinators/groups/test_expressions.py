"""Expressions match whole names by RE2's rules, and what cannot be compiled is refused or matches nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from broker.coordinators.groups.expressions import (
    MAX_LENGTH,
    InvalidExpression,
    check_expression,
    matcher,
    resolve,
)

NAMES = ("orders", "orders-1", "Orders", "__consumer_offsets", "a.b", "ab")


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("orders", {"orders"}),
        ("orders.*", {"orders", "orders-1"}),
        ("(?i)orders", {"orders", "Orders"}),
        (".*", set(NAMES)),
        ("__.*", {"__consumer_offsets"}),
        (r"a\.b", {"a.b"}),
        (r"\Qa.b\E", {"a.b"}),
        ("a.b|ab", {"a.b", "ab"}),
        ("rder", set()),
        ("", set()),
    ],
)
def test_whole_names_are_matched(pattern: str, matched: set[str]) -> None:
    """A name that only contains a match is none."""
    assert resolve([pattern], NAMES) == {pattern: matched}


@pytest.mark.parametrize(
    "pattern",
    [
        "(a",
        "a)",
        "[a",
        "*a",
        "a**",
        "a++",
        "(?=a)",
        r"(a)\1",
        r"\C",
        "a{1001}",
        "\\",
        r"\p{Foo}",
        r"\8",
        r"\u0041",
        "(?i",
        "[z-a]",
    ],
)
def test_what_kafka_refuses_is_refused(pattern: str) -> None:
    """Each of these was given to Kafka's re2j, which refuses it."""
    with pytest.raises(InvalidExpression) as refused:
        check_expression(pattern)
    assert str(refused.value)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+",
        "[[:alpha:]]+",
        r"\pL+",
        r"\x{41}",
        "(?P<n>a)",
        "(?<n>a)",
        r"\z",
        "(?U)a+",
        r"\p{Greek}",
        "^a$",
        r"\b",
        r"\\C",
    ],
)
def test_what_kafka_takes_is_taken(pattern: str) -> None:
    """Each of these was given to Kafka's re2j, which takes it."""
    check_expression(pattern)


@pytest.mark.parametrize("pattern", ["a" * (MAX_LENGTH + 1), r"(?:\pL|x){900}", "\ud800"])
def test_what_would_take_too_much_is_refused(pattern: str) -> None:
    """Length and memory of an expression are bounded, and half a surrogate pair is no text."""
    with pytest.raises(InvalidExpression):
        check_expression(pattern)


def test_an_expression_of_a_log_that_cannot_be_read_matches_nothing() -> None:
    """It does not stand in the way of the others."""
    assert resolve(["(a", "ab"], NAMES) == {"(a": frozenset(), "ab": {"ab"}}


def test_backtracking_is_no_weapon() -> None:
    """What takes other engines longer than the universe lasts takes this one a moment."""
    assert not matcher("(a*)*b")("a" * 30_000)


def test_the_engine_is_imported_with_the_first_expression() -> None:
    """A broker that gets no expression does not pay for the engine."""
    code = "import sys, broker.coordinators.groups.expressions; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
