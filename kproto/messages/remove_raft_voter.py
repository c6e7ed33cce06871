"""RemoveRaftVoter, API 81."""

from kproto.schema.declare import Int16, Int32, Request, Response, String, Uuid, field


class RemoveRaftVoterRequest(Request, api=81, versions="0", flexible="0+"):
    """Remove a voter from the KRaft quorum (KIP-853)."""

    cluster_id: String | None = field("0+")
    voter_id: Int32 = field("0+")
    voter_directory_id: Uuid = field("0+")


class RemoveRaftVoterResponse(Response, to=RemoveRaftVoterRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", ignorable=True)
