"""DescribeDelegationToken, API 41."""

from kproto.schema.declare import Array, Bytes, Int16, Int32, Int64, Request, Response, String, Struct, field


class DescribeDelegationTokenOwner(Struct):
    principal_type: String = field("0+")
    principal_name: String = field("0+")


class DescribeDelegationTokenRequest(Request, api=41, versions="1-3", flexible="2+"):
    """List delegation tokens by owner (KIP-48). v3 says who asked for them (KIP-373)."""

    owners: Array[DescribeDelegationTokenOwner] | None = field("0+")


class DescribedDelegationTokenRenewer(Struct):
    principal_type: String = field("0+")
    principal_name: String = field("0+")


class DescribedDelegationToken(Struct):
    principal_type: String = field("0+")
    principal_name: String = field("0+")
    token_requester_principal_type: String = field("3+")
    token_requester_principal_name: String = field("3+")
    issue_timestamp: Int64 = field("0+")
    expiry_timestamp: Int64 = field("0+")
    max_timestamp: Int64 = field("0+")
    token_id: String = field("0+")
    hmac: Bytes = field("0+")
    renewers: Array[DescribedDelegationTokenRenewer] = field("0+")


class DescribeDelegationTokenResponse(Response, to=DescribeDelegationTokenRequest):
    error_code: Int16 = field("0+")
    tokens: Array[DescribedDelegationToken] = field("0+")
    throttle_time_ms: Int32 = field("0+")
