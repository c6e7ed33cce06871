"""What a log remembers about its producers: sequences, epochs, open transactions. Pure: no files, no clock.

An idempotent producer numbers its records per partition, wrapping after 2^31 - 1. The log remembers, per producer id,
the epoch and the last five batches, so that

* a batch sent again, because its answer was lost, is recognised and answered with the offset it got the first time;
* a gap in the numbers is refused instead of silently losing what should have come between.

Five, because a producer has at most five requests in flight: every batch it may still repeat is in the window. A repeat
from before the window is refused like a gap: Apache Kafka 4 never answers DUPLICATE_SEQUENCE_NUMBER.

============================  =============================================================  =====================
the batch                     what is known of its producer id                                verdict
============================  =============================================================  =====================
any epoch, any sequence       nothing (never seen, expired or removed; KIP-360)              new
epoch older                   a newer epoch                                                  INVALID_PRODUCER_EPOCH
epoch newer, sequence 0       an older epoch                                                 new, window starts over
epoch newer, sequence not 0   an older epoch                                                 OUT_OF_ORDER_SEQUENCE…
same epoch                    a batch of exactly these sequences is in the window            duplicate
transactional, same epoch     that batch is of a transaction that has ended                  OUT_OF_ORDER_SEQUENCE…
same epoch                    the last batch ended just before                               new
same epoch                    anything else                                                  OUT_OF_ORDER_SEQUENCE…
not transactional             a transaction is open                                          INVALID_TXN_STATE
transactional, not verified   no transaction is open under this epoch                        INVALID_TXN_STATE
no sequence (-1)              only the epoch and the open transaction are compared           new or as above
============================  =============================================================  =====================

A repetition is recognised before anything else is asked but the epoch. The row without a sequence is for coordinators,
which write transactional offsets without numbering them; that a *client's* batch with a producer id has a sequence is
checked before the engine.

**A batch of a transaction repeats only what is in the same one.** A producer has no reason to send again what an ended
transaction had. But librdkafka uses the numbers of a batch again whose answer it did not get before it aborted (in one
epoch, before `transaction.version` 2). Kafka takes the new batch for the aborted one, and acknowledges it with that
one's offset: the transaction commits, and its record is never read. Refused as out of order, the client is told:
librdkafka ends with a fatal error, and its application begins again.

**Transactions.** The first transactional batch of a producer opens a transaction at its offset; a control batch (the
marker that the transaction coordinator writes) closes it and may carry a newer epoch, which from then on fences the
old one. Nothing from the first offset of the oldest open transaction on is *stable*: that is where readers of committed
data stop. An aborted transaction is kept in a list of its own (`aborted_transactions.py`), so that those readers can
leave its batches out. No batch opens a transaction that its coordinator does not know of (`verification.py`), if
`ProducerRules.verify` says so.

==================================  ==============================================  ================================
the marker                          what is known of its producer id                verdict
==================================  ==============================================  ================================
coordinator epoch older             a marker of a newer one                         TRANSACTION_COORDINATOR_FENCED
epoch older                         a newer epoch                                   INVALID_PRODUCER_EPOCH
version 2, same epoch               a transaction is open                           INVALID_PRODUCER_EPOCH: it is late
anything else                       a transaction is open                           ends it
anything else                       no transaction is open                          appended, and ends nothing
==================================  ==============================================  ================================

The last row is a coordinator that repeats itself: after a crash, it cannot know which of its markers are in the logs.

**Two steps**, because an append may fail between them: `check` says what would happen and changes nothing; `apply`
records a batch that is in the log. Recovery only applies: what is in the log was checked when it was appended.

**Forgetting.** A producer unused for `ProducerRules.expiration` milliseconds (`producer.id.expiration.ms`, a day) is as
good as unknown, unless its transaction is open. Unused means: has appended nothing, by a clock that never jumps. Kafka
compares the timestamps of records instead, so that mirrored old records, or a wall clock set forward, make it forget
producers that are at work. At most `max_producers` are remembered, then those unused longest go; of those seen at the
same moment, as all are when a log is opened, the ones that wrote earliest. Being forgotten costs a live producer
nothing but the recognition of repeats.

Sources: KIP-98, KIP-360, KIP-890; org.apache.kafka.storage.internals.log.{ProducerStateManager, ProducerAppendInfo,
ProducerStateEntry}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from kproto.batches.header import TRANSACTIONAL, BatchHeader
from kproto.batches.records import EndTxnMarker
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.engine import OpenProducer, VerificationGuard
from storage.store_settings import DEFAULT_RULES, ProducerRules
from storage.verification import Verifications

WINDOW: Final = 5
"""Batches remembered per producer: the most that one may have in flight."""

MAX_PRODUCERS: Final = 10_000
"""Producers remembered per log; a full window takes about 1.3 kB."""


NEVER: Final = 1 << 62
"""An offset that no log gets to."""

_SEQUENCE_MASK: Final = 0x7FFF_FFFF
_NONE: Final = -1


class AppendedBatch(NamedTuple):
    """A batch in the window: what its repetition is compared with and answered with."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp: int


