"""The contract of a storage engine: logs, their producers, conditional append. Nothing here knows topics' meaning.

A **log** is the ordered record batches of one partition. Batches go in as producers built them (record batch v2, see
`kproto/batches/FORMAT.md`); an engine sets their base offset and leader epoch, which lie outside the batch's CRC, and
never opens them. Offsets are dense by batch, never reused, never reassigned.

**Append in two steps.** `PartitionLog.begin_append` is synchronous: when it returns, the order of this append among all
others that this broker makes to the log is fixed and the buffer belongs to the caller again. The `Append` it returns
says, by `wait_durable`, when the bytes survive what the engine promises to survive (a power cut, on a local disk).
acks=1 needs the first step only, acks=all awaits the second.

**When an offset is known.** Where a log has one writer, at the first step: `begin_append` has judged the producer's
sequence and given the offsets. Where other brokers append to the same log, nothing is decided before all of them agree,
and that is the second step: offsets, whether it is a repetition, and every refusal come with `wait_durable`, and until
then the log does not count the append. Such an engine says `durable_on_ack`, so acks=1 waits too. A conditional append
is known at once wherever it is made: it gets the offset that it expects, or fails. So conditional appends may follow
each other without waiting, each expecting the end of the one before; if one fails, all behind it do.

**Conditional append** is the one consensus primitive. `expected_end` makes an append happen only if the log ends there:
a coordinator that has been replaced finds out by failing, on any engine, in the first step or the second.

**Transactions.** The first transactional batch of a producer opens its transaction in this log, a marker ends it.
Whether a coordinator knows of the transaction has to be found out before: `start_verification` gives a guard for the
append (`storage/verification.py`).

**One step, where an engine can.** The end of a transaction is a decision, a record in the coordinator's log, and a
marker in each log that was written to. Not one of the markers may be seen unless the decision lasts. `append_all` takes
the markers, with `after` for the decision. An engine that `commits_together` makes them one commit: the caller appends
the decision and at once the markers, and awaits nothing between. Any other engine keeps the order only, it waits until
the decision is durable; what a crash has left out then, the caller appends again when it replays a decision without the
record that says that all of it was carried out. A marker that comes again ends nothing.

**Reading.** One Fetch is one question to the engine: `LogStore.read_now` answers it if that takes no waiting for a disk
or a network, else says None, and the caller awaits `read_many`. Records come back as objects with a length: bytes, or
a slice of a file that the connection hands to `sendfile`, or several of them. A read gives as much as fits. An engine
may stop earlier where one of its files ends, and then says so (`FetchedRecords.more`), so that no reader waits for
bytes that are already there.

**Waking readers.** An engine calls a log's `on_advance` whenever its high watermark, last stable offset or start has
grown, whatever has appended or deleted. That is how long polls wake, and how a fetch session learns which of its
partitions to look at: a log that has not called has nothing new to say. What another broker has appended is noticed, a
little later, in the logs that are *watched*: those whose end a read has found since they last called. `refresh` looks
at once.

Errors are `kproto.errors.KafkaError` with the code a client should see: OFFSET_OUT_OF_RANGE,
OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, KAFKA_STORAGE_ERROR, and so on. The conformance suite
(`storage/testing/conformance`) defines what the words on this page mean; every engine passes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from kproto.batches.header import BatchHeader
from kproto.errors import KafkaError
from storage.blobs import LogBlobs
from storage.log_config import LogConfig
from storage.statistics import StoreStatistics
from storage.store_settings import StoreSettings


class Batch(NamedTuple):
    """One record batch on its way in: its decoded header and all its bytes (header included), writable in place."""

    header: BatchHeader
    data: memoryview


class LogSpec(NamedTuple):
    """Which log is meant, and how it is to be kept.

    `internal` says that coordinators keep their state in it: it has to go on when producers are refused for want of
    room. An engine goes by that, and never by a topic's name.
    """

    topic: str
    topic_id: bytes
    partition: int
    config: LogConfig
    internal: bool = False


class VerificationGuard:
    """Stands for one attempt to open a transaction in a log, while the coordinator is asked; compared by identity."""

    __slots__ = ()


class WrongEnd(Exception):
    """A conditional append found the log longer (or shorter) than expected: another writer has been there."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the log ends at {actual}, not at {expected}")
        self.expected = expected
        self.actual = actual


