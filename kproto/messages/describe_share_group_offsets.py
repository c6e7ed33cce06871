"""DescribeShareGroupOffsets, API 90."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class DescribeShareGroupOffsetsRequestTopic(Struct):
    topic_name: String = field("0+")
    partitions: Array[Int32] = field("0+")


class DescribeShareGroupOffsetsRequestGroup(Struct):
    group_id: String = field("0+")
    topics: Array[DescribeShareGroupOffsetsRequestTopic] | None = field("0+")


class DescribeShareGroupOffsetsRequest(Request, api=90, versions="0-1", flexible="0+"):
    """Describe the offsets of share groups (KIP-932)."""

    groups: Array[DescribeShareGroupOffsetsRequestGroup] = field("0+")


class DescribeShareGroupOffsetsResponsePartition(Struct):
    partition_index: Int32 = field("0+")
    start_offset: Int64 = field("0+")
    leader_epoch: Int32 = field("0+")
    lag: Int64 = field("1+", default=-1, ignorable=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class DescribeShareGroupOffsetsResponseTopic(Struct):
    topic_name: String = field("0+")
    topic_id: Uuid = field("0+")
    partitions: Array[DescribeShareGroupOffsetsResponsePartition] = field("0+")


class DescribeShareGroupOffsetsResponseGroup(Struct):
    group_id: String = field("0+")
    topics: Array[DescribeShareGroupOffsetsResponseTopic] = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)


class DescribeShareGroupOffsetsResponse(Response, to=DescribeShareGroupOffsetsRequest):
    throttle_time_ms: Int32 = field("0+")
    groups: Array[DescribeShareGroupOffsetsResponseGroup] = field("0+")
