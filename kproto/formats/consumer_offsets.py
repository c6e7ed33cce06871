"""The records of ``__consumer_offsets``: what groups are, who is in them, and how far they have read.

A record's key starts with an int16 that says what kind of record it is; the rest of the key names what the record is
about, a group or a group's member or a group's partition. The value starts with an int16 that is the version of its
layout. No value, a tombstone, takes back what earlier records with the same key said; so a compacted log is the
coordinator's state.

Classic groups write kinds 1 and 2 only (0 is an older layout of 1). Groups of the consumer protocol (KIP-848) write
3 to 8 and 16, share groups (KIP-932) 10 to 15, streams groups (KIP-1071) 17 to 23; those commit offsets as 1, too.

Source: Kafka's ``CoordinatorRecordType`` and ``GroupCoordinatorRecordSerde``.
"""

from typing import Final

from kproto.formats.coordinator_records import Kinds, decode_coordinator_record, encode_coordinator_record
from kproto.primitives import Readable
from kproto.schema.declare import Array, Bytes, Int8, Int16, Int32, Int64, Record, String, Struct, Uint16, Uuid, field


class LegacyOffsetCommitKey(Record, api=0, versions="0"):
    group: String = field("0")
    topic: String = field("0")
    partition: Int32 = field("0")


class LegacyOffsetCommitValue(Record, api=0, versions="0"):
    offset: Int64 = field("0")
    metadata: String = field("0")
    commit_timestamp: Int64 = field("0")


class OffsetCommitKey(Record, api=1, versions="0"):
    group: String = field("0")
    topic: String = field("0")
    partition: Int32 = field("0")


class OffsetCommitValue(Record, api=1, versions="0-4", flexible="4+"):
    offset: Int64 = field("0+")
    leader_epoch: Int32 = field("3+", default=-1, ignorable=True)
    metadata: String = field("0+")
    commit_timestamp: Int64 = field("0+")
    expire_timestamp: Int64 = field("1", default=-1, ignorable=True)
    topic_id: Uuid = field("4+", tag=0, ignorable=True)


class GroupMetadataKey(Record, api=2, versions="0"):
    group: String = field("0")


class MemberMetadata(Struct):
    member_id: String = field("0+")
    group_instance_id: String | None = field("3+", default=None, ignorable=True)
    client_id: String = field("0+")
    client_host: String = field("0+")
    rebalance_timeout: Int32 = field("1+", default=-1, ignorable=True)
    session_timeout: Int32 = field("0+")
    subscription: Bytes = field("0+")
    assignment: Bytes = field("0+")


class GroupMetadataValue(Record, api=2, versions="0-4", flexible="4+"):
    protocol_type: String = field("0+")
    generation: Int32 = field("0+")
    protocol: String | None = field("0+")
    leader: String | None = field("0+")
    current_state_timestamp: Int64 = field("2+", default=-1, ignorable=True)
    members: Array[MemberMetadata] = field("0+")


class ConsumerGroupMetadataKey(Record, api=3, versions="0"):
    group_id: String = field("0")


class ConsumerGroupMetadataValue(Record, api=3, versions="0", flexible="0+"):
    epoch: Int32 = field("0+")
    metadata_hash: Int64 = field("0+", tag=0)


class ConsumerGroupPartitionMetadataKey(Record, api=4, versions="0"):
    group_id: String = field("0")


class PartitionMetadata(Struct):
    partition: Int32 = field("0+")
    racks: Array[String] = field("0+")


class TopicMetadata(Struct):
    topic_id: Uuid = field("0+")
    topic_name: String = field("0+")
    num_partitions: Int32 = field("0+")
    partition_metadata: Array[PartitionMetadata] = field("0+")


class ConsumerGroupPartitionMetadataValue(Record, api=4, versions="0", flexible="0+"):
    topics: Array[TopicMetadata] = field("0+")


