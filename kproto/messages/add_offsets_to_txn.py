"""AddOffsetsToTxn, API 25."""

from kproto.schema.declare import Int16, Int32, Int64, Request, Response, String, field


class AddOffsetsToTxnRequest(Request, api=25, versions="0-4", flexible="3+"):
    """Add a group's offsets partition to an ongoing transaction (KIP-98)."""

    transactional_id: String = field("0+")
    producer_id: Int64 = field("0+")
    producer_epoch: Int16 = field("0+")
    group_id: String = field("0+")


class AddOffsetsToTxnResponse(Response, to=AddOffsetsToTxnRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
