"""ListTransactions, API 66."""

from kproto.schema.declare import Array, Int16, Int32, Int64, Request, Response, String, Struct, field


class ListTransactionsRequest(Request, api=66, versions="0-2", flexible="0+"):
    """List transactions. v1 filters by duration (KIP-994), v2 by a pattern of transactional ids (KIP-1152)."""

    state_filters: Array[String] = field("0+")
    producer_id_filters: Array[Int64] = field("0+")
    duration_filter: Int64 = field("1+", default=-1)
    transactional_id_pattern: String | None = field("2+", default=None)


class TransactionState(Struct):
    transactional_id: String = field("0+")
    producer_id: Int64 = field("0+")
    transaction_state: String = field("0+")


class ListTransactionsResponse(Response, to=ListTransactionsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    unknown_state_filters: Array[String] = field("0+")
    transaction_states: Array[TransactionState] = field("0+")
