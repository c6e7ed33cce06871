"""Numbers that never go back: the end of a log, the offset that a group has committed, a setting that is only raised.

All are registers that only grow, in real time: a reading that was asked for after something raised the register must
show at least that much. What raises it are acknowledgements, and readings themselves: what anybody has seen once is
true forever. A reading is an interval, from the question to the answer; its value may have been taken anywhere within,
so it is judged by what was known at its beginning and counts as known from its end.

A group's commits must not go back either: any consumer of it goes on from the committed offset, so an offset below an
acknowledged one says that a consumer was given an old one to start from.

Violations: `end-went-back`, `commit-went-back` and `setting-went-back`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kproto.ids import TopicPartition
from tools.trials.kill_test.checker import Violation
from tools.trials.kill_test.ledger import Ledger, SettingAcknowledged


class Raise(NamedTuple):
    """From `at` on the register is known to be at least `value`."""

    at: float
    value: int
    why: str


class Reading(NamedTuple):
    """The register was read as `value`, between `asked` and `answered`."""

    asked: float
    answered: float
    value: int
    what: str


def decreases(raises: Iterable[Raise], readings: Iterable[Reading]) -> Iterator[tuple[Reading, Raise]]:
    """Readings below what was known when they were asked for, each with what was known."""
    known = [*raises]
    pending = sorted(readings)
    known += (Raise(reading.answered, reading.value, reading.what) for reading in pending)
    known.sort()
    highest: Raise | None = None
    at = 0
    for reading in pending:
        while at < len(known) and known[at].at < reading.asked:
            if highest is None or known[at].value > highest.value:
                highest = known[at]
            at += 1
        if highest is not None and reading.value < highest.value:
            yield reading, highest


def check_registers(ledger: Ledger) -> Iterator[Violation]:
    """All violations in a ledger."""
    yield from _check_ends(ledger)
    yield from _check_commits(ledger)
    yield from _check_settings(ledger)


def _check_ends(ledger: Ledger) -> Iterator[Violation]:
    raises: dict[TopicPartition, list[Raise]] = {}
    readings: dict[TopicPartition, list[Reading]] = {}
    for entry in ledger.acknowledged:
        if ledger.producers[entry.producer].acknowledged:
            last = entry.offset + entry.records - 1
            raises.setdefault(TopicPartition(entry.topic, entry.partition), []).append(
                Raise(entry.at, last + 1, f"{entry.producer} had been acknowledged offset {last}")
            )
    for seen in ledger.ends:
        readings.setdefault(TopicPartition(seen.topic, seen.partition), []).append(
            Reading(seen.asked, seen.answered, seen.offset, f"the end had been seen at {seen.offset}")
        )
    for place, found in readings.items():
        for reading, known in decreases(raises.get(place, ()), found):
            detail = f"the end is seen at {reading.value}, after {known.why} {reading.asked - known.at:.3f} s earlier"
            yield Violation("end-went-back", *place, reading.value, detail)


def _check_commits(ledger: Ledger) -> Iterator[Violation]:
    commits: dict[tuple[str, TopicPartition], list[Reading]] = {}
    readings: dict[tuple[str, TopicPartition], list[Reading]] = {}
    for commit in ledger.commits:
        commits.setdefault((commit.group, TopicPartition(commit.topic, commit.partition)), []).append(
            Reading(commit.asked, commit.answered, commit.offset, f"{commit.offset} had been committed")
        )
    for seen in ledger.committed:
        readings.setdefault((seen.group, TopicPartition(seen.topic, seen.partition)), []).append(
            Reading(seen.asked, seen.answered, seen.offset, f"{seen.offset} had been seen as committed")
        )
    for key in commits.keys() | readings.keys():
        group, place = key
        # Both kinds in one register: a commit below what is known is as bad as a reading below it.
        for reading, known in decreases((), [*commits.get(key, ()), *readings.get(key, ())]):
            verb = "commits" if reading.what.endswith("had been committed") else "has committed"
            detail = f"{group} {verb} {reading.value}, after {known.why} {reading.asked - known.at:.3f} s earlier"
            yield Violation("commit-went-back", *place, reading.value, detail)


def _check_settings(ledger: Ledger) -> Iterator[Violation]:
    readings: dict[tuple[str, str], list[Reading]] = {}
    for entry in ledger.settings:
        verb = "set" if isinstance(entry, SettingAcknowledged) else "seen"
        readings.setdefault((entry.topic, entry.key), []).append(
            Reading(entry.asked, entry.answered, entry.value, f"{entry.value} had been {verb}")
        )
    for (topic, key), found in readings.items():
        for reading, known in decreases((), found):
            detail = f"{key} is {reading.value}, after {known.why} {reading.asked - known.at:.3f} s earlier"
            yield Violation("setting-went-back", topic, -1, -1, detail)
