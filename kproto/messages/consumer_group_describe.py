"""ConsumerGroupDescribe, API 69."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, Uuid, field


class ConsumerGroupDescribeRequest(Request, api=69, versions="0-1", flexible="0+"):
    """Describe groups of the consumer protocol (KIP-848). v1 distinguishes classic members (KIP-1099)."""

    group_ids: Array[String] = field("0+")
    include_authorized_operations: Bool = field("0+")


class TopicPartitions(Struct):
    topic_id: Uuid = field("0+")
    topic_name: String = field("0+")
    partitions: Array[Int32] = field("0+")


class Assignment(Struct):
    topic_partitions: Array[TopicPartitions] = field("0+")


class Member(Struct):
    member_id: String = field("0+")
    instance_id: String | None = field("0+", default=None)
    rack_id: String | None = field("0+", default=None)
    member_epoch: Int32 = field("0+")
    client_id: String = field("0+")
    client_host: String = field("0+")
    subscribed_topic_names: Array[String] = field("0+")
    subscribed_topic_regex: String | None = field("0+", default=None)
    assignment: Assignment = field("0+")
    target_assignment: Assignment = field("0+")
    member_type: Int8 = field("1+", default=-1, ignorable=True)


class DescribedGroup(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    group_id: String = field("0+")
    group_state: String = field("0+")
    group_epoch: Int32 = field("0+")
    assignment_epoch: Int32 = field("0+")
    assignor_name: String = field("0+")
    members: Array[Member] = field("0+")
    authorized_operations: Int32 = field("0+", default=-0x80000000)


class ConsumerGroupDescribeResponse(Response, to=ConsumerGroupDescribeRequest):
    throttle_time_ms: Int32 = field("0+")
    groups: Array[DescribedGroup] = field("0+")
