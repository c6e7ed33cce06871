"""Logs in memory: what the contract means, in the fewest words, and quick enough to serve tests and benchmarks.

Read this file to learn what an engine does; read `storage/local/` to learn how to do it on a disk.

A log is a list of **chunks**. A chunk is a buffer of fixed size that batches are copied into one behind the other,
once: the producer's buffer is reused, so that copy is owed. A chunk never moves and its bytes never change once
written, so a read is a slice of it, a `memoryview` that stays valid whatever happens to the log meanwhile. One append
lies in one chunk whole, which is also what makes it all or nothing: finding room is the last thing that can fail.

The first chunk of a log is small and each next twice as large, up to 1 MiB: a hundred thousand logs of a few records
are a matter of megabytes, and a busy log's chunks are as long as a fetch wants them. A read that goes beyond the end of
a chunk goes on in the next one and gives both parts, uncopied (`RecordParts`).

**Memory is bounded** by `max_bytes` for all logs together. As on a full disk, appends are then refused with
KAFKA_STORAGE_ERROR, which clients retry; reads go on; deleting records or topics makes room. Nothing is dropped to make
room: a test whose records vanish is worse than a test that learns why. Retention goes by chunks, as it goes by segments
on a disk, and is looked for as often as there. Nothing is compacted.

Everything is as durable as it will ever be at once, and gone with the process. High watermark and end of the log are
the same. There is one leader epoch, 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import trio

from kproto.batches.header import patch_base_offset, read_header
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.ids import NO_EPOCH, format_uuid
from storage.aborted_transactions import AbortedTransactions
from storage.copies import BlobCopy, LogCopy, SegmentCopy, StoreCopy, whole_batches
from storage.elapsed import ElapsedTime
from storage.engine import (
    AbortedTransaction,
    Append,
    Batch,
    EpochEnd,
    FetchedRecords,
    LogAppend,
    LogDirectory,
    LogSpec,
    LogStatistics,
    OpenProducer,
    PartitionLog,
    Read,
    RecordParts,
    StoreError,
    TimestampOffset,
    VerificationGuard,
    WrongEnd,
)
from storage.log_config import LogConfig
from storage.markers import end_marker
from storage.memory.blobs import MemoryBlobs
from storage.memory.chunks import Chunk
from storage.misbehaving import Misbehaviour
from storage.producers import LogProducers
from storage.retention import SegmentAge, judge
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy
from storage.seams.slices import Slices
from storage.several_logs import append_each
from storage.statistics import StoreStatistics
from storage.store_settings import ProducerRules, StoreSettings
from storage.timestamps import first_record_at, latest_record, opened

DEFAULT_MAX_BYTES = 1 << 30
SMALLEST_CHUNK = 4 << 10
LARGEST_CHUNK = 1 << 20
LEADER_EPOCH = 0
EXPIRY_INTERVAL_MS = 10 * 60 * 1000

UNCLAIMED = LogConfig()
"""Of a log that has come with a copy and was not asked for yet; compared by identity."""

_NOTHING = memoryview(b"")


class MemoryAppend:
    """An append to memory: it needs no further waiting."""

    __slots__ = ("base_offset", "duplicate", "last_offset")

    def __init__(self, base_offset: int, last_offset: int, duplicate: bool) -> None:
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.duplicate = duplicate

    @property
    def durable(self) -> bool:
        return True

    @property
    def durable_on_ack(self) -> bool:
        return False

    async def wait_durable(self) -> None:
        return


class MemoryLog:
    """One log. The store makes it; `PartitionLog` says what its methods promise."""

    __slots__ = (
        "_aborted", "_blobs", "_chunks", "_deleted", "_end", "_expire_at", "_producers", "_start", "_starts", "_store",
        "exists", "on_advance", "spec",
    )  # fmt: skip

    def __init__(self, store: MemoryStore, spec: LogSpec) -> None:
        self.spec = spec
        self.on_advance: Callable[[], None] | None = None
        self.exists = False
        self._store = store
        self._deleted = False
        self._start = 0
        self._end = 0
        self._chunks: list[Chunk] = []
        self._starts: list[int] = []
        self._producers = LogProducers(store.settings.producers)
        self._aborted = AbortedTransactions()
        self._expire_at = 0
        self._blobs: MemoryBlobs | None = None  # few logs have any

    @property
    def blobs(self) -> MemoryBlobs:
        """What the log has beside its records."""
        if self._blobs is None:
            self._blobs = MemoryBlobs(lambda: self.exists)
        return self._blobs

    @property
    def log_start_offset(self) -> int:
        return self._start

    @property
    def log_end_offset(self) -> int:
        return self._end

    @property
    def high_watermark(self) -> int:
        return self._end

    @property
    def last_stable_offset(self) -> int:
        return max(self._start, self._producers.last_stable_offset(self._end))

    @property
    def leader_epoch(self) -> int:
        return LEADER_EPOCH

    @property
    def is_open(self) -> bool:
        return True

    @property
    def is_ready(self) -> bool:
        return True

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        assert batches, "an append has something to append"
        base_offset = offset = self._end
        if expected_end is not None and expected_end != offset:
            raise WrongEnd(expected_end, offset)
        if self._deleted:
            raise self._gone()
        size = 0
        numbered = False
        for header, data in batches:
            size += len(data)
            numbered = numbered or header.producer_id >= 0
        if numbered:
            now = self._store.clock.monotonic_millis()
            checked = [(header, end_marker(header, data)) for header, data in batches]
            original = self._producers.check_all(checked, offset, now, guard, transaction_version)
            if original is not None:
                return MemoryAppend(original.first_offset, original.last_offset, True)
        chunk = self._room_for(size, offset)
        # From here on nothing fails.
        for header, data in batches:
            patch_base_offset(data, 0, offset, LEADER_EPOCH)
            following = offset + header.last_offset_delta + 1
            chunk.add(data, offset, following, header.max_timestamp)
            offset = following
        self._end = offset
        if numbered:
            offset = base_offset
            for header, marker in checked:
                if marker is None:
                    self._producers.apply(header, offset, now)
                else:
                    completed = self._producers.apply_marker(header, marker, offset, now)
                    if completed is not None and completed.aborted:
                        self._aborted.add(completed)
                offset += header.last_offset_delta + 1
            if now >= self._expire_at:
                self._producers.expire(now)
                self._expire_at = now + EXPIRY_INTERVAL_MS
        self.exists = True
        if self.on_advance is not None:
            self.on_advance()
        return MemoryAppend(base_offset, self._end - 1, False)

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool
    ) -> VerificationGuard | None:
        if self._deleted:
            raise self._gone()
        now = self._store.clock.monotonic_millis()
        return self._producers.start_verification(
            producer_id, producer_epoch, base_sequence, epoch_bump=epoch_bump, now=now
        )

    def _room_for(self, size: int, offset: int) -> Chunk:
        """The chunk that takes `size` more bytes: the last one, or a new one that begins with `offset`."""
        capacity = SMALLEST_CHUNK
        if self._chunks:
            last = self._chunks[-1]
            if last.capacity - last.used >= size:
                return last
            capacity = min(2 * last.capacity, LARGEST_CHUNK)
        chunk = Chunk(self._store.take(size, max(size, capacity)), offset)
        self._chunks.append(chunk)
        self._starts.append(offset)
        return chunk

    async def delete_before(self, offset: int) -> int:
        if self._deleted:
            raise self._gone()
        if not 0 <= offset <= self._end:
            raise self._out_of_range(offset)
        if offset > self._start:
            self._start = offset
            before = 0
            while before < len(self._chunks) and self._chunks[before].end_offset <= offset:
                self._store.give_back(self._chunks[before].capacity)
                before += 1
            del self._chunks[:before], self._starts[:before]
            self._aborted.drop_before(offset)
            if self.on_advance is not None:
                self.on_advance()
        return self._start

    def judge_retention(self, now: int) -> int | None:
        """Below which offset everything has expired; None if nothing has. A chunk without timestamps stays."""
        config = self.spec.config
        if not self._chunks or config is UNCLAIMED or not config.delete:
            return None
        ages = (
            SegmentAge(chunk.used, now if chunk.max_timestamp < 0 else chunk.max_timestamp) for chunk in self._chunks
        )
        expired = judge(ages, self.size, config, now).expired
        return self._chunks[expired - 1].end_offset if expired else None

    def delete(self) -> None:
        """Be gone: hold nothing, show nothing, take nothing. Slices that a reader has found stay readable."""
        self._deleted = True
        self.exists = False
        for chunk in self._chunks:
            self._store.give_back(chunk.capacity)
        self._chunks.clear()
        self._starts.clear()
        self._start = self._end
        self._producers = LogProducers(self._store.settings.producers)
        self._aborted = AbortedTransactions()
        self._blobs = None

    def configure_producers(self, rules: ProducerRules) -> None:
        """Other rules for the producers of this log."""
        self._producers.configure(rules)

    def go_on_in(self, leader_epoch: int) -> None:
        """There is one leader epoch here."""

    def configure(self, config: LogConfig) -> None:
        self.spec = self.spec._replace(config=config)

    def claim(self, spec: LogSpec) -> None:
        """This log came with a copy, which does not say how it is to be kept: so it is."""
        self.spec = spec

    # -- copies --------------------------------------------------------------------------------------------------------

    def copied(self) -> LogCopy:
        """This log as it is. Its bytes are those of the chunks, which never change."""
        segments: list[SegmentCopy] = []
        if self._chunks:
            views = [chunk.readable[: chunk.used] for chunk in self._chunks]
            segments.append(SegmentCopy(self._starts[0], sum(map(len, views)), lambda: iter(views)))
        elif self._end:
            segments.append(SegmentCopy(self._end, 0, lambda: iter(())))
        spec, blobs = self.spec, self._blobs.files.copy() if self._blobs is not None else {}
        return LogCopy(
            spec.topic, spec.topic_id, spec.partition, self._start, self._end, segments,
            producers=self._producers.snapshot(),
            aborted=self._aborted.ending_in(0, self._end),
            epochs=[(LEADER_EPOCH, self._starts[0])] if self._chunks else [],
            blobs=[BlobCopy(name, len(data), partial(_whole, data)) for name, data in sorted(blobs.items())],
        )  # fmt: skip

    async def fill(self, copy: LogCopy) -> None:
        """Become what `copy` says: this log is empty. Raises KafkaError if memory is used up, ProtocolError if a
        segment's bytes are no batches."""
        slices = Slices()
        for segment in copy.segments:
            self._end = max(self._end, segment.base_offset)
            async for data in slices.over(whole_batches(segment.pieces())):
                header = read_header(data)
                # The offsets in front of a batch that belong to none, because compaction has taken theirs, count as
                # its own: a reader who asks for one goes on with that batch.
                first, self._end = self._end, header.base_offset + header.last_offset_delta + 1
                chunk = self._room_for(len(data), first)
                patch_base_offset(data, 0, header.base_offset, LEADER_EPOCH)
                chunk.add(memoryview(data), first, self._end, header.max_timestamp)
        self._start, self._end = copy.start, copy.end
        self._producers.restore(copy.producers, self._store.clock.monotonic_millis())
        self._aborted = AbortedTransactions(copy.aborted)
        for blob in copy.blobs:
            self.blobs.files[blob.name] = b"".join(blob.pieces())
        self.exists = True

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self, start: int, max_bytes: int, upto: int, whole_batch: bool) -> memoryview | RecordParts:
        """One partition's share of a fetch. Raises KafkaError(OFFSET_OUT_OF_RANGE)."""
        if self._deleted:
            raise self._gone()
        if not self._start <= start <= self._end:
            raise self._out_of_range(start)
        if start >= upto or start == self._end:
            return _NOTHING
        number = bisect_right(self._starts, start) - 1
        chunk = self._chunks[number]
        found = chunk.slice(start, max_bytes, upto, whole_batch)
        if chunk.end_offset >= upto or not 0 < len(found) < max_bytes:
            return found
        parts = [found]
        max_bytes -= len(found)
        for chunk in islice(self._chunks, number + 1, None):
            part = chunk.head(max_bytes, upto)
            if part:
                parts.append(part)
            max_bytes -= len(part)
            if chunk.end_offset >= upto or max_bytes <= 0:
                break
        return RecordParts(parts) if len(parts) > 1 else found

    def aborted_in(self, start: int, length: int) -> Sequence[AbortedTransaction]:
        """The aborted transactions in the `length` bytes that a read from `start` has found."""
        if not len(self._aborted) or not length:
            return ()
        number = bisect_right(self._starts, start) - 1
        chunk = self._chunks[number]
        position = chunk.positions[bisect_right(chunk.offsets, start) - 1] + length
        while position > chunk.used:
            position -= chunk.used
            number += 1
            chunk = self._chunks[number]
        return self._aborted.overlapping(start, chunk.offset_beyond(position))

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        slices = Slices()
        for chunk in list(self._chunks):
            if chunk.max_timestamp >= timestamp:
                async for batch in slices.over(chunk.batches()):
                    if found := first_record_at(*opened(batch), timestamp, self._start).found:
                        return found
        return None

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        # The latest chunk first, and in it the latest batch, so that records are read of one batch only. What their
        # headers promise may have been deleted at the start of the log: then the next best may be better.
        latest: TimestampOffset | None = None
        slices = Slices()
        for chunk in sorted(self._chunks, key=lambda chunk: -chunk.max_timestamp):
            if latest is not None and chunk.max_timestamp <= latest.timestamp:
                break
            batches = sorted(chunk.batches(), key=lambda batch: -read_header(batch).max_timestamp)
            async for batch in slices.over(batches):
                if latest is not None and read_header(batch).max_timestamp <= latest.timestamp:
                    break
                found = latest_record(*opened(batch), self._start)
                if found is not None and (latest is None or found.timestamp > latest.timestamp):
                    latest = found
        return latest

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        if leader_epoch == NO_EPOCH or leader_epoch > LEADER_EPOCH:
            return None
        return EpochEnd(leader_epoch, self._end if leader_epoch == LEADER_EPOCH else self._start)

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        return self._aborted.overlapping(start, upto)

    async def producers(self) -> Sequence[OpenProducer]:
        return self._producers.describe(self._store.clock.monotonic_millis())

    def statistics(self) -> LogStatistics:
        return LogStatistics(
            self._start, self._end, self.last_stable_offset, self._end, self.size, len(self._producers)
        )

    @property
    def size(self) -> int:
        """Bytes of all batches held."""
        return sum(chunk.used for chunk in self._chunks)

    def _gone(self) -> KafkaError:
        return KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{self.spec.topic}-{self.spec.partition} has been deleted"
        )

    def _out_of_range(self, offset: int) -> KafkaError:
        return KafkaError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"offset {offset} of {self.spec.topic}-{self.spec.partition}, which has {self._start} to {self._end}",
        )


