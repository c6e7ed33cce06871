"""The records of one shard, as the machine speaks of them and as Kafka writes them.

| record | key | value | a tombstone means |
|---|---|---|---|
| GroupMetadataRecord | GroupMetadataKey (kind 2) | GroupMetadataValue, version 3 | the group is gone |
| OffsetCommitRecord | OffsetCommitKey (kind 1) | OffsetCommitValue, version 4, or 1 | the offset is forgotten |
| ConsumerRecord | ConsumerGroup...Key (kinds 3 to 8, 16) | ConsumerGroup...Value, version 0 | see `consumer/group.py` |
| PendingOffsetRecord | the same, in a batch of a producer's transaction | the same | |
| TransactionEndRecord | a transaction's marker | | |
| UpgradedGroup | many ConsumerRecords, encoded before their decision | | |

These are the versions that Kafka writes: 3 for groups (4 differs by being flexible only), 4 for offsets because
of the topic's id. An offset with an expiry of its own (OffsetCommit v2-4) is written as version 1, the only one that
has a place for it; it has none for the leader epoch and the topic's id, which are lost, in Kafka too. All older
versions are read, kind 0 (offsets of Kafka before 0.9) included.

The records of consumer groups are many and small, so the machine takes their keys and values as they are.

Kinds of groups that are not served yet (share, streams) are skipped, not refused: they stay in the log, for a
coordinator that knows them. Source: Kafka's GroupCoordinatorRecordHelpers.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias, cast, get_args

from kproto.batches.records import RecordData
from kproto.errors import Malformed
from kproto.formats.consumer_offsets import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMetadataKey,
    GroupMetadataKey,
    GroupMetadataValue,
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
    decode_record,
    encode_record,
)
from kproto.formats.offset_commits import encode_offset_commit_key, encode_offset_commit_value
from kproto.ids import NO_TIMESTAMP
from kproto.schema.declare import Record

GROUP_METADATA_VERSION: Final = 3
EXPIRING_OFFSET_COMMIT_VERSION: Final = 1

GROUP_METADATA_FIXED: Final = 4 + 2 + 3 * 2 + 4 + 8 + 4
"""Bytes of a group's record beside its strings and its members: a key of kind and length; version, three lengths,
generation, timestamp and the number of members."""

MEMBER_FIXED: Final = 4 * 2 + 2 * 4 + 2 * 4
"""Bytes of a member in it beside what varies: four lengths of strings, two timeouts, two lengths of bytes."""

CONSUMER_GROUP_VERSION: Final = 0

ConsumerGroupKey: TypeAlias = (
    ConsumerGroupMetadataKey
    | ConsumerGroupPartitionMetadataKey
    | ConsumerGroupMemberMetadataKey
    | ConsumerGroupTargetAssignmentMetadataKey
    | ConsumerGroupTargetAssignmentMemberKey
    | ConsumerGroupCurrentMemberAssignmentKey
    | ConsumerGroupRegularExpressionKey
)

CONSUMER_GROUP_KINDS: Final = frozenset(key.api_key for key in get_args(ConsumerGroupKey))

KINDS_READ: Final = CONSUMER_GROUP_KINDS | {
    LegacyOffsetCommitKey.api_key,
    OffsetCommitKey.api_key,
    GroupMetadataKey.api_key,
}


class GroupMetadataRecord(NamedTuple):
    """A settled group; None: it is gone."""

    group_id: str
    value: GroupMetadataValue | None


class OffsetCommitRecord(NamedTuple):
    """A committed offset; None: it is forgotten."""

    group_id: str
    topic: str
    partition: int
    value: OffsetCommitValue | None


class ConsumerRecord(NamedTuple):
    """A record of a consumer group, as Kafka has it; without a value it is a tombstone."""

    key: ConsumerGroupKey
    value: Record | None


class PendingOffsetRecord(NamedTuple):
    """An offset that counts once the producer's transaction commits: the same record, in a batch that names it."""

    producer_id: int
    commit: OffsetCommitRecord


class TransactionEndRecord(NamedTuple):
    """A producer's transaction has ended. It stands in the log as a control record."""

    producer_id: int
    commit: bool


