"""OffsetFetch, API 9."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class OffsetFetchRequestTopic(Struct):
    name: String = field("0-7")
    partition_indexes: Array[Int32] = field("0-7")


class OffsetFetchRequestTopics(Struct):
    name: String = field("8-9", ignorable=True)
    topic_id: Uuid = field("10+", ignorable=True)
    partition_indexes: Array[Int32] = field("8+")


class OffsetFetchRequestGroup(Struct):
    group_id: String = field("8+")
    member_id: String | None = field("9+", default=None, ignorable=True)
    member_epoch: Int32 = field("9+", default=-1, ignorable=True)
    topics: Array[OffsetFetchRequestTopics] | None = field("8+")


class OffsetFetchRequest(Request, api=9, versions="1-10", flexible="6+"):
    """Read the offsets a group has committed.

    v2 may ask for all topics, v7 for stable offsets only (KIP-447), v8 for many groups at once (KIP-709), v9
    carries member id and epoch (KIP-848), v10 names topics by id.
    """

    group_id: String = field("0-7")
    topics: Array[OffsetFetchRequestTopic] | None = field("0-7", nullable="2-7")
    groups: Array[OffsetFetchRequestGroup] = field("8+")
    require_stable: Bool = field("7+")


class OffsetFetchResponsePartition(Struct):
    partition_index: Int32 = field("0-7")
    committed_offset: Int64 = field("0-7")
    committed_leader_epoch: Int32 = field("5-7", default=-1, ignorable=True)
    metadata: String | None = field("0-7")
    error_code: Int16 = field("0-7")


class OffsetFetchResponseTopic(Struct):
    name: String = field("0-7")
    partitions: Array[OffsetFetchResponsePartition] = field("0-7")


class OffsetFetchResponsePartitions(Struct):
    partition_index: Int32 = field("8+")
    committed_offset: Int64 = field("8+")
    committed_leader_epoch: Int32 = field("8+", default=-1, ignorable=True)
    metadata: String | None = field("8+")
    error_code: Int16 = field("8+")


class OffsetFetchResponseTopics(Struct, shared=True):
    name: String = field("8-9", ignorable=True)
    topic_id: Uuid = field("10+", ignorable=True)
    partitions: Array[OffsetFetchResponsePartitions] = field("8+")


class OffsetFetchResponseGroup(Struct):
    group_id: String = field("8+")
    topics: Array[OffsetFetchResponseTopics] = field("8+")
    error_code: Int16 = field("8+")


class OffsetFetchResponse(Response, to=OffsetFetchRequest):
    throttle_time_ms: Int32 = field("3+", ignorable=True)
    topics: Array[OffsetFetchResponseTopic] = field("0-7")
    error_code: Int16 = field("2-7", ignorable=True)
    groups: Array[OffsetFetchResponseGroup] = field("8+")