class ProducerState(NamedTuple):
    """One batch of a producer in a snapshot: the fields, and their order, of an entry in Kafka's `.snapshot` file.

    It is at offsets [last_offset - offset_delta, last_offset], with sequences likewise. -1 stands for nothing in every
    field: a producer whose window is empty has one entry without a batch.

    A producer has an entry for each batch of its window, the last one last. Kafka writes that one only, and of several
    for the same producer id it keeps the last that it reads, so it reads ours as its own.
    """

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int
    coordinator_epoch: int
    transaction_first_offset: int


class _Producer:
    """What is remembered of one producer id."""

    __slots__ = (
        "coordinator_epoch", "epoch", "last_timestamp", "next_sequence", "seen", "transaction_start", "window",
    )  # fmt: skip

    def __init__(self, epoch: int, seen: int) -> None:
        self.epoch = epoch
        self.next_sequence = 0
        self.window: list[AppendedBatch] = []
        self.last_timestamp = _NONE
        self.coordinator_epoch = _NONE
        self.transaction_start = _NONE
        self.seen = seen

    def copy(self) -> _Producer:
        twin = _Producer(self.epoch, self.seen)
        twin.next_sequence = self.next_sequence
        twin.window = self.window.copy()
        twin.last_timestamp = self.last_timestamp
        twin.coordinator_epoch = self.coordinator_epoch
        twin.transaction_start = self.transaction_start
        return twin


