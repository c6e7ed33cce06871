"""LeaveGroup, API 13."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class MemberIdentity(Struct):
    member_id: String = field("3+")
    group_instance_id: String | None = field("3+", default=None)
    reason: String | None = field("5+", default=None, ignorable=True)


class LeaveGroupRequest(Request, api=13, versions="0-5", flexible="4+"):
    """Leave a group. v3 removes many members at once, also static ones (KIP-345), v5 says why (KIP-800)."""

    group_id: String = field("0+")
    member_id: String = field("0-2")
    members: Array[MemberIdentity] = field("3+")


class MemberResponse(Struct):
    member_id: String = field("3+")
    group_instance_id: String | None = field("3+")
    error_code: Int16 = field("3+")


class LeaveGroupResponse(Response, to=LeaveGroupRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    error_code: Int16 = field("0+")
    members: Array[MemberResponse] = field("3+")
