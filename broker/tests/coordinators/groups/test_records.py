"""Bytes of `__consumer_offsets`: as Apache Kafka writes them, and everything older is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.coordinators.groups.records import (
    GroupMetadataRecord,
    OffsetCommitRecord,
    decode_group_record,
    encode_group_record,
    group_metadata_size,
)
from broker.coordinators.routing import java_hash, shard_of
from broker.tests.coordinators.groups.shards import Shard
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, Malformed, ProtocolError
from kproto.formats.consumer_offsets import (
    GroupMetadataKey,
    GroupMetadataValue,
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    MemberMetadata,
    OffsetCommitValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    encode_record,
)
from kproto.ids import parse_uuid

# Taken from the log of an Apache Kafka whose group "g" was joined, and committed to, by one librdkafka consumer.
KAFKA_OFFSET_KEY = bytes.fromhex("0001000673696d706c6500017400000000")
KAFKA_OFFSET_VALUE = bytes.fromhex(
    "00040000000000000005ffffffff066d657461000000 01a203ec60be0100102bcf0fdfd3734e16ab8d473e27af5c6b".replace(" ", "")
)
KAFKA_NEW_GROUP_KEY = bytes.fromhex("0002000167")
KAFKA_NEW_GROUP_VALUE = bytes.fromhex("0003000000000000ffffffff000001a203ec5cba00000000")
KAFKA_EMPTY_GROUP_VALUE = bytes.fromhex("00030008636f6e73756d657200000002ffffffff000001a203ec606500000000")


def test_an_offset_has_kafkas_bytes() -> None:
    """Kind 1, value version 4 with the topic's id in a tagged field."""
    value = OffsetCommitValue(
        offset=5,
        leader_epoch=-1,
        metadata="meta\0",
        commit_timestamp=1795362152638,
        topic_id=parse_uuid("K88P39NzTharjUc-J69caw"),
    )
    data = encode_group_record(OffsetCommitRecord("simple", "t", 0, value), 0)
    assert (data.key, data.value) == (KAFKA_OFFSET_KEY, KAFKA_OFFSET_VALUE)
    assert decode_group_record(data) == OffsetCommitRecord("simple", "t", 0, value)


NAMES = st.text(max_size=20)
MEMBERS = st.builds(
    MemberMetadata,
    member_id=NAMES,
    group_instance_id=st.none() | NAMES,
    client_id=NAMES,
    client_host=NAMES,
    subscription=st.binary(max_size=50),
    assignment=st.binary(max_size=50),
)


@given(
    group_id=NAMES,
    value=st.builds(
        GroupMetadataValue,
        protocol_type=NAMES,
        protocol=st.none() | NAMES,
        leader=st.none() | NAMES,
        members=st.lists(MEMBERS, max_size=4),
    ),
)
def test_the_size_of_a_record_is_known_before_it_is_made(group_id: str, value: GroupMetadataValue) -> None:
    """To the byte, in any alphabet."""
    data = encode_group_record(GroupMetadataRecord(group_id, value), 0)
    assert group_metadata_size(group_id, value) == len(data.key or b"") + len(data.value or b"")


def test_a_new_group_has_kafkas_bytes() -> None:
    """Kind 2, value version 3, generation 0."""
    value = GroupMetadataValue(
        protocol_type="", generation=0, protocol=None, leader=None, current_state_timestamp=1795362151610
    )
    data = encode_group_record(GroupMetadataRecord("g", value), 0)
    assert (data.key, data.value) == (KAFKA_NEW_GROUP_KEY, KAFKA_NEW_GROUP_VALUE)


def test_an_emptied_group_has_kafkas_bytes() -> None:
    """What is written when the last member of generation 1 has left."""
    value = GroupMetadataValue(
        protocol_type="consumer", generation=2, protocol=None, leader=None, current_state_timestamp=1795362152549
    )
    data = encode_group_record(GroupMetadataRecord("g", value), 0)
    assert data.value == KAFKA_EMPTY_GROUP_VALUE


@pytest.mark.parametrize("record", [GroupMetadataRecord("g", None), OffsetCommitRecord("g", "t", 1, None)])
def test_a_tombstone_has_no_value(record: GroupMetadataRecord | OffsetCommitRecord) -> None:
    """And comes back as what it takes away."""
    data = encode_group_record(record, 7)
    assert data.value is None and data.timestamp == 7
    assert decode_group_record(data) == record


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_a_group_is_read(version: int) -> None:
    """Version 0 has one timeout for both, 1 no timestamp, 2 no static members."""
    member = MemberMetadata(
        member_id="m",
        client_id="c",
        client_host="/h",
        session_timeout=10_000,
        rebalance_timeout=20_000,
        subscription=b"s",
        assignment=b"a",
    )
    value = GroupMetadataValue(
        protocol_type="consumer",
        generation=3,
        protocol="range",
        leader="m",
        current_state_timestamp=5,
        members=[member],
    )
    key, encoded = encode_record(GroupMetadataKey(group="g"), value, version)
    shard = Shard()
    shard.log.append(RecordData(key=key, value=encoded))
    shard.restart()
    [found] = shard.described().members
    assert (found.member_id, found.member_metadata, found.member_assignment) == ("m", b"s", b"a")
    shard.advance(9_999)
    assert shard.beat("m", 3) is ErrorCode.NONE
    shard.advance(10_000)
    assert shard.beat("m", 3) is ErrorCode.UNKNOWN_MEMBER_ID, "its session timeout was read, too"


def test_offsets_of_the_oldest_kind_are_read() -> None:
    """Kind 0, of Kafka before 0.9."""
    key, value = encode_record(
        LegacyOffsetCommitKey(group="g", topic="t", partition=1),
        LegacyOffsetCommitValue(offset=5, metadata="m", commit_timestamp=9),
        0,
    )
    shard = Shard()
    shard.log.append(RecordData(key=key, value=value))
    shard.restart()
    assert shard.committed() == {("t", 1): 5}


def test_records_of_other_kinds_of_groups_are_left_alone() -> None:
    """Skipped in loading, and still in the log for a coordinator that knows them."""
    key, value = encode_record(ShareGroupMetadataKey(group_id="g"), ShareGroupMetadataValue(epoch=1), 0)
    assert decode_group_record(RecordData(key=key, value=value)) is None
    assert decode_group_record(RecordData(key=b"\x7f\xff", value=b"from the future")) is None


@pytest.mark.parametrize("key", [None, b"", b"\0"])
def test_a_record_without_a_kind_is_damage(key: bytes | None) -> None:
    """Not something to skip: loading stops rather than forget."""
    with pytest.raises(Malformed):
        decode_group_record(RecordData(key=key, value=b""))


def test_a_damaged_value_is_damage() -> None:
    """ProtocolError, likewise."""
    with pytest.raises(ProtocolError):
        decode_group_record(RecordData(key=KAFKA_OFFSET_KEY, value=KAFKA_OFFSET_VALUE[:-3]))


def test_group_ids_hash_as_in_java() -> None:
    """Values of String.hashCode, over UTF-16 code units."""
    assert java_hash("") == 0
    assert java_hash("g") == 103
    assert java_hash("simple") == -902286926
    assert java_hash("polygenelubricants") == -(2**31)
    assert java_hash("\N{GRINNING FACE}") == 0xD83D * 31 + 0xDE00


def test_groups_lie_in_kafkas_partitions() -> None:
    """G11: seen on Apache Kafka with 50 partitions; and the number that has no positive twin."""
    assert shard_of("g", 50) == 3
    assert shard_of("simple", 50) == 26
    assert shard_of("polygenelubricants", 50) == 0
