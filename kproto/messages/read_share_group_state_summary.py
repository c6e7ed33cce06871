"""ReadShareGroupStateSummary, API 87."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class PartitionData(Struct):
    partition: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class ReadStateSummaryData(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionData] = field("0+")


class ReadShareGroupStateSummaryRequest(Request, api=87, versions="0-1", flexible="0+"):
    """Read the start of share partitions without their batches (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[ReadStateSummaryData] = field("0+")


class PartitionResult(Struct):
    partition: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    state_epoch: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    start_offset: Int64 = field("0+")
    delivery_complete_count: Int32 = field("1+", default=-1, ignorable=True)


class ReadStateSummaryResult(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[PartitionResult] = field("0+")


class ReadShareGroupStateSummaryResponse(Response, to=ReadShareGroupStateSummaryRequest):
    results: Array[ReadStateSummaryResult] = field("0+")
