"""Heartbeat, API 12."""

from kproto.schema.declare import Int16, Int32, Request, Response, String, field


class HeartbeatRequest(Request, api=12, versions="0-4", flexible="4+"):
    """Tell the coordinator that a member of a classic group is alive.

    v3 knows static members (KIP-345), v4 is flexible.
    """

    group_id: String = field("0+")
    generation_id: Int32 = field("0+")
    member_id: String = field("0+")
    group_instance_id: String | None = field("3+", default=None)


class HeartbeatResponse(Response, to=HeartbeatRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    error_code: Int16 = field("0+")
