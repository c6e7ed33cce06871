"""DeleteShareGroupOffsets, API 92."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uuid, field


class DeleteShareGroupOffsetsRequestTopic(Struct):
    topic_name: String = field("0+")


class DeleteShareGroupOffsetsRequest(Request, api=92, versions="0", flexible="0+"):
    """Delete the offsets of share groups (KIP-932)."""

    group_id: String = field("0+")
    topics: Array[DeleteShareGroupOffsetsRequestTopic] = field("0+")


class DeleteShareGroupOffsetsResponseTopic(Struct):
    topic_name: String = field("0+")
    topic_id: Uuid = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class DeleteShareGroupOffsetsResponse(Response, to=DeleteShareGroupOffsetsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    responses: Array[DeleteShareGroupOffsetsResponseTopic] = field("0+")
