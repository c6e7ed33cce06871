"""A transactional id and the states of its transaction, as a table. What is not in the table is a defect.

The whole state of a transactional id is one value, `Transaction`, which is also what its record says (`records.py`).
Each transition makes a new value, and replaying the record puts it in the place of the one before. So what the broker
knows after a crash is what the log says last about each id, and nothing else.

`diagram` prints the table as it stands in `docs/transactions.md`.

**Who owns the id** is a producer id with an epoch. A client that initializes the id raises the epoch, and from then on
older owners are *fenced*: every request and every batch of theirs is refused. With version 2 of transactions (KIP-890)
each end of a transaction raises the epoch too. So a batch or an EndTxn that was delayed on its way, and arrives when
the next transaction is open, cannot be taken for a part of that one. Epoch 32767 is never given to a client, so that
the last owner of a producer id can still be fenced. Once an owner has 32766, the id gets a new producer id, which
stands in `next_producer_id` while the markers of the last transaction are written.

**When a transaction is decided.** PREPARE_COMMIT and PREPARE_ABORT are the decision: from the moment that their record
is durable, nothing can change the outcome, and markers may be written. COMPLETE_COMMIT and COMPLETE_ABORT say that all
markers are durable, and the next transaction may begin. A crash between the two finds the decision in the log, and the
markers are written again; a marker that comes twice has no effect.

Kafka has two more states, which stand in no log: DEAD is an id about to be forgotten, PREPARE_EPOCH_FENCE an open
transaction about to be aborted for another owner. Here both are one step, the decision itself. Clients may name them in
filters.

Sources: KIP-98, KIP-360, KIP-890; Kafka's TransactionState, TransactionMetadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from typing import Final, TypeAlias

from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP

LAST_EPOCH: Final = 2**15 - 1
"""Never given to a client: the epoch that fences the last owner of a producer id."""

VERSION_2: Final = 2
"""`transaction.version` from which on each end of a transaction raises the epoch, and partitions join by Produce and
TxnOffsetCommit alone (KIP-890)."""

Partitions: TypeAlias = Mapping[str, frozenset[int]]
"""Topic -> partitions; no topic has none."""

NO_PARTITIONS: Final[Partitions] = {}


class TransactionState(IntEnum):
    """The value is that of Kafka's records."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5

    @property
    def label(self) -> str:
        """The name on the wire (DescribeTransactions, ListTransactions)."""
        return self.name.title().replace("_", "")


STATES_BY_LABEL: Final[Mapping[str, TransactionState | None]] = {
    **{state.label: state for state in TransactionState},
    "Dead": None,
    "PrepareEpochFence": None,
}
"""The names that a filter may have; None for a state that no transactional id is ever seen in."""


class TransactionEvent(Enum):
    """What moves a transactional id from one state to the next."""

    INITIALIZED = "InitProducerId"
    PARTITIONS_ADDED = "partitions added"
    COMMITTED = "EndTxn: commit"
    ABORTED = "EndTxn: abort"
    FENCED = "another owner, or time-out"
    MARKERS_WRITTEN = "all markers durable"
    EXPIRED = "unused for too long"


_SETTLED: Final = {
    TransactionEvent.INITIALIZED: TransactionState.EMPTY,
    TransactionEvent.PARTITIONS_ADDED: TransactionState.ONGOING,
    TransactionEvent.ABORTED: TransactionState.PREPARE_ABORT,
    TransactionEvent.EXPIRED: None,
}

TRANSITIONS: Final[Mapping[TransactionState, Mapping[TransactionEvent, TransactionState | None]]] = {
    TransactionState.EMPTY: _SETTLED,
    TransactionState.ONGOING: {
        TransactionEvent.PARTITIONS_ADDED: TransactionState.ONGOING,
        TransactionEvent.COMMITTED: TransactionState.PREPARE_COMMIT,
        TransactionEvent.ABORTED: TransactionState.PREPARE_ABORT,
        TransactionEvent.FENCED: TransactionState.PREPARE_ABORT,
    },
    TransactionState.PREPARE_COMMIT: {TransactionEvent.MARKERS_WRITTEN: TransactionState.COMPLETE_COMMIT},
    TransactionState.PREPARE_ABORT: {TransactionEvent.MARKERS_WRITTEN: TransactionState.COMPLETE_ABORT},
    TransactionState.COMPLETE_COMMIT: _SETTLED,
    TransactionState.COMPLETE_ABORT: _SETTLED,
}
"""State -> what may happen in it, and where that leads; None: the id is forgotten. An EndTxn that aborts where nothing
is open is one of version 2: its client cannot know whether the partitions that it wanted to add were added."""

PREPARED: Final = frozenset({TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT})
"""The transaction is decided, and its markers are being written."""

