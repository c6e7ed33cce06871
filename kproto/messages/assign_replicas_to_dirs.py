"""AssignReplicasToDirs, API 73."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, Struct, Uuid, field


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_id: Uuid = field("0+")
    partitions: Array[RequestPartitionData] = field("0+")


class RequestDirectoryData(Struct, kafka_name="DirectoryData"):
    id: Uuid = field("0+")
    topics: Array[RequestTopicData] = field("0+")


class AssignReplicasToDirsRequest(Request, api=73, versions="0", flexible="0+"):
    """Tell the controller in which log directories replicas live (KIP-858)."""

    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)
    directories: Array[RequestDirectoryData] = field("0+")


class ResponsePartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")


class ResponseTopicData(Struct, kafka_name="TopicData"):
    topic_id: Uuid = field("0+")
    partitions: Array[ResponsePartitionData] = field("0+")


class ResponseDirectoryData(Struct, kafka_name="DirectoryData"):
    id: Uuid = field("0+")
    topics: Array[ResponseTopicData] = field("0+")


class AssignReplicasToDirsResponse(Response, to=AssignReplicasToDirsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    directories: Array[ResponseDirectoryData] = field("0+")
