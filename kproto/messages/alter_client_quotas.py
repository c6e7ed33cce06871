"""AlterClientQuotas, API 49."""

from kproto.schema.declare import Array, Bool, Float64, Int16, Int32, Request, Response, String, Struct, field


class EntityData(Struct):
    entity_type: String = field("0+")
    entity_name: String | None = field("0+")


class OpData(Struct):
    key: String = field("0+")
    value: Float64 = field("0+")
    remove: Bool = field("0+")


class RequestEntryData(Struct, kafka_name="EntryData"):
    entity: Array[EntityData] = field("0+")
    ops: Array[OpData] = field("0+")


class AlterClientQuotasRequest(Request, api=49, versions="0-1", flexible="1+"):
    """Change client quotas (KIP-546)."""

    entries: Array[RequestEntryData] = field("0+")
    validate_only: Bool = field("0+")


class ResponseEntryData(Struct, kafka_name="EntryData"):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    entity: Array[EntityData] = field("0+")


class AlterClientQuotasResponse(Response, to=AlterClientQuotasRequest):
    throttle_time_ms: Int32 = field("0+")
    entries: Array[ResponseEntryData] = field("0+")