class Append(Protocol):
    """An append whose place in the log is fixed."""

    @property
    def base_offset(self) -> int:
        """Offset of the first record. For a duplicate: the offset the original got. Must not be asked for before it is
        known."""
        ...

    @property
    def last_offset(self) -> int:
        """Offset of the last record, likewise."""
        ...

    @property
    def duplicate(self) -> bool:
        """True when an idempotent producer sent this batch before; nothing was written. False as long as that is not
        known."""
        ...

    @property
    def durable(self) -> bool:
        """True when `wait_durable` would return at once. May turn True later, never False again."""
        ...

    @property
    def durable_on_ack(self) -> bool:
        """True when no acknowledgement of whatever kind may leave before `wait_durable` has returned (acks=1 then waits
        as acks=all does): the log's `flush_messages` is reached, or the offset is not known before."""
        ...

    async def wait_durable(self) -> None:
        """Return when these bytes are as durable as the engine makes them.

        Raises KafkaError(KAFKA_STORAGE_ERROR) when that can no longer happen; the append is then *unknown*, as after a
        lost reply. Where the offset is known only now, raises what `begin_append` would have raised: nothing has been
        appended then. Every call raises the same.
        """
        ...


class LogAppend(NamedTuple):
    """One log's share of an append to several; the arguments of its `begin_append`."""

    log: PartitionLog
    batches: Sequence[Batch]
    expected_end: int | None = None
    transaction_version: int = 0


@runtime_checkable
class RecordSlice(Protocol):
    """Whole batches somewhere in a file: what `FetchedRecords.records` is when the bytes need not enter Python."""

    def __len__(self) -> int: ...

    @property
    def position(self) -> int:
        """Where the slice starts in the file, in bytes."""
        ...

    def fileno(self) -> int | None:
        """A descriptor for sendfile, open as long as this object lives; None where there is none (simulated disks)."""
        ...

    def read(self) -> bytes:
        """The bytes themselves (waits for the disk if they are not cached)."""
        ...


class RecordParts:
    """Whole batches that lie in several places, one behind the other: a `RecordSlice` without a file of its own.

    A connection sends the parts as they are; `read` joins them where that cannot be done.
    """

    __slots__ = ("_length", "parts")

    position = 0

    def __init__(self, parts: Sequence[memoryview | RecordSlice]) -> None:
        self.parts = parts
        self._length = sum(len(part) for part in parts)

    def __len__(self) -> int:
        return self._length

    def fileno(self) -> int | None:
        return None

    def read(self) -> bytes:
        return b"".join(part if isinstance(part, memoryview) else part.read() for part in self.parts)


class AbortedTransaction(NamedTuple):
    """A span that read_committed readers must skip: batches of `producer_id` from `first_offset` to its abort
    marker."""

    producer_id: int
    first_offset: int


class Read(NamedTuple):
    """One partition's share of a question: whole batches from the one that holds `start`, below offset `upto`; if
    `committed`, with the list of the aborted transactions in them."""

    log: PartitionLog
    start: int
    max_bytes: int
    upto: int
    committed: bool = False


class FetchedRecords(NamedTuple):
    """What was found. `records` may end inside a batch when the byte limit fell there, as Kafka's do.

    `records` is empty at the end of the log. The numbers are those of the log at the moment of reading. `more` is True
    when neither the limit nor `Read.upto` ended the records, but a boundary of the engine's own, such as the end of a
    file: the next read goes on from there, and no reader need wait for it. `aborted` has the transactions that overlap
    the records (where none of these is of a transaction, an engine may leave them out), and few others, in the order of
    their markers.
    """

    records: bytes | memoryview | RecordSlice
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    more: bool = False
    aborted: Sequence[AbortedTransaction] = ()


class TimestampOffset(NamedTuple):
    """A record's place and time: what a look-up by timestamp answers."""

    timestamp: int
    offset: int
    leader_epoch: int


class EpochEnd(NamedTuple):
    """The newest leader epoch not above the one asked for, and the offset after its last record (KIP-101)."""

    leader_epoch: int
    end_offset: int