class ConsumerGroupMemberMetadataKey(Record, api=5, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class ClassicProtocol(Struct):
    name: String = field("0+")
    metadata: Bytes = field("0+")


class ClassicMemberMetadata(Struct):
    session_timeout_ms: Int32 = field("0+")
    supported_protocols: Array[ClassicProtocol] = field("0+")


class ConsumerGroupMemberMetadataValue(Record, api=5, versions="0", flexible="0+"):
    instance_id: String | None = field("0+")
    rack_id: String | None = field("0+")
    client_id: String = field("0+")
    client_host: String = field("0+")
    subscribed_topic_names: Array[String] = field("0+")
    subscribed_topic_regex: String | None = field("0+")
    rebalance_timeout_ms: Int32 = field("0+", default=-1)
    server_assignor: String | None = field("0+")
    classic_member_metadata: ClassicMemberMetadata | None = field("0+", tag=0)


class ConsumerGroupTargetAssignmentMetadataKey(Record, api=6, versions="0"):
    group_id: String = field("0")


class ConsumerGroupTargetAssignmentMetadataValue(Record, api=6, versions="0", flexible="0+"):
    assignment_epoch: Int32 = field("0+")
    assignment_timestamp: Int64 = field("0+", tag=0, ignorable=True)


class ConsumerGroupTargetAssignmentMemberKey(Record, api=7, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class TopicPartition(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")


class ConsumerGroupTargetAssignmentMemberValue(Record, api=7, versions="0", flexible="0+"):
    topic_partitions: Array[TopicPartition] = field("0+")


class ConsumerGroupCurrentMemberAssignmentKey(Record, api=8, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class ConsumerGroupCurrentMemberAssignmentTopicPartitions(Struct, kafka_name="TopicPartitions"):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")
    assignment_epochs: Array[Int32] | None = field("0+", tag=0)


class ConsumerGroupCurrentMemberAssignmentValue(Record, api=8, versions="0", flexible="0+"):
    member_epoch: Int32 = field("0+")
    previous_member_epoch: Int32 = field("0+")
    state: Int8 = field("0+")
    assigned_partitions: Array[ConsumerGroupCurrentMemberAssignmentTopicPartitions] = field("0+")
    partitions_pending_revocation: Array[ConsumerGroupCurrentMemberAssignmentTopicPartitions] = field("0+")


class ShareGroupMemberMetadataKey(Record, api=10, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class ShareGroupMemberMetadataValue(Record, api=10, versions="0", flexible="0+"):
    rack_id: String | None = field("0+")
    client_id: String = field("0+")
    client_host: String = field("0+")
    subscribed_topic_names: Array[String] = field("0+")


class ShareGroupMetadataKey(Record, api=11, versions="0"):
    group_id: String = field("0")


class ShareGroupMetadataValue(Record, api=11, versions="0", flexible="0+"):
    epoch: Int32 = field("0+")
    metadata_hash: Int64 = field("0+")


class ShareGroupTargetAssignmentMetadataKey(Record, api=12, versions="0"):
    group_id: String = field("0")


class ShareGroupTargetAssignmentMetadataValue(Record, api=12, versions="0", flexible="0+"):
    assignment_epoch: Int32 = field("0+")
    assignment_timestamp: Int64 = field("0+", tag=0, ignorable=True)


class ShareGroupTargetAssignmentMemberKey(Record, api=13, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class ShareGroupTargetAssignmentMemberValue(Record, api=13, versions="0", flexible="0+"):
    topic_partitions: Array[TopicPartition] = field("0+")


class ShareGroupCurrentMemberAssignmentKey(Record, api=14, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class ShareGroupCurrentMemberAssignmentTopicPartitions(Struct, kafka_name="TopicPartitions"):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")


class ShareGroupCurrentMemberAssignmentValue(Record, api=14, versions="0", flexible="0+"):
    member_epoch: Int32 = field("0+")
    previous_member_epoch: Int32 = field("0+")
    state: Int8 = field("0+")
    assigned_partitions: Array[ShareGroupCurrentMemberAssignmentTopicPartitions] = field("0+")


class ShareGroupStatePartitionMetadataKey(Record, api=15, versions="0"):
    group_id: String = field("0")


class TopicPartitionsInfo(Struct):
    topic_id: Uuid = field("0+")
    topic_name: String = field("0+")
    partitions: Array[Int32] = field("0+")


class ShareGroupStatePartitionMetadataTopicInfo(Struct, kafka_name="TopicInfo"):
    topic_id: Uuid = field("0+")
    topic_name: String = field("0+")


class ShareGroupStatePartitionMetadataValue(Record, api=15, versions="0", flexible="0+"):
    initializing_topics: Array[TopicPartitionsInfo] = field("0+")
    initialized_topics: Array[TopicPartitionsInfo] = field("0+")
    deleting_topics: Array[ShareGroupStatePartitionMetadataTopicInfo] = field("0+")


class ConsumerGroupRegularExpressionKey(Record, api=16, versions="0"):
    group_id: String = field("0")
    regular_expression: String = field("0")


class ConsumerGroupRegularExpressionValue(Record, api=16, versions="0", flexible="0+"):
    topics: Array[String] = field("0+")
    version: Int64 = field("0+")
    timestamp: Int64 = field("0+")


class StreamsGroupMetadataKey(Record, api=17, versions="0"):
    group_id: String = field("0")


class LastAssignmentConfig(Struct):
    key: String = field("0+")
    value: String = field("0+")


class StreamsGroupMetadataValue(Record, api=17, versions="0", flexible="0+"):
    epoch: Int32 = field("0+")
    metadata_hash: Int64 = field("0+")
    validated_topology_epoch: Int32 = field("0+", tag=0, default=-1)
    last_assignment_configs: Array[LastAssignmentConfig] | None = field("0+", tag=1)
    stored_description_topology_epoch: Int32 = field("0+", tag=2, default=-1)
    failed_description_topology_epoch: Int32 = field("0+", tag=3, default=-1)


class StreamsGroupMemberMetadataKey(Record, api=19, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class Endpoint(Struct):
    host: String = field("0+")
    port: Uint16 = field("0+")


class KeyValue(Struct):
    key: String = field("0+")
    value: String = field("0+")


class StreamsGroupMemberMetadataValue(Record, api=19, versions="0", flexible="0+"):
    instance_id: String | None = field("0+")
    rack_id: String | None = field("0+")
    client_id: String = field("0+")
    client_host: String = field("0+")
    rebalance_timeout_ms: Int32 = field("0+", default=-1)
    topology_epoch: Int32 = field("0+")
    process_id: String = field("0+")
    user_endpoint: Endpoint | None = field("0+", default=None)
    client_tags: Array[KeyValue] = field("0+")


class StreamsGroupTargetAssignmentMetadataKey(Record, api=20, versions="0"):
    group_id: String = field("0")


class StreamsGroupTargetAssignmentMetadataValue(Record, api=20, versions="0", flexible="0+"):
    assignment_epoch: Int32 = field("0+")
    assignment_timestamp: Int64 = field("0+", tag=0, ignorable=True)


class StreamsGroupTargetAssignmentMemberKey(Record, api=21, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class StreamsGroupTargetAssignmentMemberTaskIds(Struct, kafka_name="TaskIds"):
    subtopology_id: String = field("0+")
    partitions: Array[Int32] = field("0+")


class StreamsGroupTargetAssignmentMemberValue(Record, api=21, versions="0", flexible="0+"):
    active_tasks: Array[StreamsGroupTargetAssignmentMemberTaskIds] = field("0+")
    standby_tasks: Array[StreamsGroupTargetAssignmentMemberTaskIds] = field("0+")
    warmup_tasks: Array[StreamsGroupTargetAssignmentMemberTaskIds] = field("0+")


class StreamsGroupCurrentMemberAssignmentKey(Record, api=22, versions="0"):
    group_id: String = field("0")
    member_id: String = field("0")


class StreamsGroupCurrentMemberAssignmentTaskIds(Struct, kafka_name="TaskIds"):
    subtopology_id: String = field("0+")
    partitions: Array[Int32] = field("0+")
    assignment_epochs: Array[Int32] | None = field("0+", tag=0)


class StreamsGroupCurrentMemberAssignmentValue(Record, api=22, versions="0", flexible="0+"):
    member_epoch: Int32 = field("0+")
    previous_member_epoch: Int32 = field("0+")
    state: Int8 = field("0+")
    active_tasks: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")
    standby_tasks: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")
    warmup_tasks: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")
    active_tasks_pending_revocation: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")
    standby_tasks_pending_revocation: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")
    warmup_tasks_pending_revocation: Array[StreamsGroupCurrentMemberAssignmentTaskIds] = field("0+")


class StreamsGroupTopologyKey(Record, api=23, versions="0"):
    group_id: String = field("0")


class TopicConfig(Struct):
    key: String = field("0+")
    value: String = field("0+")


class StreamsGroupTopologyTopicInfo(Struct, kafka_name="TopicInfo"):
    name: String = field("0+")
    partitions: Int32 = field("0+")
    replication_factor: Int16 = field("0+")
    topic_configs: Array[TopicConfig] = field("0+")


class CopartitionGroup(Struct):
    source_topics: Array[Int16] = field("0+")
    source_topic_regex: Array[Int16] = field("0+")
    repartition_source_topics: Array[Int16] = field("0+")


class Subtopology(Struct):
    subtopology_id: String = field("0+")
    source_topics: Array[String] = field("0+")
    source_topic_regex: Array[String] = field("0+")
    state_changelog_topics: Array[StreamsGroupTopologyTopicInfo] = field("0+")
    repartition_sink_topics: Array[String] = field("0+")
    repartition_source_topics: Array[StreamsGroupTopologyTopicInfo] = field("0+")
    copartition_groups: Array[CopartitionGroup] = field("0+")


class StreamsGroupTopologyValue(Record, api=23, versions="0", flexible="0+"):
    epoch: Int32 = field("0+")
    subtopologies: Array[Subtopology] = field("0+")


KINDS: Final[Kinds] = {
    0: (LegacyOffsetCommitKey, LegacyOffsetCommitValue),
    1: (OffsetCommitKey, OffsetCommitValue),
    2: (GroupMetadataKey, GroupMetadataValue),
    3: (ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    4: (ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue),
    5: (ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    6: (ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue),
    7: (ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
    8: (ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue),
    10: (ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue),
    11: (ShareGroupMetadataKey, ShareGroupMetadataValue),
    12: (ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue),
    13: (ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue),
    14: (ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue),
    15: (ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue),
    16: (ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
    17: (StreamsGroupMetadataKey, StreamsGroupMetadataValue),
    19: (StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue),
    20: (StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue),
    21: (StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue),
    22: (StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue),
    23: (StreamsGroupTopologyKey, StreamsGroupTopologyValue),
}
"""Kind of record -> its key and its value."""


def encode_record(key: Record, value: Record | None, version: int | None = None) -> tuple[bytes, bytes | None]:
    """Key and value as they stand in the log; ``version`` is that of the value's layout, the newest unless given.

    Raises ValueError.
    """
    return encode_coordinator_record(KINDS, key, value, version)


def decode_record(key: Readable, value: Readable | None) -> tuple[Record, Record | None]:
    """The record behind two byte strings; no value means a tombstone. Raises ProtocolError.

    An unknown kind or version is :class:`~kproto.errors.UnsupportedVersion`.
    """
    return decode_coordinator_record(KINDS, key, value)
