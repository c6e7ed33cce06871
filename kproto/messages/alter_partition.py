"""AlterPartition, API 56."""

from kproto.schema.declare import Array, Int8, Int16, Int32, Int64, Request, Response, Struct, Uuid, field


class BrokerState(Struct):
    broker_id: Int32 = field("3+")
    broker_epoch: Int64 = field("3+", default=-1)


class RequestPartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    new_isr: Array[Int32] = field("0-2")
    new_isr_with_epochs: Array[BrokerState] = field("3+")
    leader_recovery_state: Int8 = field("1+")
    partition_epoch: Int32 = field("0+")


class RequestTopicData(Struct, kafka_name="TopicData"):
    topic_id: Uuid = field("2+", ignorable=True)
    partitions: Array[RequestPartitionData] = field("0+")


class AlterPartitionRequest(Request, api=56, versions="2-3", flexible="0+"):
    """Change the in-sync replicas of partitions; sent by their leaders to the controller (KIP-497).

    v3 carries broker epochs (KIP-903).
    """

    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)
    topics: Array[RequestTopicData] = field("0+")


class ResponsePartitionData(Struct, kafka_name="PartitionData"):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")
    leader_id: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    isr: Array[Int32] = field("0+")
    leader_recovery_state: Int8 = field("1+", ignorable=True)
    partition_epoch: Int32 = field("0+")


class ResponseTopicData(Struct, kafka_name="TopicData"):
    topic_id: Uuid = field("2+", ignorable=True)
    partitions: Array[ResponsePartitionData] = field("0+")


class AlterPartitionResponse(Response, to=AlterPartitionRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    topics: Array[ResponseTopicData] = field("0+")
