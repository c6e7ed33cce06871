"""What the distributed engine asks of a database: one order for everything, and nothing about bytes.

The object store keeps bytes, and any number of brokers put objects there without asking each other. A database says
which of these bytes are records of which log, at which offsets, in one transaction for a whole object. Everything that
must be agreed on between brokers goes through the questions on this page, and nothing else does. The real answers come
from PostgreSQL (`storage/object/postgres/`), those of tests and of the simulation from
`storage/testing/control_plane.py`; one suite (`storage/testing/conformance/control_planes.py`) defines both.

**Words.** A *log* has a number here (`log_id`), made when it is created and never used again. An *object* holds batches
of several logs, a *run* is a contiguous range of one log's batches in it: one row, with the offsets that it has got. A
small run may lie in its row instead, *inline*, with no object at all. A run is made of *appends*, each of them what one
`begin_append` has brought: taken whole or refused whole.

**A commit** (`Commit`) orders the runs of one object, all of them at once:

1. Its bytes are durable before it is asked for. No row without bytes.
2. Its key makes it happen once. The same commit may be asked for again, by any broker, until there is an answer; if it
   has happened, the answer is what it was. A commit whose key has been buried (`bury`) never happens: `Buried`.
3. A broker that another has replaced (same node id, newer incarnation) commits nothing any more: `Fenced`.
4. Each append has an outcome of its own: a base offset, a repetition of one that is there (with the offset of that), or
   what refuses it. Producers' sequences, epochs and transactions are judged by the rules of `storage/producers.py`, in
   the order of the runs and appends. Bytes of what is refused stay in the object and are no records.
5. `expected_end` makes an append conditional. Several may follow each other, each expecting the end of the one before:
   in one commit, and in commits that are given together. If one is refused, so are those of its log behind it, even
   where another broker's append ends at the offset that they name.
6. `after` ties a run to another one of the same commit: it is refused as that is.

Several commits given together are answered as if one came after the other; it is one transaction if that can be.

**What is uncertain stays so.** `Unavailable` says that nothing has happened. `OutcomeUnknown` says that it may have:
the caller asks the same again until it learns more, and acknowledges nothing meanwhile. An object is never deleted
because its commit failed: it has to be buried first, and then its commit fails for certain.

**Time** is the database's: leases, ages, hours in the names of objects. `wall_millis` says what it is there now.

**Objects** are `LIVE` as long as a run lies in them. When the last one goes (retention, a merge, a deleted log) they
wait for `DELETION_GRACE_MS`, so that readers with an older plan still find them, then `deletable` gives them out, the
caller deletes them in the bucket, and `deleted` turns the row into a tombstone: it keeps a late commit of the same key
from happening, for `TOMBSTONE_MS`. `bury` does the same with keys that a listing of the bucket shows and that no commit
has brought: orphans.

Sources: KIP-1150, KIP-1164 (a batch coordinator apart from the brokers).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from kproto.batches.header import BatchHeader
from kproto.batches.records import EndTxnMarker
from kproto.errors import KafkaError
from storage.blobs import StoredBlob
from storage.engine import StoreError, WrongEnd
from storage.membership import ControlPlaneError as ControlPlaneError
from storage.membership import Fenced as Fenced
from storage.membership import OutcomeUnknown as OutcomeUnknown
from storage.membership import Unavailable as Unavailable
from storage.producers import ProducerState
from storage.statistics import RequestStatistics
from storage.store_settings import ProducerRules

INLINE_BYTES: Final = 4 << 10
"""Up to this size a run is better kept in its row than in an object."""

MOST_INLINE_BYTES: Final = 1 << 20
"""More than this is never kept inline."""

DELETION_GRACE_MS: Final = 10 * 60 * 1000
"""How long an object outlives its last run: longer than any reader's plan."""

TOMBSTONE_MS: Final = 7 * 24 * 3600 * 1000
"""How long a key that is gone is remembered: longer than any broker goes on asking for a commit."""

INLINE_KEY_MS: Final = 3600 * 1000
"""How long the key of a commit without an object is remembered."""

UNVERIFIED: Final = 1 << 62
"""`RunAppend.unended_since` of an append that may open a transaction whatever was before."""


# -- errors ------------------------------------------------------------------------------------------------------------


class Buried(ControlPlaneError):
    """The object's key has been buried: the commit has not happened and never will."""

    def __init__(self, key: str) -> None:
        super().__init__(f"object {key} has been given up before its commit came")
        self.key = key


