"""DescribeQuorum, API 55."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uint16, Uuid, field


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[RequestPartitionData] = field("0+")


class DescribeQuorumRequest(Request, api=55, versions="0-2", flexible="0+"):
    """Describe the KRaft quorum: leader, voters, observers and how far each has come (KIP-595).

    v1 adds times (KIP-836), v2 directories and endpoints (KIP-853).
    """

    topics: Array[RequestTopicData] = field("0+")


class ReplicaState(Struct):
    replica_id: Int32 = field("0+")
    replica_directory_id: Uuid = field("2+")
    log_end_offset: Int64 = field("0+")
    last_fetch_timestamp: Int64 = field("1+", default=-1, ignorable=True)
    last_caught_up_timestamp: Int64 = field("1+", default=-1, ignorable=True)


class ResponsePartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("2+", ignorable=True)
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    high_watermark: Int64 = field("0+")
    current_voters: Array[ReplicaState] = field("0+")
    observers: Array[ReplicaState] = field("0+")


class ResponseTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[ResponsePartitionData] = field("0+")


class Listener(Struct):
    name: String = field("2+", map_key=True)
    host: String = field("2+")
    port: Uint16 = field("2+")


class Node(Struct):
    node_id: Int32 = field("2+", map_key=True)
    listeners: Array[Listener] = field("2+")


class DescribeQuorumResponse(Response, to=DescribeQuorumRequest):
    error_code: Int16 = field("0+")
    error_message: String | None = field("2+", ignorable=True)
    topics: Array[ResponseTopicData] = field("0+")
    nodes: Array[Node] = field("2+")
