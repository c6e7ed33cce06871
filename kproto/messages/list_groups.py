"""ListGroups, API 16."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class ListGroupsRequest(Request, api=16, versions="0-5", flexible="3+"):
    """List the groups this broker coordinates. v4 filters by state (KIP-518), v5 by type of group (KIP-848)."""

    states_filter: Array[String] = field("4+")
    types_filter: Array[String] = field("5+")


class ListedGroup(Struct):
    group_id: String = field("0+")
    protocol_type: String = field("0+")
    group_state: String = field("4+", ignorable=True)
    group_type: String = field("5+", ignorable=True)


class ListGroupsResponse(Response, to=ListGroupsRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    error_code: Int16 = field("0+")
    groups: Array[ListedGroup] = field("0+")
