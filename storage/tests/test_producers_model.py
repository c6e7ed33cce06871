"""`storage/producers.py` against a model that keeps the whole log and derives everything from it each time.

The model has no state but a list of what was appended and when. Each verdict is derived from that list by the rules as
one would say them to a person, so a mistake in how the real thing keeps its few numbers shows as a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kproto.batches.header import TRANSACTIONAL, BatchHeader
from kproto.batches.records import EndTxnMarker
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import AbortedTransactions
from storage.engine import VerificationGuard
from storage.producers import LogProducers
from storage.store_settings import ProducerRules

EXPIRATION = 1000
NUMBERS = 2**31
PRODUCERS = (1, 2, 3)
RULES = ProducerRules(expiration=EXPIRATION, verify=True)


class Appended(NamedTuple):
    """One batch or marker in the log."""

    header: BatchHeader  # with its base offset
    marker: EndTxnMarker | None
    at: int

    @property
    def producer_id(self) -> int:
        return self.header.producer_id


def header_of(producer_id: int, epoch: int, sequence: int, count: int, transactional: bool) -> BatchHeader:
    return BatchHeader(
        base_offset=0,
        batch_length=100,
        partition_leader_epoch=0,
        magic=2,
        crc=0,
        attributes=TRANSACTIONAL if transactional else 0,
        last_offset_delta=count - 1,
        base_timestamp=0,
        max_timestamp=0,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        record_count=count,
    )


class Asked(NamedTuple):
    """A coordinator is asked whether it knows of a transaction."""

    guard: VerificationGuard
    epoch: int
    sequence: int
    epoch_bump: bool


def lowest_of(asked: Sequence[Asked], *, known: bool) -> int:
    """The highest sequence that the transaction may begin with: the lowest that was asked about in the newest epoch."""
    newest = max(each.epoch for each in asked)
    of_newest = [each for each in asked if each.epoch == newest]
    if of_newest[0].epoch_bump and not known:
        return 0
    return min(each.sequence for each in of_newest)


class Past:
    """What one producer's past says, read from the list."""

    def __init__(self, log: Sequence[Appended], producer_id: int, now: int) -> None:
        own = [entry for entry in log if entry.producer_id == producer_id]
        remembered: list[Appended] = []
        for entry in own:
            if remembered and entry.at - remembered[-1].at >= EXPIRATION and open_since(remembered) is None:
                remembered = []
            remembered.append(entry)
        if remembered and now - remembered[-1].at >= EXPIRATION and open_since(remembered) is None:
            remembered = []
        self.entries = remembered
        self.known = bool(remembered)
        self.epoch = remembered[-1].header.producer_epoch if remembered else -1
        self.coordinator_epoch = next(
            (entry.marker.coordinator_epoch for entry in reversed(remembered) if entry.marker), -1
        )
        of_this_epoch: list[Appended] = []
        for entry in reversed(remembered):
            if entry.header.producer_epoch != self.epoch:
                break
            of_this_epoch.insert(0, entry)
        self.batches = [entry.header for entry in of_this_epoch if entry.marker is None]
        self.expected = (
            (self.batches[-1].base_sequence + self.batches[-1].record_count) % NUMBERS if self.batches else 0
        )
        self.open_since = open_since(remembered)

    def verdict(
        self, header: BatchHeader, asked: Sequence[Asked], guard: VerificationGuard | None
    ) -> int | ErrorCode | None:
        """The original's offset for a repetition, the code for a refusal, None for a new batch.

        `asked` is when verification was asked for since the last batch or marker of a transaction.
        """
        same_epoch = self.known and header.producer_epoch == self.epoch
        if self.known and header.producer_epoch < self.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if same_epoch:
            for earlier in self.batches[-5:]:
                if header.is_transactional and not self.is_of_the_open_transaction(earlier):
                    continue
                if (earlier.base_sequence, earlier.record_count) == (header.base_sequence, header.record_count):
                    return earlier.base_offset
        opens = header.is_transactional and not (same_epoch and self.open_since is not None)
        if opens and not (asked and asked[0].guard is guard):
            return ErrorCode.INVALID_TXN_STATE
        if self.known and header.base_sequence != (self.expected if same_epoch else 0):
            return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        if opens and header.base_sequence > lowest_of(asked, known=bool(self.batches)):
            return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        if self.open_since is not None and not header.is_transactional:
            return ErrorCode.INVALID_TXN_STATE
        return None

    def is_of_the_open_transaction(self, header: BatchHeader) -> bool:
        return self.open_since is not None and header.base_offset >= self.open_since

    def verdict_on_marker(self, header: BatchHeader, marker: EndTxnMarker, version: int) -> ErrorCode | None:
        if self.known and header.producer_epoch < self.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if version == 2 and self.known and header.producer_epoch == self.epoch and self.open_since is not None:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if self.known and marker.coordinator_epoch < self.coordinator_epoch:
            return ErrorCode.TRANSACTION_COORDINATOR_FENCED
        return None


