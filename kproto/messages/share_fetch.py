"""ShareFetch, API 78."""

from kproto.schema.declare import (
    Array,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Records,
    Request,
    Response,
    String,
    Struct,
    Uuid,
    field,
)


class AcknowledgementBatch(Struct):
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    acknowledge_types: Array[Int8] = field("0+")


class FetchPartition(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    partition_max_bytes: Int32 = field("0")
    acknowledgement_batches: Array[AcknowledgementBatch] = field("0+")


class FetchTopic(Struct):
    topic_id: Uuid = field("0+", map_key=True)
    partitions: Array[FetchPartition] = field("0+")


class ForgottenTopic(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")


class ShareFetchRequest(Request, api=78, versions="1-2", flexible="0+"):
    """Acquire records of share partitions and acknowledge earlier ones (KIP-932). v2 may renew acquisition locks."""

    group_id: String | None = field("0+", default=None)
    member_id: String | None = field("0+")
    share_session_epoch: Int32 = field("0+")
    max_wait_ms: Int32 = field("0+")
    min_bytes: Int32 = field("0+")
    max_bytes: Int32 = field("0+", default=0x7FFFFFFF)
    max_records: Int32 = field("1+")
    batch_size: Int32 = field("1+")
    share_acquire_mode: Int8 = field("2+", ignorable=True)
    is_renew_ack: Bool = field("2+")
    topics: Array[FetchTopic] = field("0+")
    forgotten_topics_data: Array[ForgottenTopic] = field("0+")


class LeaderIdAndEpoch(Struct):
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class AcquiredRecords(Struct):
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    delivery_count: Int16 = field("0+")


class PartitionData(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    acknowledge_error_code: Int16 = field("0+")
    acknowledge_error_message: String | None = field("0+", default=None)
    current_leader: LeaderIdAndEpoch = field("0+")
    records: Records | None = field("0+", nullable="0")
    acquired_records: Array[AcquiredRecords] = field("0+")


class ShareFetchableTopicResponse(Struct):
    topic_id: Uuid = field("0+", map_key=True)
    partitions: Array[PartitionData] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("0+", map_key=True)
    host: String = field("0+")
    port: Int32 = field("0+")
    rack: String | None = field("0+", default=None)


class ShareFetchResponse(Response, to=ShareFetchRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    acquisition_lock_timeout_ms: Int32 = field("1+")
    responses: Array[ShareFetchableTopicResponse] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("0+")
