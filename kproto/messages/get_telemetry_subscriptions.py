"""GetTelemetrySubscriptions, API 71."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Uuid, field


class GetTelemetrySubscriptionsRequest(Request, api=71, versions="0", flexible="0+"):
    """Ask which client metrics the broker wants to receive (KIP-714)."""

    client_instance_id: Uuid = field("0+")


class GetTelemetrySubscriptionsResponse(Response, to=GetTelemetrySubscriptionsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    client_instance_id: Uuid = field("0+")
    subscription_id: Int32 = field("0+")
    accepted_compression_types: Array[Int8] = field("0+")
    push_interval_ms: Int32 = field("0+")
    telemetry_max_bytes: Int32 = field("0+")
    delta_temporality: Bool = field("0+")
    requested_metrics: Array[String] = field("0+")
