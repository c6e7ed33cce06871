"""TxnOffsetCommit, API 28."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class TxnOffsetCommitRequestPartition(Struct):
    partition_index: Int32 = field("0+")
    committed_offset: Int64 = field("0+")
    committed_leader_epoch: Int32 = field("2+", default=-1, ignorable=True)
    committed_metadata: String | None = field("0+")


class TxnOffsetCommitRequestTopic(Struct):
    name: String = field("0-5", ignorable=True)
    topic_id: Uuid = field("6+", ignorable=True)
    partitions: Array[TxnOffsetCommitRequestPartition] = field("0+")


class TxnOffsetCommitRequest(Request, api=28, versions="0-6", flexible="3+"):
    """Commit offsets inside a transaction (KIP-98).

    v3 carries member and generation for fencing (KIP-447), v5 adds the partition to the transaction implicitly
    (KIP-890), v6 names topics by their ids (KIP-1319).
    """

    transactional_id: String = field("0+")
    group_id: String = field("0+")
    producer_id: Int64 = field("0+")
    producer_epoch: Int16 = field("0+")
    generation_id_or_member_epoch: Int32 = field("3+", default=-1)
    member_id: String = field("3+")
    group_instance_id: String | None = field("3+", default=None)
    topics: Array[TxnOffsetCommitRequestTopic] = field("0+")


class TxnOffsetCommitResponsePartition(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")


class TxnOffsetCommitResponseTopic(Struct):
    name: String = field("0-5", ignorable=True)
    topic_id: Uuid = field("6+", ignorable=True)
    partitions: Array[TxnOffsetCommitResponsePartition] = field("0+")


class TxnOffsetCommitResponse(Response, to=TxnOffsetCommitRequest):
    throttle_time_ms: Int32 = field("0+")
    topics: Array[TxnOffsetCommitResponseTopic] = field("0+")
