"""CreateTopics, API 19."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Request, Response, String, Struct, Uuid, field


class CreatableReplicaAssignment(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    broker_ids: Array[Int32] = field("0+")


class CreatableTopicConfig(Struct):
    name: String = field("0+", map_key=True)
    value: String | None = field("0+")


class CreatableTopic(Struct):
    name: String = field("0+", map_key=True)
    num_partitions: Int32 = field("0+")
    replication_factor: Int16 = field("0+")
    assignments: Array[CreatableReplicaAssignment] = field("0+")
    configs: Array[CreatableTopicConfig] = field("0+")


class CreateTopicsRequest(Request, api=19, versions="2-7", flexible="5+"):
    """Create topics.

    v5 reports what was created and its configuration (KIP-525), v4 lets partitions and replication factor default
    (KIP-464), v6 may say THROTTLING_QUOTA_EXCEEDED (KIP-599), v7 returns topic ids (KIP-516).
    """

    topics: Array[CreatableTopic] = field("0+")
    timeout_ms: Int32 = field("0+", default=60000)
    validate_only: Bool = field("1+")


class CreatableTopicConfigs(Struct):
    name: String = field("5+")
    value: String | None = field("5+")
    read_only: Bool = field("5+")
    config_source: Int8 = field("5+", default=-1, ignorable=True)
    is_sensitive: Bool = field("5+")


class CreatableTopicResult(Struct):
    name: String = field("0+", map_key=True)
    topic_id: Uuid = field("7+", ignorable=True)
    error_code: Int16 = field("0+")
    error_message: String | None = field("1+", nullable="0+", ignorable=True)
    topic_config_error_code: Int16 = field("5+", tag=0, ignorable=True)
    num_partitions: Int32 = field("5+", default=-1, ignorable=True)
    replication_factor: Int16 = field("5+", default=-1, ignorable=True)
    configs: Array[CreatableTopicConfigs] | None = field("5+", ignorable=True)


class CreateTopicsResponse(Response, to=CreateTopicsRequest):
    throttle_time_ms: Int32 = field("2+", ignorable=True)
    topics: Array[CreatableTopicResult] = field("0+")
