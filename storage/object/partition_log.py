"""One log, as a broker of many holds it: what it knows of it, and appends that go their way.

**What is known.** Where the log begins, ends, and is stable up to, as of the newest answer of the control plane
(`LogPositions`): an own commit brings one, and so does a poll of watched logs. Other brokers may have appended since;
what is known only grows. Records in memory are in `runs`.

**Producers** are judged by the control plane, which alone has heard of every broker's appends. Kept here is what
`start_verification` must say at once (KIP-890, `storage/verification.py`): which transactions this broker has seen
open, and which coordinators are being asked. Both are beliefs. A transaction that is believed to be open may have been
ended by a marker of another broker; the control plane finds out (`RunAppend.unended_since`), and the client is told to
try again, NOT_ENOUGH_REPLICAS, which makes it look up nothing. A belief is given up when the log has grown by what this
broker has not appended. Batches that were let in by it may still be on their way to the log then, without a guard; so
what was believed is *doubted* from then on: their coordinator is asked again for further batches, and if one on its
way is refused, that is not its producer's fault.

A batch that opens its transaction brings how far the log was known when its coordinator was asked. If a marker of its
producer lies beyond, the answer to that question is void.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from kproto.batches.header import TRANSACTIONAL, BatchHeader
from kproto.batches.records import EndTxnMarker
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH
from storage.engine import (
    AbortedTransaction,
    Append,
    Batch,
    EpochEnd,
    LogSpec,
    LogStatistics,
    OpenProducer,
    TimestampOffset,
    VerificationGuard,
)
from storage.log_config import LogConfig
from storage.markers import end_marker
from storage.object.cache import CachedRuns
from storage.object.control_plane import LogName, LogPositions, RunAppend, RunOutcome, Taken
from storage.object.pending_append import PendingAppend
from storage.store_settings import ProducerRules
from storage.verification import Verifications

MOST_BELIEFS: Final = 10_000
"""Producers of a log whose transactions are remembered; beyond, coordinators are asked more often."""


Checked: TypeAlias = Sequence[tuple[BatchHeader, EndTxnMarker | None]]
"""Batches, each with its marker if it ends a transaction."""

NOTHING: Final = LogPositions(0, 0, 0, 0)


class _Asked(NamedTuple):
    """An attempt to open a transaction: its guard, how far the log was known when it began, and whether the producer
    has an epoch of its own for each transaction."""

    guard: VerificationGuard
    since: int
    epoch_bump: bool


class LogPlace(Protocol):
    """The store, as a log knows it."""

    @property
    def rules(self) -> ProducerRules: ...

    @property
    def leader_epoch(self) -> int:
        """Of all logs: 0, or what a cluster's data was imported with."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether a client's append is welcome."""
        ...

    def monotonic_millis(self) -> int: ...

    def begin(
        self, log: ObjectLog, append: PendingAppend, data: Sequence[memoryview], *, after: Append | None = None
    ) -> None:
        """Put an append on its way; behind `after`, in the same commit. Raises KafkaError."""
        ...

    async def offset_for_time(self, log: ObjectLog, timestamp: int) -> TimestampOffset | None: ...

    async def offset_of_max_timestamp(self, log: ObjectLog) -> TimestampOffset | None: ...

    async def aborted_transactions(self, log: ObjectLog, start: int, upto: int) -> Sequence[AbortedTransaction]: ...

    async def delete_before(self, log: ObjectLog, offset: int) -> int: ...

    async def producers(self, log: ObjectLog) -> Sequence[OpenProducer]: ...


class ObjectLog:
    """One log. The store makes it; `PartitionLog` says what its methods promise."""

    __slots__ = (
        "_asked", "_beliefs", "_doubted", "_positions", "_runs", "_store", "_verifications", "deleted", "gathering",
        "is_open", "log_id", "on_advance", "spec", "watched",
    )  # fmt: skip

    def __init__(self, store: LogPlace, spec: LogSpec, log_id: int | None, positions: LogPositions | None) -> None:
        self.spec = spec
        self.on_advance: Callable[[], None] | None = None
        self.log_id = log_id
        self.gathering = 0
        self.deleted = False
        self.is_open = positions is not None
        self.watched = False
        """Whether a reader has found its end since it has last advanced."""
        self._store = store
        self._positions = positions or NOTHING
        self._runs: CachedRuns | None = None  # few of many logs have any
        self._beliefs: dict[int, tuple[int, bool]] | None = None  # producer id -> epoch, whether it is in a transaction
        self._doubted: dict[int, int] | None = (
            None  # producer id -> epoch of a transaction that was believed to be open
        )
        self._verifications: Verifications | None = None
        self._asked: dict[int, _Asked] = {}

    # -- what is known -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> LogName:
        spec = self.spec
        return LogName(spec.topic, spec.topic_id, spec.partition, spec.internal)

    @property
    def runs(self) -> CachedRuns:
        if self._runs is None:
            self._runs = CachedRuns()
        return self._runs

    @property
    def exists(self) -> bool:
        """Whether the control plane has it, as far as is known."""
        return self.log_id is not None and not self.deleted

    @property
    def log_start_offset(self) -> int:
        return self._positions.log_start_offset

    @property
    def log_end_offset(self) -> int:
        return self._positions.end_offset

    @property
    def high_watermark(self) -> int:
        return self._positions.end_offset

    @property
    def last_stable_offset(self) -> int:
        return self._positions.last_stable_offset

    @property
    def leader_epoch(self) -> int:
        return self._store.leader_epoch

    @property
    def is_ready(self) -> bool:
        return self.is_open and self._store.has_room

    @property
    def size(self) -> int:
        """Bytes of all batches, as of the newest answer."""
        return self._positions.size

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        if leader_epoch == NO_EPOCH or leader_epoch > self._store.leader_epoch:
            return None
        # Where the epochs of imported records ended is not known. Nothing has ever been cut off behind them.
        return EpochEnd(leader_epoch, self.log_end_offset if leader_epoch >= 0 else self.log_start_offset)

    def statistics(self) -> LogStatistics:
        start, end, stable, size = self._positions
        return LogStatistics(start, end, stable, end, size, -1)

    def advance(self, positions: LogPositions) -> None:
        """The log has got that far: never back, though answers may come out of order."""
        self.is_open = True
        old = self._positions
        if positions == old or self.deleted:
            return
        start, end = max(old.log_start_offset, positions.log_start_offset), max(old.end_offset, positions.end_offset)
        stable = max(start, old.last_stable_offset, positions.last_stable_offset)
        size = positions.size if positions.end_offset >= old.end_offset else old.size
        self._positions = LogPositions(start, end, stable, size)
        if self._positions[:3] != old[:3]:
            self.watched = False
            if self.on_advance is not None:
                self.on_advance()

    def learn(self, positions: LogPositions) -> None:
        """What others may have appended to it: `advance`, and beliefs about producers are given up if it has grown."""
        if positions.end_offset > self.log_end_offset and self._beliefs is not None:
            doubted = self._doubted
            if doubted is None or len(doubted) >= MOST_BELIEFS:
                doubted = self._doubted = {}
            doubted.update((producer, epoch) for producer, (epoch, is_open) in self._beliefs.items() if is_open)
            self._beliefs = None
        self.advance(positions)

    def committed(self, outcome: RunOutcome) -> None:
        """An own commit has come to this."""
        if outcome.positions is None:
            return
        base = outcome.base_offset
        if outcome.appends is not None:
            base = next((each.base_offset for each in outcome.appends if isinstance(each, Taken)), -1)
        if base == self.log_end_offset:
            self.advance(outcome.positions)
        else:
            self.learn(outcome.positions)

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        append = self._prepare(batches, expected_end, guard, transaction_version)
        self._store.begin(self, append, [data for _, data in batches])
        self._believe(append)
        return append

    def append_after(
        self, after: Append, batches: Sequence[Batch], expected_end: int | None, transaction_version: int
    ) -> Append:
        """`begin_append` of what must be in the commit of `after`, which is queued, or nowhere."""
        append = self._prepare(batches, expected_end, None, transaction_version)
        self._store.begin(self, append, [data for _, data in batches], after=after)
        self._believe(append)
        return append

    def _prepare(
        self,
        batches: Sequence[Batch],
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> PendingAppend:
        """An append that is not on its way yet. Raises KafkaError: the log is deleted, its guard does not hold."""
        assert batches, "an append has something to append"
        if self.deleted:
            raise self.gone()
        offsets = size = 0
        latest = -1
        numbered = False
        for header, data in batches:
            offsets += header.last_offset_delta + 1
            size += len(data)
            latest = max(latest, header.max_timestamp)
            numbered = numbered or header.producer_id >= 0
        sizes = [(len(data), header.last_offset_delta + 1) for header, data in batches]
        if not numbered:
            return PendingAppend(RunAppend(offsets, size, latest, (), expected_end, transaction_version), sizes)
        checked = [(header, end_marker(header, data)) for header, data in batches]
        if not self._store.rules.verify:
            return PendingAppend(RunAppend(offsets, size, latest, checked, expected_end, transaction_version), sizes)
        asked = self._guarded(checked, guard)
        since = None if asked is None else asked.since
        version = 2 if asked is not None and asked.epoch_bump else transaction_version
        request = RunAppend(offsets, size, latest, checked, expected_end, version, since)
        return PendingAppend(request, sizes, believed=asked is not None or self._believes(checked))

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool
    ) -> VerificationGuard | None:
        if self.deleted:
            raise self.gone()
        epoch, is_open = (self._beliefs or {}).get(producer_id, (-1, False))
        if producer_epoch < epoch:
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {producer_id} comes with epoch {producer_epoch}, the newest seen is {epoch}",
            )
        if is_open and producer_epoch == epoch:
            return None
        if self._verifications is None:
            self._verifications = Verifications(MOST_BELIEFS)
        now = self._store.monotonic_millis()
        guard = self._verifications.begin(producer_id, producer_epoch, base_sequence, epoch_bump, now)
        asked = self._asked.get(producer_id)
        if asked is None or asked.guard is not guard:
            if len(self._asked) >= 2 * MOST_BELIEFS:
                self._asked.clear()  # what these were about, their producers ask again
            self._asked[producer_id] = _Asked(guard, self.log_end_offset, epoch_bump)
        return guard

    def _guarded(self, checked: Checked, guard: VerificationGuard | None) -> _Asked | None:
        """The attempt that `guard` stands for, if it is in force for the first batch of a transaction among these.
        Raises KafkaError(OUT_OF_ORDER_SEQUENCE_NUMBER)."""
        for header, marker in checked:
            if marker is None and header.attributes & TRANSACTIONAL:
                asked = self._asked.get(header.producer_id)
                if asked is None or asked.guard is not guard or self._verifications is None:
                    return None
                self._verifications.check_sequence(header, True)
                return asked
        return None

    def _believes(self, checked: Checked) -> bool:
        """Whether these are of transactions that are open here, as far as is known, or was when they were let in."""
        beliefs, doubted = self._beliefs or {}, self._doubted or {}
        return any(
            beliefs.get(header.producer_id) == (header.producer_epoch, True)
            or doubted.get(header.producer_id) == header.producer_epoch
            for header, _ in checked
        )

    def _believe(self, append: PendingAppend) -> None:
        """What an append that is on its way says about transactions."""
        if not append.request.batches or not self._store.rules.verify:
            return
        beliefs = self._beliefs
        if beliefs is None or len(beliefs) >= MOST_BELIEFS:
            beliefs = self._beliefs = {}
        for header, marker in append.request.batches:
            if marker is not None or append.believed:
                beliefs[header.producer_id] = (header.producer_epoch, marker is None)
                self._end_verification(header.producer_id)

    def settled(self, append: PendingAppend) -> None:
        """An append has its answer. If it has failed, what it would have said is not so."""
        if append.durable or not append.request.batches:
            return
        for header, marker in append.request.batches:
            if marker is not None or append.believed:
                if self._beliefs is not None:
                    self._beliefs.pop(header.producer_id, None)
                self._end_verification(header.producer_id)

    def _end_verification(self, producer_id: int) -> None:
        self._asked.pop(producer_id, None)
        if self._doubted is not None:
            self._doubted.pop(producer_id, None)
        if self._verifications is not None:
            self._verifications.end(producer_id)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        return await self._store.offset_for_time(self, timestamp)

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        return await self._store.offset_of_max_timestamp(self)

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        return await self._store.aborted_transactions(self, start, upto)

    async def producers(self) -> Sequence[OpenProducer]:
        return await self._store.producers(self)

    async def delete_before(self, offset: int) -> int:
        return await self._store.delete_before(self, offset)

    def configure(self, config: LogConfig) -> None:
        self.spec = self.spec._replace(config=config)

    def go_on_in(self, leader_epoch: int) -> None:
        """There is one leader epoch here."""

    def delete(self) -> None:
        """Be gone: show nothing, take nothing."""
        self.deleted = True
        self.watched = False
        self._positions = NOTHING._replace()
        self._runs = self._beliefs = self._doubted = self._verifications = None
        self._asked.clear()

    def gone(self) -> KafkaError:
        """What a caller gets that still has a deleted log."""
        return KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{self.spec.topic}-{self.spec.partition} has been deleted"
        )
