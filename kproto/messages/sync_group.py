"""SyncGroup, API 14."""

from kproto.schema.declare import Array, Bytes, Int16, Int32, Request, Response, String, Struct, field


class SyncGroupRequestAssignment(Struct):
    member_id: String = field("0+")
    assignment: Bytes = field("0+")


class SyncGroupRequest(Request, api=14, versions="0-5", flexible="4+"):
    """Receive one's assignment; the leader of the group brings those of all members.

    v3 knows static members (KIP-345), v5 names protocol type and name so that both sides can check them (KIP-559).
    """

    group_id: String = field("0+")
    generation_id: Int32 = field("0+")
    member_id: String = field("0+")
    group_instance_id: String | None = field("3+", default=None)
    protocol_type: String | None = field("5+", default=None, ignorable=True)
    protocol_name: String | None = field("5+", default=None, ignorable=True)
    assignments: Array[SyncGroupRequestAssignment] = field("0+")


class SyncGroupResponse(Response, to=SyncGroupRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    error_code: Int16 = field("0+")
    protocol_type: String | None = field("5+", default=None, ignorable=True)
    protocol_name: String | None = field("5+", default=None, ignorable=True)
    assignment: Bytes = field("0+")