class NewerSchema(StoreError):
    """The database was made or migrated by a newer version, which this one must not touch."""


# -- logs --------------------------------------------------------------------------------------------------------------


class LogName(NamedTuple):
    """Which log is meant, as the rest of the engine says it."""

    topic: str
    topic_id: bytes
    partition: int
    internal: bool = False


class LogRow(NamedTuple):
    """A log that there is."""

    log_id: int
    name: LogName


class LogPositions(NamedTuple):
    """Where a log begins and ends. `last_stable_offset` is where readers of committed data stop; `size` in bytes."""

    log_start_offset: int
    end_offset: int
    last_stable_offset: int
    size: int


# -- commits -----------------------------------------------------------------------------------------------------------


class RunAppend(NamedTuple):
    """One append in a run.

    `offsets` is how many it takes, `length` its bytes, `max_timestamp` the largest of its records (milliseconds, -1 if
    they have none). `batches` are its headers, in order, each with its marker if it ends a transaction; empty if none
    of them has a producer id. `unended_since`: if a batch opens a transaction, it may if no marker of its producer lies
    at this offset of the log or beyond, because that is how far the log was known when the coordinator was asked; None
    if the coordinator was not asked (it then may not open one), `UNVERIFIED` if it need not be.

    `transaction_version` is as in `PartitionLog.begin_append`. That a producer has an epoch for each transaction (2)
    counts for its batches, too: in a log that knows no batch of it, the first one of a transaction has sequence 0.
    """

    offsets: int
    length: int
    max_timestamp: int
    batches: Sequence[tuple[BatchHeader, EndTxnMarker | None]] = ()
    expected_end: int | None = None
    transaction_version: int = 0
    unended_since: int | None = UNVERIFIED


class CommitRun(NamedTuple):
    """A contiguous range of one log's batches: at `position` of the object, or `inline` if that is not None.

    The lengths of `appends` add up to the run's. `after` is the number of an earlier run of the same commit: this one
    is taken only if all appends of that are.
    """

    log_id: int
    position: int
    appends: Sequence[RunAppend]
    inline: bytes | memoryview | None = None
    after: int | None = None


class Commit(NamedTuple):
    """All runs of one object, `size` bytes long; if all of them are inline, there is no object, and `size` is 0.

    No log comes twice, unless the runs are inline. `key` is at most 200 characters of ASCII, and unique.
    """

    key: str
    size: int
    runs: Sequence[CommitRun]


class Taken(NamedTuple):
    """The append is in the log."""

    base_offset: int


class Repeated(NamedTuple):
    """It was there before; the offsets that the original has."""

    base_offset: int
    last_offset: int


AppendOutcome = Taken | Repeated | KafkaError | WrongEnd
"""KafkaError: UNKNOWN_TOPIC_OR_PARTITION (deleted), or what `storage/producers.py` says. WrongEnd: where it ends."""


class RunOutcome(NamedTuple):
    """What has become of a run. `appends` is None if all were taken, the first at `base_offset` and the others behind;
    else it has the outcome of each, and `base_offset` is -1. `positions` are the log's after the commit, None in an
    answer that is repeated, and where the log is not there."""

    base_offset: int
    appends: Sequence[AppendOutcome] | None
    positions: LogPositions | None


# -- reading -----------------------------------------------------------------------------------------------------------


class RunKind(IntEnum):
    """How the bytes of a run are to be read."""

    RELATIVE = 1
    """As producers sent them: base offset and leader epoch are patched in by the reader, the offsets are dense."""

    ABSOLUTE = 2
    """With their offsets, as in a segment of Kafka's; there may be gaps."""


class StoredRun(NamedTuple):
    """One row: offsets [base_offset, last_offset], `length` bytes at `position` of the object `key`, or `inline`.

    `object_id` is 0 for an inline run, and `key` empty.
    """

    base_offset: int
    last_offset: int
    object_id: int
    key: str
    position: int
    length: int
    max_timestamp: int
    kind: RunKind
    inline: bytes | None


class RunsQuestion(NamedTuple):
    """The runs of a log from the one that holds `start` on (or the first behind it), until they have `max_bytes` or
    reach offset `upto`; at least one if there is one. With the aborted transactions that overlap them, if wanted."""

    log_id: int
    start: int
    max_bytes: int
    upto: int
    committed: bool = False


