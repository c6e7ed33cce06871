"""FindCoordinator, API 10."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Request, Response, String, Struct, field


class FindCoordinatorRequest(Request, api=10, versions="0-6", flexible="3+"):
    """Find the broker that coordinates a group (key type 0), a transaction (1) or a share partition (2, v6,
    KIP-932).

    v4 asks for many keys at once (KIP-699), v5 hints that clients may abort (KIP-890).
    """

    key: String = field("0-3")
    key_type: Int8 = field("1+")
    coordinator_keys: Array[String] = field("4+")


class Coordinator(Struct):
    key: String = field("4+")
    node_id: Int32 = field("4+")
    host: String = field("4+")
    port: Int32 = field("4+")
    error_code: Int16 = field("4+")
    error_message: String | None = field("4+", ignorable=True)


class FindCoordinatorResponse(Response, to=FindCoordinatorRequest):
    throttle_time_ms: Int32 = field("1+", ignorable=True)
    error_code: Int16 = field("0-3")
    error_message: String | None = field("1-3", ignorable=True)
    node_id: Int32 = field("0-3")
    host: String = field("0-3")
    port: Int32 = field("0-3")
    coordinators: Array[Coordinator] = field("4+")
