"""AlterReplicaLogDirs, API 34."""

from kproto.schema.declare import Array, Int16, Int32, Request, Response, String, Struct, field


class AlterReplicaLogDirTopic(Struct):
    name: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class AlterReplicaLogDir(Struct):
    path: String = field("0+", map_key=True)
    topics: Array[AlterReplicaLogDirTopic] = field("0+")


class AlterReplicaLogDirsRequest(Request, api=34, versions="1-2", flexible="2+"):
    """Move replicas between the log directories of a broker (KIP-113)."""

    dirs: Array[AlterReplicaLogDir] = field("0+")


class AlterReplicaLogDirPartitionResult(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")


class AlterReplicaLogDirTopicResult(Struct):
    topic_name: String = field("0+")
    partitions: Array[AlterReplicaLogDirPartitionResult] = field("0+")


class AlterReplicaLogDirsResponse(Response, to=AlterReplicaLogDirsRequest):
    throttle_time_ms: Int32 = field("0+")
    results: Array[AlterReplicaLogDirTopicResult] = field("0+")
