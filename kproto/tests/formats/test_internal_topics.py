"""Records of internal topics: how they are framed, and that they are all there."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.errors import Malformed, ProtocolError, Truncated, UnsupportedVersion
from kproto.formats import cluster_metadata, consumer_offsets, share_group_state, transaction_state
from kproto.formats.cluster_metadata import NoOpRecord, TopicRecord
from kproto.formats.consumer_offsets import (
    ConsumerGroupMetadataKey,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from kproto.formats.transaction_state import TransactionLogKey, TransactionLogValue
from kproto.tests.arbitrary_messages import filled

COORDINATOR_TOPICS = [consumer_offsets, transaction_state, share_group_state]
UUID = bytes(range(16))


def test_a_committed_offset() -> None:
    """Key: kind 1, group, topic, partition. Value: its version, then offset, epoch, metadata, time."""
    key, value = consumer_offsets.encode_record(
        OffsetCommitKey(group="g", topic="t", partition=3),
        OffsetCommitValue(offset=42, leader_epoch=5, metadata="m", commit_timestamp=1000),
        version=3,
    )
    assert key == bytes.fromhex("00 01  00 01 67  00 01 74  00 00 00 03")
    assert value == bytes.fromhex("00 03  00 00 00 00 00 00 00 2a  00 00 00 05  00 01 6d  00 00 00 00 00 00 03 e8")
    assert consumer_offsets.decode_record(key, value) == (
        OffsetCommitKey(group="g", topic="t", partition=3),
        OffsetCommitValue(offset=42, leader_epoch=5, metadata="m", commit_timestamp=1000),
    )


def test_a_tombstone_has_a_key_and_no_value() -> None:
    """It takes back what the key said before."""
    key, value = consumer_offsets.encode_record(GroupMetadataKey(group="g"), None)
    assert (key, value) == (bytes.fromhex("00 02  00 01 67"), None)
    assert consumer_offsets.decode_record(key, None) == (GroupMetadataKey(group="g"), None)


def test_a_value_is_written_in_the_newest_version_by_default() -> None:
    """The first two bytes say which."""
    key = TransactionLogKey(transactional_id="x")
    _, newest = transaction_state.encode_record(key, TransactionLogValue(producer_id=7))
    _, oldest = transaction_state.encode_record(key, TransactionLogValue(producer_id=7), version=0)
    assert newest is not None
    assert oldest is not None
    assert (newest[:2], oldest[:2]) == (b"\0\1", b"\0\0")


def test_a_value_belongs_under_its_own_kind_of_key() -> None:
    """Anything else is a mistake of ours."""
    with pytest.raises(AssertionError, match="GroupMetadataValue under ConsumerGroupMetadataKey"):
        consumer_offsets.encode_record(ConsumerGroupMetadataKey(group_id="g"), GroupMetadataValue())


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_every_kind_of_coordinator_record_comes_back(seed: int) -> None:
    """All kinds of all three topics, in every version of their values."""
    random = Random(seed)
    for topic in COORDINATOR_TOPICS:
        for kind, (key_type, value_type) in topic.KINDS.items():
            assert key_type.api_key == value_type.api_key == kind
            assert key_type.__name__.removesuffix("Key") == value_type.__name__.removesuffix("Value")
            for version in range(value_type.min_version, value_type.max_version + 1):
                key, value = filled(key_type, 0, random), filled(value_type, version, random)
                encoded = topic.encode_record(key, value, version)
                assert encoded[0][:2] == kind.to_bytes(2, "big")
                assert topic.decode_record(*encoded) == (key, value)


def test_unknown_kinds_and_versions_are_distinguished_from_garbage() -> None:
    """A loader may pass over the record of a newer broker; it must not pass over a damaged one."""
    key, value = consumer_offsets.encode_record(GroupMetadataKey(group="g"), GroupMetadataValue(), version=3)
    assert value is not None
    with pytest.raises(UnsupportedVersion, match="kind 99"):
        consumer_offsets.decode_record(b"\0\x63" + key[2:], value)
    with pytest.raises(UnsupportedVersion, match="GroupMetadataValue of version 99"):
        consumer_offsets.decode_record(key, b"\0\x63" + value[2:])
    with pytest.raises(UnsupportedVersion, match="version -1"):
        consumer_offsets.decode_record(key, b"\xff\xff" + value[2:])
    with pytest.raises(Truncated):
        consumer_offsets.decode_record(key, value[:-1])
    with pytest.raises(Malformed):
        consumer_offsets.decode_record(key + b"\0", value)
    for short in (b"", b"\0"):
        with pytest.raises(Truncated):
            consumer_offsets.decode_record(short, value)


def test_a_metadata_record() -> None:
    """Frame version, kind, version, and the record: three unsigned varints in front."""
    data = cluster_metadata.encode_record(TopicRecord(name="t", topic_id=UUID))
    assert data == bytes.fromhex("01 02 00  02 74") + UUID + b"\0"
    assert cluster_metadata.decode_record(data) == TopicRecord(name="t", topic_id=UUID)
    assert cluster_metadata.encode_record(NoOpRecord()) == bytes.fromhex("01 14 00 00")


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_every_kind_of_metadata_record_comes_back(seed: int) -> None:
    """All kinds in all their versions."""
    random = Random(seed)
    for kind, cls in cluster_metadata.KINDS.items():
        assert cls.api_key == kind
        for version in range(cls.min_version, cls.max_version + 1):
            record = filled(cls, version, random)
            assert cluster_metadata.decode_record(cluster_metadata.encode_record(record, version)) == record


def test_unknown_metadata_frames() -> None:
    """A frame, a kind, a version from the future; bytes too few and too many."""
    for newer in ("02 02 00 02 74", "01 63 00", "01 02 63", "01 80 80 80 80 08 00"):
        with pytest.raises(UnsupportedVersion):
            cluster_metadata.decode_record(bytes.fromhex(newer))
    whole = cluster_metadata.encode_record(TopicRecord(name="t", topic_id=UUID))
    for data in (b"", whole[:1], whole[:2], whole[:-1], whole + b"\0"):
        with pytest.raises(ProtocolError):
            cluster_metadata.decode_record(data)
