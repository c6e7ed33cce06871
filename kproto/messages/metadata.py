"""Metadata, API 3."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Request, Response, String, Struct, Uuid, field


class MetadataRequestTopic(Struct):
    topic_id: Uuid = field("10+", ignorable=True)
    name: String | None = field("0+", nullable="10+")


class MetadataRequest(Request, api=3, versions="0-13", flexible="9+"):
    """Describe brokers and topics: where partitions live and who leads them.

    v1 distinguishes null (all topics) and empty (none), v4 may forbid auto-creation, v7 adds leader epochs, v8
    authorized operations (KIP-430), v10 topic ids, v12 asks by topic id alone (KIP-516).
    """

    topics: Array[MetadataRequestTopic] | None = field("0+", nullable="1+")
    allow_auto_topic_creation: Bool = field("4+", default=True)
    include_cluster_authorized_operations: Bool = field("8-10")
    include_topic_authorized_operations: Bool = field("8+")


class MetadataResponseBroker(Struct):
    node_id: Int32 = field("0+", map_key=True)
    host: String = field("0+")
    port: Int32 = field("0+")
    rack: String | None = field("1+", default=None, ignorable=True)


class MetadataResponsePartition(Struct, shared=True):
    error_code: Int16 = field("0+")
    partition_index: Int32 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("7+", default=-1, ignorable=True)
    replica_nodes: Array[Int32] = field("0+")
    isr_nodes: Array[Int32] = field("0+")
    offline_replicas: Array[Int32] = field("5+", ignorable=True)


class MetadataResponseTopic(Struct):
    error_code: Int16 = field("0+")
    name: String | None = field("0+", nullable="12+", map_key=True)
    topic_id: Uuid = field("10+", ignorable=True)
    is_internal: Bool = field("1+", ignorable=True)
    partitions: Array[MetadataResponsePartition] = field("0+")
    topic_authorized_operations: Int32 = field("8+", default=-0x80000000)


class MetadataResponse(Response, to=MetadataRequest):
    throttle_time_ms: Int32 = field("3+", ignorable=True)
    brokers: Array[MetadataResponseBroker] = field("0+")
    cluster_id: String | None = field("2+", default=None, ignorable=True)
    controller_id: Int32 = field("1+", default=-1, ignorable=True)
    topics: Array[MetadataResponseTopic] = field("0+")
    cluster_authorized_operations: Int32 = field("8-10", default=-0x80000000)
    error_code: Int16 = field("13+", ignorable=True)
