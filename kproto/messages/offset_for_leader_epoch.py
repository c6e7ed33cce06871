"""OffsetForLeaderEpoch, API 23."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, field


class OffsetForLeaderPartition(Struct):
    partition: Int32 = field("0+")
    current_leader_epoch: Int32 = field("2+", default=-1, ignorable=True)
    leader_epoch: Int32 = field("0+")


class OffsetForLeaderTopic(Struct):
    topic: String = field("0+", map_key=True)
    partitions: Array[OffsetForLeaderPartition] = field("0+")


class OffsetForLeaderEpochRequest(Request, api=23, versions="2-4", flexible="4+"):
    """Ask where a leader epoch ended, so that a reader can detect a truncated log (KIP-101, KIP-320 for consumers)."""

    replica_id: Int32 = field("3+", default=-2, ignorable=True)
    topics: Array[OffsetForLeaderTopic] = field("0+")


class EpochEndOffset(Struct):
    error_code: Int16 = field("0+")
    partition: Int32 = field("0+")
    leader_epoch: Int32 = field("1+", default=-1, ignorable=True)
    end_offset: Int64 = field("0+", default=-1)


class OffsetForLeaderTopicResult(Struct):
    topic: String = field("0+", map_key=True)
    partitions: Array[EpochEndOffset] = field("0+")


class OffsetForLeaderEpochResponse(Response, to=OffsetForLeaderEpochRequest):
    throttle_time_ms: Int32 = field("2+", ignorable=True)
    topics: Array[OffsetForLeaderTopicResult] = field("0+")
