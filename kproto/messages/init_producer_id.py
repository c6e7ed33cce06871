"""InitProducerId, API 22."""

from kproto.schema.declare import Bool, Int16, Int32, Int64, Request, Response, String, field


class InitProducerIdRequest(Request, api=22, versions="0-6", flexible="2+", latest_unstable=True):
    """Get a producer id and epoch, for idempotence (no transactional id) or for transactions (KIP-98).

    v3 lets a producer bump its own epoch (KIP-360), v6 prepares for two-phase commit (KIP-939).
    """

    transactional_id: String | None = field("0+")
    transaction_timeout_ms: Int32 = field("0+")
    producer_id: Int64 = field("3+", default=-1)
    producer_epoch: Int16 = field("3+", default=-1)
    enable2_pc: Bool = field("6+")
    keep_prepared_txn: Bool = field("6+")


class InitProducerIdResponse(Response, to=InitProducerIdRequest):
    throttle_time_ms: Int32 = field("0+", ignorable=True)
    error_code: Int16 = field("0+")
    producer_id: Int64 = field("0+", default=-1)
    producer_epoch: Int16 = field("0+")
    ongoing_txn_producer_id: Int64 = field("6+", default=-1)
    ongoing_txn_producer_epoch: Int16 = field("6+", default=-1)
