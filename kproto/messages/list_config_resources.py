"""ListConfigResources, API 74."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class ListConfigResourcesRequest(Request, api=74, versions="0-1", flexible="0+"):
    """List configuration resources (KIP-1142). v0 lists client metrics only (KIP-714)."""

    resource_types: Array[Int8] = field("1+")


class ConfigResource(Struct):
    resource_name: String = field("0+")
    resource_type: Int8 = field("1+", default=16, ignorable=True)


class ListConfigResourcesResponse(Response, to=ListConfigResourcesRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    config_resources: Array[ConfigResource] = field("0+")
