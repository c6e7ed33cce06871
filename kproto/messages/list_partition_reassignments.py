"""ListPartitionReassignments, API 46."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class ListPartitionReassignmentsTopics(Struct):
    name: String = field("0+")
    partition_indexes: Array[Int32] = field("0+")


class ListPartitionReassignmentsRequest(Request, api=46, versions="0", flexible="0+"):
    """List the moves of partitions that are under way (KIP-455)."""

    timeout_ms: Int32 = field("0+", default=60000)
    topics: Array[ListPartitionReassignmentsTopics] | None = field("0+", default=None)


class OngoingPartitionReassignment(Struct):
    partition_index: Int32 = field("0+")
    replicas: Array[Int32] = field("0+")
    adding_replicas: Array[Int32] = field("0+")
    removing_replicas: Array[Int32] = field("0+")


class OngoingTopicReassignment(Struct):
    name: String = field("0+")
    partitions: Array[OngoingPartitionReassignment] = field("0+")


class ListPartitionReassignmentsResponse(Response, to=ListPartitionReassignmentsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    topics: Array[OngoingTopicReassignment] = field("0+")
