"""StreamsGroupHeartbeat, API 88."""

from kproto.schema.declare import (
    Array,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Request,
    Response,
    String,
    Struct,
    Uint16,
    field,
)


class KeyValue(Struct):
    key: String = field("0+")
    value: String = field("0+")


class TopicInfo(Struct):
    name: String = field("0+")
    partitions: Int32 = field("0+")
    replication_factor: Int16 = field("0+")
    topic_configs: Array[KeyValue] = field("0+")


class CopartitionGroup(Struct):
    source_topics: Array[Int16] = field("0+")
    source_topic_regex: Array[Int16] = field("0+")
    repartition_source_topics: Array[Int16] = field("0+")


class Subtopology(Struct):
    subtopology_id: String = field("0+")
    source_topics: Array[String] = field("0+")
    source_topic_regex: Array[String] = field("0+")
    state_changelog_topics: Array[TopicInfo] = field("0+")
    repartition_sink_topics: Array[String] = field("0+")
    repartition_source_topics: Array[TopicInfo] = field("0+")
    copartition_groups: Array[CopartitionGroup] = field("0+")


class Topology(Struct):
    epoch: Int32 = field("0+")
    subtopologies: Array[Subtopology] = field("0+")


class TaskIds(Struct):
    subtopology_id: String = field("0+")
    partitions: Array[Int32] = field("0+")


class Endpoint(Struct):
    host: String = field("0+")
    port: Uint16 = field("0+")


class TaskOffset(Struct):
    subtopology_id: String = field("0+")
    partition: Int32 = field("0+")
    offset: Int64 = field("0+")


class StreamsGroupHeartbeatRequest(Request, api=88, versions="0-1", flexible="0+"):
    """Join, stay in and leave a group of Kafka Streams (KIP-1071).

    v1 answers with a recovery lag of 64 bits, and asks a member for the description of its topology.
    """

    group_id: String = field("0+")
    member_id: String = field("0+")
    member_epoch: Int32 = field("0+")
    endpoint_information_epoch: Int32 = field("0+")
    instance_id: String | None = field("0+", default=None)
    rack_id: String | None = field("0+", default=None)
    rebalance_timeout_ms: Int32 = field("0+", default=-1)
    topology: Topology | None = field("0+", default=None)
    active_tasks: Array[TaskIds] | None = field("0+", default=None)
    standby_tasks: Array[TaskIds] | None = field("0+", default=None)
    warmup_tasks: Array[TaskIds] | None = field("0+", default=None)
    process_id: String | None = field("0+", default=None)
    user_endpoint: Endpoint | None = field("0+", default=None)
    client_tags: Array[KeyValue] | None = field("0+", default=None)
    task_offsets: Array[TaskOffset] | None = field("0+", default=None)
    task_end_offsets: Array[TaskOffset] | None = field("0+", default=None)
    shutdown_application: Bool = field("0+")


class Status(Struct):
    status_code: Int8 = field("0+")
    status_detail: String = field("0+")


class TopicPartition(Struct):
    topic: String = field("0+")
    partitions: Array[Int32] = field("0+")


class EndpointToPartitions(Struct):
    user_endpoint: Endpoint = field("0+")
    active_partitions: Array[TopicPartition] = field("0+")
    standby_partitions: Array[TopicPartition] = field("0+")


class StreamsGroupHeartbeatResponse(Response, to=StreamsGroupHeartbeatRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+", default=None)
    member_id: String = field("0+")
    member_epoch: Int32 = field("0+")
    heartbeat_interval_ms: Int32 = field("0+")
    acceptable_recovery_lag_legacy: Int32 = field("0")
    task_offset_interval_ms: Int32 = field("0+")
    acceptable_recovery_lag: Int64 = field("1+", default=-1, ignorable=True)
    status: Array[Status] | None = field("0+")
    active_tasks: Array[TaskIds] | None = field("0+", default=None)
    standby_tasks: Array[TaskIds] | None = field("0+", default=None)
    warmup_tasks: Array[TaskIds] | None = field("0+", default=None)
    topology_description_required: Bool = field("1+")
    endpoint_information_epoch: Int32 = field("0+")
    partitions_by_user_endpoint: Array[EndpointToPartitions] | None = field("0+", default=None)
