"""InitializeShareGroupState, API 83."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class PartitionData(Struct):
    partition: Int32 = field("0+")
    state_epoch: Int32 = field("0+")
    start_offset: Int64 = field("0+")


class InitializeStateData(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionData] = field("0+")


class InitializeShareGroupStateRequest(Request, api=83, versions="0", flexible="0+"):
    """Create the persistent state of share partitions (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[InitializeStateData] = field("0+")


class PartitionResult(Struct):
    partition: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class InitializeStateResult(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionResult] = field("0+")


class InitializeShareGroupStateResponse(Response, to=InitializeShareGroupStateRequest):
    results: Array[InitializeStateResult] = field("0+")
