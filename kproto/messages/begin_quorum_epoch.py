"""BeginQuorumEpoch, API 53."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uint16, Uuid, field


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    voter_directory_id: Uuid = field("1+", ignorable=True)
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[RequestPartitionData] = field("0+")


class LeaderEndpoint(Struct):
    name: String = field("1+", map_key=True)
    host: String = field("1+")
    port: Uint16 = field("1+")


class BeginQuorumEpochRequest(Request, api=53, versions="0-1", flexible="1+"):
    """Tell voters and observers who leads the quorum (KIP-595)."""

    cluster_id: String | None = field("0+", default=None)
    voter_id: Int32 = field("1+", default=-1, ignorable=True)
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


class BeginQuorumEpochResponse(Response, to=BeginQuorumEpochRequest):
    error_code: Int16 = field("0+")
    topics: Array[ResponseTopicData] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("1+", tag=0)
