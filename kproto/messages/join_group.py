"""JoinGroup, API 11."""

from kproto.schema.declare import Array, Bool, Bytes, Int16, Int32, Request, Response, String, Struct, field


class JoinGroupRequestProtocol(Struct):
    name: String = field("0+", map_key=True)
    metadata: Bytes = field("0+")


class JoinGroupRequest(Request, api=11, versions="0-9", flexible="6+"):
    """Join a group of the classic protocol and take part in its rebalance.

    v1 separates rebalance and session timeout (KIP-62), v4 asks new members to come back with an id (KIP-394), v5
    knows static members (KIP-345), v8 says why (KIP-800), v9 lets the leader skip the assignment (KIP-814).
    """

    group_id: String = field("0+")
    session_timeout_ms: Int32 = field("0+")
    rebalance_timeout_ms: Int32 = field("1+", default=-1, ignorable=True)
    member_id: String = field("0+")
    group_instance_id: String | None = field("5+", default=None)
    protocol_type: String = field("0+")
    protocols: Array[JoinGroupRequestProtocol] = field("0+")
    reason: String | None = field("8+", default=None, ignorable=True)


class JoinGroupResponseMember(Struct):
    member_id: String = field("0+")
    group_instance_id: String | None = field("5+", default=None, ignorable=True)
    metadata: Bytes = field("0+")


class JoinGroupResponse(Response, to=JoinGroupRequest):
    throttle_time_ms: Int32 = field("2+", ignorable=True)
    error_code: Int16 = field("0+")
    generation_id: Int32 = field("0+", default=-1)
    protocol_type: String | None = field("7+", default=None, ignorable=True)
    protocol_name: String | None = field("0+", nullable="7+")
    leader: String = field("0+")
    skip_assignment: Bool = field("9+")
    member_id: String = field("0+")
    members: Array[JoinGroupResponseMember] = field("0+")
