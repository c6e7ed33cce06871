"""DescribeGroups, API 15."""

from kproto.schema.declare import Array, Bool, Bytes, Int16, Int32, Request, Response, String, Struct, field


class DescribeGroupsRequest(Request, api=15, versions="0-6", flexible="5+"):
    """Describe groups of the classic protocol.

    v3 adds authorized operations (KIP-430), v4 static members (KIP-345), v6 reports unknown groups as
    GROUP_ID_NOT_FOUND with a message (KIP-1043).
    """

    groups: Array[String] = field("0+")
    include_authorized_operations: Bool = field("3+")


class DescribedGroupMember(Struct, shared=True):
    member_id: String = field("0+")
    group_instance_id: String | None = field("4+", default=None, ignorable=True)
    client_id: String = field("0+")
    client_host: String = field("0+")
    member_metadata: Bytes = field("0+")
    member_assignment: Bytes = field("0+")


class DescribedGroup(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("6+", default=None)
    group_id: String = field("0+")
    group_state: String = field("0+")
    protocol_type: String = field("0+")
    protocol_data: String = field("0+")
    members: Array[DescribedGroupMember] = field("0+")
    authorized_operations: Int32 = field("3+", default=-0x80000000)


class DescribeGroupsResponse(Response, to=DescribeGroupsRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    groups: Array[DescribedGroup] = field("0+")
