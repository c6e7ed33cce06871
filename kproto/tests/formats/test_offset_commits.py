"""A committed offset written in one step is, byte by byte, what the declared schema says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.formats.consumer_offsets import OffsetCommitKey, OffsetCommitValue, encode_record
from kproto.formats.offset_commits import (
    OFFSET_COMMIT_VERSION,
    encode_offset_commit_key,
    encode_offset_commit_value,
)
from kproto.ids import ZERO_UUID

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LONG = st.integers(0, 70_000).map(lambda length: "é" * length)


@given(TEXT | LONG, TEXT | LONG, INT32, INT64, INT32, TEXT | LONG, INT64, st.binary(min_size=16, max_size=16))
def test_it_is_what_the_schema_says(
    group: str, topic: str, partition: int, offset: int, leader_epoch: int, metadata: str, timestamp: int, id_: bytes
) -> None:
    """With and without the topic's id; and what one way refuses, for its length, the other refuses as well."""
    for topic_id in (id_, ZERO_UUID):
        key = OffsetCommitKey(group=group, topic=topic, partition=partition)
        value = OffsetCommitValue(
            offset=offset, leader_epoch=leader_epoch, metadata=metadata, commit_timestamp=timestamp, topic_id=topic_id
        )
        declared: object
        flat: object
        try:
            declared = encode_record(key, value, OFFSET_COMMIT_VERSION)
        except ValueError:
            declared = ValueError
        try:
            flat = (
                encode_offset_commit_key(group, topic, partition),
                encode_offset_commit_value(offset, leader_epoch, metadata, timestamp, topic_id),
            )
        except ValueError:
            flat = ValueError
        assert flat == declared


@pytest.mark.parametrize(
    ("offset", "leader_epoch", "metadata", "timestamp", "topic_id"),
    [
        (2**63, 0, "", 0, ZERO_UUID),
        (0, 2**31, "m", 0, ZERO_UUID),
        (0, 0, "", -(2**63) - 1, b"i" * 16),
        (0, 0, "", 0, b"i" * 15),
        (0, 0, "", 0, b"i" * 17),
    ],
)
def test_numbers_and_ids_that_do_not_fit_are_refused(
    offset: int, leader_epoch: int, metadata: str, timestamp: int, topic_id: bytes
) -> None:
    """Nothing is cut, and nothing is filled up with zeros."""
    with pytest.raises(ValueError, match=r"cannot hold|not a UUID"):
        encode_offset_commit_value(offset, leader_epoch, metadata, timestamp, topic_id)
    with pytest.raises(ValueError, match="key of an offset"):
        encode_offset_commit_key("g", "t", 2**31)
