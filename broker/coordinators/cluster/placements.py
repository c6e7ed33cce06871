"""Where the partitions of a topic are kept, as Kafka's records say: of use to Kafka only, and kept for it.

On one node every partition lies here and nowhere else, whatever a record says of replicas. But a snapshot has to say
what the records before it said, or Kafka would find replicas, directories and epochs gone. A hundred thousand
partitions mostly say the same, so a `Placement` is a value that partitions share; a topic keeps the one that its first
partition has, and besides only what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kproto.formats.cluster_metadata import PartitionChangeRecord, PartitionRecord
from kproto.ids import Uuid

NO_LEADER_CHANGE = -2
"""What a PartitionChangeRecord says that is about something else; -1 means that there is no leader for now."""

NO_RECOVERY_CHANGE = -1


class Placement(NamedTuple):
    """A PartitionRecord without what differs from one partition to the next: numbers, ids and epochs."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    removing_replicas: tuple[int, ...]
    adding_replicas: tuple[int, ...]
    leader: int
    leader_recovery_state: int
    directories: tuple[Uuid, ...]
    eligible_leader_replicas: tuple[int, ...]
    last_known_elr: tuple[int, ...]

    def merged(self, change: PartitionChangeRecord) -> Placement:
        """What becomes of it by a change (Kafka: PartitionRegistration.merge)."""
        return Placement(
            _or(change.replicas, self.replicas),
            _or(change.isr, self.isr),
            _or(change.removing_replicas, self.removing_replicas),
            _or(change.adding_replicas, self.adding_replicas),
            self.leader if change.leader == NO_LEADER_CHANGE else change.leader,
            self.leader_recovery_state
            if change.leader_recovery_state == NO_RECOVERY_CHANGE
            else change.leader_recovery_state,
            self.directories if change.directories is None else tuple(change.directories),
            _or(change.eligible_leader_replicas, self.eligible_leader_replicas),
            _or(change.last_known_elr, self.last_known_elr),
        )

    def without_elr(self) -> Placement:
        """What becomes of it by a ClearElrRecord."""
        return self._replace(eligible_leader_replicas=(), last_known_elr=())

    def record(self, topic_id: Uuid, partition: int, leader_epoch: int, partition_epoch: int) -> PartitionRecord:
        """The PartitionRecord of a partition that is placed so."""
        return PartitionRecord(
            partition_id=partition,
            topic_id=topic_id,
            replicas=list(self.replicas),
            isr=list(self.isr),
            removing_replicas=list(self.removing_replicas),
            adding_replicas=list(self.adding_replicas),
            leader=self.leader,
            leader_recovery_state=self.leader_recovery_state,
            leader_epoch=leader_epoch,
            partition_epoch=partition_epoch,
            directories=list(self.directories),
            eligible_leader_replicas=list(self.eligible_leader_replicas) or None,
            last_known_elr=list(self.last_known_elr) or None,
        )


def _or(numbers: Sequence[int] | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    return otherwise if numbers is None else tuple(numbers)


def placement_of(record: PartitionRecord) -> Placement:
    """Where a record puts its partition."""
    return Placement(
        tuple(record.replicas),
        tuple(record.isr),
        tuple(record.removing_replicas),
        tuple(record.adding_replicas),
        record.leader,
        record.leader_recovery_state,
        tuple(record.directories),
        tuple(record.eligible_leader_replicas or ()),
        tuple(record.last_known_elr or ()),
    )


class TopicPlacements:
    """Placements and partition epochs of one topic's partitions."""

    __slots__ = ("_first", "_others", "_partition_epochs")

    def __init__(self) -> None:
        self._first: Placement | None = None
        self._others: dict[int, Placement] | None = None
        self._partition_epochs: dict[int, int] | None = None  # where they are not 0

    def copy(self) -> TopicPlacements:
        """The same, for a reader while this one changes."""
        copied = TopicPlacements()
        copied._first = self._first
        copied._others = None if self._others is None else dict(self._others)
        copied._partition_epochs = None if self._partition_epochs is None else dict(self._partition_epochs)
        return copied

    def add(self, partition: int, placement: Placement, partition_epoch: int) -> None:
        """A partition is made."""
        if self._first is None:
            self._first = placement
        self._set(partition, placement)
        if partition_epoch > 0:
            self._set_epoch(partition, partition_epoch)

    def add_alike(self, partitions: range, placement: Placement) -> None:
        """New partitions are made, all in the same place."""
        if self._first is None:
            self._first = placement
        if placement != self._first:
            if self._others is None:
                self._others = {}
            self._others.update(dict.fromkeys(partitions, placement))

    def change(self, change: PartitionChangeRecord) -> None:
        """Something about a partition has changed."""
        partition = change.partition_id
        self._set(partition, self.of(partition).merged(change))
        self._set_epoch(partition, self.partition_epoch(partition) + 1)

    def clear_elr(self, partitions: range) -> None:
        """No partition has eligible leaders outside its in-sync replicas any more."""
        for partition in partitions:
            self._set(partition, self.of(partition).without_elr())

    def _set(self, partition: int, placement: Placement) -> None:
        if placement != self._first:
            if self._others is None:
                self._others = {}
            self._others[partition] = placement
        elif self._others is not None:
            self._others.pop(partition, None)

    def _set_epoch(self, partition: int, epoch: int) -> None:
        if self._partition_epochs is None:
            self._partition_epochs = {}
        self._partition_epochs[partition] = epoch

    def of(self, partition: int) -> Placement:
        """Where a partition is."""
        assert self._first is not None, "a topic has a partition before it is asked for one"
        return self._first if self._others is None else self._others.get(partition, self._first)

    def partition_epoch(self, partition: int) -> int:
        """How often something about the partition has changed."""
        return 0 if self._partition_epochs is None else self._partition_epochs.get(partition, 0)
