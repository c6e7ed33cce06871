"""DescribeConfigs, API 32."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, field


class DescribeConfigsResource(Struct):
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    configuration_keys: Array[String] | None = field("0+")


class DescribeConfigsRequest(Request, api=32, versions="1-4", flexible="4+"):
    """Read the configuration of topics, brokers and other resources.

    v1 adds sources and synonyms (KIP-226), v3 types and documentation (KIP-569).
    """

    resources: Array[DescribeConfigsResource] = field("0+")
    include_synonyms: Bool = field("1+")
    include_documentation: Bool = field("3+")


class DescribeConfigsSynonym(Struct):
    name: String = field("1+")
    value: String | None = field("1+", nullable="0+")
    source: Int8 = field("1+")


class DescribeConfigsResourceResult(Struct, shared=True):
    name: String = field("0+")
    value: String | None = field("0+")
    read_only: Bool = field("0+")
    config_source: Int8 = field("1+", default=-1, ignorable=True)
    is_sensitive: Bool = field("0+")
    synonyms: Array[DescribeConfigsSynonym] = field("1+", ignorable=True)
    config_type: Int8 = field("3+", ignorable=True)
    documentation: String | None = field("3+", nullable="0+", ignorable=True)


class DescribeConfigsResult(Struct):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    configs: Array[DescribeConfigsResourceResult] = field("0+")


class DescribeConfigsResponse(Response, to=DescribeConfigsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[DescribeConfigsResult] = field("0+")