class AbortedSpan(NamedTuple):
    """An aborted transaction: where it begins, and where its marker lies."""

    producer_id: int
    first_offset: int
    last_offset: int


class LogRuns(NamedTuple):
    """The answer, all of it as of one moment. `aborted` in the order of the markers."""

    positions: LogPositions
    runs: Sequence[StoredRun]
    aborted: Sequence[AbortedSpan]


# -- upkeep ------------------------------------------------------------------------------------------------------------


class Retention(NamedTuple):
    """What a log is to keep: milliseconds and bytes, -1 for no limit."""

    log_id: int
    retention_ms: int
    retention_bytes: int


class MergeCandidate(NamedTuple):
    """A log with `runs` runs that are still as they were committed (`RunKind.RELATIVE`)."""

    log_id: int
    runs: int


class NewRun(NamedTuple):
    """A run that takes the place of others: as `StoredRun` says, in the object of its `Swap`, or inline."""

    base_offset: int
    last_offset: int
    position: int
    length: int
    max_timestamp: int
    inline: bytes | None = None


class LogSwap(NamedTuple):
    """In one log, `new` takes the place of exactly the runs `planned`, which are consecutive.

    The new ones are `ABSOLUTE`, in order, and within the offsets of the old ones; they may be none. `forgotten` are the
    offsets of the abort markers whose transactions have no record left.
    """

    log_id: int
    planned: Sequence[StoredRun]
    new: Sequence[NewRun]
    forgotten: Sequence[int] = ()


class Swap(NamedTuple):
    """What a merge or a compaction has written: the object `key` of `size` bytes (0: everything is inline)."""

    key: str
    size: int
    logs: Sequence[LogSwap]


class Adoption(NamedTuple):
    """The next part of a log that is taken over from elsewhere, with its offsets: `runs` behind `expected_end`, where
    it ends before, with gaps if need be; `ABSOLUTE`, in the object of the call or inline. It ends at `end` then and
    starts at `start`. `producers` take the place of all that are known, as `LogProducers.restore` takes them, open
    transactions included; `aborted` is added."""

    log_id: int
    expected_end: int
    runs: Sequence[NewRun]
    end: int
    start: int
    producers: Sequence[ProducerState] = ()
    aborted: Sequence[AbortedSpan] = ()


class ObjectCounts(NamedTuple):
    """How many objects there are in each state, and their bytes where they have any."""

    live: int
    live_bytes: int
    deleting: int
    deleting_bytes: int
    tombstones: int