LogsOnCommand = Callable[[Misbehaviour, trio.Event], type[MemoryLog]]
"""Makes logs that misbehave until the event."""


class MemoryStore:
    """All logs of a broker that keeps nothing. `LogStore` says what its methods promise.

    `cluster_id` is invented if none is given. `max_bytes` bounds the chunks of all logs together. Of the settings,
    those count that are about producers and retention: nothing is compacted here. `misbehaving` makes the logs of a
    store that can be commanded (`storage/memory/misbehaving.py`).
    """

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        *,
        cluster_id: str | None = None,
        directory_id: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        settings: StoreSettings | None = None,
        misbehaving: LogsOnCommand | None = None,
    ) -> None:
        self.clock = clock
        self._misbehaving = misbehaving
        self._entropy = entropy
        self.max_bytes = max_bytes
        self.settings = settings or StoreSettings()
        self._elapsed = ElapsedTime()
        self._kind = MemoryLog
        self._behaves = trio.Event()  # what waits for a slow disk waits until then
        self._taken = 0
        self._logs: dict[tuple[str, bytes, int], MemoryLog] = {}
        self._cluster_id = cluster_id or format_uuid(entropy.uuid())
        self._directory_id = directory_id or format_uuid(entropy.uuid())
        self._successor: MemoryStore | None = None

    async def open(self) -> None:
        """There is nothing to recover."""

    async def close(self) -> None:
        """There is nothing to keep."""

    def configure(self, settings: StoreSettings) -> None:
        self.settings = settings
        for log in self._logs.values():
            log.configure_producers(settings.producers)

    async def maintain(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        while True:
            await trio.sleep(self.settings.retention_check_ms / 1000)
            await self.catch_up(every_log)

    def misbehave(self, misbehaviour: Misbehaviour | None) -> None:
        """As commanded (`storage/misbehaving.py`)."""
        if self._misbehaving is None:
            raise StoreError("these logs take no commands: the broker is to be started with --control")
        self._behaves.set()
        self._behaves = trio.Event()
        self._kind = MemoryLog if misbehaviour is None else self._misbehaving(misbehaviour, self._behaves)
        for log in self._logs.values():
            log.__class__ = self._kind

    async def catch_up(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        """Retention as it is due now (`storage/catching_up.py`)."""
        now = self._elapsed.at(self.clock.now())
        async for log in Slices().over(list(self._logs.values())):
            if log.exists and (offset := log.judge_retention(now)) is not None:
                await log.delete_before(offset)

    @property
    def cluster_id(self) -> str:
        return self._cluster_id

    @property
    def directory_id(self) -> str:
        return self._directory_id

    def log(self, spec: LogSpec) -> MemoryLog:
        key = spec.topic, spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = self._kind(self, spec)
        elif log.spec.config is UNCLAIMED:
            log.claim(spec)
        return log

    def blobs(self, spec: LogSpec) -> MemoryBlobs:
        return self.log(spec).blobs

    def existing(self) -> Collection[tuple[str, int]]:
        return {(log.spec.topic, log.spec.partition) for log in self._logs.values() if log.exists}

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        async for spec in Slices().over(specs):
            self.log(spec).exists = True

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        async for spec in Slices().over(specs):
            log = self._logs.pop((spec.topic, spec.topic_id, spec.partition), None)
            if log is not None:
                log.delete()

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        """They are open."""

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        """They are ready."""

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        """No other broker appends to them."""

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        answers: list[FetchedRecords | KafkaError] = []
        for read in reads:
            log = _own(read.log)
            try:
                records = log.read(read.start, min(read.max_bytes, max_bytes), read.upto, whole_batch)
            except KafkaError as error:
                answers.append(error)
                continue
            if records:
                whole_batch = False
                max_bytes = max(0, max_bytes - len(records))
            aborted = log.aborted_in(read.start, len(records)) if read.committed else ()
            answers.append(
                FetchedRecords(
                    records, log.high_watermark, log.last_stable_offset, log.log_start_offset, aborted=aborted
                )
            )
        return answers

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        await trio.lowlevel.checkpoint()
        return self.read_now(reads, max_bytes, whole_batch)

    @property
    def overlaps_appends(self) -> bool:
        return False  # nothing is ever on its way

    @property
    def commits_together(self) -> bool:
        return True  # what is appended is as durable as it will ever be

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        return await append_each(appends)

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        await trio.lowlevel.checkpoint()
        for append in appends:
            if not append.durable:  # on a disk that is slow on command
                await append.wait_durable()

    def statistics(self) -> StoreStatistics:
        logs = sum(log.exists for log in self._logs.values())
        return StoreStatistics(logs, logs, 0, False, flushes=None, cleaner=None, upkeep=None)

    async def log_directories(self) -> Sequence[LogDirectory]:
        logs = list(self._logs.values())
        sizes = {(log.spec.topic, log.spec.partition): log.size async for log in Slices().over(logs) if log.exists}
        return [LogDirectory("memory", self.max_bytes, self.max_bytes - self._taken, None, sizes)]

    # -- copies --------------------------------------------------------------------------------------------------------

    async def copy(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> StoreCopy:
        await trio.lowlevel.checkpoint()
        logs = [log.copied() for log in self._logs.values() if log.exists]
        return StoreCopy(self._cluster_id, self._directory_id, logs)

    async def let_go(self, copy: StoreCopy) -> None:
        """It is readable as long as it is held."""

    async def prepare(self, copy: StoreCopy | None) -> None:
        self._successor = None  # before another takes memory
        successor = self._empty(copy)
        for log in () if copy is None else copy.logs:
            try:
                await successor.log(LogSpec(log.topic, log.topic_id, log.partition, UNCLAIMED)).fill(log)
            except (KafkaError, ProtocolError) as error:
                raise StoreError(f"the log {log.topic}-{log.partition} cannot be kept: {error}") from error
        self._successor = successor

    async def give_way(self) -> MemoryStore:
        successor, self._successor = self._successor or self._empty(None), None
        return successor

    def _empty(self, copy: StoreCopy | None) -> MemoryStore:
        """A store without logs, like this one or of the copy's cluster."""
        return MemoryStore(
            self.clock,
            self._entropy,
            cluster_id=self._cluster_id if copy is None else copy.cluster_id,
            directory_id=self._directory_id if copy is None else copy.directory_id,
            max_bytes=self.max_bytes,
            settings=self.settings,
            misbehaving=self._misbehaving,
        )

    def take(self, needed: int, wanted: int) -> int:
        """Account for a chunk: of `wanted` bytes, or of just those `needed` where memory gets scarce."""
        for size in (wanted, needed):
            if self._taken + size <= self.max_bytes:
                self._taken += size
                return size
        raise KafkaError(
            ErrorCode.KAFKA_STORAGE_ERROR,
            f"the {self.max_bytes} bytes of memory for records are used up: delete topics, or keep data on disk",
        )

    def give_back(self, size: int) -> None:
        """A chunk is gone."""
        self._taken -= size


def _whole(data: bytes) -> Iterator[bytes]:
    yield data


def _own(log: PartitionLog) -> MemoryLog:
    assert isinstance(log, MemoryLog), "an engine reads its own logs"
    return log
