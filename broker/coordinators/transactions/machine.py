"""One shard of transactional ids: the fold of one partition of `__transaction_state`.

The state is the newest value of each id (`states.py`); a decision writes the next one. Which requests decide what:

    InitProducerId                        `decide_init`: an owner for the id; an open transaction is aborted first
    AddPartitionsToTxn, AddOffsetsToTxn,
    Produce v12, TxnOffsetCommit v5       `decide_add`
    EndTxn                                `decide_end`, by the tables of `endings.py`
    all markers are durable               `decide_complete`
    time-outs, unused ids                 `decide_expired`

and which only look: `verify`, `described`, `listed`.

**Markers** are not written by the machine, which knows no other log than its own. It keeps the list of those
transactional ids whose markers are owed, `prepared`, calls `on_prepared` when there is one more, and goes on when
`decide_complete` says that they are written. The list is part of the state: after a crash, or on another broker, the
new machine has it from the log, and the markers are written again.

**Time-outs.** Each open transaction has a deadline, `timeout` after its start, and is aborted when that comes, not with
the next round of a search (Kafka's transaction.abort.timed.out.transaction.cleanup.interval.ms). The start is in wall
time, because it stands in the log; a clock that is set back or forth after that moves the deadline of transactions
that are loaded, and by no more than their time-out.

**Bounds.** A transaction has at most so many partitions, and its record so many bytes; all ids together share a budget
of memory. Each is looked at before anything changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from broker.coordinators.budget import Budget, Held
from broker.coordinators.deadlines import Deadlines
from broker.coordinators.machine import Decision, Promise
from broker.coordinators.transactions.endings import Ending, judge_end
from broker.coordinators.transactions.records import (
    TransactionRecord,
    decode_transaction_record,
    encode_transaction_record,
    value_size,
)
from broker.coordinators.transactions.settings import TransactionSettings
from broker.coordinators.transactions.states import (
    LAST_EPOCH,
    SETTLED,
    VERSION_2,
    Partitions,
    Transaction,
    TransactionState,
    completed,
    count,
    ended,
    fenced,
    initialized,
    union,
    with_partitions,
)
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from storage.seams.clock import Instant

TRANSACTION_BYTES: Final = 700
"""Of a transactional id without partitions, beside its text: 350 measured, and 300 more for its deadline."""

TOPIC_BYTES: Final = 500
"""Of a topic in a transaction beside its name: an entry of a map, a set."""

PARTITION_BYTES: Final = 70
"""Of a partition in such a set: 65 measured, of which 28 are for a number above 256."""

LOOKS: Final = 2_000
"""Ids that one decision looks at while it searches for unused ones."""

EXPIRY: Final = ""
"""The name of the deadline of that search; the others are named by their transactional id, which is never empty."""

AGAIN_AFTER_MS: Final = 1_000
"""When an abort that could not be written, the disk being full, is decided on again."""


class Owner(NamedTuple):
    """A producer id with its epoch."""

    producer_id: int
    producer_epoch: int


NO_OWNER: Final = Owner(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)


class Initialization(NamedTuple):
    """An InitProducerId with a transactional id. `expected` is the owner that the client believes to be, if any."""

    transactional_id: str
    timeout: int
    expected: Owner | None = None


class Listing(NamedTuple):
    """A transaction as ListTransactions shows it."""

    transactional_id: str
    producer_id: int
    state: TransactionState
    started: int


class TransactionsMachine:
    """The state of one shard and the decisions on it."""

    def __init__(
        self,
        settings: TransactionSettings,
        level: Callable[[], int],
        budget: Budget | None = None,
        on_prepared: Callable[[], None] = lambda: None,
    ) -> None:
        """`level` gives the cluster's `transaction.version`; `budget` is shared by all machines of a broker."""
        self.account = Held()
        self.prepared: dict[str, None] = {}
        """The ids whose markers are owed, in the order of their decisions."""
        self._settings = settings
        self._level = level
        self._budget = budget or Budget(settings.max_state, lambda: self.account.bytes)
        self._on_prepared = on_prepared
        self._transactions: dict[str, Transaction] = {}
        self._deadlines: Deadlines[str] = Deadlines()
        self._search: Iterator[str] | None = None

    def __len__(self) -> int:
        return len(self._transactions)

    def get(self, transactional_id: str) -> Transaction | None:
        """All that is known of the id, durable or not."""
        return self._transactions.get(transactional_id)

    # --- owners

    def decide_init(
        self, request: Initialization, fresh_id: int | None, now: Instant, promise: Promise[Owner | None]
    ) -> Decision[TransactionRecord]:
        """InitProducerId. The reply is the owner; or None: ask again, with a producer id that was never used."""
        settings, transactional_id = self._settings, request.transactional_id
        if not transactional_id:
            return _refused(promise, ErrorCode.INVALID_REQUEST)
        if not 0 < request.timeout <= settings.max_timeout:
            return _refused(promise, ErrorCode.INVALID_TRANSACTION_TIMEOUT)
        old = self._transactions.get(transactional_id)
        if old is None:
            if fresh_id is None:
                return _answer(promise, None)
            if not self._budget.allows(TRANSACTION_BYTES + len(transactional_id.encode())):
                return _refused(promise, ErrorCode.POLICY_VIOLATION)
            new = Transaction(
                transactional_id=transactional_id,
                producer_id=fresh_id,
                producer_epoch=0,
                previous_producer_id=fresh_id,
                timeout=request.timeout,
                state=TransactionState.EMPTY,
                updated=now.wall,
            )
            self._watch_for_unused(now)
            return self._written(new, promise, Owner(fresh_id, 0))
        if request.expected is not None and not _may_be_owner(request.expected, old):
            return _refused(promise, ErrorCode.PRODUCER_FENCED)
        if old.is_prepared:
            return _refused(promise, ErrorCode.CONCURRENT_TRANSACTIONS)
        if old.state is TransactionState.ONGOING:
            return self._fence(old, fresh_id, now, promise)
        return self._own_again(old, request, fresh_id, now, promise)

    def _fence(
        self, old: Transaction, fresh_id: int | None, now: Instant, promise: Promise[Owner | None]
    ) -> Decision[TransactionRecord]:
        """Abort what another owner has left open; the client asks again when that is done."""
        level = self._level()
        needs_id = old.is_epoch_exhausted and level >= VERSION_2
        if needs_id and fresh_id is None:
            return _answer(promise, None)
        next_id = fresh_id if needs_id and fresh_id is not None else NO_PRODUCER_ID
        return self._written(
            fenced(old, level, next_id, now.wall), promise, KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
        )

    def _own_again(
        self,
        old: Transaction,
        request: Initialization,
        fresh_id: int | None,
        now: Instant,
        promise: Promise[Owner | None],
    ) -> Decision[TransactionRecord]:
        expected = request.expected
        owner, last_epoch = Owner(old.producer_id, old.producer_epoch), old.last_producer_epoch
        if expected is None or expected.producer_epoch == old.producer_epoch:
            last_epoch = NO_PRODUCER_EPOCH if expected is None else old.producer_epoch
            if not old.is_epoch_exhausted:
                owner = Owner(old.producer_id, old.producer_epoch + 1)
            elif fresh_id is None:
                return _answer(promise, None)
            else:
                owner = Owner(fresh_id, 0)
        elif expected.producer_epoch != old.last_producer_epoch:
            return _refused(promise, ErrorCode.PRODUCER_FENCED)
        new = initialized(old, *owner, last_epoch, request.timeout, now.wall)
        return self._written(new, promise, owner)

    # --- partitions

    def decide_add(
        self,
        transactional_id: str,
        owner: Owner,
        partitions: Mapping[str, Collection[int]],
        client_version: int,
        now: Instant,
        promise: Promise[ErrorCode],
    ) -> Decision[TransactionRecord]:
        """Let partitions join the transaction, which begins if none is open. The reply is a code for all of them."""
        old = self._transactions.get(transactional_id)
        error = _error_of_owner(transactional_id, old, owner)
        if error is not ErrorCode.NONE:
            return _answer(promise, error)
        assert old is not None
        if old.state is TransactionState.ONGOING and old.has_all(partitions):
            return _answer(promise, ErrorCode.NONE)
        all_of_them = union(old.partitions, partitions)
        if not self._has_room(old.partitions, all_of_them):
            return _answer(promise, ErrorCode.TRANSACTION_ABORTABLE)
        new = with_partitions(old, all_of_them, client_version, now.wall)
        if old.state is not TransactionState.ONGOING:
            self._deadlines.set(transactional_id, now.monotonic + old.timeout)
        return self._written(new, promise, ErrorCode.NONE)

    def _has_room(self, before: Partitions, after: Partitions) -> bool:
        return (
            count(after) <= self._settings.max_partitions
            and value_size(after) <= self._settings.max_value
            and self._budget.allows(_partition_bytes(after) - _partition_bytes(before))
        )

    def verify(
        self, transactional_id: str, owner: Owner, partitions: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ErrorCode]:
        """Whether these partitions belong to the owner's open transaction."""
        known = self._transactions.get(transactional_id)
        error = _error_of_owner(transactional_id, known, owner)
        if error is not ErrorCode.NONE or known is None:
            return dict.fromkeys(partitions, error)
        return {place: ErrorCode.NONE if known.has(*place) else ErrorCode.TRANSACTION_ABORTABLE for place in partitions}

    # --- ends

    def decide_end(
        self,
        transactional_id: str,
        owner: Owner,
        commit: bool,
        client_version: int,
        fresh_id: int | None,
        now: Instant,
        promise: Promise[Owner | None],
    ) -> Decision[TransactionRecord]:
        """EndTxn. The reply is the owner from now on; or None: ask again, with a producer id that was never used."""
        if not transactional_id:
            return _refused(promise, ErrorCode.INVALID_REQUEST)
        old = self._transactions.get(transactional_id)
        judged = judge_end(old, *owner, commit, client_version)
        if isinstance(judged, ErrorCode):
            return _refused(promise, judged)
        assert old is not None
        if judged is Ending.DONE:
            return _answer(promise, Owner(old.producer_id, old.producer_epoch))
        next_id = NO_PRODUCER_ID
        if client_version >= VERSION_2 and old.is_epoch_exhausted:
            if fresh_id is None:
                return _answer(promise, None)
            next_id = fresh_id
        new = ended(old, commit, client_version, next_id, now.wall)
        following = Owner(new.producer_id, new.producer_epoch) if next_id == NO_PRODUCER_ID else Owner(next_id, 0)
        return self._written(new, promise, following)

    def decide_complete(
        self, transactional_id: str, owner: Owner, now: Instant, promise: Promise[None]
    ) -> Decision[TransactionRecord]:
        """All markers of the transaction that was prepared under `owner` are durable; of another one, nothing is
        known."""
        old = self._transactions.get(transactional_id)
        if old is None or not old.is_prepared or owner != (old.producer_id, old.producer_epoch):
            return _answer(promise, None)
        return self._written(completed(old, now.wall), promise, None)

    # --- looking

    def described(self, transactional_id: str) -> Transaction | None:
        """The id as DescribeTransactions shows it; None if it is not known."""
        return self._transactions.get(transactional_id)

    def listed(
        self, states: Collection[TransactionState] | None, producer_ids: Collection[int], duration: int, now_wall: int
    ) -> list[Listing]:
        """The ids in one of `states` (None: any), of one of `producer_ids` (none: any), whose transaction began more
        than `duration` milliseconds ago (below 0: at any time)."""
        return [
            Listing(each.transactional_id, each.producer_id, each.state, each.started)
            for each in self._transactions.values()
            if (states is None or each.state in states)
            and (not producer_ids or each.producer_id in producer_ids)
            and (duration < 0 or now_wall - each.started > duration)
        ]

    # --- the contract of a machine

    def replay(self, record: TransactionRecord) -> None:
        """Take over what a record says."""
        transactional_id, new = record
        old = self._transactions.get(transactional_id)
        if old is not None:
            self.account.bytes -= _bytes_of(old)
        if new is None:
            self._transactions.pop(transactional_id, None)
            self.prepared.pop(transactional_id, None)
            return
        self._transactions[transactional_id] = new
        self.account.bytes += _bytes_of(new)
        if new.state is not TransactionState.ONGOING:
            self._deadlines.cancel(transactional_id)
        if new.is_prepared:
            self.prepared[transactional_id] = None
            self._on_prepared()
        else:
            self.prepared.pop(transactional_id, None)

    def loaded(self, now: Instant) -> Iterator[None]:
        """Every open transaction gets what is left of its time."""
        if self._transactions:
            self._watch_for_unused(now)
        for each in self._transactions.values():
            if each.state is TransactionState.ONGOING:
                left = min(max(0, each.started + each.timeout - now.wall), each.timeout)
                self._deadlines.set(each.transactional_id, now.monotonic + left)
            yield

    def next_deadline(self) -> int | None:
        """When the next deadline comes, in monotonic milliseconds."""
        return self._deadlines.nearest()

    def decide_expired(self, now: Instant) -> Decision[TransactionRecord]:
        """Abort the transactions whose time is up, or go on searching for unused ids."""
        records: list[TransactionRecord] = []
        latest = self._deadlines.latest
        partitions = 0
        while len(records) < self._settings.expiry_batch and partitions < self._settings.max_partitions:
            name = self._deadlines.pop_due(now.monotonic, latest)
            if name is None:
                break
            if name == EXPIRY:
                records += self._unused(now)
                break
            old = self._transactions.get(name)
            if old is None or old.state is not TransactionState.ONGOING:
                continue  # its first partitions could not be written down
            self._deadlines.set(name, now.monotonic + AGAIN_AFTER_MS)
            records.append(TransactionRecord(name, fenced(old, self._level(), NO_PRODUCER_ID, now.wall)))
            partitions += count(old.partitions)
        return Decision(records)

    def encode(self, record: TransactionRecord, now: Instant) -> RecordData:
        """A record as Kafka writes it."""
        return encode_transaction_record(record, self._level(), now.wall)

    def decode(self, data: RecordData) -> TransactionRecord:
        """The record."""
        return decode_transaction_record(data)

    # --- forgetting

    def _watch_for_unused(self, now: Instant) -> None:
        """Ids are looked through at every interval while there are any."""
        if EXPIRY not in self._deadlines:
            self._deadlines.set(EXPIRY, now.monotonic + self._settings.expiration_interval)

    def _unused(self, now: Instant) -> Sequence[TransactionRecord]:
        """Go on with the search: tombstones of ids that have been unused for too long."""
        if self._search is None:
            self._search = iter(list(self._transactions))
        found: list[TransactionRecord] = []
        for _ in range(LOOKS):
            transactional_id = next(self._search, None)
            if transactional_id is None:
                self._search = None
                if self._transactions:
                    self._watch_for_unused(now)
                return found
            known = self._transactions.get(transactional_id)
            if known is not None and self._is_unused(known, now.wall):
                found.append(TransactionRecord(transactional_id, None))
                if len(found) >= self._settings.expiry_batch:
                    break
        self._deadlines.set(EXPIRY, now.monotonic if found else now.monotonic + 1)  # others come in between
        return found

    def _is_unused(self, transaction: Transaction, now_wall: int) -> bool:
        return transaction.state in SETTLED and transaction.updated <= now_wall - self._settings.id_expiration

    # ---

    def _written(self, new: Transaction, promise: Promise[Any], reply: Any) -> Decision[TransactionRecord]:
        return Decision([TransactionRecord(new.transactional_id, new)], [(promise, reply)])

    def check(self) -> None:
        """What the state promises."""
        self._deadlines.check()
        assert self.account.bytes == sum(map(_bytes_of, self._transactions.values())), "the account is what is held"
        assert set(self.prepared) == {name for name, each in self._transactions.items() if each.is_prepared}
        for transactional_id, each in self._transactions.items():
            assert each.transactional_id == transactional_id
            assert each.producer_id >= 0 and 0 <= each.producer_epoch <= LAST_EPOCH
            assert all(each.partitions.values()), "a topic without partitions"
            if each.state is TransactionState.ONGOING:
                assert transactional_id in self._deadlines, f"{transactional_id} would never time out"
                assert each.started >= 0
            else:
                assert each.is_prepared or not each.partitions, "partitions of no transaction"
                assert each.is_prepared or each.next_producer_id == NO_PRODUCER_ID


