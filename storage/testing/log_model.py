"""What one log has to answer, worked out from a plain list of batches: the naive twin that an engine is held against.

The model knows every batch that was ever appended and those that are still kept, where the log starts and ends, and at
which offsets its segments begin. Every answer is derived from these lists by the rule as one would say it to a person,
so a mistake in how an engine keeps its few numbers, its indexes or its files shows as a difference. It opens no file
and knows no index.

Where a rule leaves the engine a choice (what is left of a batch whose records are gone, for instance), the model does
not predict but judges: `judge_cleaning` is shown what is there afterwards, says what is wrong with it, and the model
goes on from there.

`storage/tests/log_machine.py` drives an engine and this side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kproto.batches.header import TRANSACTIONAL, BatchHeader, has_valid_crc, read_header
from kproto.batches.records import EndTxnMarker, RecordData, iter_records
from kproto.errors import ErrorCode
from storage.engine import AbortedTransaction, Batch, OpenProducer, TimestampOffset
from storage.log_config import NEVER, LogConfig
from storage.markers import end_marker
from storage.testing.log_builder import joined, whole_batches

NUMBERS: Final = 2**31
WINDOW: Final = 5


class Placed(NamedTuple):
    """One batch in the log."""

    header: BatchHeader  # with its base offset
    data: bytes
    records: tuple[RecordData, ...]
    marker: EndTxnMarker | None

    @property
    def base(self) -> int:
        return self.header.base_offset

    @property
    def last(self) -> int:
        return self.header.last_offset

    @property
    def producer_id(self) -> int:
        return self.header.producer_id

    @property
    def size(self) -> int:
        return len(self.data)


class Refused(NamedTuple):
    """The engine has to refuse this."""

    code: ErrorCode


class Repeated(NamedTuple):
    """The engine has to recognise this: it is at these offsets already."""

    base_offset: int
    last_offset: int


class Transaction(NamedTuple):
    """One transaction there was: `end` is the offset of its marker, None while it is open."""

    producer_id: int
    first: int
    end: int | None
    aborted: bool


def placed(data: bytes) -> Placed:
    """A batch as it lies in the log."""
    header = read_header(data)
    return Placed(header, data, tuple(iter_records(data)), end_marker(header, data))


def all_placed(data: bytes) -> list[Placed]:
    """Every batch in the bytes of a log."""
    found = [placed(whole) for _, whole in whole_batches(data)]
    assert sum(batch.size for batch in found) == len(data), "nothing but whole batches"
    return found


class LogModel:
    """The model of one log."""

    def __init__(self, config: LogConfig) -> None:
        self.config = config
        self.history: list[Placed] = []
        """Everything that was ever appended and that a restart still knows of."""
        self.batches: list[Placed] = []
        """What is kept: those of dropped segments are gone, those below the start in a kept one are there."""
        self.bases: list[int] = []
        """The first offset of each segment; the last one is being written."""
        self.start = 0
        self.end = 0
        self.durable = 0
        """A power cut takes nothing below."""
        self.complete = True
        """Nothing has ever been removed from `batches`."""
        self.compacted = False
        self.written: dict[int, int] = {}
        """When the batch with this base offset was appended (milliseconds since 1970)."""

    # -- appending -----------------------------------------------------------------------------------------------------

    def expect_append(self, batches: Sequence[Batch], transaction_version: int = 0) -> Refused | Repeated | None:
        """What has to come of appending these in one piece; None: they are appended."""
        trial = self.history.copy()
        end = self.end
        repeated: list[Repeated] = []
        for batch in batches:
            [at] = all_placed(joined([batch], end))
            verdict = _verdict(trial, at, transaction_version)
            if isinstance(verdict, Refused):
                return verdict
            if verdict is not None:
                repeated.append(verdict)
                continue
            trial.append(at)
            end = at.last + 1
        if repeated and len(repeated) < len(batches):
            return Refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
        return Repeated(repeated[0].base_offset, repeated[-1].last_offset) if repeated else None

    def append(self, batches: Sequence[Batch], now: int) -> None:
        """They are in the log."""
        added = all_placed(joined(batches, self.end))
        self.written.update((batch.base, now) for batch in added)
        self.history += added
        self.batches += added
        self.end = added[-1].last + 1

    def must_roll(self, batches: Sequence[Batch]) -> bool:
        """Whether these begin a new segment, as far as size and time decide."""
        if not self.bases:
            return True
        active = self.segment(len(self.bases) - 1)
        if not active:
            return False
        size = sum(batch.size for batch in active) + sum(len(batch.data) for batch in batches)
        config = self.config
        wait = min(config.segment_ms, config.max_compaction_lag_ms) if config.compact else config.segment_ms
        newest = max(batch.header.max_timestamp for batch in batches)
        return size > config.segment_bytes or newest > active[0].header.max_timestamp + wait

    def segment(self, number: int) -> list[Placed]:
        """The batches of one segment."""
        return [batch for batch in self.batches if batch.base in self._range(number)]

    def newest(self, number: int) -> int:
        """The age of a segment: its largest timestamp; if there is none, because compaction has left an empty batch,
        when it was last appended to."""
        newest = max((batch.header.max_timestamp for batch in self.segment(number)), default=-1)
        if newest >= 0:
            return newest
        return max((when for base, when in self.written.items() if base in self._range(number)), default=-1)

    def _range(self, number: int) -> range:
        return range(self.bases[number], self.bases[number + 1] if number + 1 < len(self.bases) else self.end)

    # -- losing --------------------------------------------------------------------------------------------------------

    def move_start(self, offset: int) -> None:
        """The log starts at `offset`; segments that lie wholly before are dropped, but one stays to be written."""
        self.start = max(self.start, offset)
        if self.bases and self.start == self.end and self.segment(len(self.bases) - 1):
            self.bases.append(self.end)
        while len(self.bases) > 1 and self.bases[1] <= self.start:
            del self.bases[0]
        if self.bases:
            kept = [batch for batch in self.batches if batch.base >= self.bases[0]]
            self.complete = self.complete and len(kept) == len(self.batches)
            self.batches = kept

    def expect_retention(self, now: int) -> int:
        """Where the log has to start after retention."""
        config = self.config
        if not config.delete:
            return self.start
        excess = sum(batch.size for batch in self.batches) - config.retention_bytes
        start = self.start
        for number in range(len(self.bases)):
            segment = self.segment(number)
            if not segment:
                break
            size = sum(batch.size for batch in segment)
            too_old = config.retention_ms >= 0 and self.newest(number) + config.retention_ms < now
            too_much = config.retention_bytes >= 0 and excess >= size
            if not too_old and not too_much:
                break
            excess -= size
            start = self.bases[number + 1] if number + 1 < len(self.bases) else self.end
        return max(self.start, start)

    def cut(self, end: int) -> None:
        """A power cut has taken everything from `end` on."""
        assert self.durable <= end <= self.end, f"{end} is not between {self.durable} and {self.end}"
        self.history = [batch for batch in self.history if batch.base < end]
        self.batches = [batch for batch in self.batches if batch.base < end]
        assert all(batch.last < end for batch in self.batches), "only whole batches go"
        self.end = self.durable = end
        self.bases = [base for base in self.bases if base <= end]

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def readable(self) -> list[Placed]:
        """The batches that a reader from the start on is given."""
        return [batch for batch in self.batches if batch.last >= self.start]

    def batches_from(self, offset: int, upto: int) -> list[Placed]:
        """Those with an offset from `offset` on, wholly below `upto`."""
        return [batch for batch in self.batches if batch.last >= offset and batch.last < upto]

    @property
    def records(self) -> list[RecordData]:
        """The records that are not before the start, markers included."""
        return [record for batch in self.batches for record in batch.records if record.offset >= self.start]

    def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        """The first record that is not before `timestamp`."""
        return next((_found(record) for record in self.records if record.timestamp >= timestamp), None)

    def offset_of_max_timestamp(self) -> TimestampOffset | None:
        """The record with the largest timestamp, the first of equals."""
        return _found(max(self.records, key=lambda record: record.timestamp)) if self.records else None

    # -- producers -----------------------------------------------------------------------------------------------------

    @property
    def stable(self) -> int:
        """Where readers of committed data stop."""
        first = min([each.first for each in transactions(self.history) if each.end is None], default=self.end)
        return max(self.start, first)

    def producers(self) -> dict[int, OpenProducer]:
        """Each producer as DescribeProducers shows it."""
        return {number: described(self.history, number) for number in known_producers(self.history)}

    def aborted(self, start: int, upto: int) -> list[AbortedTransaction]:
        """Aborted transactions with an offset in [start, upto), in the order of their markers."""
        return [
            AbortedTransaction(each.producer_id, each.first)
            for each in aborted_in(self.history)
            if each.end is not None and each.end >= max(start, self.start) and each.first < upto
        ]

    def aborted_with_records(self, start: int, upto: int) -> set[AbortedTransaction]:
        """Those of which a reader of [start, upto) still comes across a record."""
        found = set()
        for each in aborted_in(self.history):
            for batch in self.batches_from(max(start, self.start), upto):
                if _belongs(batch, each) and batch.records:
                    found.add(AbortedTransaction(each.producer_id, each.first))
        return found

    # -- compaction ----------------------------------------------------------------------------------------------------

    def expect_cleaning(self, clean_upto: int | None, now: int) -> tuple[int, int] | None:
        """(first dirty offset, where a cleaning ends) if one is due, else None."""
        config = self.config
        if not config.compact or len(self.bases) < 2:
            return None
        active = self.bases[-1]
        first_dirty = self.start
        if clean_upto is not None and self.start <= clean_upto <= max(self.stable, active):
            first_dirty = clean_upto
        bound = min(active, self.stable)
        dirty = clean = 0
        oldest = NEVER
        closed = []
        for number, base in enumerate(self.bases[:-1]):
            segment = self.segment(number)
            if base < first_dirty:  # as in Kafka, a segment that is clean in part counts with both
                clean += sum(batch.size for batch in segment)
            if self.bases[number + 1] <= first_dirty:
                continue
            closed.append((base, segment))
            if config.min_compaction_lag_ms > 0 and self.newest(number) + config.min_compaction_lag_ms > now:
                bound = min(bound, base)
        upto = max([base for base in self.bases if base <= bound], default=self.bases[0])
        for base, segment in closed:
            if base < upto:
                dirty += sum(batch.size for batch in segment)
            if segment and segment[0].header.max_timestamp > 0:  # an empty batch has waited for nothing
                oldest = min(oldest, segment[0].header.max_timestamp)
        if upto <= first_dirty or not dirty:
            return None
        overdue = config.max_compaction_lag_ms < NEVER and oldest + config.max_compaction_lag_ms < now
        if dirty / (clean + dirty) > config.min_cleanable_dirty_ratio or overdue:
            return first_dirty, upto
        return None

    def judge_cleaning(self, left: Sequence[Placed], bases: Sequence[int], upto: int, clean_end: int, now: int) -> None:
        """`left` is what a cleaning of everything below `upto` has left, clean below `clean_end`: assert that each
        record there has a right to be there and each that is gone had to go, and go on from there.
        """
        before = {batch.base: batch for batch in self.batches}
        lost = [each for each in aborted_in(self.history) if each.end is not None and each.end >= self.start]
        survivors = self._survivors(clean_end, now, lost)
        found = [
            record
            for batch in left
            if not batch.header.is_control
            for record in batch.records
            if record.offset >= self.start
        ]
        assert found == survivors, "the newest record of each key, as it was, in order, and nothing else"
        for batch in left:
            old = before[batch.base]
            self._judge_batch(old, batch, left, bases, upto, clean_end, now)
        self._judge_markers(left, clean_end, now)
        assert set(bases) <= set(self.bases) and bases[-1] == self.bases[-1], "segments keep their names"
        self.complete = self.complete and [batch.data for batch in left] == [batch.data for batch in self.batches]
        self.compacted = True
        self.batches = list(left)
        self.bases = list(bases)

    def _survivors(self, clean_end: int, now: int, aborted: Iterable[Transaction]) -> list[RecordData]:
        aborted = list(aborted)
        live = [
            (batch, record)
            for batch in self.batches
            if not batch.header.is_control and not any(_belongs(batch, each) for each in aborted)
            for record in batch.records
        ]
        newest = {record.key: record.offset for batch, record in live if batch.last < clean_end}
        beyond = [
            record
            for batch in self.batches
            if batch.base >= clean_end and not batch.header.is_control
            for record in batch.records
        ]
        kept = []
        for batch, record in live:
            horizon = batch.header.delete_horizon
            if batch.base >= clean_end or record.offset < self.start:
                continue
            if record.key is None or newest[record.key] != record.offset:
                continue
            if record.value is None and horizon is not None and horizon <= now:
                continue
            kept.append(record)
        return kept + beyond

    def _judge_batch(
        self, old: Placed, new: Placed, left: Sequence[Placed], bases: Sequence[int], upto: int, clean_end: int,
        now: int,
    ) -> None:  # fmt: skip
        if old.data == new.data and (old.records or old.base >= clean_end):
            return
        assert old.base < clean_end, "beyond the clean part nothing changes"
        assert has_valid_crc(new.header, new.data)
        assert new.last == old.last, "a batch keeps its offsets"
        if new.records:
            assert _identity(new) == _identity(old), "and its producer, its sequence, its attributes"
            horizon = old.header.delete_horizon
            needs = new.header.is_control or any(record.value is None for record in new.records)
            if horizon is None and needs:
                horizon = now + self.config.delete_retention_ms
            assert new.header.delete_horizon in (horizon, None if not needs else horizon)
            return
        alone = [batch for batch in left if _segment_of(batch.base, bases) == _segment_of(new.base, bases)] == [new]
        last_of_producer = new.base in {
            max((batch.base for batch in self.history if batch.producer_id == number and batch.marker is None),
                default=-1)
            for number in known_producers(self.history)
        }  # fmt: skip
        marker = new.header.is_control and new.producer_id >= 0
        assert alone or last_of_producer or marker or new.last + 1 == upto, "an empty batch has to have a reason"
        assert _identity(new) == _identity(old) or alone

    def _judge_markers(self, left: Sequence[Placed], clean_end: int, now: int) -> None:
        """A marker goes when nothing of its transaction is left, and it has been seen so before."""
        after = {batch.base: batch for batch in left}
        for old in self.batches:
            if old.marker is None:
                continue
            new = after.get(old.base)
            if new is not None and new.records and new.header.delete_horizon == old.header.delete_horizon:
                continue
            spans = [each for each in transactions(self.history) if each.end == old.base]
            begun = spans[0].first if spans else old.base
            rest = [batch for batch in self.batches if begun <= batch.base < old.base
                    and batch.producer_id == old.producer_id and batch.records and not batch.header.is_control
                    and batch.last >= self.start]  # fmt: skip
            assert not rest, "a marker stays as long as there is a record of its transaction"
            if new is None or not new.records:
                horizon = old.header.delete_horizon
                assert horizon is not None and horizon <= now, "and until its time has passed"


def _found(record: RecordData) -> TimestampOffset:
    return TimestampOffset(record.timestamp, record.offset, 0)


def _segment_of(offset: int, bases: Sequence[int]) -> int:
    return max(base for base in bases if base <= offset)


def _identity(batch: Placed) -> tuple[object, ...]:
    header = batch.header
    return (
        header.last_offset, header.partition_leader_epoch, header.producer_id, header.producer_epoch,
        header.base_sequence, header.is_transactional, header.is_control, header.log_append_time,
    )  # fmt: skip


def _belongs(batch: Placed, transaction: Transaction) -> bool:
    return (
        batch.header.is_transactional
        and not batch.header.is_control
        and batch.producer_id == transaction.producer_id
        and transaction.first <= batch.base
        and (transaction.end is None or batch.base < transaction.end)
    )


# -- producers, derived from what they have written --------------------------------------------------------------------


def known_producers(history: Iterable[Placed]) -> list[int]:
    """Every producer that has written, each once."""
    return list(dict.fromkeys(batch.producer_id for batch in history if _counts(batch)))


def _counts(batch: Placed) -> bool:
    """A control batch that has lost its record does not count."""
    return batch.producer_id >= 0 and (batch.marker is not None or not batch.header.is_control)


def transactions(history: Iterable[Placed]) -> list[Transaction]:
    """Every transaction there was, in the order of their ends, the open ones last."""
    found: list[Transaction] = []
    running: dict[int, int] = {}
    for batch in history:
        if batch.marker is not None:
            first = running.pop(batch.producer_id, None)
            if first is not None:
                found.append(Transaction(batch.producer_id, first, batch.base, not batch.marker.commit))
        elif batch.header.attributes & TRANSACTIONAL and not batch.header.is_control:
            running.setdefault(batch.producer_id, batch.base)
    return [*found, *(Transaction(number, first, None, False) for number, first in running.items())]


def aborted_in(history: Iterable[Placed]) -> list[Transaction]:
    """The aborted ones, in the order of their markers."""
    return [each for each in transactions(history) if each.aborted]


def described(history: Sequence[Placed], producer_id: int) -> OpenProducer:
    """What the log remembers of one producer."""
    own = [batch for batch in history if batch.producer_id == producer_id and _counts(batch)]
    window = _of_last_epoch(own)
    markers = [batch for batch in own if batch.marker is not None]
    begun = [each.first for each in transactions(own) if each.end is None]
    return OpenProducer(
        producer_id,
        own[-1].header.producer_epoch,
        window[-1].header.last_sequence if window else -1,
        own[-1].header.max_timestamp,
        markers[-1].marker.coordinator_epoch if markers and markers[-1].marker is not None else -1,
        begun[0] if begun else -1,
    )


def _of_last_epoch(own: Sequence[Placed]) -> list[Placed]:
    """A producer's batches of data in its newest epoch."""
    found: list[Placed] = []
    for batch in reversed(own):
        if batch.header.producer_epoch != own[-1].header.producer_epoch:
            break
        if batch.marker is None:
            found.insert(0, batch)
    return found


