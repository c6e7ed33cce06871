"""The 61 bytes: reading them, patching them in place, refusing what cannot be one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.batches.header import (
    HEADER,
    HEADER_SIZE,
    BatchHeader,
    compute_crc,
    has_valid_crc,
    next_sequence,
    patch_base_offset,
    patch_create_time,
    patch_log_append_time,
    read_header,
)
from kproto.batches.legacy import legacy_magic
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, KafkaError

# One record without key, value "second", as Java's MemoryRecords builds it for a transactional producer.
FROM_JAVA = bytes.fromhex(
    "00000000000000000000003effffffff02e356db4e0010000000000000018bcfe568640000018bcfe568640000000000"
    "0000010000000000000000000118000000010c7365636f6e6400"
)
MESSAGE_SET_0 = bytes.fromhex("00000000000000000000000fd20cbff50000ffffffff0000000176")
MESSAGE_SET_1 = bytes.fromhex("0000000000000000000000187fdc1dec01000000000000000005000000016b0000000176")


def header_bytes(**fields: int) -> bytearray:
    """A header that says what is asked and is consistent otherwise; no records behind it."""
    whole = BatchHeader(0, 49, -1, 2, 0, 0, 0, 0, 0, -1, -1, -1, 1)
    return bytearray(HEADER.pack(*whole._replace(**fields)))


def refusal(buf: bytes | bytearray, pos: int = 0) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        read_header(buf, pos)
    return caught.value.code


def test_a_batch_of_javas_is_read_field_by_field() -> None:
    """A known vector: every field where Java put it."""
    assert read_header(FROM_JAVA) == BatchHeader(
        base_offset=0,
        batch_length=62,
        partition_leader_epoch=-1,
        magic=2,
        crc=0xE356DB4E,
        attributes=0x10,
        last_offset_delta=0,
        base_timestamp=1_700_000_000_100,
        max_timestamp=1_700_000_000_100,
        producer_id=1,
        producer_epoch=0,
        base_sequence=0,
        record_count=1,
    )
    assert has_valid_crc(read_header(FROM_JAVA), FROM_JAVA)


def test_what_the_attributes_say() -> None:
    """Each bit has its property, and they do not touch one another."""
    plain = read_header(header_bytes())
    assert plain.compression == plain.timestamp_type == 0
    assert not (plain.log_append_time or plain.is_transactional or plain.is_control)
    assert plain.delete_horizon is None
    assert read_header(header_bytes(attributes=4)).compression == 4
    assert read_header(header_bytes(attributes=8)).log_append_time
    assert read_header(header_bytes(attributes=8)).timestamp_type == 1
    assert read_header(header_bytes(attributes=16)).is_transactional
    assert read_header(header_bytes(attributes=32)).is_control
    assert read_header(header_bytes(attributes=64, base_timestamp=77)).delete_horizon == 77


def test_offsets_and_sizes_follow_from_the_fields() -> None:
    """Size counts the twelve bytes that batch_length leaves out; the next batch starts behind the last offset."""
    header = read_header(header_bytes(base_offset=100, last_offset_delta=9, batch_length=88))
    assert (header.size, header.last_offset, header.next_offset) == (100, 109, 110)


@pytest.mark.parametrize(
    ("base_sequence", "last_offset_delta", "last_sequence"),
    [(0, 0, 0), (5, 9, 14), (2**31 - 1, 0, 2**31 - 1), (2**31 - 1, 1, 0), (2**31 - 2, 5, 3), (-1, 4, -1)],
)
def test_sequence_numbers_wrap(base_sequence: int, last_offset_delta: int, last_sequence: int) -> None:
    """After 2147483647 comes 0; a batch without a sequence has none at its end either."""
    header = read_header(header_bytes(base_sequence=base_sequence, last_offset_delta=last_offset_delta))
    assert header.last_sequence == last_sequence
    assert next_sequence(2**31 - 1) == 0


def test_a_header_is_read_without_its_records() -> None:
    """B1: recovery reads 61 bytes at a time; the records need not be in the buffer."""
    assert read_header(FROM_JAVA[:HEADER_SIZE]).record_count == 1
    assert read_header(b"abc" + FROM_JAVA, 3) == read_header(FROM_JAVA)


@pytest.mark.parametrize("length", range(HEADER_SIZE))
def test_fewer_bytes_than_a_header_are_corrupt(length: int) -> None:
    """No other exception, however short."""
    assert refusal(FROM_JAVA[:length]) is ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("magic", [-1, 0, 1, 3, 127])
def test_another_magic_is_corrupt(magic: int) -> None:
    """Only 2 is a batch header; what else the bytes may be is for others to say."""
    assert refusal(header_bytes(magic=magic)) is ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 48])
def test_a_length_below_the_headers_own_is_corrupt(length: int) -> None:
    """A scan that steps by it would stand still or go back."""
    assert refusal(header_bytes(batch_length=length)) is ErrorCode.CORRUPT_MESSAGE


@given(st.binary(max_size=80), st.integers(0, 100))
def test_any_bytes_give_a_header_or_a_refusal(data: bytes, pos: int) -> None:
    """B3 for headers."""
    try:
        header = read_header(data, pos)
    except KafkaError as error:
        assert error.code is ErrorCode.CORRUPT_MESSAGE
    else:
        assert header.size >= HEADER_SIZE


@given(st.integers(0, 2**63 - 1), st.integers(-1, 2**31 - 1))
def test_placing_a_batch_leaves_the_rest_and_the_crc_alone(offset: int, epoch: int) -> None:
    """B2: the broker's two fields lie outside the CRC."""
    batch = bytearray(b"..." + FROM_JAVA)
    patch_base_offset(batch, 3, offset, epoch)
    header = read_header(batch, 3)
    assert header == read_header(FROM_JAVA)._replace(base_offset=offset, partition_leader_epoch=epoch)
    assert has_valid_crc(header, batch, 3)
    assert batch[:3] == b"..." and batch[3 + 16 :] == FROM_JAVA[16:]


