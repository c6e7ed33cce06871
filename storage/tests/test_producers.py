"""The rules of `storage/producers.py`, each tried by itself. What engines do with them is in the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kproto.batches.header import BatchHeader
from kproto.batches.records import EndTxnMarker
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import AbortedTransactions, CompletedTransaction
from storage.engine import OpenProducer
from storage.markers import end_marker
from storage.producers import LogProducers, ProducerState
from storage.testing.log_builder import ScriptedProducer, batch

DAY = 24 * 3600 * 1000
TOP = 2**31 - 1
COMMIT, ABORT = EndTxnMarker(True, 0), EndTxnMarker(False, 0)


def header(
    producer_id: int = 1, *, epoch: int = 0, sequence: int = 0, count: int = 1, transactional: bool = False
) -> BatchHeader:
    """The header of a batch of `count` records."""
    return ScriptedProducer(producer_id, epoch).batch(
        *[b"x"] * count, sequence=sequence, transactional=transactional
    ).header  # fmt: skip


class Log:
    """A log of headers: checks, then applies at the next offset."""

    def __init__(self, producers: LogProducers | None = None) -> None:
        self.producers = LogProducers() if producers is None else producers
        self.end = 0
        self.now = 0
        self.headers: list[BatchHeader] = []

    def append(self, new: BatchHeader) -> int:
        """The offset the batch got; of the original for a duplicate. Raises KafkaError."""
        if duplicate := self.producers.check(new, self.now):
            return duplicate.first_offset
        self.producers.apply(new, self.end, self.now)
        self.producers.check_invariants()
        self.headers.append(new._replace(base_offset=self.end))
        self.end += new.last_offset_delta + 1
        return self.end - new.last_offset_delta - 1

    def mark(self, new: BatchHeader, marker: EndTxnMarker) -> CompletedTransaction | None:
        """What the marker completes."""
        self.producers.check_marker(new, marker, self.now)
        completed = self.producers.apply_marker(new, marker, self.end, self.now)
        self.producers.check_invariants()
        self.end += 1
        return completed

    def refusal(self, new: BatchHeader) -> ErrorCode:
        """The code that the batch is refused with."""
        with pytest.raises(KafkaError) as caught:
            self.producers.check(new, self.now)
        return caught.value.code


def test_batches_without_a_producer_are_not_remembered() -> None:
    """A producer without an id is neither checked nor counted."""
    log, plain = Log(), batch(b"x").header
    for _ in range(3):
        log.append(plain)
    assert (len(log.producers), log.end) == (0, 3)


@pytest.mark.parametrize("sequence", [0, 1, 1000, TOP])
def test_an_unknown_producer_begins_anywhere(sequence: int) -> None:
    """Kafka 4 takes any first sequence of a producer it knows nothing about (KIP-360)."""
    assert Log().append(header(epoch=3, sequence=sequence)) == 0


@pytest.mark.parametrize(
    ("epoch", "sequence", "count", "verdict"),
    [
        (5, 3, 1, 3),  # the next
        (5, 1, 2, 1),  # the last again
        (5, 0, 1, 0),  # the one before again
        (5, 1, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # the last, cut short
        (5, 0, 3, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # both in one
        (5, 2, 2, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # an overlap
        (5, 4, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # a gap
        (5, TOP, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        (6, 0, 1, 3),  # a new epoch
        (6, 3, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        (4, 0, 1, ErrorCode.INVALID_PRODUCER_EPOCH),
        (4, 3, 1, ErrorCode.INVALID_PRODUCER_EPOCH),
    ],
)
def test_the_table(epoch: int, sequence: int, count: int, verdict: int | ErrorCode) -> None:
    """After epoch 5 has written sequences 0 and 1-2, each row of the module's table."""
    log = Log()
    log.append(header(epoch=5, sequence=0))
    log.append(header(epoch=5, sequence=1, count=2))
    candidate = header(epoch=epoch, sequence=sequence, count=count)
    if isinstance(verdict, ErrorCode):
        assert log.refusal(candidate) is verdict
    else:
        assert log.append(candidate) == verdict


def test_a_new_epoch_forgets_the_window() -> None:
    """A sequence of the old epoch is no repetition in the new one."""
    log = Log()
    log.append(header(epoch=0, sequence=0))
    assert log.append(header(epoch=1, sequence=0)) == 1
    assert log.append(header(epoch=1, sequence=0)) == 1


