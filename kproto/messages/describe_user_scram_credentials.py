"""DescribeUserScramCredentials, API 50."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class UserName(Struct):
    name: String = field("0+")


class DescribeUserScramCredentialsRequest(Request, api=50, versions="0", flexible="0+"):
    """Describe SCRAM credentials: mechanisms and iterations, never the secrets (KIP-554)."""

    users: Array[UserName] | None = field("0+")


class CredentialInfo(Struct):
    mechanism: Int8 = field("0+")
    iterations: Int32 = field("0+")


class DescribeUserScramCredentialsResult(Struct):
    user: String = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    credential_infos: Array[CredentialInfo] = field("0+")


class DescribeUserScramCredentialsResponse(Response, to=DescribeUserScramCredentialsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
    results: Array[DescribeUserScramCredentialsResult] = field("0+")