SETTLED: Final = frozenset({state for state, moves in TRANSITIONS.items() if moves is _SETTLED})
"""No transaction is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """All that is known of a transactional id. Times in wall milliseconds."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    previous_producer_id: int = NO_PRODUCER_ID
    """The one before this transition: mostly the same."""
    next_producer_id: int = NO_PRODUCER_ID
    """The one that the owner has been given, while the markers under `producer_id` are being written."""
    last_producer_epoch: int = NO_PRODUCER_EPOCH
    """The epoch that `producer_epoch` was raised from, if the owner raised it: its request may come again. Kafka's
    records have no place for it; after a load the repeated request is refused."""
    timeout: int
    """How long a transaction may stay open, in milliseconds."""
    state: TransactionState
    partitions: Partitions = field(default_factory=dict)
    started: int = NO_TIMESTAMP
    updated: int
    client_version: int = 0
    """The `transaction.version` that the client of the last step has shown to know."""

    @property
    def is_epoch_exhausted(self) -> bool:
        """True if the owner has the last epoch that a client may have."""
        return self.producer_epoch >= LAST_EPOCH - 1

    @property
    def is_prepared(self) -> bool:
        """True from the decision until all markers are durable."""
        return self.state in PREPARED

    @property
    def commits(self) -> bool:
        """Which marker is to be written."""
        assert self.state in PREPARED, "a transaction is decided before it has an outcome"
        return self.state is TransactionState.PREPARE_COMMIT

    def has(self, topic: str, partition: int) -> bool:
        """Whether this partition belongs to the transaction."""
        return partition in self.partitions.get(topic, ())

    def has_all(self, partitions: Mapping[str, Collection[int]]) -> bool:
        """Whether all of these do."""
        return all(self.partitions.get(topic, frozenset()).issuperset(wanted) for topic, wanted in partitions.items())


def moved(old: Transaction, event: TransactionEvent, now_wall: int, **changes: object) -> Transaction:
    """`old` after `event`, with these further changes."""
    assert event in TRANSITIONS[old.state], f"a transaction in {old.state.label} cannot see '{event.value}'"
    state = TRANSITIONS[old.state][event]
    assert state is not None, "an id that is forgotten has no next state"
    new = replace(old, state=state, previous_producer_id=old.producer_id, updated=now_wall)
    return replace(new, **changes) if changes else new  # type: ignore[arg-type]  # fields of the dataclass


# --- the transitions, one function each


def initialized(old: Transaction, producer_id: int, epoch: int, last_epoch: int, timeout: int, now: int) -> Transaction:
    """The id has an owner, new or confirmed, and no transaction."""
    return moved(
        old,
        TransactionEvent.INITIALIZED,
        now,
        producer_id=producer_id,
        producer_epoch=epoch,
        last_producer_epoch=last_epoch,
        timeout=timeout,
        partitions=NO_PARTITIONS,
        started=NO_TIMESTAMP,
    )


def with_partitions(old: Transaction, partitions: Partitions, client_version: int, now: int) -> Transaction:
    """The transaction has these partitions, those from before among them; it begins with the first."""
    return moved(
        old,
        TransactionEvent.PARTITIONS_ADDED,
        now,
        partitions=partitions,
        started=old.started if old.state is TransactionState.ONGOING else now,
        client_version=client_version,
    )


def ended(old: Transaction, commit: bool, client_version: int, next_producer_id: int, now: int) -> Transaction:
    """The owner has decided. Version 2 raises the epoch; `next_producer_id` is -1 unless the epochs are used up."""
    raised = client_version >= VERSION_2
    return moved(
        old,
        TransactionEvent.COMMITTED if commit else TransactionEvent.ABORTED,
        now,
        producer_epoch=old.producer_epoch + raised,
        last_producer_epoch=old.producer_epoch if raised else old.last_producer_epoch,
        next_producer_id=next_producer_id,
        started=old.started if old.state is TransactionState.ONGOING else now,
        client_version=client_version if raised else 0,
    )


def fenced(old: Transaction, version: int, next_producer_id: int, now: int) -> Transaction:
    """The owner has been too slow, or there is another one: the transaction is aborted and the epoch raised.

    `version` is the cluster's `transaction.version`. From 2 on the old owner may abort once more, and so learn its new
    epoch. `next_producer_id` may be -1 also where the epochs are used up: the next owner then gets an id of its own.
    """
    assert old.producer_epoch < LAST_EPOCH, "an epoch that can be fenced"
    return moved(
        old,
        TransactionEvent.FENCED,
        now,
        producer_epoch=old.producer_epoch + 1,
        last_producer_epoch=old.producer_epoch if version >= VERSION_2 else NO_PRODUCER_EPOCH,
        next_producer_id=next_producer_id,
        client_version=version if version >= VERSION_2 else 0,
    )


def completed(old: Transaction, now: int) -> Transaction:
    """All markers are durable. A producer id whose epochs are used up makes place for the next one."""
    changes: dict[str, object] = {"partitions": NO_PARTITIONS, "next_producer_id": NO_PRODUCER_ID}
    if old.client_version >= VERSION_2 and old.next_producer_id != NO_PRODUCER_ID:
        changes |= {"producer_id": old.next_producer_id, "producer_epoch": 0}
    return moved(old, TransactionEvent.MARKERS_WRITTEN, now, **changes)


# --- partitions


def union(one: Partitions, other: Mapping[str, Collection[int]]) -> Partitions:
    """The partitions of both."""
    both = dict(one)
    for topic, partitions in other.items():
        if partitions:
            both[topic] = both.get(topic, frozenset()).union(partitions)
    return both


def count(partitions: Mapping[str, Collection[int]]) -> int:
    """How many there are."""
    return sum(map(len, partitions.values()))


def ordered(partitions: Mapping[str, Collection[int]]) -> Iterator[tuple[str, int]]:
    """One after the other, by topic and number."""
    for topic in sorted(partitions):
        for partition in sorted(partitions[topic]):
            yield topic, partition


def diagram() -> str:
    """The table of transitions in the language of Mermaid, which shows it as a picture."""
    lines = ["stateDiagram-v2", "    [*] --> Empty: InitProducerId"]
    for state, moves in TRANSITIONS.items():
        for event, following in moves.items():
            target = "[*]" if following is None else following.label
            lines.append(f"    {state.label} --> {target}: {event.value.replace(':', '')}")
    return "\n".join(lines) + "\n"
