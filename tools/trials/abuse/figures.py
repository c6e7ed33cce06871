"""What came of attacks: the goals, the lines on the screen, what is saved, and the table for a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST_WAIT_MS = 50.0
MOST_MEMORY_MB = 64.0
LONGEST_TURN_MS = 20.0


class Felt(NamedTuple):
    """What came of one attack. Milliseconds, and megabytes beyond what the broker had before."""

    attack: str
    metadata_ms: float
    durable_ms: float
    memory_mb: float
    undisturbed_ms: float
    """The longest wait for acks=all just before."""
    turn_ms: float
    """The longest turn of Ottla's event loop that its log names, in CPU time; 0 if it names none."""
    round_ms: float
    """Likewise the longest round."""
    budget_mb: float
    """What the broker's settings let this attack take."""
    verdict: str
    """Empty: the broker still answers, and the attack saw what it should."""

    @property
    def good(self) -> bool:
        """Whether the goals are met."""
        durable_goal = max(2 * LONGEST_WAIT_MS, 3 * self.undisturbed_ms)
        return (
            not self.verdict
            and self.metadata_ms <= LONGEST_WAIT_MS
            and self.durable_ms <= durable_goal
            and self.memory_mb <= MOST_MEMORY_MB + self.budget_mb
            and self.turn_ms <= LONGEST_TURN_MS
            and self.round_ms <= LONGEST_WAIT_MS
        )

    @property
    def line(self) -> str:
        """For the screen."""
        mark = "" if self.good else "  *"
        turn = f"{self.turn_ms:>5.0f} ms" if self.turn_ms else f"{'-':>8}"
        turn += f"{self.round_ms:>5.0f} ms" if self.round_ms else f"{'-':>8}"
        figures = f"{self.metadata_ms:>6.0f} ms {self.durable_ms:>6.0f} ms {self.memory_mb:>6.0f} MB {turn}"
        return f"{self.attack:<66} {figures}{mark} {self.verdict}"


HEADING = f"{'attack':<66} {'Metadata':>9} {'acks=all':>9} {'memory':>9} {'turn':>8}{'round':>8}"


def longest(event: str, output: Path | None, start: int) -> float:
    """The longest turn, or round, that a broker's log names behind `start` bytes of it, in milliseconds."""
    found = 0.0
    if output is not None:
        with output.open("rb") as lines:
            lines.seek(start)
            for line in lines:
                if event.encode() in line:
                    found = max(found, json.loads(line)["milliseconds"])
    return found


def save(found: Sequence[Felt], path: Path) -> None:
    """Write figures down."""
    path.write_text(json.dumps([each._asdict() for each in found], indent=1))


def saved(path: Path) -> list[Felt]:
    """Figures that were written down."""
    return [Felt(**each) for each in json.loads(path.read_text())]


def table(ottla: Sequence[Felt], kafka: Sequence[Felt]) -> Iterator[str]:
    """A table in Markdown, a row for each attack; of the generated ones a row for each API, with the worst of them."""
    mine, other = worst_of_each(ottla), worst_of_each(kafka)
    yield "| attack | Ottla: Metadata, acks=all | memory | longest turn, round | Kafka: Metadata, acks=all | memory |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, felt in mine.items():
        turn = f"{felt.turn_ms:.0f}" if felt.turn_ms else "< 20"
        turn += f", {felt.round_ms:.0f}" if felt.round_ms else ", < 50"
        words = f"| {name} | {felt.metadata_ms:.0f}, {felt.durable_ms:.0f} | {felt.memory_mb:.0f} | {turn} |"
        theirs = other.get(name)
        if theirs is None:
            yield f"{words} | |"
        else:
            remark = f" ({theirs.verdict})" if theirs.verdict else ""
            yield f"{words} {theirs.metadata_ms:.0f}, {theirs.durable_ms:.0f}{remark} | {theirs.memory_mb:.0f} |"


def worst_of_each(found: Sequence[Felt]) -> Mapping[str, Felt]:
    """Attack -> its figures; attacks on lists are one for each API, whose figures are the largest of each."""
    rows: dict[str, Felt] = {}
    for felt in found:
        name = felt.attack
        if name.endswith((", equal", ", different")):
            name = f"{name.partition(' ')[0]}, its longest lists"
        if (known := rows.get(name)) is not None:
            felt = felt._replace(
                metadata_ms=max(felt.metadata_ms, known.metadata_ms),
                durable_ms=max(felt.durable_ms, known.durable_ms),
                memory_mb=max(felt.memory_mb, known.memory_mb),
                turn_ms=max(felt.turn_ms, known.turn_ms),
                round_ms=max(felt.round_ms, known.round_ms),
                verdict=known.verdict or felt.verdict,
            )
        rows[name] = felt._replace(attack=name)
    return rows
