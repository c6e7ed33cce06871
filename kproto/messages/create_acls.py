"""CreateAcls, API 30."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class AclCreation(Struct):
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    resource_pattern_type: Int8 = field("1+", default=3)
    principal: String = field("0+")
    host: String = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class CreateAclsRequest(Request, api=30, versions="1-3", flexible="2+"):
    """Add access control entries (KIP-140). v1 knows prefixed patterns (KIP-290)."""

    creations: Array[AclCreation] = field("0+")


class AclCreationResult(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")


class CreateAclsResponse(Response, to=CreateAclsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[AclCreationResult] = field("0+")
