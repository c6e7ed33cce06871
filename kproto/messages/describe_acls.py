"""DescribeAcls, API 29."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class DescribeAclsRequest(Request, api=29, versions="1-3", flexible="2+"):
    """List access control entries that match a filter (KIP-140). v1 knows prefixed patterns (KIP-290)."""

    resource_type_filter: Int8 = field("0+")
    resource_name_filter: String | None = field("0+")
    pattern_type_filter: Int8 = field("1+", default=3)
    principal_filter: String | None = field("0+")
    host_filter: String | None = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class AclDescription(Struct):
    principal: String = field("0+")
    host: String = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class DescribeAclsResource(Struct):
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    pattern_type: Int8 = field("1+", default=3)
    acls: Array[AclDescription] = field("0+")


class DescribeAclsResponse(Response, to=DescribeAclsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    resources: Array[DescribeAclsResource] = field("0+")
