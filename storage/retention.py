"""What `cleanup.policy=delete` may take away: whole segments, oldest first. Pure: no files, no clock.

A segment goes when all of it is older than `retention.ms`, by its largest record timestamp (a segment without
timestamps by when it was made), or when the log without it still has `retention.bytes`. The first segment that may not
go ends the matter: a log loses its beginning, never its middle.

The segment being written is no exception. If all of it is too old, it goes too, and the log goes on, empty, at the same
offset; no producer need write to a topic for its last records to expire.

A timestamp ahead of the clock keeps its segment until the clock has caught up: producers' clocks err, and what is kept
too long can still be deleted.

Source: org.apache.kafka.storage.internals.log.UnifiedLog.{deletableSegments, deleteRetentionMsBreachedSegments,
deleteRetentionSizeBreachedSegments}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from storage.log_config import NEVER, LogConfig


class SegmentAge(NamedTuple):
    """One segment as retention sees it."""

    size: int  # bytes
    newest: int  # its largest timestamp, or when it was made if it has none (milliseconds since 1970)


class Verdict(NamedTuple):
    """How many of the oldest segments go now, and when to ask again (milliseconds since 1970)."""

    expired: int
    ask_again: int


def judge(segments: Iterable[SegmentAge], size: int, config: LogConfig, now: int) -> Verdict:
    """Look at a log's segments, oldest first; `size` is that of all of them.

    `segments` is read only as far as needed, so that the age of a segment that stays anyway need not be known. An
    empty one, which can only be the last, always stays. `ask_again` is NEVER when only an append can change the
    verdict; as a log grows, its owner asks again anyway.
    """
    if not config.delete or (config.retention_ms < 0 and config.retention_bytes < 0):
        return Verdict(0, NEVER)
    expired = 0
    excess = size - config.retention_bytes if config.retention_bytes >= 0 else -1
    for segment in segments:
        if segment.size == 0:
            break
        too_old = 0 <= config.retention_ms < now - segment.newest
        if not too_old and excess < segment.size:
            if config.retention_ms < 0:
                break
            return Verdict(expired, segment.newest + config.retention_ms + 1)
        excess -= segment.size
        expired += 1
    return Verdict(expired, NEVER)
