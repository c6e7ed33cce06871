"""ShareGroupDescribe, API 77."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, Uuid, field


class ShareGroupDescribeRequest(Request, api=77, versions="1", flexible="0+"):
    """Describe share groups (KIP-932)."""

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
    rack_id: String | None = field("0+", default=None)
    member_epoch: Int32 = field("0+")
    client_id: String = field("0+")
    client_host: String = field("0+")
    subscribed_topic_names: Array[String] = field("0+")
    assignment: Assignment = field("0+")


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


class ShareGroupDescribeResponse(Response, to=ShareGroupDescribeRequest):
    throttle_time_ms: Int32 = field("0+")
    groups: Array[DescribedGroup] = field("0+")
