"""EndTxn, API 26."""

from kproto.schema.declare import Bool, Int16, Int32, Int64, Request, Response, String, field


class EndTxnRequest(Request, api=26, versions="0-5", flexible="3+"):
    """Commit or abort a transaction (KIP-98). v5's reply brings a new epoch for the next one (KIP-890)."""

    transactional_id: String = field("0+")
    producer_id: Int64 = field("0+")
    producer_epoch: Int16 = field("0+")
    committed: Bool = field("0+")


class EndTxnResponse(Response, to=EndTxnRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    producer_id: Int64 = field("5+", default=-1, ignorable=True)
    producer_epoch: Int16 = field("5+", default=-1, ignorable=True)