def open_since(entries: Sequence[Appended]) -> int | None:
    """First offset of the transaction that these entries of one producer leave open."""
    first = None
    for entry in entries:
        if entry.marker is not None:
            first = None
        elif first is None and entry.header.is_transactional:
            first = entry.header.base_offset
    return first


def transactions(log: Sequence[Appended]) -> list[tuple[int, int, int | None, bool]]:
    """Every transaction there ever was: producer, first offset, offset of its marker if ended, aborted or not."""
    found = []
    running: dict[int, int] = {}
    for entry in log:
        if entry.marker is None:
            if entry.header.is_transactional:
                running.setdefault(entry.producer_id, entry.header.base_offset)
        elif (first := running.pop(entry.producer_id, None)) is not None:
            found.append((entry.producer_id, first, entry.header.base_offset, not entry.marker.commit))
    return [*found, *((producer_id, first, None, False) for producer_id, first in running.items())]


class ProducersAgainstTheirPast(RuleBasedStateMachine):
    """Producers that behave, repeat themselves, skip, start over, fall silent; coordinators that end and fence."""

    def __init__(self) -> None:
        super().__init__()
        self.producers = LogProducers(RULES)
        self.aborted = AbortedTransactions()
        self.asked: dict[int, list[Asked]] = {}
        self.guards: list[VerificationGuard] = []
        self.log: list[Appended] = []
        self.end = 0
        self.now = 0

    @initialize(first=st.dictionaries(st.sampled_from(PRODUCERS), st.sampled_from((0, 5, NUMBERS - 3, NUMBERS - 1))))
    def begin_somewhere(self, first: dict[int, int]) -> None:
        """Some producers are met in the middle of their lives, some just before their numbers wrap."""
        for producer_id, sequence in first.items():
            self.send(header_of(producer_id, 1, sequence, 2, False))

    def send(self, header: BatchHeader, guard: VerificationGuard | None = None) -> None:
        asked = self.asked.get(header.producer_id, [])
        expected = Past(self.log, header.producer_id, self.now).verdict(header, asked, guard)
        found: int | ErrorCode | None
        try:
            original = self.producers.check(header, self.now, guard)
            found = None if original is None else original.first_offset
        except KafkaError as error:
            found = error.code
        assert found == expected
        if expected is None:
            self.producers.apply(header, self.end, self.now)
            self.log.append(Appended(header._replace(base_offset=self.end), None, self.now))
            self.end += header.record_count
            if header.is_transactional:
                self.asked.pop(header.producer_id, None)

    def ask(self, header: BatchHeader, epoch_bump: bool) -> VerificationGuard | None:
        """The coordinator is asked about the transaction of this batch; the guard, if there is need for one."""
        past = Past(self.log, header.producer_id, self.now)
        try:
            guard = self.producers.start_verification(
                header.producer_id, header.producer_epoch, header.base_sequence, epoch_bump=epoch_bump, now=self.now
            )
        except KafkaError as error:
            assert error.code is ErrorCode.INVALID_PRODUCER_EPOCH
            assert past.known and header.producer_epoch < past.epoch
            return None
        assert not past.known or header.producer_epoch >= past.epoch
        if past.open_since is not None and header.producer_epoch == past.epoch:
            assert guard is None
            return None
        assert guard is not None
        asked = self.asked.setdefault(header.producer_id, [])
        assert not asked or asked[0].guard is guard
        assert asked or guard not in self.guards
        asked.append(Asked(guard, header.producer_epoch, header.base_sequence, epoch_bump))
        self.guards.append(guard)
        return guard

    @rule(
        producer_id=st.sampled_from(PRODUCERS),
        step=st.sampled_from((0, 0, 0, 0, 1, -1, 2, NUMBERS - 1)),
        epoch_step=st.sampled_from((0, 0, 0, 0, 0, 1, -1)),
        count=st.integers(1, 3),
        transactional=st.booleans(),
        afresh=st.booleans(),
        verified=st.sampled_from(("now", "now", "now", "earlier", "only asked", "no")),
        epoch_bump=st.booleans(),
    )
    def data(
        self, producer_id: int, step: int, epoch_step: int, count: int, transactional: bool, afresh: bool,
        verified: str, epoch_bump: bool,
    ) -> None:  # fmt: skip
        """Mostly the batch that should come next, sometimes one that should not; verified, or with an old guard."""
        past = Past(self.log, producer_id, self.now)
        epoch = max(0, past.epoch + epoch_step)
        sequence = 0 if afresh and epoch_step else (past.expected + step) % NUMBERS
        header = header_of(producer_id, epoch, sequence, count, transactional)
        guard = self.ask(header, epoch_bump) if transactional and verified in ("now", "only asked") else None
        if verified == "earlier" and self.guards:
            guard = self.guards[-1 - step % min(len(self.guards), 4)]
        if verified != "only asked":
            self.send(header, guard)

    @precondition(lambda self: self.log)
    @rule(back=st.integers(1, 12))
    def again(self, back: int) -> None:
        """Some batch of the past comes once more."""
        entry = self.log[-min(back, len(self.log))]
        if entry.marker is None:
            self.send(entry.header._replace(base_offset=0))

    @rule(
        producer_id=st.sampled_from(PRODUCERS),
        epoch_step=st.sampled_from((0, 0, 0, 1, -1)),
        coordinator_step=st.sampled_from((0, 0, 0, 1, -1)),
        commit=st.booleans(),
        version=st.sampled_from((0, 1, 2)),
    )
    def marker(self, producer_id: int, epoch_step: int, coordinator_step: int, commit: bool, version: int) -> None:
        """A coordinator ends the transaction, whether or not there is one."""
        past = Past(self.log, producer_id, self.now)
        header = header_of(producer_id, max(0, past.epoch + epoch_step), -1, 1, True)
        marker = EndTxnMarker(commit, max(0, past.coordinator_epoch + coordinator_step))
        expected = past.verdict_on_marker(header, marker, version)
        try:
            self.producers.check_marker(header, marker, self.now, version)
            assert expected is None
        except KafkaError as error:
            assert error.code is expected
            return
        completed = self.producers.apply_marker(header, marker, self.end, self.now)
        self.asked.pop(producer_id, None)
        self.log.append(Appended(header._replace(base_offset=self.end), marker, self.now))
        self.end += 1
        if completed is None:
            assert past.open_since is None
        else:
            assert completed[:4] == (producer_id, past.open_since, self.end - 1, not commit)
            if completed.aborted:
                self.aborted.add(completed)

    @rule(producer_id=st.sampled_from(PRODUCERS), epoch_step=st.sampled_from((0, 1)))
    def overtaken(self, producer_id: int, epoch_step: int) -> None:
        """The transaction is aborted between the coordinator's yes and the append of the batch."""
        past = Past(self.log, producer_id, self.now)
        header = header_of(producer_id, max(0, past.epoch), past.expected, 1, True)
        guard = self.ask(header, False)
        self.marker(producer_id=producer_id, epoch_step=epoch_step, coordinator_step=0, commit=False, version=2)
        self.send(header, guard)

    @rule(millis=st.sampled_from((1, EXPIRATION // 2, EXPIRATION - 1, EXPIRATION)))
    def time_passes(self, millis: int) -> None:
        self.now += millis

    @rule()
    def expire(self) -> None:
        """Freeing memory changes no verdict."""
        self.producers.expire(self.now)

    @rule()
    def restart(self) -> None:
        """From a snapshot, with the windows refilled; time idle counts from here, for all that was still known."""
        self.producers.expire(self.now)
        snapshot = self.producers.snapshot()
        self.producers = LogProducers(RULES)
        self.asked.clear()
        self.producers.restore(snapshot, self.now)
        kept = [entry for producer_id in PRODUCERS for entry in Past(self.log, producer_id, self.now).entries]
        remembered = {entry.header.base_offset for entry in kept}
        self.producers.refill(
            entry.header
            for entry in reversed(self.log)
            if entry.marker is None and entry.header.base_offset in remembered
        )
        self.log = [
            entry._replace(at=self.now) if entry.header.base_offset in remembered else entry for entry in self.log
        ]

    @invariant()
    def promises_hold(self) -> None:
        self.producers.check_invariants()

    @invariant()
    def stable_data_ends_before_the_oldest_undecided_transaction(self) -> None:
        undecided = [first for _, first, end, _ in transactions(self.log) if end is None]
        assert self.producers.last_stable_offset(self.end) == min([self.end, *undecided])

    @invariant()
    def aborted_transactions_are_found_by_overlap(self) -> None:
        ended = [
            (producer_id, first, end)
            for producer_id, first, end, aborted in transactions(self.log)
            if aborted and end is not None
        ]
        for start, upto in ((0, self.end), (self.end // 3, self.end // 2), (self.end // 2, self.end // 2 + 1)):
            expected = {(producer_id, first) for producer_id, first, end in ended if end >= start and first < upto}
            found = self.aborted.overlapping(start, upto)
            assert set(found) == expected
            assert len(found) == len(expected)


ProducersAgainstTheirPast.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestProducersAgainstTheirPast = ProducersAgainstTheirPast.TestCase
