"""A member of a consumer group: what it said of itself, and what it owns.

A member is a value. Decisions make another one, write down how it differs, and replaying that record puts it in place.
Two records make a member:

    ConsumerGroupMemberMetadata      who it is and what it wants; written when it says something else
    ConsumerGroupCurrentMemberAssignment   its epoch and what it owns; written when it takes a step
    (`reconciliation.py`)

**Epochs.** `epoch` is the target assignment that the member has come to. 0: it is about to join; -1: it is gone, of
which the log keeps a trace between two tombstones; -2: a static member that has left and is expected back. The epoch
before that is remembered since the answer with the new one may have been lost: the member then repeats its request.

**What it owns** is `assigned`, what it may read, and `revoking`, what it has been asked to give up and may still be
reading. No other member may have either. Each partition carries the epoch at which the member got it (KIP-1251): a
commit that is older than that is a stale one.

Source: Kafka's ConsumerGroupMember, MemberState.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from broker.coordinators.groups.records import text_size
from kproto.formats.consumer_offsets import (
    ClassicMemberMetadata,
    ConsumerGroupCurrentMemberAssignmentTopicPartitions,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
)
from kproto.ids import Uuid

Partitions: TypeAlias = Mapping[int, int]
"""Partition -> the epoch at which the member got it."""

Owned: TypeAlias = Mapping[Uuid, Partitions]
"""Topic id -> partitions; no topic is without."""

NOTHING: Final[Owned] = {}

JOINING_EPOCH: Final = 0
LEAVING_EPOCH: Final = -1
LEAVING_FOR_A_WHILE_EPOCH: Final = -2
"""Of a static member, which keeps its place."""


class MemberState(IntEnum):
    """How far a member is on the way to its target assignment; the value is that of the record."""

    STABLE = 0
    """It owns what its target says, for its epoch."""
    UNREVOKED_PARTITIONS = 1
    """It has to give up partitions, and has not said yet that it did."""
    UNRELEASED_PARTITIONS = 2
    """It has given up what it had to, and waits for what other members have not given up."""
    UNKNOWN = 127
    """A state of a newer Kafka."""


class ConsumerMember(NamedTuple):
    """One member."""

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: frozenset[str] = frozenset()
    """Names that it subscribes to."""
    expression: str = ""
    """The regular expression that it subscribes by; empty: none."""
    rebalance_timeout: int = -1
    """Milliseconds that it may take to give up partitions."""
    assignor: str | None = None
    """The assignor that it would like."""
    classic: ClassicMemberMetadata | None = None
    """What it said in JoinGroup, if it speaks the classic protocol."""
    epoch: int = JOINING_EPOCH
    previous_epoch: int = -1
    state: MemberState = MemberState.STABLE
    assigned: Owned = NOTHING
    revoking: Owned = NOTHING

    def is_reconciled_to(self, epoch: int) -> bool:
        """True when the member owns what the target of this epoch says."""
        return self.state is MemberState.STABLE and self.epoch == epoch

    def at_epoch(self, epoch: int) -> ConsumerMember:
        """The member at this epoch, with the one of now as the one before."""
        return self._replace(epoch=epoch, previous_epoch=self.epoch)

    def assignment_epoch(self, topic_id: Uuid, partition: int) -> int | None:
        """At which epoch the member got this partition; None if it does not own it."""
        found = self.assigned.get(topic_id, {}).get(partition)
        return self.revoking.get(topic_id, {}).get(partition) if found is None else found

    # --- as records

    def metadata_value(self) -> ConsumerGroupMemberMetadataValue:
        """Who it is and what it wants."""
        return ConsumerGroupMemberMetadataValue(
            instance_id=self.instance_id,
            rack_id=self.rack_id,
            client_id=self.client_id,
            client_host=self.client_host,
            subscribed_topic_names=sorted(self.topics),
            subscribed_topic_regex=self.expression,
            rebalance_timeout_ms=self.rebalance_timeout,
            server_assignor=self.assignor,
            classic_member_metadata=self.classic,
        )

    def with_metadata(self, value: ConsumerGroupMemberMetadataValue) -> ConsumerMember:
        """The member as this record says."""
        return self._replace(
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=frozenset(value.subscribed_topic_names),
            expression=value.subscribed_topic_regex or "",
            rebalance_timeout=value.rebalance_timeout_ms,
            assignor=value.server_assignor,
            classic=value.classic_member_metadata,
        )

    def assignment_value(self) -> ConsumerGroupCurrentMemberAssignmentValue:
        """Its epoch, and what it owns."""
        return ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=self.epoch,
            previous_member_epoch=self.previous_epoch,
            state=self.state,
            assigned_partitions=_written(self.assigned),
            partitions_pending_revocation=_written(self.revoking),
        )

    def with_assignment(self, value: ConsumerGroupCurrentMemberAssignmentValue) -> ConsumerMember:
        """The member as this record says. A record of Kafka before 4.3 has no epochs of partitions: the member's
        counts."""
        return self._replace(
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            state=_state(value.state),
            assigned=_read(value.assigned_partitions, value.member_epoch),
            revoking=_read(value.partitions_pending_revocation, value.member_epoch),
        )

    def without_assignment(self) -> ConsumerMember:
        """The member when the record of what it owns is gone."""
        return self._replace(epoch=-1, previous_epoch=-1, assigned=NOTHING, revoking=NOTHING)

    @property
    def metadata_size(self) -> int:
        """Bytes of its strings, without the names of topics."""
        classic = self.classic
        protocols = () if classic is None else classic.supported_protocols
        return (
            sum(map(text_size, (self.member_id, self.instance_id, self.rack_id, self.client_id, self.client_host)))
            + text_size(self.expression)
            + text_size(self.assignor)
            + sum(text_size(each.name) + len(each.metadata) for each in protocols)
        )


NAMES_FIXED: Final = 4
"""Bytes of a name in a record beside its text, at most."""


def names_size(names: Iterable[str]) -> int:
    """Bytes that names of topics take in a record."""
    return sum(text_size(name) + NAMES_FIXED for name in names)


def owned(assignment: Mapping[Uuid, Iterable[int]], epoch: int) -> Owned:
    """These partitions, all of them got at `epoch`."""
    return {topic_id: dict.fromkeys(partitions, epoch) for topic_id, partitions in assignment.items()}


def count(partitions: Mapping[Uuid, Sequence[int] | Partitions]) -> int:
    """How many partitions these are."""
    return sum(map(len, partitions.values()))


def _state(value: int) -> MemberState:
    try:
        return MemberState(value)
    except ValueError:
        return MemberState.UNKNOWN


def _written(partitions: Owned) -> list[ConsumerGroupCurrentMemberAssignmentTopicPartitions]:
    return [
        ConsumerGroupCurrentMemberAssignmentTopicPartitions(
            topic_id=topic_id, partitions=list(epochs), assignment_epochs=list(epochs.values())
        )
        for topic_id, epochs in partitions.items()
    ]


def _read(written: Iterable[ConsumerGroupCurrentMemberAssignmentTopicPartitions], epoch: int) -> Owned:
    found: dict[Uuid, Partitions] = {}
    for each in written:
        epochs = each.assignment_epochs
        if epochs is None or len(epochs) != len(each.partitions):
            found[each.topic_id] = dict.fromkeys(each.partitions, max(epoch, 0))
        else:
            found[each.topic_id] = dict(zip(each.partitions, epochs, strict=True))
    return found
