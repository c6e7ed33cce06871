"""AddRaftVoter, API 80."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, Uint16, Uuid, field


class Listener(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")


class AddRaftVoterRequest(Request, api=80, versions="0-1", flexible="0+"):
    """Add a voter to the KRaft quorum (KIP-853)."""

    cluster_id: String | None = field("0+")
    timeout_ms: Int32 = field("0+")
    voter_id: Int32 = field("0+")
    voter_directory_id: Uuid = field("0+")
    listeners: Array[Listener] = field("0+")
    ack_when_committed: Bool = field("1+", default=True)


class AddRaftVoterResponse(Response, to=AddRaftVoterRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", ignorable=True)
