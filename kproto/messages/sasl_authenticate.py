"""SaslAuthenticate, API 36."""

from kproto.schema.declare import Bytes, Int16, Int64, Request, Response, String, field


class SaslAuthenticateRequest(Request, api=36, versions="0-2", flexible="2+"):
    """Carry one message of a SASL exchange (KIP-152). v1's reply says how long the session lasts (KIP-368)."""

    auth_bytes: Bytes = field("0+")


class SaslAuthenticateResponse(Response, to=SaslAuthenticateRequest):
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    auth_bytes: Bytes = field("0+")
    session_lifetime_ms: Int64 = field("1+", ignorable=True)
