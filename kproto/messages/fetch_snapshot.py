"""FetchSnapshot, API 59."""

from kproto.schema.declare import (
    Array,
    Int16,
    Int32,
    Int64,
    Records,
    Request,
    Response,
    String,
    Struct,
    Uint16,
    Uuid,
    field,
)


class SnapshotId(Struct):
    end_offset: Int64 = field("0+")
    epoch: Int32 = field("0+")


class RequestPartitionSnapshot(Struct, kafka_name="PartitionSnapshot"):
    partition: Int32 = field("0+")
    current_leader_epoch: Int32 = field("0+")
    snapshot_id: SnapshotId = field("0+")
    position: Int64 = field("0+")
    replica_directory_id: Uuid = field("1+", tag=0, ignorable=True)


class RequestTopicSnapshot(Struct, kafka_name="TopicSnapshot"):
    name: String = field("0+")
    partitions: Array[RequestPartitionSnapshot] = field("0+")


class FetchSnapshotRequest(Request, api=59, versions="0-1", flexible="0+"):
    """Read a piece of a KRaft snapshot (KIP-630)."""

    cluster_id: String | None = field("0+", tag=0, default=None)
    replica_id: Int32 = field("0+", default=-1)
    max_bytes: Int32 = field("0+", default=0x7FFFFFFF)
    topics: Array[RequestTopicSnapshot] = field("0+")


class LeaderIdAndEpoch(Struct):
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")


class ResponsePartitionSnapshot(Struct, kafka_name="PartitionSnapshot"):
    index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    snapshot_id: SnapshotId = field("0+")
    current_leader: LeaderIdAndEpoch = field("0+", tag=0)
    size: Int64 = field("0+")
    position: Int64 = field("0+")
    unaligned_records: Records = field("0+")


class ResponseTopicSnapshot(Struct, kafka_name="TopicSnapshot"):
    name: String = field("0+")
    partitions: Array[ResponsePartitionSnapshot] = field("0+")


class NodeEndpoint(Struct):
    node_id: Int32 = field("1+", map_key=True)
    host: String = field("1+")
    port: Uint16 = field("1+")


class FetchSnapshotResponse(Response, to=FetchSnapshotRequest):
    throttle_time_ms: Int32 = field("0+", ignorable=True)
    error_code: Int16 = field("0+")
    topics: Array[ResponseTopicSnapshot] = field("0+")
    node_endpoints: Array[NodeEndpoint] = field("1+", tag=0)
