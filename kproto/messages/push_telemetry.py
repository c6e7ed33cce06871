"""PushTelemetry, API 72."""

from kproto.schema.declare import Bool, Bytes, Int8, Int16, Int32, Request, Response, Uuid, field


class PushTelemetryRequest(Request, api=72, versions="0", flexible="0+"):
    """Send client metrics to the broker (KIP-714)."""

    client_instance_id: Uuid = field("0+")
    subscription_id: Int32 = field("0+")
    terminating: Bool = field("0+")
    compression_type: Int8 = field("0+")
    metrics: Bytes = field("0+")


class PushTelemetryResponse(Response, to=PushTelemetryRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
