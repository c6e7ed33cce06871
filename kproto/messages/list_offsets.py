"""ListOffsets, API 2."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Int64, Request, Response, String, Struct, field


class ListOffsetsPartition(Struct):
    partition_index: Int32 = field("0+")
    current_leader_epoch: Int32 = field("4+", default=-1, ignorable=True)
    timestamp: Int64 = field("0+")


class ListOffsetsTopic(Struct):
    name: String = field("0+")
    partitions: Array[ListOffsetsPartition] = field("0+")


class ListOffsetsRequest(Request, api=2, versions="1-11", flexible="6+"):
    """Find the offset that belongs to a timestamp, or to one of the special ones below zero: -1 latest, -2
    earliest, -3 largest timestamp (v7, KIP-734), -4 earliest local (v8, KIP-405), -5 latest in tiered storage (v9,
    KIP-1005), -6 earliest not yet in tiered storage (v11).
    """

    replica_id: Int32 = field("0+")
    isolation_level: Int8 = field("2+")
    topics: Array[ListOffsetsTopic] = field("0+")
    timeout_ms: Int32 = field("10+", ignorable=True)


class ListOffsetsPartitionResponse(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    timestamp: Int64 = field("1+", default=-1)
    offset: Int64 = field("1+", default=-1)
    leader_epoch: Int32 = field("4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    name: String = field("0+")
    partitions: Array[ListOffsetsPartitionResponse] = field("0+")


class ListOffsetsResponse(Response, to=ListOffsetsRequest):
    throttle_time_ms: Int32 = field("2+", ignorable=True)
    topics: Array[ListOffsetsTopicResponse] = field("0+")
