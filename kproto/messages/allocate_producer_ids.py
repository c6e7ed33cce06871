"""AllocateProducerIds, API 67."""

from kproto.schema.declare import Int16, Int32, Int64, Request, Response, field


class AllocateProducerIdsRequest(Request, api=67, versions="0", flexible="0+"):
    """Reserve a block of producer ids; sent by brokers to the controller."""

    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)


class AllocateProducerIdsResponse(Response, to=AllocateProducerIdsRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    producer_id_start: Int64 = field("0+")
    producer_id_len: Int32 = field("0+")
