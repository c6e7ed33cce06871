"""Vote, API 52."""

from kproto.schema.declare import (
    Array,
    Bool,
    Int16,
    Int32,
    Int64,
    Request,
    Response,
    String,
    Struct,
    Uint16,
    Uuid,
    field,
)


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    replica_epoch: Int32 = field("0+")
    replica_id: Int32 = field("0+")
    replica_directory_id: Uuid = field("1+", ignorable=True)
    voter_directory_id: Uuid = field("1+", ignorable=True)
    last_offset_epoch: Int32 = field("0+")
    last_offset: Int64 = field("0+")
    pre_vote: Bool = field("2+")


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[RequestPartitionData] = field("0+")


class VoteRequest(Request, api=52, versions="0-2", flexible="0+"):
    """Ask for a vote in the election of a KRaft leader (KIP-595).

    v1 names voters with their directories (KIP-853), v2 asks before it raises the epoch (KIP-996).
    """

    cluster_id: String | None = field("0+", default=None)
    voter_id: Int32 = field("1+", default=-1, ignorable=True)
    topics: Array[RequestTopicData] = field("0+")


class ResponsePartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    vote_granted: Bool = field("0+")


class ResponseTopicData(Struct, kafka_name="TopicData"):
    topic_name: String = field("0+")
    partitions: Array[ResponsePartitionData] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("1+", map_key=True)
    host: String = field("1+")
    port: Uint16 = field("1+")


class VoteResponse(Response, to=VoteRequest):
    error_code: Int16 = field("0+")
    topics: Array[ResponseTopicData] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("1+", tag=0)
