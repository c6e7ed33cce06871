"""AlterShareGroupOffsets, API 91."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class AlterShareGroupOffsetsRequestPartition(Struct):
    partition_index: Int32 = field("0+")
    start_offset: Int64 = field("0+")


class AlterShareGroupOffsetsRequestTopic(Struct):
    topic_name: String = field("0+", map_key=True)
    partitions: Array[AlterShareGroupOffsetsRequestPartition] = field("0+")


class AlterShareGroupOffsetsRequest(Request, api=91, versions="0", flexible="0+"):
    """Alter the offsets of share groups (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[AlterShareGroupOffsetsRequestTopic] = field("0+")


class AlterShareGroupOffsetsResponsePartition(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class AlterShareGroupOffsetsResponseTopic(Struct):
    topic_name: String = field("0+", map_key=True)
    topic_id: Uuid = field("0+")
    partitions: Array[AlterShareGroupOffsetsResponsePartition] = field("0+")


class AlterShareGroupOffsetsResponse(Response, to=AlterShareGroupOffsetsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    responses: Array[AlterShareGroupOffsetsResponseTopic] = field("0+")