def test_the_window_has_five_batches() -> None:
    """The sixth last is refused as out of order, as Kafka 4 does, not as a duplicate."""
    log = Log()
    for sequence in range(6):
        log.append(header(sequence=sequence))
    assert [log.append(header(sequence=sequence)) for sequence in range(1, 6)] == [1, 2, 3, 4, 5]
    assert log.refusal(header(sequence=0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


@pytest.mark.parametrize("marker", [COMMIT, ABORT])
def test_a_batch_is_no_repetition_of_one_in_a_transaction_that_has_ended(marker: EndTxnMarker) -> None:
    """X16. A client that uses the numbers of an aborted batch again must not hear that its new one is stored: a reader
    of committed records would never see it. Inside its transaction a batch is recognised as ever."""
    log = Log()
    log.append(header(sequence=0, transactional=True))
    log.append(header(sequence=1, transactional=True))
    log.mark(header(transactional=True), marker)
    assert log.refusal(header(sequence=1, transactional=True)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.append(header(sequence=2, transactional=True)) == 3
    assert log.refusal(header(sequence=1, transactional=True)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.append(header(sequence=2, transactional=True)) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sequences_wrap(count: int) -> None:
    """2^31 - 1 is followed by 0, wherever in a batch that happens, and repetitions are recognised across."""
    log = Log()
    log.append(header(sequence=TOP - 1, count=count))
    following = (TOP - 1 + count) % (TOP + 1)
    assert log.append(header(sequence=following)) == count
    assert log.append(header(sequence=TOP - 1, count=count)) == 0


def test_an_idle_producer_is_forgotten() -> None:
    """After a day without an append a producer is unknown: any epoch and sequence, and nothing is a repetition."""
    log = Log()
    log.append(header(epoch=5, sequence=0))
    log.now = DAY - 1
    assert log.refusal(header(epoch=5, sequence=7)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.append(header(epoch=5, sequence=0)) == 0
    log.now = DAY
    assert log.append(header(epoch=4, sequence=7)) == 1
    assert log.refusal(header(epoch=4, sequence=0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_old_timestamps_are_not_idleness() -> None:
    """What counts is when the log was written to, not what the records say about when they happened."""
    log, mirrored = Log(), header()._replace(max_timestamp=0)
    log.now = 10 * DAY
    log.append(mirrored)
    assert log.append(mirrored) == 0
    assert log.producers.expire(log.now) == 0


def test_expire_frees_what_is_forgotten() -> None:
    """Memory of producers that count as unknown goes; that of others and of open transactions stays."""
    log = Log()
    log.append(header(1))
    log.append(header(2, transactional=True))
    log.now = DAY // 2
    log.append(header(3))
    assert log.producers.expire(DAY) == 1
    assert [producer.producer_id for producer in log.producers.describe(log.now)] == [2, 3]


def test_an_open_transaction_does_not_expire() -> None:
    """However long it takes, its end must find it (KAFKA-9144)."""
    log = Log()
    log.append(header(transactional=True))
    log.now = 100 * DAY
    assert log.refusal(header(sequence=5, transactional=True)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.producers.last_stable_offset(log.end) == 0
    completed = log.mark(header(), COMMIT)
    assert completed is not None
    assert log.producers.last_stable_offset(log.end) == log.end


def test_the_number_of_producers_is_bounded() -> None:
    """A flood of producers displaces those idle longest; those at work keep their repetitions recognised."""
    log = Log(LogProducers(max_producers=100))
    for number in range(1000):
        log.now = number
        log.append(header(7, sequence=number))
        log.append(header(1000 + number))
        assert len(log.producers) <= 100
    assert log.append(header(7, sequence=999)) == 1998
    assert log.append(header(1999)) == 1999


def test_of_producers_seen_at_one_moment_the_last_to_write_are_kept() -> None:
    """A log that is opened learns of all of them at once: more than the cap displace those that wrote earliest."""
    flood = Log(LogProducers(max_producers=1_000))
    for number in range(200, 0, -1):  # the smallest id wrote last
        flood.append(header(number))
    opened = Log(LogProducers(max_producers=100))
    opened.producers.restore(flood.producers.snapshot(), now=0)
    kept = {producer.producer_id for producer in opened.producers.describe(opened.now)}
    assert len(kept) <= 100
    assert set(range(1, 91)) <= kept

    replayed = Log(LogProducers(max_producers=100))
    for number in range(200, 0, -1):
        replayed.append(header(number))
    assert {producer.producer_id for producer in replayed.producers.describe(replayed.now)} >= set(range(1, 91))


def test_the_number_of_open_transactions_is_bounded() -> None:
    """Open transactions cannot be displaced, so there is an end to opening them: a code that clients retry."""
    log = Log(LogProducers(max_producers=10))
    for number in range(10):
        log.append(header(number, transactional=True))
    assert log.refusal(header(10, transactional=True)) is ErrorCode.CONCURRENT_TRANSACTIONS
    log.append(header(11))
    log.append(header(12))
    assert len(log.producers) == 11
    log.mark(header(0), COMMIT)
    log.append(header(10, transactional=True))


def test_an_append_of_several_is_judged_as_a_whole() -> None:
    """Each batch counts on those before it; nothing is remembered by judging."""
    producers = LogProducers()
    batches = [(header(1, sequence=0), None), (header(2, sequence=9), None), (header(1, sequence=1, count=2), None)]
    for _ in range(2):
        assert producers.check_all(batches, 0, 0) is None
    offset = 0
    for part, _ in batches:
        producers.apply(part, offset, 0)
        offset += part.last_offset_delta + 1
    original = producers.check_all(batches, offset, 0)
    assert original is not None
    assert (original.first_offset, original.last_offset) == (0, 3)
    with pytest.raises(KafkaError) as mixed:
        producers.check_all([batches[2], (header(1, sequence=3), None)], offset, 0)
    assert mixed.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    with pytest.raises(KafkaError):
        producers.check_all([(header(1, sequence=3), None), (header(1, sequence=5), None)], offset, 0)
    assert producers.check(header(1, sequence=3), 0) is None


def test_a_marker_in_the_same_append() -> None:
    """A marker counts for the batches behind it."""
    producers = LogProducers()
    inside, after = header(sequence=0, transactional=True), header(sequence=1)
    assert producers.check_all([(inside, None), (header(), COMMIT), (after, None)], 0, 0) is None
    with pytest.raises(KafkaError) as caught:
        producers.check_all([(inside, None), (after, None)], 0, 0)
    assert caught.value.code is ErrorCode.INVALID_TXN_STATE


def test_the_end_of_a_transaction() -> None:
    """A marker shows which offsets it ends, and where stable data ended right after it."""
    log = Log()
    log.append(header(1, transactional=True))
    log.append(header(2, transactional=True))
    assert log.mark(header(2), ABORT) == CompletedTransaction(2, 1, 2, True, last_stable_offset=0)
    assert log.mark(header(1), COMMIT) == CompletedTransaction(1, 0, 3, False, last_stable_offset=4)
    assert log.mark(header(1), COMMIT) is None


def test_epochs_of_coordinators() -> None:
    """A marker of an older coordinator is refused; one of the same or a newer one is not."""
    log = Log()
    log.mark(header(), EndTxnMarker(True, 3))
    for epoch in (3, 4):
        log.mark(header(), EndTxnMarker(True, epoch))
    with pytest.raises(KafkaError) as caught:
        log.mark(header(), EndTxnMarker(True, 3))
    assert caught.value.code is ErrorCode.TRANSACTION_COORDINATOR_FENCED


def test_a_marker_makes_its_producer_known() -> None:
    """After a marker alone, the producer's epoch is known and its first batch has sequence 0."""
    log = Log()
    log.mark(header(epoch=2), COMMIT)
    assert log.refusal(header(epoch=1)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert log.refusal(header(epoch=2, sequence=1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    log.append(header(epoch=2, sequence=0))


def test_which_batches_end_transactions() -> None:
    """Only control batches of a producer whose record is a commit or an abort."""
    producer = ScriptedProducer(1)
    for sent, found in (
        (producer.marker(commit=True, coordinator_epoch=3), EndTxnMarker(True, 3)),
        (producer.marker(commit=False, coordinator_epoch=4), EndTxnMarker(False, 4)),
        (producer.batch(b"data", transactional=True), None),
        (batch(b"plain"), None),
    ):
        assert end_marker(sent.header, sent.data) == found


def test_a_snapshot_has_kafkas_fields() -> None:
    """Id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, transaction start."""
    log = Log()
    first = header(7, epoch=2, sequence=TOP, count=3)
    log.append(first)
    log.append(header(8, transactional=True))
    log.mark(header(9, epoch=1), EndTxnMarker(False, 6))
    at = first.max_timestamp
    assert log.producers.snapshot() == [
        ProducerState(7, 2, 1, 2, 2, at, -1, -1),
        ProducerState(8, 0, 0, 3, 0, at, -1, 3),
        ProducerState(9, 1, -1, -1, 0, at, 6, -1),
    ]


def test_a_snapshot_restores_verdicts() -> None:
    """After `restore` the last batch is recognised, the next accepted, gaps and old epochs refused."""
    log = Log()
    log.append(header(1, epoch=1, sequence=TOP - 1, count=3))
    log.append(header(2, transactional=True))
    log.append(header(3, transactional=True))
    log.mark(header(4, epoch=1), EndTxnMarker(False, 6))
    restored = Log()
    restored.producers.restore(reversed(log.producers.snapshot()), now=0)
    restored.end = log.end
    assert sorted(restored.producers.describe(0)) == sorted(log.producers.describe(0))
    assert restored.append(header(1, epoch=1, sequence=TOP - 1, count=3)) == 0
    assert restored.refusal(header(1, epoch=1, sequence=2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert restored.refusal(header(1, epoch=0)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert restored.append(header(1, epoch=1, sequence=1)) == log.end
    assert restored.producers.last_stable_offset(restored.end) == 3
    restored.mark(header(2), COMMIT)
    assert restored.producers.last_stable_offset(restored.end) == 4
    assert restored.refusal(header(4, epoch=0)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_snapshot_has_whole_windows() -> None:
    """All of the last five batches are recognised after `restore`, in whatever order the entries come."""
    log = Log()
    for sequence in range(8):
        log.append(header(1, sequence=3 * sequence, count=3))
        log.append(header(2, sequence=sequence))
    snapshot = log.producers.snapshot()
    assert len(snapshot) == 10
    for states in (snapshot, reversed(snapshot)):
        restored = Log()
        restored.producers.restore(states, now=0)
        restored.producers.check_invariants()
        found = [restored.append(header(1, sequence=3 * sequence, count=3)) for sequence in range(3, 8)]
        assert found == [12, 16, 20, 24, 28]
        assert restored.refusal(header(1, sequence=6, count=3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert sorted(restored.producers.describe(0)) == sorted(log.producers.describe(0))


def as_kafka_writes(snapshot: Iterable[ProducerState]) -> list[ProducerState]:
    """The entries that Apache Kafka would have: the last of each producer."""
    return list({state.producer_id: state for state in snapshot}.values())


def test_refill_completes_the_windows() -> None:
    """With the headers before Kafka's snapshot, newest first, all five are recognised again, and no more than five."""
    log = Log()
    for sequence in range(8):
        log.append(header(1, sequence=sequence))
        log.append(header(2, sequence=sequence))
    restored = Log()
    restored.producers.restore(as_kafka_writes(log.producers.snapshot()), now=0)
    restored.producers.refill(reversed(log.headers))
    restored.producers.check_invariants()
    assert [restored.append(header(1, sequence=sequence)) for sequence in range(3, 8)] == [6, 8, 10, 12, 14]
    assert restored.refusal(header(1, sequence=2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_refill_stops_where_the_window_did() -> None:
    """Batches of an older epoch, and those that do not lead up to the window, are left out."""
    log = Log()
    log.append(header(1, epoch=0, sequence=0))
    log.append(header(1, epoch=1, sequence=0))
    stray = header(1, epoch=1, sequence=TOP - 5)._replace(base_offset=0)
    restored = LogProducers()
    restored.restore(log.producers.snapshot(), now=0)
    restored.refill([*reversed(log.headers), stray, batch(b"plain").header])
    assert restored.check(header(1, epoch=1, sequence=0), 0) is not None
    with pytest.raises(KafkaError):
        restored.check(stray, 0)


def test_producers_as_described() -> None:
    """What DescribeProducers shows of a producer that has written and of one that has only been marked."""
    log = Log()
    first = header(1, epoch=3, sequence=5, count=2)
    log.append(first)
    log.mark(header(2, epoch=4), EndTxnMarker(True, 8))
    assert log.producers.describe(log.now) == [
        OpenProducer(1, 3, 6, first.max_timestamp, -1, -1),
        OpenProducer(2, 4, -1, first.max_timestamp, 8, -1),
    ]


def test_aborted_transactions_forget_what_lies_before_the_log() -> None:
    """`drop_before` keeps those that reach over the new start."""
    aborted = AbortedTransactions()
    aborted.add(CompletedTransaction(1, 0, 4, True, 2))
    aborted.add(CompletedTransaction(2, 2, 9, True, 10))
    aborted.drop_before(4)
    assert aborted.overlapping(0, 10) == [(1, 0), (2, 2)]
    aborted.drop_before(5)
    assert aborted.overlapping(0, 10) == [(2, 2)]
    aborted.drop_before(10)
    assert len(aborted) == 0
