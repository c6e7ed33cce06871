"""DeleteRecords, API 21."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, field


class DeleteRecordsPartition(Struct):
    partition_index: Int32 = field("0+")
    offset: Int64 = field("0+")


class DeleteRecordsTopic(Struct):
    name: String = field("0+")
    partitions: Array[DeleteRecordsPartition] = field("0+")


class DeleteRecordsRequest(Request, api=21, versions="0-2", flexible="2+"):
    """Move the start of partitions forward: records below an offset are deleted (KIP-107).

    An offset of -1 means the high watermark.
    """

    topics: Array[DeleteRecordsTopic] = field("0+")
    timeout_ms: Int32 = field("0+")


class DeleteRecordsPartitionResult(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    low_watermark: Int64 = field("0+")
    error_code: Int16 = field("0+")


class DeleteRecordsTopicResult(Struct):
    name: String = field("0+", map_key=True)
    partitions: Array[DeleteRecordsPartitionResult] = field("0+")


class DeleteRecordsResponse(Response, to=DeleteRecordsRequest):
    throttle_time_ms: Int32 = field("0+")
    topics: Array[DeleteRecordsTopicResult] = field("0+")
