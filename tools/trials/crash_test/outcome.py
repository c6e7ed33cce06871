"""What a tier is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SHOWN = 20
"""Violations printed of one tier: enough to see what is wrong, and to play it again."""


def say_nothing(words: str) -> None:
    """Progress that is not wanted."""


@dataclass(frozen=True)
class Plan:
    """`count` is in the tier's own unit; None is everything there is. `directory` is for files while it runs;
    `settings` are a broker's, as `key=value`."""

    count: int | None
    directory: Path
    seed: int = 1
    settings: tuple[str, ...] = ()
    say: Callable[[str], None] = say_nothing


@dataclass
class Outcome:
    """Counts by name, in the order in which they were first counted, and violations in sentences."""

    tier: str
    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    """Why nothing could be tried, in one sentence."""

    def count(self, what: str, by: int = 1) -> None:
        """So many more of `what`."""
        self.counts[what] = self.counts.get(what, 0) + by

    def violate(self, words: str) -> None:
        """A promise was broken."""
        self.violations.append(words)

    def require(self, holds: bool, words: str) -> bool:
        """Violate unless `holds`, which is returned."""
        if not holds:
            self.violate(words)
        return holds

    def lines(self) -> list[str]:
        """The outcome as it is printed."""
        if self.skipped:
            return [f"{self.tier}: skipped: {self.skipped}"]
        lines = [f"{self.tier}: {len(self.violations)} violations"]
        lines += [f"  {count:>12,}  {what}" for what, count in self.counts.items()]
        lines += [f"  violation: {words}" for words in self.violations[:SHOWN]]
        if len(self.violations) > SHOWN:
            lines.append(f"  ... and {len(self.violations) - SHOWN} more")
        return lines


class CannotTry(Exception):
    """This machine has not what a tier needs; the message is one sentence."""
