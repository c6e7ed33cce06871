"""RenewDelegationToken, API 39."""

from kproto.schema.declare import Bytes, Int16, Int32, Int64, Request, Response, field


class RenewDelegationTokenRequest(Request, api=39, versions="1-2", flexible="2+"):
    """Renew a delegation token (KIP-48)."""

    hmac: Bytes = field("0+")
    renew_period_ms: Int64 = field("0+")


class RenewDelegationTokenResponse(Response, to=RenewDelegationTokenRequest):
    error_code: Int16 = field("0+")
    expiry_timestamp_ms: Int64 = field("0+")
    throttle_time_ms: Int32 = field("0+")
