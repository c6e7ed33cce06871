"""What an engine does, in numbers: `LogStore.statistics()`, for metrics and for people.

Frozen values, cheap to make and without side effects: asking changes nothing and waits for nothing. Counts are since
the store was made, and only grow; the others say how it is now. A part that an engine does not have is None.
"""

from __future__ import annotations

from typing import NamedTuple


class FlushStatistics(NamedTuple):
    """Group commit."""

    rounds: int  # each is answered to all that wait for it
    syncs: int  # logs synced, in all rounds
    waiting: int  # tasks that wait for a sync now
    failures: int  # syncs that have failed


class CleanerStatistics(NamedTuple):
    """Compaction."""

    cleanings: int  # logs cleaned, each as often as it was
    cleaned_bytes: int  # of the segments that were read for that
    uncleanable: int  # logs that are not going to be cleaned before the next start
    running: bool


class UpkeepStatistics(NamedTuple):
    """What is to be done by and by."""

    dirty: int  # logs with bytes that are not synced
    unsettled: int  # logs that a start after a crash would have to look at
    to_remove: int  # files and directories that are deleted and not removed yet
    checkpoints: int  # rounds of checkpoints, counted


class StoreStatistics(NamedTuple):
    """An engine at a glance."""

    logs: int  # there are
    open_logs: int  # of which so many take memory
    open_files: int  # held by logs
    has_stopped: bool  # no append is taken any more, because of a disk error
    flushes: FlushStatistics | None
    cleaner: CleanerStatistics | None
    upkeep: UpkeepStatistics | None