class LogProducers:
    """The producers of one log.

    Every `now` is in milliseconds of one clock that never goes back; offsets of applied batches only grow.
    """

    __slots__ = ("_oldest", "_open", "_producers", "_verifications", "max_producers", "rules")

    def __init__(self, rules: ProducerRules = DEFAULT_RULES, *, max_producers: int = MAX_PRODUCERS) -> None:
        self.rules = rules
        self.max_producers = max_producers
        self._producers: dict[int, _Producer] = {}
        # First offset -> producer id. Transactions open in the order of their first offsets, and a dict keeps it.
        self._open: dict[int, int] = {}
        self._oldest = NEVER  # the first of these; a number by itself, since readers in other threads ask for it
        self._verifications: Verifications | None = None  # few logs have any

    def __len__(self) -> int:
        return len(self._producers)

    # -- data ----------------------------------------------------------------------------------------------------------

    def check(self, header: BatchHeader, now: int, guard: VerificationGuard | None = None) -> AppendedBatch | None:
        """None: the batch may be appended. Otherwise it is a repetition of the batch returned.

        `guard` is what `start_verification` has given for it. Raises KafkaError: OUT_OF_ORDER_SEQUENCE_NUMBER,
        INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE; CONCURRENT_TRANSACTIONS when the log has as many open transactions as
        it can remember producers.
        """
        producer_id = header.producer_id
        if producer_id < 0:
            return None
        producer = self._producers.get(producer_id)
        transactional = header.attributes & TRANSACTIONAL != 0
        if producer is None or self._expired(producer, now):
            if transactional:
                self._check_opening(header, None, guard)
            return None
        sequence = header.base_sequence
        if header.producer_epoch == producer.epoch:
            opens = transactional and producer.transaction_start < 0
            if sequence != producer.next_sequence and sequence >= 0:
                last_sequence = header.last_sequence
                for batch in producer.window:
                    if batch.first_sequence == sequence and batch.last_sequence == last_sequence:
                        if transactional and (opens or batch.first_offset < producer.transaction_start):
                            break  # of a transaction that has ended
                        return batch
                if opens:
                    self._check_opening(header, producer, guard)
                raise KafkaError(
                    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                    f"producer {producer_id} sent sequence {sequence}, expected is {producer.next_sequence}",
                )
        elif header.producer_epoch < producer.epoch:
            raise _fenced(producer_id, header.producer_epoch, producer)
        else:
            opens = transactional  # also if an older epoch has left one open, of which its coordinator was not asked
        if opens:
            self._check_opening(header, producer, guard)
        if header.producer_epoch > producer.epoch and sequence > 0:
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"producer {producer_id} starts epoch {header.producer_epoch} with sequence {sequence} instead of 0",
            )
        if producer.transaction_start >= 0 and not transactional:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE,
                f"producer {producer_id} sent a batch outside its transaction, open since offset "
                f"{producer.transaction_start}",
            )
        return None

    def would_open(self, header: BatchHeader, now: int) -> bool:
        """Whether this transactional batch would open a transaction, were it appended: none is open under its epoch.
        One of an older epoch opens nothing, for it is refused."""
        producer = self._producers.get(header.producer_id)
        if producer is None or self._expired(producer, now):
            return True
        epoch = header.producer_epoch
        return epoch > producer.epoch or (epoch == producer.epoch and producer.transaction_start < 0)

    def knows_batches(self, producer_id: int, now: int) -> bool:
        """Whether a batch of this producer is remembered."""
        producer = self._producers.get(producer_id)
        return producer is not None and not self._expired(producer, now) and len(producer.window) > 0

    def _check_opening(self, header: BatchHeader, producer: _Producer | None, guard: VerificationGuard | None) -> None:
        """May this batch open a transaction? Raises KafkaError."""
        verifications = self._verifications
        if self.rules.verify:
            (verifications or _NO_VERIFICATIONS).check(header, guard)
        if producer is None and len(self._open) >= self.max_producers:
            raise KafkaError(
                ErrorCode.CONCURRENT_TRANSACTIONS,
                f"{len(self._open)} transactions are open in this partition, which is as many as it can hold",
            )
        if verifications is not None:
            verifications.check_sequence(header, producer is not None and len(producer.window) > 0)

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool, now: int
    ) -> VerificationGuard | None:
        """The guard of a batch that would open a transaction; None if that is open under this epoch.

        Raises KafkaError: INVALID_PRODUCER_EPOCH, CONCURRENT_TRANSACTIONS.
        """
        producer = self._producers.get(producer_id)
        if producer is not None and not self._expired(producer, now):
            if producer_epoch < producer.epoch:
                raise _fenced(producer_id, producer_epoch, producer)
            if producer.transaction_start >= 0 and producer_epoch == producer.epoch:
                return None
        if self._verifications is None:
            self._verifications = Verifications(self.max_producers)
        return self._verifications.begin(producer_id, producer_epoch, base_sequence, epoch_bump, now)

    def _end_verification(self, producer_id: int) -> None:
        verifications = self._verifications
        if verifications is not None:
            verifications.end(producer_id)
            if not len(verifications):
                self._verifications = None

    def apply(self, header: BatchHeader, base_offset: int, now: int) -> None:
        """The batch is in the log at `base_offset`. Whatever it says is believed."""
        producer_id = header.producer_id
        if producer_id < 0:
            return
        producer = self._producers.get(producer_id)
        if producer is None or self._expired(producer, now):
            producer = self._add(producer_id, header.producer_epoch, now)
        elif producer.epoch != header.producer_epoch:
            producer.epoch = header.producer_epoch
            producer.window.clear()
        last_sequence = header.last_sequence
        timestamp = header.max_timestamp
        window = producer.window
        if len(window) == WINDOW:
            del window[0]
        window.append(
            AppendedBatch(
                header.base_sequence, last_sequence, base_offset, base_offset + header.last_offset_delta, timestamp
            )
        )
        producer.next_sequence = (last_sequence + 1) & _SEQUENCE_MASK
        producer.last_timestamp = timestamp
        producer.seen = now
        if header.attributes & TRANSACTIONAL:
            if producer.transaction_start < 0:
                producer.transaction_start = base_offset
                self._open[base_offset] = producer_id
                if base_offset < self._oldest:
                    self._oldest = base_offset
            if self._verifications is not None:
                self._end_verification(producer_id)

    # -- markers -------------------------------------------------------------------------------------------------------

    def check_marker(self, header: BatchHeader, marker: EndTxnMarker, now: int, transaction_version: int = 0) -> None:
        """May this control batch be appended? One without an open transaction may: a coordinator repeats itself.

        Raises KafkaError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
        """
        producer = self._producers.get(header.producer_id)
        if producer is None or self._expired(producer, now):
            return
        epoch = header.producer_epoch
        late = transaction_version >= 2 and epoch == producer.epoch and producer.transaction_start >= 0
        if late or epoch < producer.epoch:
            raise _fenced(header.producer_id, epoch, producer)
        if marker.coordinator_epoch < producer.coordinator_epoch:
            raise KafkaError(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"a marker for producer {header.producer_id} comes from coordinator epoch {marker.coordinator_epoch}, "
                f"but epoch {producer.coordinator_epoch} has written already",
            )

    def apply_marker(
        self, header: BatchHeader, marker: EndTxnMarker, base_offset: int, now: int
    ) -> CompletedTransaction | None:
        """The control batch is in the log at `base_offset`. Returns the transaction it ended, if one was open."""
        producer_id = header.producer_id
        self._end_verification(producer_id)
        producer = self._producers.get(producer_id)
        if producer is None or self._expired(producer, now):
            producer = self._add(producer_id, header.producer_epoch, now)
        elif producer.epoch != header.producer_epoch:
            producer.epoch = header.producer_epoch
            producer.next_sequence = 0
            producer.window.clear()
        producer.coordinator_epoch = marker.coordinator_epoch
        producer.last_timestamp = header.max_timestamp
        producer.seen = now
        first_offset = producer.transaction_start
        if first_offset < 0:
            return None
        producer.transaction_start = _NONE
        del self._open[first_offset]
        self._oldest = next(iter(self._open), NEVER)
        return CompletedTransaction(
            producer_id, first_offset, base_offset, not marker.commit, min(self._oldest, base_offset + 1)
        )

    def last_stable_offset(self, end: int) -> int:
        """Where readers of committed data stop in a log that ends at `end`: before the oldest open transaction.

        A log start beyond the result moves it up; that is the engine's to do. Safe in any thread.
        """
        return min(end, self._oldest)

    # -- several batches in one append ---------------------------------------------------------------------------------

    def check_all(
        self,
        batches: Sequence[tuple[BatchHeader, EndTxnMarker | None]],
        base_offset: int,
        now: int,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> AppendedBatch | None:
        """`check` for batches appended together at `base_offset`: each is judged as if those before it were in.

        All of them repetitions: returns the span they have in the log. Some: that is no repetition of this append and
        no new one either, and is refused with OUT_OF_ORDER_SEQUENCE_NUMBER. Nothing is changed, whatever comes.
        """
        if len(batches) == 1:
            header, marker = batches[0]
            if marker is None:
                return self.check(header, now, guard)
            self.check_marker(header, marker, now, transaction_version)
            return None
        trial = LogProducers(self.rules, max_producers=self.max_producers)
        trial._open, trial._oldest = self._open.copy(), self._oldest
        if self._verifications is not None:
            trial._verifications = self._verifications.copy()
        for header, _ in batches:
            known = self._producers.get(header.producer_id)
            if known is not None:
                trial._producers[header.producer_id] = known.copy()
        repeated: list[AppendedBatch] = []
        for header, marker in batches:
            if marker is not None:
                trial.check_marker(header, marker, now, transaction_version)
                trial.apply_marker(header, marker, base_offset, now)
            elif duplicate := trial.check(header, now, guard):
                repeated.append(duplicate)
                continue
            else:
                trial.apply(header, base_offset, now)
            base_offset += header.last_offset_delta + 1
        if not repeated:
            return None
        if len(repeated) < len(batches):
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"{len(repeated)} of {len(batches)} batches of one append have been appended before",
            )
        first, last = repeated[0], repeated[-1]
        return AppendedBatch(
            first.first_sequence, last.last_sequence, first.first_offset, last.last_offset, last.timestamp
        )

    # -- looking in, keeping, forgetting -------------------------------------------------------------------------------

    @property
    def has_open_transactions(self) -> bool:
        """Whether a transaction is open."""
        return len(self._open) > 0

    def describe(self, now: int) -> list[OpenProducer]:
        """Every producer that is not as good as unknown, as DescribeProducers shows it."""
        self.expire(now)
        return [
            OpenProducer(
                producer_id,
                producer.epoch,
                producer.window[-1].last_sequence if producer.window else _NONE,
                producer.last_timestamp,
                producer.coordinator_epoch,
                producer.transaction_start,
            )
            for producer_id, producer in self._producers.items()
        ]

    def last_offsets(self) -> dict[int, tuple[int, int]]:
        """Of each producer: the last offset that it wrote records at, -1 if only a marker is known, and its epoch."""
        return {
            producer_id: (producer.window[-1].last_offset if producer.window else _NONE, producer.epoch)
            for producer_id, producer in self._producers.items()
        }

    def snapshot(self) -> list[ProducerState]:
        """What `restore` needs to go on from here, in Kafka's terms."""
        states = []
        for producer_id, producer in self._producers.items():
            window, epoch = producer.window, producer.epoch
            common = (producer.coordinator_epoch, producer.transaction_start)
            for _, last_sequence, first_offset, last_offset, timestamp in window[:-1]:
                delta = last_offset - first_offset
                states.append(ProducerState(producer_id, epoch, last_sequence, last_offset, delta, timestamp, *common))
            last = window[-1] if window else None
            states.append(
                ProducerState(
                    producer_id,
                    epoch,
                    last.last_sequence if last else _NONE,
                    last.last_offset if last else _NONE,
                    last.last_offset - last.first_offset if last else 0,
                    producer.last_timestamp,
                    *common,
                )
            )
        return states

    def restore(self, states: Iterable[ProducerState], now: int) -> None:
        """Start from a snapshot instead of from nothing; the batches after it are then applied one by one.

        From a snapshot of Kafka's the window of each producer comes back as its last batch, and `refill` adds what it
        can find of the others.
        """
        assert not self._producers, "a snapshot replaces nothing, it is where a log starts"
        for state in sorted(states, key=attrgetter("last_offset")):
            producer = self._producers.get(state.producer_id)
            if producer is None or producer.epoch != state.producer_epoch:
                producer = self._add(state.producer_id, state.producer_epoch, now)
            producer.last_timestamp = state.timestamp
            producer.coordinator_epoch = state.coordinator_epoch
            producer.transaction_start = state.transaction_first_offset
            if state.last_offset >= 0:
                last = state.last_sequence
                first = (last - state.offset_delta) & _SEQUENCE_MASK if last >= 0 else _NONE
                producer.next_sequence = (last + 1) & _SEQUENCE_MASK
                del producer.window[: 1 - WINDOW]
                producer.window.append(
                    AppendedBatch(
                        first, last, state.last_offset - state.offset_delta, state.last_offset, state.timestamp
                    )
                )
        self._open = dict(
            sorted(
                (producer.transaction_start, producer_id)
                for producer_id, producer in self._producers.items()
                if producer.transaction_start >= 0
            )
        )
        self._oldest = next(iter(self._open), NEVER)

    def refill(self, headers: Iterable[BatchHeader]) -> None:
        """Complete the windows after `restore` from the batches before the snapshot, newest first.

        A snapshot has one batch per producer, but after a restart any of the last five may be sent again. Kafka refuses
        those it has no longer in its window; reading a few headers backwards saves the producer from that.
        Headers that continue no window are skipped.
        """
        for header in headers:
            producer = self._producers.get(header.producer_id)
            if producer is None or header.producer_epoch != producer.epoch or header.base_sequence < 0:
                continue
            window = producer.window
            if not 0 < len(window) < WINDOW or header.last_offset >= window[0].first_offset:
                continue
            if (header.last_sequence + 1) & _SEQUENCE_MASK == window[0].first_sequence:
                window.insert(
                    0,
                    AppendedBatch(
                        header.base_sequence,
                        header.last_sequence,
                        header.base_offset,
                        header.last_offset,
                        header.max_timestamp,
                    ),
                )

    @property
    def wants_refill(self) -> bool:
        """Whether a window may be shorter than it was, as after a snapshot of Kafka's, which has one batch of each: one
        with a single batch that is not the first of its epoch."""
        return any(
            len(producer.window) == 1 and producer.window[0].first_sequence > 0 for producer in self._producers.values()
        )

    def configure(self, rules: ProducerRules) -> None:
        """Other rules: they count for the producers that are remembered, too."""
        self.rules = rules

    def expire(self, now: int) -> int:
        """Free what is remembered of expired producers; returns how many. No verdict depends on when this is done."""
        gone = [producer_id for producer_id, producer in self._producers.items() if self._expired(producer, now)]
        for producer_id in gone:
            del self._producers[producer_id]
        return len(gone)

    def check_invariants(self) -> None:
        """Assert what this state promises. For tests, after every step."""
        in_transaction = {
            producer.transaction_start: producer_id
            for producer_id, producer in self._producers.items()
            if producer.transaction_start >= 0
        }
        assert in_transaction == self._open, "open transactions are those of the producers"
        assert list(self._open) == sorted(self._open), "open transactions are in the order of their offsets"
        assert self._oldest == next(iter(self._open), NEVER), "the oldest is the first"
        for producer in self._producers.values():
            window = producer.window
            assert len(window) <= WINDOW
            assert 0 <= producer.next_sequence <= _SEQUENCE_MASK
            assert not window or producer.next_sequence == (window[-1].last_sequence + 1) & _SEQUENCE_MASK
            for earlier, later in pairwise(window):
                assert earlier.last_offset < later.first_offset, "the window is in log order"

    def _expired(self, producer: _Producer, now: int) -> bool:
        return producer.transaction_start < 0 and now - producer.seen >= self.rules.expiration

    def _add(self, producer_id: int, epoch: int, now: int) -> _Producer:
        if len(self._producers) >= self.max_producers:
            self._evict()
        producer = self._producers[producer_id] = _Producer(epoch, now)
        return producer

    def _evict(self) -> None:
        """Forget the tenth that was unused longest: many at once, so that a flood of producers seldom sorts.

        An opening log learns of all its producers at one moment, as does a burst; of those the log says who wrote last.
        """
        idle = [
            (producer.seen, producer.window[-1].last_offset if producer.window else _NONE, producer_id)
            for producer_id, producer in self._producers.items()
            if producer.transaction_start < 0
        ]
        idle.sort()
        for _, _, producer_id in idle[: max(1, self.max_producers // 10)]:
            del self._producers[producer_id]


def _fenced(producer_id: int, epoch: int, producer: _Producer) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"producer {producer_id} comes with epoch {epoch}, the newest seen is {producer.epoch}",
    )


_NO_VERIFICATIONS: Final = Verifications(0)
