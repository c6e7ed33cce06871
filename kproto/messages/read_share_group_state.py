"""ReadShareGroupState, API 84."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class PartitionData(Struct):
    partition: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class ReadStateData(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionData] = field("0+")


class ReadShareGroupStateRequest(Request, api=84, versions="0", flexible="0+"):
    """Read the persistent state of share partitions (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[ReadStateData] = field("0+")


class StateBatch(Struct):
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    delivery_state: Int8 = field("0+")
    delivery_count: Int16 = field("0+")


class PartitionResult(Struct):
    partition: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    state_epoch: Int32 = field("0+")
    start_offset: Int64 = field("0+")
    state_batches: Array[StateBatch] = field("0+")


class ReadStateResult(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionResult] = field("0+")


class ReadShareGroupStateResponse(Response, to=ReadShareGroupStateRequest):
    results: Array[ReadStateResult] = field("0+")
