"""DescribeProducers, API 61."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, field


class TopicRequest(Struct):
    name: String = field("0+", map_key=True)
    partition_indexes: Array[Int32] = field("0+")


class DescribeProducersRequest(Request, api=61, versions="0", flexible="0+"):
    """Describe the producers that are active in partitions (KIP-664)."""

    topics: Array[TopicRequest] = field("0+")


class ProducerState(Struct):
    producer_id: Int64 = field("0+")
    producer_epoch: Int32 = field("0+")
    last_sequence: Int32 = field("0+", default=-1)
    last_timestamp: Int64 = field("0+", default=-1)
    coordinator_epoch: Int32 = field("0+")
    current_txn_start_offset: Int64 = field("0+", default=-1)


class PartitionResponse(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    active_producers: Array[ProducerState] = field("0+")


class TopicResponse(Struct):
    name: String = field("0+")
    partitions: Array[PartitionResponse] = field("0+")


class DescribeProducersResponse(Response, to=DescribeProducersRequest):
    throttle_time_ms: Int32 = field("0+")
    topics: Array[TopicResponse] = field("0+")
