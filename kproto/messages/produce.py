"""Produce, API 0."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Records, Request, Response, String, Struct, Uuid, field


class PartitionProduceData(Struct):
    index: Int32 = field("0+")
    records: Records | None = field("0+")


class TopicProduceData(Struct):
    name: String = field("0-12", ignorable=True, map_key=True)
    topic_id: Uuid = field("13+", ignorable=True, map_key=True)
    partition_data: Array[PartitionProduceData] = field("0+")


class ProduceRequest(Request, api=0, versions="3-13", flexible="9+"):
    """Append record batches to partitions.

    v3 carries batches of format v2, v9 is flexible, v10 names new leaders in the reply (KIP-951), v12 adds
    partitions to transactions implicitly (KIP-890), v13 names topics by id (KIP-516).
    """

    transactional_id: String | None = field("3+", default=None)
    acks: Int16 = field("0+")
    timeout_ms: Int32 = field("0+")
    topic_data: Array[TopicProduceData] = field("0+")


class BatchIndexAndErrorMessage(Struct):
    batch_index: Int32 = field("8+")
    batch_index_error_message: String | None = field("8+", default=None)


class LeaderIdAndEpoch(Struct):
    leader_id: Int32 = field("10+", default=-1)
    leader_epoch: Int32 = field("10+", default=-1)


class PartitionProduceResponse(Struct):
    index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    base_offset: Int64 = field("0+")
    log_append_time_ms: Int64 = field("2+", default=-1, ignorable=True)
    log_start_offset: Int64 = field("5+", default=-1, ignorable=True)
    record_errors: Array[BatchIndexAndErrorMessage] = field("8+", ignorable=True)
    error_message: String | None = field("8+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = field("10+", tag=0)


class TopicProduceResponse(Struct):
    name: String = field("0-12", ignorable=True, map_key=True)
    topic_id: Uuid = field("13+", ignorable=True, map_key=True)
    partition_responses: Array[PartitionProduceResponse] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("10+", map_key=True)
    host: String = field("10+")
    port: Int32 = field("10+")
    rack: String | None = field("10+", default=None)


class ProduceResponse(Response, to=ProduceRequest):
    responses: Array[TopicProduceResponse] = field("0+")
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    node_endpoints: Array[NodeEndpoint] = field("10+", tag=0)
