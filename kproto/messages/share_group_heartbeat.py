"""ShareGroupHeartbeat, API 76."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uuid, field


class ShareGroupHeartbeatRequest(Request, api=76, versions="1", flexible="0+"):
    """Join, stay in and leave a share group (KIP-932)."""

    group_id: String = field("0+")
    member_id: String = field("0+")
    member_epoch: Int32 = field("0+")
    rack_id: String | None = field("0+", default=None)
    subscribed_topic_names: Array[String] | None = field("0+", default=None)


class TopicPartitions(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")


class Assignment(Struct):
    topic_partitions: Array[TopicPartitions] = field("0+")


class ShareGroupHeartbeatResponse(Response, to=ShareGroupHeartbeatRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    member_id: String | None = field("0+", default=None)
    member_epoch: Int32 = field("0+")
    heartbeat_interval_ms: Int32 = field("0+")
    assignment: Assignment | None = field("0+", default=None)
