"""Offsets that were committed inside transactions which are still open: they count when the transaction commits.

A consumer that transforms what it reads commits its offsets with the producer of the results (TxnOffsetCommit), so that
both become visible together, or neither does. The records stand in the group's shard at once, under the producer's id;
the transaction's marker, which the transaction coordinator writes into the shard, makes them count (commit) or void
(abort).

    TxnOffsetCommit ──> pending, by producer id ──marker: commit──> committed
                                └──────────────────marker: abort───> forgotten

Rules, each of which a replay of the log keeps too:

- **The latest record counts.** A commit outside of any transaction, or of another one, may come between a pending
  offset and its marker. It is the newer one then, and the marker does not undo it: the pending offset is *overtaken*.
  By position in the log, not by time.
- **A tombstone forgets** the pending offsets of its partition as well: the offset, the group or the topic is gone.
- **Unstable** is a partition with a pending offset, also an overtaken one. A reader that asks for stable offsets is
  told to wait (KIP-447): a consumer that takes the partition over would else begin before the results it must not
  repeat.
- While a group has pending offsets, it is not forgotten, nor is a committed offset of the same partition.

What a transaction may have pending in one shard is bounded (`GroupSettings.max_pending_offsets`), since its marker
moves all of it in one step; and all of it counts in the memory of groups.

Source: KIP-98, KIP-447; Kafka's OffsetMetadataManager.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from broker.coordinators.budget import Held
from broker.coordinators.groups.offsets import TopicCommits
from broker.coordinators.groups.records import OffsetCommitRecord, text_size
from kproto.formats.consumer_offsets import OffsetCommitValue
from kproto.ids import TopicPartition, Uuid

PENDING_OFFSET_BYTES: Final = 650
"""Of a pending offset beside its metadata: 600 measured, with its places in both maps."""

_NOTHING: Final[Mapping[TopicPartition, Mapping[int, PendingOffset]]] = {}


class PendingOffset:
    """What a transaction will have committed for one partition."""

    __slots__ = ("overtaken", "position", "value")

    def __init__(self, position: int, value: OffsetCommitValue) -> None:
        self.position = position
        self.value = value
        self.overtaken = False
        """True if what was committed later counts already."""


class PendingOffsets:
    """The pending offsets of all groups of a shard. Changed by replaying records alone."""

    def __init__(self, account: Held) -> None:
        self._account = account
        self._groups: dict[str, dict[TopicPartition, dict[int, PendingOffset]]] = {}
        self._producers: dict[int, dict[tuple[str, TopicPartition], None]] = {}
        self._position = 0

    def replay(self, producer_id: int, record: OffsetCommitRecord) -> None:
        """A producer has committed an offset inside its transaction."""
        assert record.value is not None
        self._position += 1
        place = TopicPartition(record.topic, record.partition)
        by_producer = self._groups.setdefault(record.group_id, {}).setdefault(place, {})
        known = by_producer.get(producer_id)
        by_producer[producer_id] = pending = PendingOffset(self._position, record.value)
        self._account.bytes += _held(pending) - (0 if known is None else _held(known))
        self._producers.setdefault(producer_id, {})[record.group_id, place] = None

    def overtake(self, record: OffsetCommitRecord) -> None:
        """An offset has been committed outside of any transaction, or forgotten."""
        if record.group_id not in self._groups:
            return
        place = TopicPartition(record.topic, record.partition)
        by_producer = self._groups.get(record.group_id, _NOTHING).get(place, {})
        if record.value is not None:
            for pending in by_producer.values():
                pending.overtaken = True
        else:
            for producer_id in list(by_producer):
                self._remove(producer_id, record.group_id, place)

    def overtake_many(self, group_id: str, topics: Iterable[TopicCommits]) -> None:
        """The same for a long commit of a group."""
        places = self._groups.get(group_id, _NOTHING)
        for topic in topics if places else ():
            for place, by_producer in places.items():
                if place.topic == topic.topic and place.partition in topic.entries:
                    for pending in by_producer.values():
                        pending.overtaken = True

    def forget_group(self, group_id: str) -> None:
        """A group goes with all that open transactions have committed for it."""
        for place, by_producer in list(self._groups.get(group_id, _NOTHING).items()):
            for producer_id in list(by_producer):
                self._remove(producer_id, group_id, place)

    def end(self, producer_id: int, commit: bool) -> Iterator[OffsetCommitRecord]:
        """The producer's transaction has ended: what counts from now on."""
        for group_id, place in list(self._producers.get(producer_id, ())):
            by_producer = self._groups[group_id][place]
            mine = by_producer[producer_id]
            self._remove(producer_id, group_id, place)
            if commit and not mine.overtaken:
                for other in by_producer.values():
                    other.overtaken = other.overtaken or other.position < mine.position
                yield OffsetCommitRecord(group_id, place.topic, place.partition, mine.value)

    def _remove(self, producer_id: int, group_id: str, place: TopicPartition) -> None:
        places = self._groups[group_id]
        self._account.bytes -= _held(places[place].pop(producer_id))
        if not places[place]:
            del places[place]
        if not places:
            del self._groups[group_id]
        its = self._producers[producer_id]
        del its[group_id, place]
        if not its:
            del self._producers[producer_id]

    # --- looking

    def known(self, producer_id: int, group_id: str, place: TopicPartition) -> PendingOffset | None:
        """What the producer has pending for this partition."""
        return self._groups.get(group_id, _NOTHING).get(place, {}).get(producer_id)

    def count_of(self, producer_id: int) -> int:
        """How many offsets the producer has pending in this shard."""
        return len(self._producers.get(producer_id, ()))

    def has_group(self, group_id: str) -> bool:
        """Whether the group has any."""
        return group_id in self._groups

    def has(self, group_id: str, place: TopicPartition) -> bool:
        """Whether this partition of the group has any."""
        return place in self._groups.get(group_id, _NOTHING)

    def places_of(self, group_id: str) -> Collection[TopicPartition]:
        """The partitions of the group that have any."""
        return self._groups.get(group_id, _NOTHING).keys()

    def topic_ids(self, group_id: str) -> dict[TopicPartition, list[Uuid]]:
        """The same, each with the ids that its topic had at those commits. A copy."""
        return {
            place: [pending.value.topic_id for pending in by_producer.values()]
            for place, by_producer in self._groups.get(group_id, _NOTHING).items()
        }

    def topics(self) -> set[tuple[str, Uuid]]:
        """Name and id of each topic that there are pending offsets of."""
        return {
            (place.topic, pending.value.topic_id)
            for places in self._groups.values()
            for place, by_producer in places.items()
            for pending in by_producer.values()
        }

    @property
    def held(self) -> int:
        """Bytes of memory, added up: what the account has of them."""
        return sum(_held(pending) for pending in self._all())

    def _all(self) -> Iterable[PendingOffset]:
        return (
            pending
            for places in self._groups.values()
            for by_producer in places.values()
            for pending in by_producer.values()
        )

    def groups(self) -> Collection[str]:
        """The groups that have pending offsets."""
        return self._groups.keys()

    def check(self) -> None:
        """Both maps know the same offsets, and neither keeps anything for nothing."""
        assert all(self._groups.values()) and all(self._producers.values())
        one = {
            (producer_id, group_id, place)
            for group_id, places in self._groups.items()
            for place, by_producer in places.items()
            for producer_id in by_producer
        }
        other = {(producer_id, *each) for producer_id, its in self._producers.items() for each in its}
        assert one == other
        positions = [pending.position for pending in self._all()]
        assert len(set(positions)) == len(positions), "a position in the log is that of one record"


def pending_growth(known: PendingOffset | None, metadata: str) -> int:
    """Bytes of memory that a pending commit takes more than what was pending before."""
    if known is None:
        return PENDING_OFFSET_BYTES + text_size(metadata)
    return text_size(metadata) - text_size(known.value.metadata)


def _held(pending: PendingOffset) -> int:
    return PENDING_OFFSET_BYTES + text_size(pending.value.metadata)
