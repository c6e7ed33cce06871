"""DeleteGroups, API 42."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class DeleteGroupsRequest(Request, api=42, versions="0-3", flexible="2+"):
    """Delete groups that have no members (KIP-229). v3 answers with a sentence for each group."""

    groups_names: Array[String] = field("0+")


class DeletableGroupResult(Struct):
    group_id: String = field("0+", map_key=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("3+", default=None, ignorable=True)


class DeleteGroupsResponse(Response, to=DeleteGroupsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[DeletableGroupResult] = field("0+")
