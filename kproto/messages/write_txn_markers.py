"""WriteTxnMarkers, API 27."""

from kproto.schema.declare import Array, Bool, Int8, Int16, Int32, Int64, Request, Response, String, Struct, field


class WritableTxnMarkerTopic(Struct):
    name: String = field("0+")
    partition_indexes: Array[Int32] = field("0+")


class WritableTxnMarker(Struct):
    producer_id: Int64 = field("0+")
    producer_epoch: Int16 = field("0+")
    transaction_result: Bool = field("0+")
    topics: Array[WritableTxnMarkerTopic] = field("0+")
    coordinator_epoch: Int32 = field("0+")
    transaction_version: Int8 = field("2+", ignorable=True)


class WriteTxnMarkersRequest(Request, api=27, versions="1-2", flexible="1+"):
    """Write the end of a transaction into partitions; sent by transaction coordinators only (KIP-98).

    v2 carries the transaction version (KIP-1228).
    """

    markers: Array[WritableTxnMarker] = field("0+")


class WritableTxnMarkerPartitionResult(Struct):
    partition_index: Int32 = field("0+")
    error_code: Int16 = field("0+")


class WritableTxnMarkerTopicResult(Struct):
    name: String = field("0+")
    partitions: Array[WritableTxnMarkerPartitionResult] = field("0+")


class WritableTxnMarkerResult(Struct):
    producer_id: Int64 = field("0+")
    topics: Array[WritableTxnMarkerTopicResult] = field("0+")


class WriteTxnMarkersResponse(Response, to=WriteTxnMarkersRequest):
    markers: Array[WritableTxnMarkerResult] = field("0+")