class OpenProducer(NamedTuple):
    """One producer as the log remembers it (DescribeProducers). -1 where there is nothing to say."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    transaction_start_offset: int


class LogStatistics(NamedTuple):
    """A log at a glance."""

    log_start_offset: int
    high_watermark: int
    last_stable_offset: int
    log_end_offset: int
    size: int  # bytes of all batches, indexes not counted
    producers: int  # -1 where finding out takes waiting


class PartitionLog(Protocol):
    """The log of one partition. Cheap to hold: an engine opens what it needs on first use."""

    on_advance: Callable[[], None] | None
    """Called (in the event loop, must be quick) when the high watermark, the last stable offset or the log's start has
    grown."""

    @property
    def spec(self) -> LogSpec: ...

    @property
    def log_start_offset(self) -> int:
        """The first offset that can be read."""
        ...

    @property
    def log_end_offset(self) -> int:
        """The offset the next record will get."""
        ...

    @property
    def high_watermark(self) -> int:
        """What read_uncommitted readers may see ends here. Never goes back."""
        ...

    @property
    def last_stable_offset(self) -> int:
        """What read_committed readers may see ends here: the first offset of the oldest open transaction, or the high
        watermark. Never goes back."""
        ...

    @property
    def leader_epoch(self) -> int:
        """The epoch that appends are stamped with."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the engine has at hand what this log's properties say. Otherwise asking one waits for the disk, and a
        caller with many logs lets `LogStore.open_logs` do that first."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it is open and may be appended to at once; otherwise a client's append goes through
        `LogStore.make_ready` first."""
        ...

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        """Fix the order of these batches, in one piece, and hand them to the engine. Nothing is awaited.

        The engine may set base offset and leader epoch in place; the buffers may be reused after the return. Producers'
        sequences are checked in log order (KIP-98): a batch already appended yields `duplicate`. Either all of
        `batches` is appended or nothing is.

        A batch that opens a transaction needs the `guard` that `start_verification` has given, if the store's settings
        say that transactions are verified. A marker of `transaction_version` 2 has an epoch above that of the
        transaction which it ends (KIP-1228).

        Raises KafkaError: OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
        TRANSACTION_COORDINATOR_FENCED, CONCURRENT_TRANSACTIONS, KAFKA_STORAGE_ERROR; WrongEnd when the log does not
        end at `expected_end`. Where the offset is not known before, `Append.wait_durable` does.
        """
        ...

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool
    ) -> VerificationGuard | None:
        """The guard to append a transactional batch with, once the coordinator has said that it knows of the
        transaction; None when the producer's transaction is open in this log under this epoch, and there is nothing to
        ask.

        `base_sequence` is the batch's, -1 if it has none. `epoch_bump`: the producer has an epoch of its own for each
        transaction (version 2), so in a log that knows nothing of it, it begins with sequence 0.

        Raises KafkaError: INVALID_PRODUCER_EPOCH, CONCURRENT_TRANSACTIONS, KAFKA_STORAGE_ERROR.
        """
        ...

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        """The first record whose timestamp is at least `timestamp` (milliseconds); None if there is none."""
        ...

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        """The record with the largest timestamp, the earliest of equals (KIP-734); None for an empty log."""
        ...

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        """Where `leader_epoch` ends: it, or the newest older one known; None for -1 and for newer ones than all known.

        An epoch older than all known ended where the oldest of them began.
        """
        ...

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        """Aborted transactions that overlap [start, upto), in the order of their markers."""
        ...

    async def delete_before(self, offset: int) -> int:
        """Make `offset` the start of the log, durably; bytes go when whole segments lie before it. Returns the new
        start.

        Raises KafkaError(OFFSET_OUT_OF_RANGE) beyond the high watermark or below zero. An offset at or below the
        present start changes nothing.
        """
        ...

    def configure(self, config: LogConfig) -> None:
        """New settings, from the next append on."""
        ...

    def go_on_in(self, leader_epoch: int) -> None:
        """Stamp appends with `leader_epoch`, if that is newer: for an empty log, which cannot know its epoch, behind a
        snapshot that does. An engine with one epoch keeps it."""
        ...

    async def producers(self) -> Sequence[OpenProducer]:
        """The producers this log remembers."""
        ...

    def statistics(self) -> LogStatistics:
        """Offsets and sizes now."""
        ...


class LogStore(Protocol):
    """All logs of one engine. Opened before use, closed once; `async with engine:` does both in the broker."""

    async def open(self) -> None:
        """Take possession and recover what an unclean stop left.

        Raises StoreError with one clear sentence: directory in use, of another cluster, unreadable.
        """
        ...

    async def close(self) -> None:
        """Make everything durable and leave a mark that makes the next start instant."""
        ...

    def configure(self, settings: StoreSettings) -> None:
        """New settings for all logs, from now on; at any time, also before `open`."""
        ...

    async def maintain(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        """Upkeep in the background (checkpoints, flushes by time, retention, compaction), forever: the broker runs it
        as a task beside everything else, and cancels it to stop.

        `every_log` names the logs of the whole cluster, at the time of the call: the engine knows those by name that it
        has on disk, but how one is to be kept only the broker does. Without it, the logs that were asked for are kept.
        """
        ...

    @property
    def cluster_id(self) -> str:
        """The cluster that these logs belong to, as clients see it; made on first use, kept forever."""
        ...

    @property
    def directory_id(self) -> str:
        """The id of the place that these logs are kept in, made with it and not shown to clients at large; empty where
        an old Kafka made the place and gave it none."""
        ...

    def log(self, spec: LogSpec) -> PartitionLog:
        """The log of `spec`, the same object each time. It is created, empty, by its first append if need be."""
        ...

    def blobs(self, spec: LogSpec) -> LogBlobs:
        """What the log of `spec` has beside its records."""
        ...

    def existing(self) -> Collection[tuple[str, int]]:
        """(topic, partition) of each log found when the store was opened or made since."""
        ...

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        """Make these logs exist, durably, in one batch. Existing ones of the same topic id are left alone."""
        ...

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        """Remove these logs. Returns when no reader can see them and a new log of the same name can be made."""
        ...

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        """Open those of these that are not, without holding up the event loop. Raises nothing: the one that cannot be
        opened is refused where it is used."""
        ...

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        """Open them, and wait until there is room to append to them (`PartitionLog.is_ready`): what a client's append
        has to do first, a few dozen logs at a time, with nothing awaited in between."""
        ...

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        """Learn where these logs end now, if other brokers append to them: their properties are then as new as this
        call. Returns at once where this broker is the only one. Raises KafkaError when that cannot be learned."""
        ...

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError] | None:
        """Answer `reads` in order, as far as `max_bytes` in all goes, or None if that needs waiting.

        Each gives as much as fits. The first partition that has records gives at least one whole batch, however large
        (KIP-74), unless `whole_batch` is False because an earlier part of the same question has given one; the others
        give only what fits. Raises nothing: a read that fails yields its KafkaError (OFFSET_OUT_OF_RANGE,
        KAFKA_STORAGE_ERROR).
        """
        ...

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        """The same, waiting where needed."""
        ...

    @property
    def overlaps_appends(self) -> bool:
        """Whether an append of a log that another is on its way for can be durable as soon as if it had come alone. If
        not, a caller that has more to append loses no time by gathering it until the one before is durable."""
        ...

    @property
    def commits_together(self) -> bool:
        """Whether appends to several logs can be one commit: then `append_all` does not wait for `after`."""
        ...

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        """Append to several logs, in order; one that is refused, which the answer has in its place, harms no other.
        Where offsets are known late, `wait_durable` of the append raises the refusal.

        None of it can be seen unless `after` lasts, an append of another log: with `commits_together` that is so
        because both are one commit, else the engine waits first until `after` is durable. Gives way where there are
        many logs. Raises KafkaError when `after` can no longer become durable; then nothing is appended.
        """
        ...

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        """Return when all of these are durable: as `Append.wait_durable` of one after the other, but in as few syncs as
        can be. Raises likewise, when the others are durable or have failed as well."""
        ...

    def statistics(self) -> StoreStatistics:
        """What the engine does, in numbers; cheap, and without side effects."""
        ...

    async def log_directories(self) -> Sequence[LogDirectory]:
        """The directories and the logs in them, for DescribeLogDirs. Waits for the disk, and gives way."""
        ...


class LogDirectory(NamedTuple):
    """One log directory. Byte counts are -1 where unknown; `error` is set when the directory has stopped."""

    path: str
    total_bytes: int
    usable_bytes: int
    error: KafkaError | None
    sizes: Mapping[tuple[str, int], int]


class StoreError(Exception):
    """The store cannot be opened; the message is one sentence for the person who started the broker."""
