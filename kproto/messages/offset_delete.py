"""OffsetDelete, API 47."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class OffsetDeleteRequestPartition(Struct):
    partition_index: Int32 = field("0+")


class OffsetDeleteRequestTopic(Struct):
    name: String = field("0+", map_key=True)
    partitions: Array[OffsetDeleteRequestPartition] = field("0+")


class OffsetDeleteRequest(Request, api=47, versions="0"):
    """Delete a group's committed offsets (KIP-496)."""

    group_id: String = field("0+")
    topics: Array[OffsetDeleteRequestTopic] = field("0+")


class OffsetDeleteResponsePartition(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    error_code: Int16 = field("0+")


class OffsetDeleteResponseTopic(Struct):
    name: String = field("0+", map_key=True)
    partitions: Array[OffsetDeleteResponsePartition] = field("0+")


class OffsetDeleteResponse(Response, to=OffsetDeleteRequest):
    error_code: Int16 = field("0+")
    throttle_time_ms: Int32 = field("0+", ignorable=True)
    topics: Array[OffsetDeleteResponseTopic] = field("0+")