class ControlPlane(Protocol):
    """The database, as one broker's engine asks it. Methods raise `Unavailable` and `Fenced`, those that change
    something `OutcomeUnknown` as well, and may then be called again with the same arguments."""

    @property
    def node_id(self) -> int:
        """Of this broker."""
        ...

    @property
    def incarnation(self) -> bytes:
        """Sixteen bytes: which of the processes that had this node id."""
        ...

    @property
    def cluster_id(self) -> str:
        """Made when the first broker opened this database, and kept forever; known from `open` on."""
        ...

    @property
    def location(self) -> str:
        """Where the database is, without credentials."""
        ...

    def questions(self) -> RequestStatistics:
        """What it was asked for, commits not counted."""
        ...

    def wall_millis(self) -> int:
        """The database's time, as of its newest answer and carried on from there (milliseconds since 1970)."""
        ...

    def configure(self, rules: ProducerRules) -> None:
        """Other rules for producers, from now on. `verify` says nothing here: each append does."""
        ...

    async def open(self) -> None:
        """Connect, make or migrate the schema, and take the node id: from then on no older incarnation commits.

        Raises StoreError with one clear sentence when that cannot be, `NewerSchema` among the reasons.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...

    # -- logs --

    async def create_logs(self, names: Sequence[LogName]) -> list[int]:
        """Make these logs exist; the number of each. One of the same topic id and partition is left as it is."""
        ...

    async def find_logs(self, names: Sequence[LogName]) -> list[int | None]:
        """The number of each, by topic id and partition; None for one that is not there."""
        ...

    async def list_logs(self) -> list[LogRow]:
        """All logs."""
        ...

    async def delete_logs(self, log_ids: Sequence[int]) -> None:
        """These are gone for every reader and writer when this returns; `trim` takes away what they had."""
        ...

    async def positions(self, log_ids: Sequence[int]) -> list[LogPositions | None]:
        """Where these logs begin and end, as no commit that has returned before is newer; None for one that is not
        there. One cheap question, whatever the number: what a broker asks again and again of the logs it watches."""
        ...

    # -- commits --

    async def commit(self, commits: Sequence[Commit]) -> list[list[RunOutcome] | Buried]:
        """Carry these out, in order; the outcome of every run of each, or that its key is buried."""
        ...

    # -- reading --

    async def runs(self, questions: Sequence[RunsQuestion]) -> list[LogRuns | None]:
        """Where the records are; None for a log that is not there. Says nothing of OFFSET_OUT_OF_RANGE: the positions
        do."""
        ...

    async def run_for_time(self, log_id: int, timestamp: int) -> StoredRun | None:
        """The first run, not wholly before the log's start, whose largest timestamp is at least `timestamp`."""
        ...

    async def run_of_latest(self, log_id: int) -> StoredRun | None:
        """The run with the largest timestamp, the earliest of equals; None if there is no run."""
        ...

    async def aborted(self, log_id: int, start: int, upto: int) -> list[AbortedSpan]:
        """Aborted transactions that overlap [start, upto), in the order of their markers."""
        ...

    async def producers(self, log_id: int, producer_ids: Sequence[int] | None = None) -> list[ProducerState]:
        """What is known of the producers of a log (or of some of them), as `LogProducers.restore` takes it: an entry
        for each batch of a window, the last one last. Expired ones are left out."""
        ...

    # -- log starts, retention --

    async def delete_before(self, log_id: int, offset: int) -> LogPositions:
        """Make `offset` the start of the log, if it is not beyond it already; its positions then.

        Raises KafkaError: OFFSET_OUT_OF_RANGE beyond the end, UNKNOWN_TOPIC_OR_PARTITION.
        """
        ...

    async def expire(self, limits: Sequence[Retention]) -> list[tuple[int, LogPositions]]:
        """Move the starts of these logs to where retention says, run by run; those that have moved."""
        ...

    async def trim(self, limit: int) -> int:
        """Take away up to `limit` runs that lie wholly before the start of their log or belong to deleted logs, with
        what is known of their aborted transactions and (of deleted logs) producers; how many there were."""
        ...

    async def expire_producers(self, limit: int) -> int:
        """Forget up to `limit` producers unused for longer than the rules say, without open transactions, and those
        that a log has too many of; how many there were."""
        ...

    # -- merging and compaction --

    async def merge_candidates(self, least_runs: int, limit: int) -> list[MergeCandidate]:
        """Logs with at least so many runs as they were committed, those with most first."""
        ...

    async def swap(self, swap: Swap) -> list[bool] | Buried:
        """Carry it out log by log: True where exactly the planned runs were there, False where nothing was changed."""
        ...

    async def adopt(self, key: str, size: int, logs: Sequence[Adoption]) -> list[WrongEnd | KafkaError | None] | Buried:
        """Take over parts of logs, whose bytes are in the object `key` of `size` bytes (0: no object); of each None,
        or why nothing of it has changed. Once for a key, as a commit."""
        ...

    # -- objects --

    async def deletable(self, limit: int) -> list[str]:
        """Keys of objects whose time has come, oldest first; not given out again for a minute."""
        ...

    async def deleted(self, keys: Sequence[str]) -> None:
        """They are gone from the bucket."""
        ...

    async def bury(self, keys: Sequence[str]) -> list[str]:
        """Of keys found in the bucket, those that no commit has brought (nor will): they may be deleted there."""
        ...

    async def forget_tombstones(self, limit: int) -> int:
        """Forget up to `limit` keys that have been gone long enough; how many there were."""
        ...

    async def object_counts(self) -> ObjectCounts:
        """How many there are of each kind."""
        ...

    # -- beside the logs --

    async def blobs(self, log_id: int) -> list[StoredBlob]:
        """What lies beside this log, by name (`storage/blobs.py`)."""
        ...

    async def read_blob(self, log_id: int, name: str) -> bytes | None:
        """The bytes of a blob."""
        ...

    async def write_blob(self, log_id: int, name: str, content: bytes) -> bool:
        """Make or replace it; False if there is no such log."""
        ...

    async def remove_blobs(self, log_id: int, names: Sequence[str]) -> None:
        """Remove those that are there."""
        ...

    async def setting(self, name: str) -> bytes | None:
        """A setting of the cluster's: a few bytes under a name."""
        ...

    async def settle(self, name: str, value: bytes) -> bytes:
        """Give the setting this value if it has none; the value that it has."""
        ...
