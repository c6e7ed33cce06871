"""ShareAcknowledge, API 79."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Int64, Request, Response, String, Struct, Uuid, field


class AcknowledgementBatch(Struct):
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    acknowledge_types: Array[Int8] = field("0+")


class AcknowledgePartition(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    acknowledgement_batches: Array[AcknowledgementBatch] = field("0+")


class AcknowledgeTopic(Struct):
    topic_id: Uuid = field("0+", map_key=True)
    partitions: Array[AcknowledgePartition] = field("0+")


class ShareAcknowledgeRequest(Request, api=79, versions="1-2", flexible="0+"):
    """Acknowledge records acquired by ShareFetch (KIP-932). v2 may renew acquisition locks."""

    group_id: String | None = field("0+", default=None)
    member_id: String | None = field("0+")
    share_session_epoch: Int32 = field("0+")
    is_renew_ack: Bool = field("2+")
    topics: Array[AcknowledgeTopic] = field("0+")


class LeaderIdAndEpoch(Struct):
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class PartitionData(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    current_leader: LeaderIdAndEpoch = field("0+")


class ShareAcknowledgeTopicResponse(Struct):
    topic_id: Uuid = field("0+", map_key=True)
    partitions: Array[PartitionData] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("0+", map_key=True)
    host: String = field("0+")
    port: Int32 = field("0+")
    rack: String | None = field("0+", default=None)


class ShareAcknowledgeResponse(Response, to=ShareAcknowledgeRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    acquisition_lock_timeout_ms: Int32 = field("2+", ignorable=True)
    responses: Array[ShareAcknowledgeTopicResponse] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("0+")
