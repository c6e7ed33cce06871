"""IncrementalAlterConfigs, API 44."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, field


class AlterableConfig(Struct):
    name: String = field("0+", map_key=True)
    config_operation: Int8 = field("0+", map_key=True)
    value: String | None = field("0+")


class AlterConfigsResource(Struct):
    resource_type: Int8 = field("0+", map_key=True)
    resource_name: String = field("0+", map_key=True)
    configs: Array[AlterableConfig] = field("0+")


class IncrementalAlterConfigsRequest(Request, api=44, versions="0-1", flexible="1+"):
    """Set, delete, append to or subtract from single configuration values (KIP-339)."""

    resources: Array[AlterConfigsResource] = field("0+")
    validate_only: Bool = field("0+")


class AlterConfigsResourceResponse(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")


class IncrementalAlterConfigsResponse(Response, to=IncrementalAlterConfigsRequest):
    throttle_time_ms: Int32 = field("0+")
    responses: Array[AlterConfigsResourceResponse] = field("0+")
