"""Committed offsets of one shard: how far each group has come, and when that may be forgotten.

An offset is kept under (group, topic name, partition), as Kafka keys it, together with the id that the topic had at
the commit: when a topic is deleted and made again under the same name, what the old one's readers had committed means
nothing for the new one, and is not shown even before it has been removed.

An offset may be forgotten `offsets.retention.minutes` after

- the group became empty, if it has had members (KIP-211);
- its commit, if the group never had members, or if it is a stable consumer group that no longer reads the topic;
- and at the very time that a request of version 2 to 4 named, if it named one.

A rebalancing group, and one whose members' subscriptions cannot be read, forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from broker.coordinators.groups.group import Group
from broker.coordinators.groups.records import OffsetCommitRecord
from kproto.formats.consumer_offsets import OffsetCommitValue
from kproto.ids import ZERO_UUID, TopicPartition, Uuid

NO_EXPIRY: Final = -1

LAST_TIMESTAMP: Final = 2**63 - 1
"""An offset that is to be kept for longer than there are timestamps is kept until the last. (In Kafka the sum turns
negative, and the offset goes with the next check.)"""


class OffsetToCommit(NamedTuple):
    """One partition's part of an OffsetCommit, its topic known to exist."""

    topic: str
    topic_id: Uuid
    partition: int
    offset: int
    leader_epoch: int
    metadata: str


class CommittedOffset(NamedTuple):
    """What a group has committed for one partition. Timestamps are wall milliseconds."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int = NO_EXPIRY
    topic_id: Uuid = ZERO_UUID

    def is_of(self, topic_id: Uuid) -> bool:
        """False if this was committed for another topic of the same name; an id that is not known fits any."""
        return topic_id == self.topic_id or ZERO_UUID in (topic_id, self.topic_id)


class CommittedOffsets:
    """The offsets of all groups of a shard. Changed by `replay` alone."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[TopicPartition, CommittedOffset]] = {}

    def replay(self, record: OffsetCommitRecord) -> None:
        """Take over a commit, or its removal."""
        place = TopicPartition(record.topic, record.partition)
        value = record.value
        if value is not None:
            self._groups.setdefault(record.group_id, {})[place] = CommittedOffset(
                value.offset,
                value.leader_epoch,
                value.metadata,
                value.commit_timestamp,
                value.expire_timestamp,
                value.topic_id,
            )
        elif (offsets := self._groups.get(record.group_id)) is not None:
            offsets.pop(place, None)
            if not offsets:
                del self._groups[record.group_id]

    def of(self, group_id: str) -> Mapping[TopicPartition, CommittedOffset]:
        """What one group has committed."""
        return self._groups.get(group_id, {})

    def groups(self) -> Iterator[tuple[str, Mapping[TopicPartition, CommittedOffset]]]:
        """All groups that have committed something."""
        return iter(self._groups.items())

    def topics(self) -> set[tuple[str, Uuid]]:
        """Name and id of each topic that something has been committed for."""
        return {
            (place.topic, committed.topic_id)
            for offsets in self._groups.values()
            for place, committed in offsets.items()
        }

    def check(self) -> None:
        """No group is kept for nothing."""
        assert all(self._groups.values())


def commit_record(group_id: str, commit: OffsetToCommit, now_wall: int, retention: int) -> OffsetCommitRecord:
    """The record of a commit. `retention` is in milliseconds, -1 for the broker's.

    With a retention of its own the offset is written in the one version that has room for it, which has none for the
    leader epoch and the topic's id: the state must not know more than the log.
    """
    value = OffsetCommitValue(offset=commit.offset, metadata=commit.metadata, commit_timestamp=now_wall)
    if retention == NO_EXPIRY:
        value.leader_epoch = commit.leader_epoch
        value.topic_id = commit.topic_id
    else:
        value.expire_timestamp = min(now_wall + retention, LAST_TIMESTAMP)
    return OffsetCommitRecord(group_id, commit.topic, commit.partition, value)


def forget_record(group_id: str, place: TopicPartition) -> OffsetCommitRecord:
    """The record that removes an offset."""
    return OffsetCommitRecord(group_id, place.topic, place.partition, None)


def expired_offsets(
    group: Group, offsets: Mapping[TopicPartition, CommittedOffset], retention: int, now_wall: int
) -> list[TopicPartition]:
    """Those of a group's offsets that may be forgotten now."""
    age = group.offset_age
    if not age.expires:
        return []
    subscribed = group.subscribed_among({place.topic for place in offsets})
    return [
        place
        for place, committed in offsets.items()
        if place.topic not in subscribed and _is_expired(committed, age.since, retention, now_wall)
    ]


def _is_expired(committed: CommittedOffset, since: int | None, retention: int, now_wall: int) -> bool:
    if committed.expire_timestamp != NO_EXPIRY:
        return now_wall >= committed.expire_timestamp
    return now_wall - (committed.commit_timestamp if since is None else since) >= retention
