"""What a check has to say, and what it knows beforehand."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

Result = TypeVar("Result")


class Finding(NamedTuple):
    """One sentence about one file or directory.

    A note is nothing wrong: what a stop that was not clean, a broker at work or an unfinished removal leaves, and what
    the next start clears up by itself without losing anything that was acknowledged as durable.
    """

    path: Path
    sentence: str
    note: bool = False


Findings: TypeAlias = Generator[Finding, None, Result]
"""Findings one by one, and in the end a value for the caller."""


class Known(NamedTuple):
    """What is said elsewhere about a log; None where nothing is said."""

    clean: bool = False
    """The last stop was a clean one, and no broker has started since."""
    is_backup: bool = False
    """The directory was made of a backup, which leaves indexes out."""
    running: bool = False
    """A broker is at work in the directory."""
    recovery_point: int | None = None
    log_start: int | None = None
    high_watermark: int | None = None
    cleaner_offset: int | None = None
    topic_id: bytes | None = None
    """The topic's, by the cluster's metadata."""
    compacted: bool | None = None
    """Whether the topic is compacted, by the cluster's metadata."""


def plural(count: int, noun: str) -> str:
    """`1 batch`, `2 batches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith(('ch', 'x')) else 's'}"
