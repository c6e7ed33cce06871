"""OffsetCommit, API 8."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class OffsetCommitRequestPartition(Struct):
    partition_index: Int32 = field("0+")
    committed_offset: Int64 = field("0+")
    committed_leader_epoch: Int32 = field("6+", default=-1, ignorable=True)
    committed_metadata: String | None = field("0+")


class OffsetCommitRequestTopic(Struct):
    name: String = field("0-9", ignorable=True)
    topic_id: Uuid = field("10+", ignorable=True)
    partitions: Array[OffsetCommitRequestPartition] = field("0+")


class OffsetCommitRequest(Request, api=8, versions="2-10", flexible="8+"):
    """Commit the offsets a group has consumed.

    v7 knows static members (KIP-345), v8 is flexible, v9 serves the consumer protocol of KIP-848, where the
    generation is the member epoch, v10 names topics by id.
    """

    group_id: String = field("0+")
    generation_id_or_member_epoch: Int32 = field("1+", default=-1, ignorable=True)
    member_id: String = field("1+", ignorable=True)
    group_instance_id: String | None = field("7+", default=None)
    retention_time_ms: Int64 = field("2-4", default=-1, ignorable=True)
    topics: Array[OffsetCommitRequestTopic] = field("0+")


class OffsetCommitResponsePartition(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")


class OffsetCommitResponseTopic(Struct):
    name: String = field("0-9", ignorable=True)
    topic_id: Uuid = field("10+", ignorable=True)
    partitions: Array[OffsetCommitResponsePartition] = field("0+")


class OffsetCommitResponse(Response, to=OffsetCommitRequest):
    throttle_time_ms: Int32 = field("3+", ignorable=True)
    topics: Array[OffsetCommitResponseTopic] = field("0+")
