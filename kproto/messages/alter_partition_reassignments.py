"""AlterPartitionReassignments, API 45."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, field


class ReassignablePartition(Struct):
    partition_index: Int32 = field("0+")
    replicas: Array[Int32] | None = field("0+", default=None)


class ReassignableTopic(Struct):
    name: String = field("0+")
    partitions: Array[ReassignablePartition] = field("0+")


class AlterPartitionReassignmentsRequest(Request, api=45, versions="0-1", flexible="0+"):
    """Move partitions to other replicas, or cancel such a move (KIP-455). v1 may insist on the replication factor."""

    timeout_ms: Int32 = field("0+", default=60000)
    allow_replication_factor_change: Bool = field("1+", default=True)
    topics: Array[ReassignableTopic] = field("0+")


class ReassignablePartitionResponse(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")


class ReassignableTopicResponse(Struct):
    name: String = field("0+")
    partitions: Array[ReassignablePartitionResponse] = field("0+")


class AlterPartitionReassignmentsResponse(Response, to=AlterPartitionReassignmentsRequest):
    throttle_time_ms: Int32 = field("0+")
    allow_replication_factor_change: Bool = field("1+", default=True, ignorable=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    responses: Array[ReassignableTopicResponse] = field("0+")