class UpgradedGroup(NamedTuple):
    """A classic group has become a consumer group (`consumer/upgrade.py`). In the log it is a tombstone, and the
    records of the group and its members."""

    group: object
    """The `ConsumerGroup`, whose module knows this one."""


GroupRecord: TypeAlias = (
    GroupMetadataRecord
    | OffsetCommitRecord
    | PendingOffsetRecord
    | TransactionEndRecord
    | ConsumerRecord
    | UpgradedGroup
)


def text_size(text: str | None) -> int:
    """Bytes that a string takes in a record, without its length. Exact: a client's id may be in any alphabet."""
    return 0 if text is None else len(text) if text.isascii() else len(text.encode())


def group_metadata_size(group_id: str, value: GroupMetadataValue) -> int:
    """Bytes of key and value of the record of a settled group, before it is made."""
    return (
        GROUP_METADATA_FIXED
        + text_size(group_id)
        + sum(map(text_size, (value.protocol_type, value.protocol, value.leader)))
        + sum(
            member_size(each.member_id, each.group_instance_id, each.client_id, each.client_host)
            + len(each.subscription)
            + len(each.assignment)
            for each in value.members
        )
    )


def member_size(member_id: str, instance_id: str | None, client_id: str, client_host: str) -> int:
    """Bytes of one member in the record of its group, without its subscription and its assignment."""
    return MEMBER_FIXED + sum(map(text_size, (member_id, instance_id, client_id, client_host)))


def encode_group_record(record: GroupRecord, timestamp: int) -> RecordData:
    """Key and value bytes; `timestamp` in wall milliseconds."""
    key: Record
    if isinstance(record, PendingOffsetRecord):
        record = record.commit
    if isinstance(record, OffsetCommitRecord):
        return _encode_offset_commit(record, timestamp)
    assert not isinstance(record, TransactionEndRecord), "a control record is written by the runtime"
    assert not isinstance(record, UpgradedGroup), "its records are encoded already"
    if isinstance(record, ConsumerRecord):
        key, version = record.key, CONSUMER_GROUP_VERSION
    else:
        key, version = GroupMetadataKey(group=record.group_id), GROUP_METADATA_VERSION
    encoded_key, encoded_value = encode_record(key, record.value, version)
    return RecordData(timestamp=timestamp, key=encoded_key, value=encoded_value)


def _encode_offset_commit(record: OffsetCommitRecord, timestamp: int) -> RecordData:
    group_id, topic, partition, value = record
    encoded: bytes | None = None
    if value is not None and value.expire_timestamp != NO_TIMESTAMP:
        key = OffsetCommitKey(group=group_id, topic=topic, partition=partition)
        return RecordData(0, timestamp, *encode_record(key, value, EXPIRING_OFFSET_COMMIT_VERSION))
    if value is not None:
        encoded = encode_offset_commit_value(
            value.offset, value.leader_epoch, value.metadata, value.commit_timestamp, value.topic_id
        )
    return RecordData(0, timestamp, encode_offset_commit_key(group_id, topic, partition), encoded)


def decode_group_record(data: RecordData) -> GroupRecord | None:
    """The record, or None if it is of a kind that is skipped. Raises ProtocolError if it is damaged."""
    if data.key is None or len(data.key) < 2:
        raise Malformed("a record of __consumer_offsets has a key that starts with its kind")
    if int.from_bytes(data.key[:2], "big") not in KINDS_READ:
        return None
    key, value = decode_record(data.key, data.value)
    if isinstance(key, ConsumerGroupKey):
        return ConsumerRecord(key, value)
    if isinstance(key, GroupMetadataKey):
        return GroupMetadataRecord(key.group, cast(GroupMetadataValue | None, value))
    assert isinstance(key, OffsetCommitKey | LegacyOffsetCommitKey)
    if isinstance(value, LegacyOffsetCommitValue):
        value = OffsetCommitValue(offset=value.offset, metadata=value.metadata, commit_timestamp=value.commit_timestamp)
    return OffsetCommitRecord(key.group, key.topic, key.partition, cast(OffsetCommitValue | None, value))
