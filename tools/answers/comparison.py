"""Two brokers' answers side by side: what differs, and which of it is explained.

Answers are compared value by value. Elements of lists are paired by what identifies them (name, key, partition, ...)
where every element has a different one, else by position; so a missing element is one difference and not one for every
element after it. A list against an empty one is a single difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tools.answers.site import Answers, Key, Plain

ABSENT: Final = "<absent>"
IDENTIFYING = (
    ("api_key",), ("name",), ("topic",), ("group_id",), ("key",), ("topic_id",), ("partition_index",), ("partition",),
    ("index",), ("node_id",), ("broker_id",), ("member_id",), ("resource_type", "resource_name"),
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Where two answers differ, and what each says there. `path` looks like `topics[t].partitions[0].error_code`."""

    key: Key
    path: str
    ours: Plain
    kafkas: Plain

    def __str__(self) -> str:
        return described([self])


def described(alike: Sequence[Difference]) -> str:
    """Differences that differ only in version, for people."""
    first = alike[0]
    versions = ", ".join(str(each.key.version) for each in alike)
    where = f"{first.key.scenario}: {first.key.step}: {first.path or 'the answer'} (v{versions})"
    return f"{where}\n    ours:  {_short(first.ours)}\n    Kafka: {_short(first.kafkas)}"


def alike(found: Sequence[Difference]) -> list[list[Difference]]:
    """Differences put together that differ only in version."""
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for each in found:
        key = (each.key.scenario, each.key.step, each.path, repr(each.ours), repr(each.kafkas))
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _short(value: Plain) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


@dataclass(frozen=True)
class Explanation:
    """Why some answers differ. Patterns are those of `fnmatch`, but brackets mean themselves."""

    scenario: str
    path: str
    reason: str
    ours: Any = ...
    kafkas: Any = ...
    """Exact values, where the explanation holds for these only."""
    versions: str = "*"

    def covers(self, difference: Difference) -> bool:
        """Whether this explains the difference."""
        return (
            matches(self.scenario, f"{difference.key.scenario}: {difference.key.step}")
            and matches(self.path, difference.path)
            and (self.ours is ... or self.ours == difference.ours)
            and (self.kafkas is ... or self.kafkas == difference.kafkas)
        )


def matches(pattern: str, text: str) -> bool:
    """Whether `text` is like `pattern`, in which `*` stands for anything."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(rest[-1]) and len(text) - len(rest[-1]) >= at


@dataclass
class Report:
    """What a comparison found."""

    compared: int = 0
    unexplained: list[Difference] = field(default_factory=list)
    explained: dict[Explanation, list[Difference]] = field(default_factory=dict)


def compare(ours: Answers, kafkas: Answers, explanations: Sequence[Explanation]) -> Report:
    """Lay the answers side by side. An answer that only one of them has is a difference."""
    report = Report()
    for key in {**kafkas, **ours}:
        report.compared += 1
        for difference in differences(key, ours.get(key, ABSENT), kafkas.get(key, ABSENT)):
            why = next((each for each in explanations if each.covers(difference)), None)
            if why is None:
                report.unexplained.append(difference)
            else:
                report.explained.setdefault(why, []).append(difference)
    return report


def differences(key: Key, ours: Plain, kafkas: Plain) -> list[Difference]:
    """Where one answer differs from another."""
    return [Difference(key, path, left, right) for path, left, right in _walk("", ours, kafkas)]


def _walk(path: str, ours: Plain, kafkas: Plain) -> Iterator[tuple[str, Plain, Plain]]:
    if isinstance(ours, dict) and isinstance(kafkas, dict):
        for name in {**kafkas, **ours}:
            yield from _walk(f"{path}.{name}" if path else name, ours.get(name, ABSENT), kafkas.get(name, ABSENT))
    elif isinstance(ours, list) and isinstance(kafkas, list) and bool(ours) == bool(kafkas):
        left, right = _identified(ours), _identified(kafkas)
        if left is None or right is None:
            left, right = dict(enumerate(ours)), dict(enumerate(kafkas))
        elif list(left) != list(right) and set(left) == set(right):
            yield f"{path}[order]", list(left), list(right)
        for identity in {**right, **left}:
            yield from _walk(f"{path}[{identity}]", left.get(identity, ABSENT), right.get(identity, ABSENT))
    elif ours != kafkas or type(ours) is not type(kafkas):
        yield path, ours, kafkas


def _identified(elements: Sequence[Plain]) -> Mapping[Any, Plain] | None:
    """Elements by what identifies them, or None if nothing does."""
    for names in IDENTIFYING:
        if all(isinstance(each, dict) and each.keys() >= set(names) for each in elements):
            found = {"/".join(str(each[name]) for name in names): each for each in elements}
            if len(found) == len(elements):
                return found
    return None
