"""Moments and durations as people write them, Kafka's forms among them.

| a moment | a duration |
|---|---|
| `2026-11-30T18:00:00.000` (UTC), with `Z` or `+01:00`, a day alone | `PT1H30M`, `P2D` (ISO 8601) |
| `1764525600000`: milliseconds since 1970 | `90s`, `15m`, `2h`, `7d`, `250ms` |
| `-15m`: as long ago | |
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

from tools.failures import Misunderstood

_ISO: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)
_SHORT: Final = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_moment(text: str) -> int:
    """Milliseconds since 1970. Raises Misunderstood."""
    if text.isdecimal() and len(text) > 8:
        return int(text)
    if text.startswith("-"):
        return int(time.time() * 1000) - parse_duration(text[1:])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misunderstood(
            f"{text} is no moment; write 2026-11-30T18:00:00.000 (UTC), with Z or +01:00, milliseconds since 1970, -15m"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_duration(text: str) -> int:
    """Milliseconds. Raises Misunderstood."""
    if match := _SHORT.fullmatch(text):
        return int(match[1]) * _UNITS[match[2]]
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        raise Misunderstood(f"{text} is no duration; write PT1H30M or P2D, 90s, 15m, 2h, 7d")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return round(1000 * (((days * 24 + hours) * 60 + minutes) * 60 + seconds))


def written(millis: int) -> str | None:
    """A moment for people; None for -1, which means that there is none."""
    if millis < 0:
        return None
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
