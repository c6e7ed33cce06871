"""ElectLeaders, API 43."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class TopicPartitions(Struct):
    topic: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class ElectLeadersRequest(Request, api=43, versions="0-2", flexible="2+"):
    """Start elections of partition leaders. v1 distinguishes preferred and unclean elections (KIP-460)."""

    election_type: Int8 = field("1+")
    topic_partitions: Array[TopicPartitions] | None = field("0+")
    timeout_ms: Int32 = field("0+", default=60000)


class PartitionResult(Struct):
    partition_id: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")


class ReplicaElectionResult(Struct):
    topic: String = field("0+")
    partition_result: Array[PartitionResult] = field("0+")


class ElectLeadersResponse(Response, to=ElectLeadersRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("1+")
    replica_election_results: Array[ReplicaElectionResult] = field("0+")
