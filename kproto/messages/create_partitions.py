"""CreatePartitions, API 37."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, field


class CreatePartitionsAssignment(Struct):
    broker_ids: Array[Int32] = field("0+")


class CreatePartitionsTopic(Struct):
    name: String = field("0+", map_key=True)
    count: Int32 = field("0+")
    assignments: Array[CreatePartitionsAssignment] | None = field("0+")


class CreatePartitionsRequest(Request, api=37, versions="0-3", flexible="2+"):
    """Raise the number of partitions of topics (KIP-195)."""

    topics: Array[CreatePartitionsTopic] = field("0+")
    timeout_ms: Int32 = field("0+")
    validate_only: Bool = field("0+")


class CreatePartitionsTopicResult(Struct):
    name: String = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class CreatePartitionsResponse(Response, to=CreatePartitionsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[CreatePartitionsTopicResult] = field("0+")
