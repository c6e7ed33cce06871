"""ControllerRegistration, API 70."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, Uint16, Uuid, field


class Listener(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")
    security_protocol: Int16 = field("0+")


class Feature(Struct):
    name: String = field("0+", map_key=True)
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class ControllerRegistrationRequest(Request, api=70, versions="0", flexible="0+"):
    """Register a controller with the active controller (KIP-919)."""

    controller_id: Int32 = field("0+")
    incarnation_id: Uuid = field("0+")
    zk_migration_ready: Bool = field("0+")
    listeners: Array[Listener] = field("0+")
    features: Array[Feature] = field("0+")


class ControllerRegistrationResponse(Response, to=ControllerRegistrationRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
