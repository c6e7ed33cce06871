"""UpdateRaftVoter, API 82."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, Uint16, Uuid, field


class Listener(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")


class KRaftVersionFeature(Struct):
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class UpdateRaftVoterRequest(Request, api=82, versions="0", flexible="0+"):
    """Update the endpoints and versions of a KRaft voter (KIP-853)."""

    cluster_id: String | None = field("0+")
    current_leader_epoch: Int32 = field("0+")
    voter_id: Int32 = field("0+")
    voter_directory_id: Uuid = field("0+")
    listeners: Array[Listener] = field("0+")
    k_raft_version_feature: KRaftVersionFeature = field("0+")


class CurrentLeader(Struct):
    leader_id: Int32 = field("0+", default=-1)
    leader_epoch: Int32 = field("0+", default=-1)
    host: String = field("0+")
    port: Int32 = field("0+")


class UpdateRaftVoterResponse(Response, to=UpdateRaftVoterRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    current_leader: CurrentLeader = field("0+", tag=0)
