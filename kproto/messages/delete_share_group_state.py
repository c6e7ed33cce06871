"""DeleteShareGroupState, API 86."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uuid, field


class PartitionData(Struct):
    partition: Int32 = field("0+")


class DeleteStateData(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionData] = field("0+")


class DeleteShareGroupStateRequest(Request, api=86, versions="0", flexible="0+"):
    """Delete the persistent state of share partitions (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[DeleteStateData] = field("0+")


class PartitionResult(Struct):
    partition: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class DeleteStateResult(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionResult] = field("0+")


class DeleteShareGroupStateResponse(Response, to=DeleteShareGroupStateRequest):
    results: Array[DeleteStateResult] = field("0+")
