"""DescribeTopicPartitions, API 75."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, Uuid, field


class TopicRequest(Struct):
    name: String = field("0+")


class Cursor(Struct):
    topic_name: String = field("0+")
    partition_index: Int32 = field("0+")


class DescribeTopicPartitionsRequest(Request, api=75, versions="0", flexible="0+"):
    """Describe topics page by page, with eligible leader replicas (KIP-966)."""

    topics: Array[TopicRequest] = field("0+")
    response_partition_limit: Int32 = field("0+", default=2000)
    cursor: Cursor | None = field("0+", default=None)


class DescribeTopicPartitionsResponsePartition(Struct):
    error_code: Int16 = field("0+")
    partition_index: Int32 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+", default=-1, ignorable=True)
    replica_nodes: Array[Int32] = field("0+")
    isr_nodes: Array[Int32] = field("0+")
    eligible_leader_replicas: Array[Int32] | None = field("0+", default=None)
    last_known_elr: Array[Int32] | None = field("0+", default=None)
    offline_replicas: Array[Int32] = field("0+", ignorable=True)


class DescribeTopicPartitionsResponseTopic(Struct):
    error_code: Int16 = field("0+")
    name: String | None = field("0+", map_key=True)
    topic_id: Uuid = field("0+", ignorable=True)
    is_internal: Bool = field("0+", ignorable=True)
    partitions: Array[DescribeTopicPartitionsResponsePartition] = field("0+")
    topic_authorized_operations: Int32 = field("0+", default=-0x80000000)


class DescribeTopicPartitionsResponse(Response, to=DescribeTopicPartitionsRequest):
    throttle_time_ms: Int32 = field("0+", ignorable=True)
    topics: Array[DescribeTopicPartitionsResponseTopic] = field("0+")
    next_cursor: Cursor | None = field("0+", default=None)
