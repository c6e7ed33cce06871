"""ExpireDelegationToken, API 40."""

from kproto.schema.declare import Bytes, Int16, Int32, Int64, Request, Response, field


class ExpireDelegationTokenRequest(Request, api=40, versions="1-2", flexible="2+"):
    """Make a delegation token expire (KIP-48)."""

    hmac: Bytes = field("0+")
    expiry_time_period_ms: Int64 = field("0+")


class ExpireDelegationTokenResponse(Response, to=ExpireDelegationTokenRequest):
    error_code: Int16 = field("0+")
    expiry_timestamp_ms: Int64 = field("0+")
    throttle_time_ms: Int32 = field("0+")
