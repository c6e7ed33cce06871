"""EndQuorumEpoch, API 54."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uint16, Uuid, field


class ReplicaInfo(Struct):
    candidate_id: Int32 = field("1+")
    candidate_directory_id: Uuid = field("1+")


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    preferred_successors: Array[Int32] = field("0", ignorable=True)
    preferred_candidates: Array[ReplicaInfo] = field("1+", ignorable=True)


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[RequestPartitionData] = field("0+")


class LeaderEndpoint(Struct):
    name: String = field("1+", map_key=True)
    host: String = field("1+")
    port: Uint16 = field("1+")


class EndQuorumEpochRequest(Request, api=54, versions="0-1", flexible="1+"):
    """Tell voters that the leader resigns (KIP-595)."""

    cluster_id: String | None = field("0+", default=None)
    topics: Array[RequestTopicData] = field("0+")
    leader_endpoints: Array[LeaderEndpoint] = field("1+", ignorable=True)


class ResponsePartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class ResponseTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[ResponsePartitionData] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("1+", map_key=True)
    host: String = field("1+")
    port: Uint16 = field("1+")


class EndQuorumEpochResponse(Response, to=EndQuorumEpochRequest):
    error_code: Int16 = field("0+")
    topics: Array[ResponseTopicData] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("1+", tag=0)
