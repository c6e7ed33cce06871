"""AddPartitionsToTxn, API 24."""

from kproto.schema.declare import Array, Bool, Int16, Int32, Int64, Request, Response, String, Struct, field


class AddPartitionsToTxnTopic(Struct):
    name: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class AddPartitionsToTxnTransaction(Struct):
    transactional_id: String = field("4+", map_key=True)
    producer_id: Int64 = field("4+")
    producer_epoch: Int16 = field("4+")
    verify_only: Bool = field("4+")
    topics: Array[AddPartitionsToTxnTopic] = field("4+")


class AddPartitionsToTxnRequest(Request, api=24, versions="0-5", flexible="3+"):
    """Add partitions to an ongoing transaction (KIP-98).

    v4 lets brokers verify many transactions at once (KIP-890); clients stay at v3.
    """

    transactions: Array[AddPartitionsToTxnTransaction] = field("4+")
    v3_and_below_transactional_id: String = field("0-3")
    v3_and_below_producer_id: Int64 = field("0-3")
    v3_and_below_producer_epoch: Int16 = field("0-3")
    v3_and_below_topics: Array[AddPartitionsToTxnTopic] = field("0-3")


class AddPartitionsToTxnPartitionResult(Struct):
    partition_index: Int32 = field("0+", map_key=True)
    partition_error_code: Int16 = field("0+")


class AddPartitionsToTxnTopicResult(Struct):
    name: String = field("0+", map_key=True)
    results_by_partition: Array[AddPartitionsToTxnPartitionResult] = field("0+")


class AddPartitionsToTxnResult(Struct):
    transactional_id: String = field("4+", map_key=True)
    topic_results: Array[AddPartitionsToTxnTopicResult] = field("4+")


class AddPartitionsToTxnResponse(Response, to=AddPartitionsToTxnRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("4+", ignorable=True)
    results_by_transaction: Array[AddPartitionsToTxnResult] = field("4+")
    results_by_topic_v3_and_below: Array[AddPartitionsToTxnTopicResult] = field("0-3")
