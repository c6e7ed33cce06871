"""DescribeTransactions, API 65."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, field


class DescribeTransactionsRequest(Request, api=65, versions="0", flexible="0+"):
    """Describe the state of transactions by transactional id (KIP-664)."""

    transactional_ids: Array[String] = field("0+")


class TopicData(Struct):
    topic: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class TransactionState(Struct):
    error_code: Int16 = field("0+")
    transactional_id: String = field("0+")
    transaction_state: String = field("0+")
    transaction_timeout_ms: Int32 = field("0+")
    transaction_start_time_ms: Int64 = field("0+")
    producer_id: Int64 = field("0+")
    producer_epoch: Int16 = field("0+")
    topics: Array[TopicData] = field("0+")


class DescribeTransactionsResponse(Response, to=DescribeTransactionsRequest):
    throttle_time_ms: Int32 = field("0+")
    transaction_states: Array[TransactionState] = field("0+")
