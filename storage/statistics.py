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


class RequestStatistics(NamedTuple):
    """One kind of request to a server that brokers share."""

    done: int
    failed: int
    bytes: int  # sent or received by those that were done, without headers
    seconds: float  # that those done have taken, all together
    median_ms: float  # of the latest, failed ones among them; 0 if there was none
    slowest_ms: float  # of the latest


class BucketStatistics(NamedTuple):
    """What an object store has been asked for."""

    location: str  # without credentials
    puts: RequestStatistics
    gets: RequestStatistics
    lists: RequestStatistics
    deletes: RequestStatistics
    last_error: str  # one sentence, empty if there was none


class DatabaseStatistics(NamedTuple):
    """What a database that orders has been asked for."""

    location: str  # without credentials
    commits: RequestStatistics  # bytes: of the runs that they have ordered
    questions: RequestStatistics  # everything else; bytes are not counted
    last_error: str


class SharedStatistics(NamedTuple):
    """An engine whose logs lie in an object store and are ordered by a database, as this broker sees them.

    What only the database knows (objects, runs to be merged) is as of the latest round of the upkeep, -1 before it.
    """

    bucket: BucketStatistics
    database: DatabaseStatistics
    waiting_bytes: int  # of batches that wait for their window, their upload or their commit
    cached_bytes: int
    objects: int  # live
    object_bytes: int
    deleting_objects: int  # given up, and not yet removed from the bucket
    unmerged_runs: int  # in logs that have enough of them to be merged
    upkeep_rounds: int


class StoreStatistics(NamedTuple):
    """An engine at a glance."""

    logs: int  # there are
    open_logs: int  # of which so many take memory
    open_files: int  # held by logs
    has_stopped: bool  # no append is taken any more, because of a disk error
    flushes: FlushStatistics | None
    cleaner: CleanerStatistics | None
    upkeep: UpkeepStatistics | None
    shared: SharedStatistics | None = None
