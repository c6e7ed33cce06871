"""The audit log: who was refused what, and by which rule; not forged, and not a line for every request."""

from __future__ import annotations

from typing import Any

import pytest

from broker.security.authorizer import Authorizer
from broker.security.operations import Operation, Resource
from storage.seams.logging import process_lines

HOST = "10.0.0.1"


class Clock:
    """Seconds that stand still until they are moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines written, as level, event and fields."""
    written: list[dict[str, Any]] = []

    def write(name: str, level: str, event: str, fields: dict[str, Any]) -> None:
        written.append({"level": level, "event": event, **fields})

    monkeypatch.setattr(process_lines(), "write", write)
    return written


def ask(made: Authorizer, name: str = "t", operation: Operation = Operation.READ, *, quiet: bool = False) -> bool:
    return made.authorized("User:a", HOST, operation, Resource.TOPIC, name, quiet=quiet)


def test_a_refusal_is_a_line(lines: list[dict[str, Any]]) -> None:
    """With all that an operator asks for afterwards."""
    assert not ask(Authorizer(frozenset(), False, Clock()), "pay\x1b[2Jroll")
    assert lines == [
        {
            "level": "info",
            "event": "access denied",
            "principal": "User:a",
            "host": HOST,
            "operation": "READ",
            "resource": "TOPIC:pay\x1b[2Jroll",  # escaped where every field is: storage/seams/logging.py
            "rule": "no ACL allows it",
        }
    ]


def test_a_quiet_question_leaves_none(lines: list[dict[str, Any]]) -> None:
    """What is left out of a list was not refused."""
    assert not ask(Authorizer(frozenset(), False, Clock()), quiet=True)
    assert lines == []


def test_a_thousand_refusals_are_two_lines(lines: list[dict[str, Any]]) -> None:
    """T17: One at once, and one that says how many there were."""
    clock = Clock()
    made = Authorizer(frozenset(), False, clock)
    for number in range(1000):
        ask(made, f"t{number}")
    ask(made, operation=Operation.WRITE)  # another kind of line
    clock.seconds = 1.5
    made.log.flush()
    assert [(line["resource"], line.get("left_out", 0)) for line in lines] == [
        ("TOPIC:t0", 0),
        ("TOPIC:t", 0),
        ("TOPIC:t999", 998),
    ]


def test_permissions_are_lines_of_the_level_debug(lines: list[dict[str, Any]]) -> None:
    """Which is off unless asked for."""
    made = Authorizer(frozenset({"User:a"}), False, Clock())
    assert ask(made)
    assert lines == []
    before = process_lines().levels()
    process_lines().set_levels({**before, "broker.security.authorizer": "debug"})
    try:
        assert ask(made)
    finally:
        process_lines().set_levels(before)
    [line] = lines
    assert (line["level"], line["event"], line["rule"]) == ("debug", "access allowed", "super user")