def _may_be_owner(expected: Owner, known: Transaction) -> bool:
    """The producer id of now, or the one before, if that has been given up because its epochs were used up: then this
    is a request that was answered before."""
    return expected.producer_id == known.producer_id or (
        expected.producer_id == known.previous_producer_id and expected.producer_epoch >= LAST_EPOCH - 1
    )


def _error_of_owner(transactional_id: str, known: Transaction | None, owner: Owner) -> ErrorCode:
    """Why this producer may not add or verify partitions."""
    if not transactional_id:
        return ErrorCode.INVALID_REQUEST
    if known is None or known.producer_id != owner.producer_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if known.producer_epoch != owner.producer_epoch:
        return ErrorCode.PRODUCER_FENCED
    return ErrorCode.CONCURRENT_TRANSACTIONS if known.is_prepared else ErrorCode.NONE


def _partition_bytes(partitions: Partitions) -> int:
    return sum(TOPIC_BYTES + len(topic) + PARTITION_BYTES * len(each) for topic, each in partitions.items())


def _bytes_of(transaction: Transaction) -> int:
    return TRANSACTION_BYTES + len(transaction.transactional_id.encode()) + _partition_bytes(transaction.partitions)


def _answer(promise: Promise[Any], reply: Any) -> Decision[TransactionRecord]:
    return Decision(replies=((promise, reply),))


def _refused(promise: Promise[Any], code: ErrorCode) -> Decision[TransactionRecord]:
    return Decision(replies=((promise, KafkaError(code)),))
