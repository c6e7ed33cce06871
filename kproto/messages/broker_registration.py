"""BrokerRegistration, API 62."""

from kproto.schema.declare import (
    Array,
    Bool,
    Int16,
    Int32,
    Int64,
    Request,
    Response,
    String,
    Struct,
    Uint16,
    Uuid,
    field,
)


class Listener(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")
    security_protocol: Int16 = field("0+")


class Feature(Struct):
    name: String = field("0+", map_key=True)
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class BrokerRegistrationRequest(Request, api=62, versions="0-4", flexible="0+"):
    """Register a broker with the controller quorum (KIP-500, KIP-631).

    v2 lists log directories (KIP-858), v3 knows the previous broker epoch (KIP-966).
    """

    broker_id: Int32 = field("0+")
    cluster_id: String = field("0+")
    incarnation_id: Uuid = field("0+")
    listeners: Array[Listener] = field("0+")
    features: Array[Feature] = field("0+")
    rack: String | None = field("0+")
    is_migrating_zk_broker: Bool = field("1+")
    log_dirs: Array[Uuid] = field("2+", ignorable=True)
    previous_broker_epoch: Int64 = field("3+", default=-1, ignorable=True)


class BrokerRegistrationResponse(Response, to=BrokerRegistrationRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)
