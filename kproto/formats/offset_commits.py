"""The record of a committed offset, written in one step: what a busy ``__consumer_offsets`` consists of.

Key and value are those of :class:`~kproto.formats.consumer_offsets.OffsetCommitKey` and ``OffsetCommitValue`` of
version 4, framed as ``coordinator_records.py`` says; a test compares the two ways byte by byte::

    key    kind int16 (1), group string, topic string, partition int32
    value  version int16 (4), offset int64, leader epoch int32, metadata compact string, commit timestamp int64,
           tagged fields: the topic's id as field 0, unless it is zero

A string is an int16 length and UTF-8, a compact one has its length plus one as a varint. Through the codecs that are
compiled from the declarations a record takes two messages and five times as long.
"""

from struct import Struct, error
from typing import Final

from kproto.ids import ZERO_UUID, Uuid
from kproto.primitives import MAX_STRING, uvarint

OFFSET_COMMIT_KIND: Final = 1
OFFSET_COMMIT_VERSION: Final = 4

_key_front = Struct(">hh").pack
_length = Struct(">h").pack
_partition = Struct(">i").pack
_plain_value = Struct(">hqiBqBBB16s").pack
_value_front = Struct(">hqi").pack
_value_back = Struct(">qBBB16s").pack
_value_back_without_id = Struct(">qx").pack


def encode_offset_commit_key(group: str, topic: str, partition: int) -> bytes:
    """The key of a group's offset. Raises ValueError for what does not fit."""
    group_bytes, topic_bytes = group.encode(), topic.encode()
    try:
        return b"".join(
            (
                _key_front(OFFSET_COMMIT_KIND, len(group_bytes)),
                group_bytes,
                _length(len(topic_bytes)),
                topic_bytes,
                _partition(partition),
            )
        )
    except error as problem:
        raise ValueError(f"the key of an offset cannot hold these values: {problem}") from problem


def encode_offset_commit_value(
    offset: int, leader_epoch: int, metadata: str, commit_timestamp: int, topic_id: Uuid
) -> bytes:
    """The value of an offset that has no expiry of its own. Raises ValueError for what does not fit."""
    try:
        if not metadata and topic_id != ZERO_UUID and len(topic_id) == len(ZERO_UUID):
            return _plain_value(
                OFFSET_COMMIT_VERSION, offset, leader_epoch, 1, commit_timestamp, 1, 0, len(ZERO_UUID), topic_id
            )
        text = metadata.encode()
        if len(text) > MAX_STRING:
            raise ValueError(f"metadata of {len(text)} bytes is longer than {MAX_STRING}")
        front = _value_front(OFFSET_COMMIT_VERSION, offset, leader_epoch) + uvarint(len(text) + 1) + text
        if topic_id == ZERO_UUID:
            return front + _value_back_without_id(commit_timestamp)
        if len(topic_id) != len(ZERO_UUID):
            raise ValueError("topic_id is not a UUID of 16 bytes")
        return front + _value_back(commit_timestamp, 1, 0, len(ZERO_UUID), topic_id)
    except error as problem:
        raise ValueError(f"the value of an offset cannot hold these values: {problem}") from problem
