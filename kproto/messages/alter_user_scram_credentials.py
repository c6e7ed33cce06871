"""AlterUserScramCredentials, API 51."""

from kproto.schema.declare import Array, Bytes, Int8, Int16, Int32, Request, Response, String, Struct, field


class ScramCredentialDeletion(Struct):
    name: String = field("0+")
    mechanism: Int8 = field("0+")


class ScramCredentialUpsertion(Struct):
    name: String = field("0+")
    mechanism: Int8 = field("0+")
    iterations: Int32 = field("0+")
    salt: Bytes = field("0+")
    salted_password: Bytes = field("0+")


class AlterUserScramCredentialsRequest(Request, api=51, versions="0", flexible="0+"):
    """Create, change and delete SCRAM credentials (KIP-554)."""

    deletions: Array[ScramCredentialDeletion] = field("0+")
    upsertions: Array[ScramCredentialUpsertion] = field("0+")


class AlterUserScramCredentialsResult(Struct):
    user: String = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")


class AlterUserScramCredentialsResponse(Response, to=AlterUserScramCredentialsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[AlterUserScramCredentialsResult] = field("0+")
