"""What a log line is about is constant words; all that varies is a field.

A program that reads a log counts events, and a person searches for one. `"topic created", topic=name` can be counted
and searched for, `f"created {name}"` cannot, and what a peer chooses must not be part of an event in any case
(`storage/seams/logging.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tools.tidy.source_tree import Source, python_sources

LEVELS = {"debug", "info", "warning", "error", "exception"}
LOGGERS = {"log", "_log", "logger", "_logger"}
BY_THEIR_CALLERS = (
    "broker/observe/journal.py",
    "storage/seams/logging.py",
    "storage/local/directory.py",
    "storage/elapsed.py",
)
"""Files with a function that writes the events its callers name; those are constant words there."""


def events(source: Source) -> Iterator[str]:
    """Findings: calls of a logger whose event is put together."""
    if source.is_test:
        return
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Call)
            and _is_logger(node.func)
            and node.args
            and not _is_constant(node.args[0], source)
        ):
            yield source.at(node.lineno, "the event of a log line is put together; make what varies a field.")


def _is_logger(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return False
    owner = function.value
    if isinstance(owner, ast.Call):
        return isinstance(owner.func, ast.Name) and owner.func.id == "get_logger"
    return (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")) in LOGGERS


def _is_constant(event: ast.expr, source: Source) -> bool:
    if isinstance(event, ast.Name):
        return event.id.isupper() or source.path in BY_THEIR_CALLERS
    return isinstance(event, ast.Constant) and isinstance(event.value, str)


def test_events_are_constant_words() -> None:
    """In every file that logs."""
    findings = [finding for source in python_sources() for finding in events(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize(
    "line",
    [
        'self._log.info(f"connection closed: {reason}")',
        'log.warning("closed: " + reason)',
        'get_logger("x").error("%s failed" % what)',
        "log.info(notice)",
        "self.log.error(str(error))",
    ],
)
def test_the_check_finds_a_planted_violation(line: str) -> None:
    """However an event is put together."""
    assert list(events(Source("broker/x.py", f'"""X."""\n{line}\n')))


@pytest.mark.parametrize(
    "line", ['log.info("topic created", topic=name)', "self._log.warning(HELD, kind=kind)", "print(f'{x}')"]
)
def test_constant_words_pass(line: str) -> None:
    """A literal, or a constant that holds one."""
    assert not list(events(Source("broker/x.py", f'"""X."""\n{line}\n')))
