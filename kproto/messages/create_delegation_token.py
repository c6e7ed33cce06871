"""CreateDelegationToken, API 38."""

from kproto.schema.declare import Array, Bytes, Int16, Int32, Int64, Request, Response, String, Struct, field


class CreatableRenewers(Struct):
    principal_type: String = field("0+")
    principal_name: String = field("0+")


class CreateDelegationTokenRequest(Request, api=38, versions="1-3", flexible="2+"):
    """Create a delegation token (KIP-48). v3 creates one for another user (KIP-373)."""

    owner_principal_type: String | None = field("3+")
    owner_principal_name: String | None = field("3+")
    renewers: Array[CreatableRenewers] = field("0+")
    max_lifetime_ms: Int64 = field("0+")


class CreateDelegationTokenResponse(Response, to=CreateDelegationTokenRequest):
    error_code: Int16 = field("0+")
    principal_type: String = field("0+")
    principal_name: String = field("0+")
    token_requester_principal_type: String = field("3+")
    token_requester_principal_name: String = field("3+")
    issue_timestamp_ms: Int64 = field("0+")
    expiry_timestamp_ms: Int64 = field("0+")
    max_timestamp_ms: Int64 = field("0+")
    token_id: String = field("0+")
    hmac: Bytes = field("0+")
    throttle_time_ms: Int32 = field("0+")
