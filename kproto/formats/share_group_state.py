"""The records of ``__share_group_state``: what has been delivered and acknowledged in each share partition (KIP-932).

A snapshot (kind 0) says everything about a share partition, an update (kind 1) what changed since. The key starts with
the int16 of its kind, the value with the int16 version of its layout.

Source: Kafka's ``ShareCoordinatorRecordSerde``.
"""

from typing import Final

from kproto.formats.coordinator_records import Kinds, decode_coordinator_record, encode_coordinator_record
from kproto.primitives import Readable
from kproto.schema.declare import Array, Int8, Int16, Int32, Int64, Record, String, Struct, Uuid, field


class ShareSnapshotKey(Record, api=0, versions="0"):
    group_id: String = field("0")
    topic_id: Uuid = field("0")
    partition: Int32 = field("0")


class StateBatch(Struct):
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    delivery_state: Int8 = field("0+")
    delivery_count: Int16 = field("0+")


class ShareSnapshotValue(Record, api=0, versions="0", flexible="0+"):
    snapshot_epoch: Int32 = field("0+")
    state_epoch: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    start_offset: Int64 = field("0+")
    delivery_complete_count: Int32 = field("0+", tag=0, default=-1)
    create_timestamp: Int64 = field("0+")
    write_timestamp: Int64 = field("0+")
    state_batches: Array[StateBatch] = field("0+")


class ShareUpdateKey(Record, api=1, versions="0"):
    group_id: String = field("0")
    topic_id: Uuid = field("0")
    partition: Int32 = field("0")


class ShareUpdateValue(Record, api=1, versions="0", flexible="0+"):
    snapshot_epoch: Int32 = field("0+")
    leader_epoch: Int32 = field("0+")
    start_offset: Int64 = field("0+")
    delivery_complete_count: Int32 = field("0+", tag=0, default=-1)
    state_batches: Array[StateBatch] = field("0+")


KINDS: Final[Kinds] = {
    0: (ShareSnapshotKey, ShareSnapshotValue),
    1: (ShareUpdateKey, ShareUpdateValue),
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
