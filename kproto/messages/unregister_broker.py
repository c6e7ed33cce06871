"""UnregisterBroker, API 64."""

from kproto.schema.declare import Int16, Int32, Request, Response, String, field


class UnregisterBrokerRequest(Request, api=64, versions="0", flexible="0+"):
    """Remove a broker's registration (KIP-631)."""

    broker_id: Int32 = field("0+")


class UnregisterBrokerResponse(Response, to=UnregisterBrokerRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
