"""DescribeClientQuotas, API 48."""

from kproto.schema.declare import Array, Bool, Float64, Int8, Int16, Int32, Request, Response, String, Struct, field


class ComponentData(Struct):
    entity_type: String = field("0+")
    match_type: Int8 = field("0+")
    match: String | None = field("0+")


class DescribeClientQuotasRequest(Request, api=48, versions="0-1", flexible="1+"):
    """Describe client quotas (KIP-546)."""

    components: Array[ComponentData] = field("0+")
    strict: Bool = field("0+")


class EntityData(Struct):
    entity_type: String = field("0+")
    entity_name: String | None = field("0+")


class ValueData(Struct):
    key: String = field("0+")
    value: Float64 = field("0+")


class EntryData(Struct):
    entity: Array[EntityData] = field("0+")
    values: Array[ValueData] = field("0+")


class DescribeClientQuotasResponse(Response, to=DescribeClientQuotasRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    entries: Array[EntryData] | None = field("0+")
