"""DeleteAcls, API 31."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class DeleteAclsFilter(Struct):
    resource_type_filter: Int8 = field("0+")
    resource_name_filter: String | None = field("0+")
    pattern_type_filter: Int8 = field("1+", default=3)
    principal_filter: String | None = field("0+")
    host_filter: String | None = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class DeleteAclsRequest(Request, api=31, versions="1-3", flexible="2+"):
    """Delete the access control entries that match filters (KIP-140). v1 knows prefixed patterns (KIP-290)."""

    filters: Array[DeleteAclsFilter] = field("0+")


class DeleteAclsMatchingAcl(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    pattern_type: Int8 = field("1+", default=3)
    principal: String = field("0+")
    host: String = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class DeleteAclsFilterResult(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    matching_acls: Array[DeleteAclsMatchingAcl] = field("0+")


class DeleteAclsResponse(Response, to=DeleteAclsRequest):
    throttle_time_ms: Int32 = field("0+")
    filter_results: Array[DeleteAclsFilterResult] = field("0+")
