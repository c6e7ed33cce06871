"""DescribeCluster, API 60."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, field


class DescribeClusterRequest(Request, api=60, versions="0-2", flexible="0+"):
    """Describe the cluster: brokers, controller, id (KIP-700).

    v1 may ask for controllers instead (KIP-919), v2 for fenced brokers too (KIP-1073).
    """

    include_cluster_authorized_operations: Bool = field("0+")
    endpoint_type: Int8 = field("1+", default=1)
    include_fenced_brokers: Bool = field("2+")


class DescribeClusterBroker(Struct):
    broker_id: Int32 = field("0+", map_key=True)
    host: String = field("0+")
    port: Int32 = field("0+")
    rack: String | None = field("0+", default=None)
    is_fenced: Bool = field("2+")


class DescribeClusterResponse(Response, to=DescribeClusterRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    endpoint_type: Int8 = field("1+", default=1)
    cluster_id: String = field("0+")
    controller_id: Int32 = field("0+", default=-1)
    brokers: Array[DescribeClusterBroker] = field("0+")
    cluster_authorized_operations: Int32 = field("0+", default=-0x80000000)
