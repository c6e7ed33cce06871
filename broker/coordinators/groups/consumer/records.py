"""What is written down of a consumer group: each change as one of Kafka's records.

Source: Kafka's GroupCoordinatorRecordHelpers.
"""

from __future__ import annotations

from broker.coordinators.groups.consumer.group import Shares
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.records import ConsumerRecord
from kproto.formats.consumer_offsets import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    TopicPartition,
)


def epoch_record(group_id: str, epoch: int, metadata_hash: int) -> ConsumerRecord:
    """The group's epoch, and the hash of the topics that it subscribes to."""
    key = ConsumerGroupMetadataKey(group_id=group_id)
    return ConsumerRecord(key, ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash))


def metadata_record(group_id: str, member: ConsumerMember) -> ConsumerRecord:
    """What a member says of itself."""
    key = ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id)
    return ConsumerRecord(key, member.metadata_value())


def assignment_record(group_id: str, member: ConsumerMember) -> ConsumerRecord:
    """What a member owns."""
    key = ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id)
    return ConsumerRecord(key, member.assignment_value())


def target_record(group_id: str, member_id: str, shares: Shares) -> ConsumerRecord:
    """What a member shall own, in the order in which an assignor has put it."""
    key = ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id)
    written = [TopicPartition(topic_id=topic, partitions=list(partitions)) for topic, partitions in shares.items()]
    return ConsumerRecord(key, ConsumerGroupTargetAssignmentMemberValue(topic_partitions=written))


def target_epoch_record(group_id: str, epoch: int, timestamp: int) -> ConsumerRecord:
    """The target is that of this epoch, since this time in wall milliseconds; 0: the next need not wait."""
    key = ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id)
    value = ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=epoch, assignment_timestamp=timestamp)
    return ConsumerRecord(key, value)


def member_tombstones(group_id: str, member_id: str) -> list[ConsumerRecord]:
    """After these the member is gone."""
    return [
        ConsumerRecord(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None),
        ConsumerRecord(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None),
        ConsumerRecord(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None),
    ]
