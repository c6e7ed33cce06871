"""What an examination of a database or a bucket finds: one sentence each, and how bad it is."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"  # it works, and is not what it should be
    FAIL = "FAIL"  # records would be lost, or nothing works


class Finding(NamedTuple):
    """One sentence for a person, without credentials."""

    level: Level
    sentence: str
