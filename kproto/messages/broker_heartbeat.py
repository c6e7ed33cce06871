"""BrokerHeartbeat, API 63."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Int64, Request, Response, Uuid, field


class BrokerHeartbeatRequest(Request, api=63, versions="0-2", flexible="0+"):
    """Keep a broker's registration alive and ask to be fenced, unfenced or shut down (KIP-631)."""

    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)
    current_metadata_offset: Int64 = field("0+")
    want_fence: Bool = field("0+")
    want_shut_down: Bool = field("0+")
    offline_log_dirs: Array[Uuid] = field("1+", tag=0)
    cordoned_log_dirs: Array[Uuid] | None = field("2+", tag=1, default=None)


class BrokerHeartbeatResponse(Response, to=BrokerHeartbeatRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    is_caught_up: Bool = field("0+")
    is_fenced: Bool = field("0+", default=True)
    should_shut_down: Bool = field("0+")
