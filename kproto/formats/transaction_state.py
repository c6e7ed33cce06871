"""The records of ``__transaction_state``: which producer holds a transactional id, and how far its transaction is.

The key starts with the int16 of its kind, of which there is one, and names the transactional id; the value starts with
the int16 version of its layout. No value forgets the id.

Source: Kafka's ``TransactionLog`` and ``TransactionCoordinatorRecordSerde``.
"""

from typing import Final

from kproto.formats.coordinator_records import Kinds, decode_coordinator_record, encode_coordinator_record
from kproto.primitives import Readable
from kproto.schema.declare import Array, Int8, Int16, Int32, Int64, Record, String, Struct, field


class TransactionLogKey(Record, api=0, versions="0"):
    transactional_id: String = field("0")


class PartitionsSchema(Struct):
    topic: String = field("0+")
    partition_ids: Array[Int32] = field("0+")


class TransactionLogValue(Record, api=0, versions="0-1", flexible="1+"):
    producer_id: Int64 = field("0+")
    previous_producer_id: Int64 = field("1+", tag=0, default=-1)
    next_producer_id: Int64 = field("1+", tag=1, default=-1)
    producer_epoch: Int16 = field("0+")
    next_producer_epoch: Int16 = field("1+", tag=3, default=-1)
    transaction_timeout_ms: Int32 = field("0+")
    transaction_status: Int8 = field("0+")
    transaction_partitions: Array[PartitionsSchema] | None = field("0+")
    transaction_last_update_timestamp_ms: Int64 = field("0+")
    transaction_start_timestamp_ms: Int64 = field("0+")
    client_transaction_version: Int16 = field("1+", tag=2)


KINDS: Final[Kinds] = {
    0: (TransactionLogKey, TransactionLogValue),
}
"""Kind of record -> its key and its value."""


def encode_record(key: Record, value: Record | None, version: int | None = None) -> tuple[bytes, bytes | None]:
    """Key and value as they stand in the log; ``version`` is that of the value's layout, the newest unless given.

    Raises ValueError.
    """
    return encode_coordinator_record(KINDS, key, value, version)


def decode_record(key: Readable, value: Readable | None) -> tuple[Record, Record | None]:
    """The record behind two byte strings; no value means a tombstone. Raises ProtocolError.

    An unknown kind or version is :class:`~kproto.errors.UnsupportedVersion`.
    """
    return decode_coordinator_record(KINDS, key, value)