def test_stamping_the_append_time_keeps_the_crc_true() -> None:
    """LogAppendTime changes checksummed fields: bit 3, max_timestamp, and the CRC with them."""
    batch = bytearray(b".." + FROM_JAVA)
    patch_log_append_time(batch, 2, 1_800_000_000_000)
    header = read_header(batch, 2)
    assert header.log_append_time and header.max_timestamp == 1_800_000_000_000
    assert header.is_transactional, "other attributes stay"
    assert header.crc == compute_crc(batch, 2, header.size) != read_header(FROM_JAVA).crc
    patch_create_time(batch, 2, 1_700_000_000_100)
    assert batch[2:] == FROM_JAVA


def test_a_checksum_fails_for_any_changed_byte_behind_it() -> None:
    """Every byte from the attributes on counts; so does a byte that is missing."""
    batch = build_batch([RecordData(value=b"v")])
    header = read_header(batch)
    for position in range(21, len(batch)):
        damaged = bytearray(batch)
        damaged[position] ^= 0x40
        assert not has_valid_crc(header, damaged)
    assert not has_valid_crc(header, batch[:-1])


def test_patches_work_on_a_view_of_a_frame() -> None:
    """Records arrive as a slice of the connection's buffer and are patched there."""
    frame = bytearray(b"frame:" + FROM_JAVA)
    patch_base_offset(memoryview(frame)[6:], 0, 9, 1)
    assert struct.unpack_from(">q", frame, 6) == (9,)


def test_message_sets_are_recognised() -> None:
    """Magic 0 and 1 stand where a batch has its 2; anything else is not a message set."""
    assert legacy_magic(MESSAGE_SET_0) == 0
    assert legacy_magic(b"xx" + MESSAGE_SET_1, 2) == 1
    assert legacy_magic(FROM_JAVA) is None
    assert legacy_magic(MESSAGE_SET_0[:16]) is None
    assert legacy_magic(bytes(40)) is None, "an entry of no size"
