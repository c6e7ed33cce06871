"""What `cleanup.policy=compact` does to a log: when, and which records survive. Pure: no files, no clock.

A compacted log keeps the newest record of each key. It is cleaned from time to time, in two passes over all segments
but the newest:

1. The *dirty* part, written since the last cleaning, is read, and the newest offset of each key in it remembered
   (`Compaction.learn`). If the memory for keys does not reach, this pass ends early and the rest is for another time.
2. Everything up to there is gone through from the beginning, and each batch is kept, thinned out or dropped
   (`Compaction.judge_batch`). Offsets never change; readers step over the gaps.

**A log is due** (`judge`) when the dirty part is more than `min.cleanable.dirty.ratio` of what is there, or when its
oldest record has waited for `max.compaction.lag.ms`. Never touched are the segment being written, what is not stable
yet (open transactions), and segments with a record younger than `min.compaction.lag.ms`.

**What dies:**

=====================================  =================================================================================
record                                 dies
=====================================  =================================================================================
with a newer record of its key         at once
without a key                          at once: there is nothing it could be the newest of
without a value (a tombstone)          when the delete horizon of its batch has passed (below)
of an aborted transaction              at once, whatever its key
transaction marker                     when no batch of its transaction is left *and* its delete horizon has passed
other control records                  never
=====================================  =================================================================================

**Delete horizon** (KIP-534). A tombstone has to stay for a while, or a slow reader of the log would see the old value
and never learn that it is gone. The first cleaning that meets a tombstone writes into its batch until when it stays, in
place of the base timestamp: the time of that cleaning and `delete.retention.ms`. So with a marker, from the cleaning on
that finds nothing of its transaction.

**A batch that cannot be read** stays as it is, and nothing dies because of it: a producer has sent it like that, to a
topic that was not compacted then and whose batches nothing looks into. (Kafka gives the whole log up.) Bytes that are
not those that were checksummed are another thing: that is damage, and the log is left alone.

**Batches that are left empty** go, save two kinds, of which the header stays: the last one of a producer that is still
known, since its sequence number is in there and the producer may send it again; and the last one below `upto`, so that
the cleaned part shows by itself up to where it reaches.

Sources: org.apache.kafka.storage.internals.log.{LogCleanerManager.grabFilthiestCompactedLog, LogToClean, Cleaner,
CleanedTransactionMetadata}, org.apache.kafka.common.record.MemoryRecords.filterTo; KIP-58, KIP-354, KIP-534.

Departs from Kafka, on the safe side: an abort marker that no list of aborted transactions knows of stays as long as
records of its producer stand before it, for without it they would pass for committed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import CONTROL, DELETE_HORIZON, TRANSACTIONAL, BatchHeader, has_valid_crc
from kproto.batches.record_spans import RecordKeys, batch_of_spans, emptied_batch, record_keys, record_spans
from kproto.batches.records import ControlRecordType, control_record_type, iter_records
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.key_map import MOST_NUMBERS, SLOT_SIZE, KeyMap
from storage.log_config import NEVER, LogConfig

MAX_RELATIVE_OFFSET: Final = 2**31 - 1

KEEPS_KEYS: Final = 0.8
"""Share of the memory that is for keys; the rest marks what is dead, a byte per offset."""

UNREADABLE_SIZE: Final = 100
"""Bytes of memory for each batch that cannot be read."""

_LIVES, _DIES, _TOMBSTONE = 0, 1, 2


# -- which logs are due ------------------------------------------------------------------------------------------------


class SegmentState(NamedTuple):
    """A segment as compaction sees it, without asking more of it than a question needs."""

    base_offset: int
    size: int  # bytes
    newest: int  # largest timestamp of a record (milliseconds since 1970); for `min_compaction_lag_ms` only
    oldest: int  # timestamp of its first batch; for `max_compaction_lag_ms` only


class Verdict(NamedTuple):
    """What cleaning a log would be about.

    Dirty are the offsets [first_dirty, upto); `ratio` is their share of the bytes below `upto`. `ask_again`
    (milliseconds since 1970) is when another answer is possible without another segment; NEVER if only that can change
    it.
    """

    first_dirty: int
    upto: int
    ratio: float
    due: bool
    ask_again: int


def judge(
    segments: Sequence[SegmentState],
    *,
    clean_upto: int | None,
    start: int,
    stable: int,
    config: LogConfig,
    now: int,
) -> Verdict:
    """Look at a log's segments, oldest first; the last one is being written.

    `clean_upto` is where the last cleaning ended; None if there was none. Where it cannot be, before the `start` of the
    log or behind what is `stable`, it counts for nothing: the log has lost or deleted records since.
    """
    bases = [segment.base_offset for segment in segments]
    active = bases[-1]
    first_dirty = clean_upto if clean_upto is not None and start <= clean_upto <= max(stable, active) else start
    closed = range(max(0, bisect_right(bases, first_dirty) - 1), len(segments) - 1)
    ask_again = NEVER
    bound = active
    if stable < active:
        bound, ask_again = stable, now
    if config.min_compaction_lag_ms > 0:
        for number in closed:
            ripe = segments[number].newest + config.min_compaction_lag_ms
            if ripe > now:
                bound = min(bound, bases[number])
                ask_again = min(ask_again, ripe)
                break
    upto = bases[max(0, bisect_right(bases, bound) - 1)]
    dirty = sum([segments[number].size for number in closed if bases[number] < upto])
    if upto <= first_dirty or not dirty:
        return Verdict(first_dirty, max(first_dirty, upto), 0.0, False, ask_again)
    clean = sum([segment.size for segment in segments if segment.base_offset < first_dirty])
    ratio = dirty / (clean + dirty)
    due = ratio > config.min_cleanable_dirty_ratio
    if config.max_compaction_lag_ms < NEVER:
        oldest = min([segments[number].oldest for number in closed if segments[number].oldest > 0], default=NEVER)
        overdue = oldest + config.max_compaction_lag_ms + 1
        due = due or overdue <= now
        ask_again = min(ask_again, overdue)
    return Verdict(first_dirty, upto, ratio, due, ask_again)


class Source(NamedTuple):
    """A segment to be rewritten. Sizes in bytes; `index_size` is that of the larger of its indexes."""

    base_offset: int
    size: int
    index_size: int = 0


def group_segments(sources: Sequence[Source], *, upto: int, segment_bytes: int, index_bytes: int) -> list[list[Source]]:
    """Which segments, all of them below `upto`, become one: neighbours, as many as are not too large together.

    So a log does not end up as thousands of segments of which compaction has left next to nothing.
    """
    groups: list[list[Source]] = []
    size = index_size = 0
    for number, source in enumerate(sources):
        end = sources[number + 1].base_offset if number + 1 < len(sources) else upto
        size += source.size
        index_size += source.index_size
        if (
            groups
            and size <= segment_bytes
            and index_size <= index_bytes
            and (not source.size or end - 1 - groups[-1][0].base_offset <= MAX_RELATIVE_OFFSET)
        ):
            groups[-1].append(source)
        else:
            groups.append([source])
            size, index_size = source.size, source.index_size
    return groups


# -- what survives -----------------------------------------------------------------------------------------------------


class LastOfProducer(NamedTuple):
    """The last offset that a producer wrote records at, -1 if the log knows its epoch only (from a marker)."""

    offset: int
    epoch: int


class _Trail:
    """Transactions, as one meets their batches on the way through a log."""

    def __init__(self, aborted: Iterable[CompletedTransaction]) -> None:
        self._aborted: dict[int, list[CompletedTransaction]] = {}
        for span in sorted(aborted, key=attrgetter("first_offset")):
            self._aborted.setdefault(span.producer_id, []).append(span)
        self._met: set[CompletedTransaction] = set()
        self._committed: set[int] = set()
        self.kept: list[CompletedTransaction] = []

    def _span(self, producer_id: int, offset: int) -> CompletedTransaction | None:
        """The aborted transaction of this producer around this offset."""
        spans = self._aborted.get(producer_id)
        if spans is None:
            return None
        index = bisect_right(spans, offset, key=attrgetter("first_offset")) - 1
        return spans[index] if index >= 0 and offset <= spans[index].last_offset else None

    def is_aborted(self, header: BatchHeader) -> bool:
        """A batch of records: does it belong to a transaction that was aborted?"""
        if not header.attributes & TRANSACTIONAL:
            return False
        span = self._span(header.producer_id, header.base_offset + header.last_offset_delta)
        if span is None:
            self._committed.add(header.producer_id)
            return False
        self._met.add(span)
        return True

    def ends_nothing(self, header: BatchHeader, batch: ReadableBuffer) -> bool:
        """A control batch: is it a marker of whose transaction no batch is left? Raises KafkaError(INVALID_RECORD)."""
        record = next(iter_records(batch), None)
        if record is None:
            return True
        kind = control_record_type(record.key)
        if kind not in (ControlRecordType.ABORT, ControlRecordType.COMMIT):
            return False
        producer_id = header.producer_id
        passed_for_committed = producer_id in self._committed
        self._committed.discard(producer_id)
        span = self._span(producer_id, header.base_offset + header.last_offset_delta)
        if kind == ControlRecordType.ABORT and span in self._met:
            assert span is not None
            self.kept.append(span)
            return False
        return not passed_for_committed


class Compaction:
    """One cleaning of one log.

    Batches of the dirty part are shown to `learn`, in order, until it declines one; then `judge_batch` is asked about
    every batch from the beginning of the log on, in order.

    `memory` bounds, in bytes, what is remembered of keys. `aborted` are the aborted transactions of the log,
    `producers` those that it knows. Times are in milliseconds since 1970.
    """

    def __init__(
        self,
        *,
        first_dirty: int,
        upto: int,
        now: int,
        delete_retention_ms: int,
        aborted: Sequence[CompletedTransaction] = (),
        producers: Mapping[int, LastOfProducer] | None = None,
        memory: int = 128 << 20,
        load_factor: float = 0.9,
    ) -> None:
        self.first_dirty = first_dirty
        self.end = first_dirty
        """Newest offsets are known of all keys below."""
        self._upto = upto
        self._now = now
        self._horizon = now + delete_retention_ms
        self._producers = producers if producers is not None else {}
        self._aborted = aborted
        self._memory = memory
        self._load_factor = load_factor
        self._keys: KeyMap | None = None
        self._fates = bytearray()  # of the dirty records, in the order of the log
        self._most_fates = 0
        self._judged = 0  # of these, by the second pass
        self.unreadable: set[int] = set()
        """Base offsets of the dirty batches that stay as they are, because their records cannot be read."""
        self._learning = _Trail(aborted)
        self._trail = _Trail(aborted)

    # -- the first pass ------------------------------------------------------------------------------------------------

    def learn(self, header: BatchHeader, batch: ReadableBuffer) -> bool:
        """Take note of a dirty batch. False: there is no room for its keys, and `end` stays where it is.

        The first batch always has room. Raises KafkaError when the batch is damaged.
        """
        last_offset = header.base_offset + header.last_offset_delta
        if last_offset < self.first_dirty:
            return True
        check(header, batch)
        if header.attributes & CONTROL:
            self._learning.ends_nothing(header, batch)
        elif not self._learning.is_aborted(header):
            found = _readable_keys(header, batch)
            if found is None:
                if len(self.unreadable) * UNREADABLE_SIZE >= self._memory and self.end > self.first_dirty:
                    return False
                self.unreadable.add(header.base_offset)
                self.end = last_offset + 1
                return True
            count, deltas = len(found.keys), found.offset_deltas
            keys, fates = self._keys or self._make_map(count), self._fates
            has_room = keys.count + count <= keys.capacity and len(fates) + count <= self._most_fates
            if not has_room and self.end > self.first_dirty:
                return False
            number = len(fates)
            fates.extend(bytes(count))
            for index in found.without_value:
                fates[number + index] = _TOMBSTONE
            clean = bisect_left(deltas, self.first_dirty - header.base_offset)  # most often none
            keys.put_run(found.keys[clean:] if clean else found.keys, number + clean, fates, _DIES)
        self.end = last_offset + 1
        return True

    def learned_all(self) -> None:
        """There are no more batches below `upto`."""
        self.end = max(self.end, self._upto)

    def _make_map(self, least: int) -> KeyMap:
        """Room for as many keys as the memory holds, but for `least` in any case, and not for more than there are."""
        slots = int(self._memory * KEEPS_KEYS / SLOT_SIZE)
        capacity = max(min(int(slots * self._load_factor), self._upto - self.first_dirty), least, 1)
        self._most_fates = min(max(int(self._memory * (1 - KEEPS_KEYS)), capacity), MOST_NUMBERS)
        self._keys = KeyMap(capacity, self._load_factor)
        return self._keys

    # -- the second pass -----------------------------------------------------------------------------------------------

    def judge_batch(self, header: BatchHeader, batch: ReadableBuffer) -> ReadableBuffer | None:
        """What becomes of a batch: itself, the very same object; another in its place; or nothing.

        Raises KafkaError when the batch is damaged.
        """
        attributes = header.attributes
        if header.base_offset >= self.end:
            self._look_ahead(header, batch)
            return batch
        if attributes & CONTROL:
            return self._judge_control(header, batch)
        if self._trail.is_aborted(header):
            return self._emptied(header, batch)
        if header.base_offset + header.last_offset_delta < self.first_dirty:
            return self._judge_records(header, batch, None)
        if header.base_offset in self.unreadable:
            return batch
        fates, low = self._fates, self._judged
        high = self._judged = low + header.record_count
        if header.base_offset >= self.first_dirty:
            dead = fates.count(_DIES, low, high)
            if dead == header.record_count:
                return self._emptied(header, batch)
            if not dead and fates.find(_TOMBSTONE, low, high) < 0:
                return batch
        return self._judge_records(header, batch, fates[low:high])

    def _judge_records(
        self, header: BatchHeader, batch: ReadableBuffer, fates: bytes | bytearray | None
    ) -> ReadableBuffer | None:
        """`fates` are those of its records; None when the batch is from before the dirty part."""
        check(header, batch)
        clean = self.first_dirty - header.base_offset
        passed = header.attributes & DELETE_HORIZON != 0 and header.base_timestamp <= self._now
        keys = self._keys
        try:
            data, spans = record_spans(header, batch)
        except KafkaError:
            if fates is None:
                return batch  # it has stayed before
            raise
        kept = []
        tombstones = False
        for number, span in enumerate(spans):
            _, _, _, _, delta, key, has_value = span
            if fates is not None and delta >= clean:
                if fates[number] == _DIES:
                    continue
            elif key is None or (keys is not None and keys.get(key) >= 0):
                continue
            if not has_value:
                if passed:
                    continue
                tombstones = True
            kept.append(span)
        if not kept:
            return self._emptied(header, batch)
        if tombstones and not header.attributes & DELETE_HORIZON:
            return batch_of_spans(header, data, kept, delete_horizon=self._horizon)
        return batch if len(kept) == len(spans) else batch_of_spans(header, data, kept)

    def _judge_control(self, header: BatchHeader, batch: ReadableBuffer) -> ReadableBuffer | None:
        check(header, batch)
        if not self._trail.ends_nothing(header, batch):
            return batch
        if header.record_count and not header.attributes & DELETE_HORIZON:
            data, spans = record_spans(header, batch)
            return batch_of_spans(header, data, spans, delete_horizon=self._horizon)
        if header.record_count and header.base_timestamp > self._now:
            return batch
        return self._emptied(header, batch)

    def _emptied(self, header: BatchHeader, batch: ReadableBuffer) -> ReadableBuffer | None:
        """None, or what stays of a batch that has no records any more."""
        if header.base_offset + header.last_offset_delta + 1 != self._upto and not self._is_last_of_producer(header):
            return None
        return emptied_batch(header) if header.record_count else batch

    def _is_last_of_producer(self, header: BatchHeader) -> bool:
        if header.producer_id < 0:
            return False
        last = self._producers.get(header.producer_id)
        if last is None:
            return False
        if last.offset >= 0:
            return header.base_offset + header.last_offset_delta == last.offset
        return header.attributes & CONTROL != 0 and header.producer_epoch == last.epoch

    def _look_ahead(self, header: BatchHeader, batch: ReadableBuffer) -> None:
        """A batch beyond the end, which stays as it is: what stood before it may still depend on it."""
        if header.attributes & CONTROL:
            self._trail.ends_nothing(header, batch)
        else:
            self._trail.is_aborted(header)

    def take_aborted(self, first: int, end: int) -> list[CompletedTransaction]:
        """The aborted transactions whose markers lie in [first, end), which has been judged, and of which there was
        something left: what the transaction index of a segment with these offsets holds from now on."""
        kept = [span for span in self._trail.kept if first <= span.last_offset < end]
        known = {span.last_offset for span in kept}
        # Beyond the end of this cleaning nothing is taken away.
        kept += [
            span
            for span in self._aborted
            if max(first, self.end) <= span.last_offset < end and span.last_offset not in known
        ]
        return sorted(kept, key=lambda span: span.last_offset)


def check(header: BatchHeader, batch: ReadableBuffer) -> None:
    """Raise KafkaError(CORRUPT_MESSAGE) unless the bytes are those that were checksummed: what is rewritten gets a new
    checksum, and must not make damage look sound."""
    if not has_valid_crc(header, batch):
        raise _damaged(header, "its checksum is wrong")


def _readable_keys(header: BatchHeader, batch: ReadableBuffer) -> RecordKeys | None:
    """The keys of a batch whose records can be read, and have offsets that rise and lie within it; else None."""
    try:
        found = record_keys(header, batch)
    except KafkaError:
        return None
    deltas = found.offset_deltas
    if deltas and not (deltas[0] >= 0 and deltas[-1] <= header.last_offset_delta and deltas == sorted(set(deltas))):
        return None
    return found


def _damaged(header: BatchHeader, reason: str) -> KafkaError:
    return KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the batch at offset {header.base_offset} is damaged: {reason}")