def _verdict(history: Sequence[Placed], batch: Placed, transaction_version: int) -> Refused | Repeated | None:
    """What has to come of one batch."""
    header = batch.header
    own = [each for each in history if each.producer_id == batch.producer_id and _counts(each)]
    if batch.producer_id < 0 or not own:
        return None
    epoch = own[-1].header.producer_epoch
    if header.producer_epoch < epoch:
        return Refused(ErrorCode.INVALID_PRODUCER_EPOCH)
    is_open = any(each.end is None for each in transactions(own))
    if batch.marker is not None:
        if transaction_version == 2 and header.producer_epoch == epoch and is_open:
            return Refused(ErrorCode.INVALID_PRODUCER_EPOCH)  # the marker of the transaction before
        known = described(history, batch.producer_id).coordinator_epoch
        return Refused(ErrorCode.TRANSACTION_COORDINATOR_FENCED) if batch.marker.coordinator_epoch < known else None
    window = _of_last_epoch(own)
    if header.producer_epoch > epoch:
        if header.base_sequence != 0:
            return Refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    else:
        expected = (window[-1].header.last_sequence + 1) % NUMBERS if window else 0
        if header.base_sequence != expected:
            repeatable = window[-WINDOW:]
            if header.is_transactional:  # only what is in the same transaction
                began = next((each.first for each in transactions(own) if each.end is None), None)
                repeatable = [each for each in repeatable if began is not None and each.base >= began]
            for each in repeatable:
                if (each.header.base_sequence, each.header.last_sequence) == (
                    header.base_sequence, header.last_sequence
                ):  # fmt: skip
                    return Repeated(each.base, each.last)
            return Refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    return Refused(ErrorCode.INVALID_TXN_STATE) if is_open and not header.is_transactional else None
