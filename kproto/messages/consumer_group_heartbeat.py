"""ConsumerGroupHeartbeat, API 68."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uuid, field


class TopicPartitions(Struct):
    topic_id: Uuid = field("0+")
    partitions: Array[Int32] = field("0+")


class ConsumerGroupHeartbeatRequest(Request, api=68, versions="0-1", flexible="0+"):
    """Join, stay in and leave a group of the consumer protocol; one request does all (KIP-848).

    v1 lets members choose their own id (KIP-1082) and subscribe by regular expression.
    """

    group_id: String = field("0+")
    member_id: String = field("0+")
    member_epoch: Int32 = field("0+")
    instance_id: String | None = field("0+", default=None)
    rack_id: String | None = field("0+", default=None)
    rebalance_timeout_ms: Int32 = field("0+", default=-1)
    subscribed_topic_names: Array[String] | None = field("0+", default=None)
    subscribed_topic_regex: String | None = field("1+", default=None)
    server_assignor: String | None = field("0+", default=None)
    topic_partitions: Array[TopicPartitions] | None = field("0+", default=None)


class Assignment(Struct):
    topic_partitions: Array[TopicPartitions] = field("0+")


class ConsumerGroupHeartbeatResponse(Response, to=ConsumerGroupHeartbeatRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    member_id: String | None = field("0+", default=None)
    member_epoch: Int32 = field("0+")
    heartbeat_interval_ms: Int32 = field("0+")
    assignment: Assignment | None = field("0+", default=None)
