"""DeleteGroups, API 42."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class DeleteGroupsRequest(Request, api=42, versions="0-2", flexible="2+"):
    """Delete groups that have no members (KIP-229)."""

    groups_names: Array[String] = field("0+")


class DeletableGroupResult(Struct):
    group_id: String = field("0+", map_key=True)
    error_code: Int16 = field("0+")


class DeleteGroupsResponse(Response, to=DeleteGroupsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[DeletableGroupResult] = field("0+")
