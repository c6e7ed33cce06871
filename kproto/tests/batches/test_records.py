"""Inside a batch: known bytes from Java and librdkafka, round trips, and whatever a producer may have made up."""

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec, compress
from kproto.batches.header import HEADER, HEADER_SIZE, BatchHeader, compute_crc, has_valid_crc, read_header
from kproto.batches.record_walk import Bounds, Source, count_frames, summarise
from kproto.batches.records import (
    ControlRecordType,
    EncodedRecords,
    EndTxnMarker,
    RecordData,
    build_batch,
    build_control_batch,
    build_end_txn_marker,
    control_record_type,
    encode_record_parts,
    iter_records,
    read_end_txn_marker,
    record_pieces,
)
from kproto.errors import ErrorCode, KafkaError

# The same four records as Java's MemoryRecords builds them: offset 42, leader epoch 5, producer 1234567890123, producer
# epoch 7, sequence 99.
JAVA_BATCHES = {
    Codec.NONE: (
        "000000000000002a000000860000000502542dc6bb0000000000030000018bcfe5687b0000018bcfe57b880000011f71fb04cb0007"
        "000000630000000466000000066b65793a76616c75652d76616c75652d76616c75652d76616c75652d76616c7565060468310278"
        "0468320104c3bc0018002d02010c7365636f6e640016009a4c0408746f6d6201000e009a4c06000000"
    ),
    Codec.GZIP: (
        "000000000000002a000000830000000502a746dceb0001000000030000018bcfe5687b0000018bcfe57b880000011f71fb04cb0007"
        "00000063000000041f8b08000000000000ff4b63606060cb4eadb42a4bcc294dd5c541b2b164183255b0641831b21cdec320c1a0"
        "cbc4c8539c9a9c9f97c220c630cb8785a3243f378991810fc866031a08009caf801155000000"
    ),
    Codec.SNAPPY: (
        "000000000000002a000000890000000502540388270002000000030000018bcfe5687b0000018bcfe57b880000011f71fb04cb0007"
        "000000630000000482534e4150505900000000010000000100000044553866000000066b65793a76616c75652d5a0600b8060468"
        "3102780468320104c3bc0018002d02010c7365636f6e640016009a4c0408746f6d6201000e009a4c06000000"
    ),
    Codec.LZ4: (
        "000000000000002a000000850000000502cdb05b3d0003000000030000018bcfe5687b0000018bcfe57b880000011f71fb04cb0007"
        "000000630000000404224d1860408245000000ff0066000000066b65793a76616c75652d060004f0200604683102780468320104"
        "c3bc0018002d02010c7365636f6e640016009a4c0408746f6d6201000e009a4c0600000000000000"
    ),
    Codec.ZSTD: (
        "000000000000002a00000082000000050271962a520004000000030000018bcfe5687b0000018bcfe57b880000011f71fb04cb0007"
        "000000630000000428b52ffd00582c0200e40366000000066b65793a76616c75652d0604683102780468320104c3bc0018002d02"
        "010c7365636f6e640016009a4c0408746f6d6201000e009a4c060000000100a94b1d010000"
    ),
}
JAVA_RECORDS = [
    RecordData(42, 1_700_000_000_123, b"key", b"-".join([b"value"] * 5), (("h1", b"x"), ("h2", None), ("ü", b""))),
    RecordData(43, 1_700_000_000_100, None, b"second"),
    RecordData(44, 1_700_000_005_000, b"tomb", None),
    RecordData(45, 1_700_000_005_000, b"", b""),
]

# Four records as librdkafka packs them: raw snappy, and an lz4 frame of its own making.
LIBRDKAFKA_BATCHES = {
    Codec.SNAPPY: (
        "00000000000017780000007a000000000236db03e2000200000003000001a203f4f960000001a203f4f963ffffffffffffffffffff"
        "ffffffff00000004dd014878000000046b305a6c696272646b61666b612d7e0b003820300402680231026e016600020201b23b00"
        "2031006a000404046b32b236002032006a000606046b33b23600043300"
    ),
    Codec.LZ4: (
        "00000000000023340000008c000000000228bc9683000300000003000001a203f4f960000001a203f4f963ffffffffffffffffffff"
        "ffffffff0000000404224d186040824c000000ff0478000000046b305a6c696272646b61666b612d0b000dff0020300402680231"
        "026e0166000202013b001a9f31006a000404046b3236001a9f32006a000606046b33360017506b6120330000000000"
    ),
}

COMMIT_FROM_JAVA = (
    "0000000000000009000000420000000302dc4b015b0030000000000000018bcfe568000000018bcfe56800000000000000004d0004"
    "ffffffff000000012000000008000000010c00000000000c00"
)
ABORT_FROM_JAVA = (
    "0000000000000009000000420000000302fbeb75770030000000000000018bcfe568000000018bcfe56800000000000000004d0004"
    "ffffffff000000012000000008000000000c00000000000000"
)


# --- known vectors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", Codec)
def test_javas_batches_are_read(codec: Codec) -> None:
    """Keys, tombstones, empty values, headers with and without values, timestamps out of order: in every codec."""
    batch = bytes.fromhex(JAVA_BATCHES[codec])
    header = read_header(batch)
    assert has_valid_crc(header, batch)
    assert header.compression == codec
    assert list(iter_records(batch)) == JAVA_RECORDS


def test_an_uncompressed_batch_is_built_byte_for_byte_as_java_builds_it() -> None:
    """The same records give the same bytes, CRC included."""
    built = build_batch(
        JAVA_RECORDS, base_offset=42, leader_epoch=5, producer_id=1234567890123, producer_epoch=7, base_sequence=99
    )
    assert built.hex() == JAVA_BATCHES[Codec.NONE]


@pytest.mark.parametrize("codec", LIBRDKAFKA_BATCHES)
def test_librdkafkas_batches_are_read(codec: Codec) -> None:
    """Raw snappy without framing; lz4 frames."""
    batch = bytes.fromhex(LIBRDKAFKA_BATCHES[codec])
    records = list(iter_records(batch))
    assert [record.key for record in records] == [b"k0", None, b"k2", b"k3"]
    assert [record.value for record in records] == [b"librdkafka-" * 3 + b"librdkafka %d" % n for n in range(4)]
    assert records[0].headers == (("h", b"1"), ("n", None))


@pytest.mark.parametrize(
    ("commit", "epoch", "vector"), [(True, 12, COMMIT_FROM_JAVA), (False, 0, ABORT_FROM_JAVA)], ids=["commit", "abort"]
)
def test_transaction_markers_are_javas_byte_for_byte(commit: bool, epoch: int, vector: str) -> None:
    """Writing one gives Java's bytes, and Java's bytes are read back."""
    built = build_end_txn_marker(
        commit=commit,
        producer_id=77,
        producer_epoch=4,
        coordinator_epoch=epoch,
        timestamp=1_700_000_000_000,
        base_offset=9,
        leader_epoch=3,
    )
    assert built.hex() == vector
    assert read_header(built).is_control and read_header(built).is_transactional
    (record,) = iter_records(built)
    assert read_end_txn_marker(record) == EndTxnMarker(commit, epoch)


# --- building -------------------------------------------------------------------------------------------------------


def test_offsets_are_given_out_in_a_row() -> None:
    """A batch to append needs no offsets of its own: the log gives it the first, the rest follow."""
    batch = build_batch([RecordData(offset=7, value=b"a"), RecordData(offset=7, value=b"b")], base_offset=100)
    assert [record.offset for record in iter_records(batch)] == [100, 101]
    assert read_header(batch).last_offset_delta == 1


@pytest.mark.parametrize("first", [0, 2])
def test_records_that_were_encoded_before_stand_before_or_behind_the_others(first: int) -> None:
    """The batch is the one that the same records make together."""
    others = [RecordData(0, 7, b"k", b"v"), RecordData(0, 7, b"k", b"w")]
    early = [(b"key", b"value"), (b"key", None), (None, b"value")]
    parts = [part for parts in encode_record_parts(early, first) for part in parts]
    encoded = EncodedRecords(b"".join(parts), first, len(early))
    as_records = [RecordData(0, 7, key, value) for key, value in early]
    expected = build_batch([*others, *as_records] if first else [*as_records, *others])
    assert build_batch(others, encoded=encoded) == expected


def test_a_cleaner_keeps_offsets_and_the_end_of_the_batch() -> None:
    """B5: gaps stay gaps, and the next batch still starts where it did."""
    original = build_batch([RecordData(value=b"%d" % n) for n in range(10)], base_offset=50)
    kept = [record for record in iter_records(original) if record.offset in (51, 57)]
    cleaned = build_batch(kept, base_offset=50, keep_offsets=True, last_offset_delta=9)
    assert list(iter_records(cleaned)) == kept
    assert read_header(cleaned).next_offset == 60
    assert read_header(cleaned).record_count == 2


@pytest.mark.parametrize("codec", Codec)
def test_a_batch_may_lose_all_its_records(codec: Codec) -> None:
    """The cleaner keeps a producer's last batch, emptied, for the sequence number in its header."""
    emptied = build_batch(
        [], base_offset=50, compression=codec, producer_id=3, base_sequence=8, keep_offsets=True, last_offset_delta=4
    )
    header = read_header(emptied)
    assert (header.record_count, header.last_offset, header.last_sequence) == (0, 54, 12)
    assert list(iter_records(emptied)) == []


def test_a_delete_horizon_takes_the_base_timestamps_place() -> None:
    """KIP-534: record timestamps count from the horizon then, and come out unchanged."""
    batch = build_batch(JAVA_RECORDS, base_offset=42, delete_horizon=1_600_000_000_000)
    assert read_header(batch).delete_horizon == 1_600_000_000_000
    assert read_header(batch).max_timestamp == 1_700_000_005_000
    assert list(iter_records(batch)) == JAVA_RECORDS


def test_under_log_append_time_every_record_bears_the_batchs_time() -> None:
    """What the producer said is still in the bytes, and is not read."""
    batch = build_batch(JAVA_RECORDS, log_append_time=True)
    assert {record.timestamp for record in iter_records(batch)} == {1_700_000_005_000}


@pytest.mark.parametrize("timestamps", [(-1, 2**63 - 1), (2**63 - 1, -(2**63)), (0, -5), (-(2**63), -(2**63))])
def test_extreme_timestamps_come_back(timestamps: tuple[int, int]) -> None:
    """Deltas wrap as Java's do."""
    batch = build_batch([RecordData(timestamp=timestamp) for timestamp in timestamps])
    assert tuple(record.timestamp for record in iter_records(batch)) == timestamps


# Surrogates stand for bytes that are not UTF-8, so only those that stand for a byte can be in a header's key.
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("\udcff\udc80")
headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=8)), max_size=3).map(tuple)
record_lists = st.lists(
    st.builds(
        RecordData,
        offset=st.just(0),
        timestamp=st.integers(-1, 2**45),
        key=st.none() | st.binary(max_size=90),
        value=st.none() | st.binary(max_size=300),
        headers=headers,
    ),
    min_size=1,
    max_size=12,
)


def source_of(batch: bytes | bytearray) -> Source:
    """The records of a batch for a walk over them."""
    return Source(record_pieces(read_header(batch), batch), Bounds())


@settings(deadline=None, max_examples=80)
@given(record_lists, st.sampled_from(Codec), st.integers(0, 2**50))
def test_what_is_built_is_read_back(records: list[RecordData], codec: Codec, base_offset: int) -> None:
    """Any records, any codec, any offset; and the header says what the records say."""
    batch = build_batch(records, base_offset=base_offset, compression=codec)
    header = read_header(batch)
    numbered = [record._replace(offset=base_offset + index) for index, record in enumerate(records)]
    assert list(iter_records(batch)) == numbered
    assert header.size == len(batch) and has_valid_crc(header, batch)
    count_frames(header, source_of(batch))
    assert header.record_count == len(records)
    summary = summarise(header, source_of(batch))
    assert summary.max_timestamp == header.max_timestamp == max(record.timestamp for record in records)
    assert summary.keyless == any(record.key is None for record in records)
    assert summary.offsets_count_up


# --- hostile bytes --------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """Zigzag, seven bits at a time: written again, so that the code under test does not vouch for itself."""
    zigzag = number * 2 if number >= 0 else -number * 2 - 1
    groups = []
    while zigzag > 127:
        groups.append(zigzag % 128 + 128)
        zigzag //= 128
    return bytes([*groups, zigzag])


def frame(body: bytes) -> bytes:
    return varint(len(body)) + body


def record_bytes(*, key: bytes = varint(1) + b"k", value: bytes = varint(1) + b"v", rest: bytes = b"\0") -> bytes:
    return frame(b"\0" + varint(0) + varint(0) + key + value + rest)


def batch_of(payload: bytes, count: int = 1, codec: Codec = Codec.NONE) -> bytes:
    """A batch whose header is in order and whose records are ``payload``."""
    data = bytes(compress(codec, payload))
    header = BatchHeader(0, 49 + len(data), 0, 2, 0, codec, max(count - 1, 0), 0, 0, -1, -1, -1, count)
    batch = bytearray(HEADER.pack(*header) + data)
    struct.pack_into(">I", batch, 17, compute_crc(batch, 0, len(batch)))
    return bytes(batch)


HOSTILE = {
    "nothing at all": b"",
    "a record cut short": record_bytes()[:-1],
    "bytes behind the last record": record_bytes() + b"\0",
    "one record too many": record_bytes() * 2,
    "a negative length": varint(-1) + record_bytes()[1:],
    "a length of zero": varint(0),
    "a length of five": varint(5) + b"\0\0\0\1\1",
    "a length of 2 GiB": varint(2**31 - 1) + record_bytes()[1:],
    "an endless varint": b"\x80" * 50,
    "a length of six bytes": b"\x8e\x80\x80\x80\x80\x00" + record_bytes()[1:],
    "a length of 33 bits": b"\x80\x80\x80\x80\x10" + record_bytes()[1:],
    "a timestamp of eleven bytes": frame(b"\0" + b"\x80" * 10 + b"\0" + b"\0\1\1\0"),
    "an offset of six bytes": frame(b"\0\0" + b"\x80" * 5 + b"\0" + b"\1\1\0"),
    "a key beyond the record": record_bytes(key=varint(50) + b"k"),
    "a key beyond everything": record_bytes(key=varint(2**31 - 1)),
    "a value beyond the record": record_bytes(value=varint(3) + b"v") + record_bytes(),
    "bytes left in the record": record_bytes(rest=b"\0zz"),
    "no header count": record_bytes(rest=b""),
    "a negative header count": record_bytes(rest=varint(-1)),
    "a million headers": record_bytes(rest=varint(1_000_000)),
    "a header that is not there": record_bytes(rest=varint(1)),
    "a header without a key": record_bytes(rest=varint(1) + varint(-1) + varint(-1)),
    "a header without a value's length": record_bytes(rest=varint(1) + varint(1) + b"h"),
    "a header value beyond the record": record_bytes(rest=varint(1) + varint(1) + b"h" + varint(9) + b"x"),
}


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.LZ4])
@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_records_that_do_not_fit_the_format_are_invalid(payload: bytes, codec: Codec) -> None:
    """B3: reading and walking refuse them with the same code, however they are wrapped."""
    batch = batch_of(payload, codec=codec)
    with pytest.raises(KafkaError) as caught:
        list(iter_records(batch))
    assert caught.value.code is ErrorCode.INVALID_RECORD
    header = read_header(batch)
    with pytest.raises(KafkaError) as caught:
        summarise(header, source_of(batch))
    assert caught.value.code is ErrorCode.INVALID_RECORD


def test_what_kafka_lets_pass_is_read() -> None:
    """Any negative length means null, a record's attribute bits mean nothing, header keys may be any bytes."""
    body = b"\x07" + varint(0) + varint(0) + varint(-5) + varint(-9) + varint(1) + varint(2) + b"\xff\xfe" + varint(-3)
    (record,) = iter_records(batch_of(frame(body)))
    assert record == RecordData(0, 0, None, None, (("\udcff\udcfe", None),))
    assert list(iter_records(build_batch([record]))) == [record], "and written again as it was"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=120), st.integers(-3, 20), st.integers(0, 127))
def test_any_bytes_give_records_or_a_refusal(payload: bytes, count: int, attributes: int) -> None:
    """B3: whatever stands behind a header, and whatever the header claims of it."""
    header = BatchHeader(0, 49 + len(payload), 0, 2, 0, attributes, 0, 0, 0, -1, -1, -1, count)
    batch = HEADER.pack(*header) + payload
    try:
        records = list(iter_records(batch))
    except KafkaError as error:
        assert error.code in (
            ErrorCode.INVALID_RECORD,
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            ErrorCode.MESSAGE_TOO_LARGE,
        )
    else:
        assert len(records) == count


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_flipped_bit_gives_records_or_a_refusal(choose: st.DataObject) -> None:
    """B3: damage that no CRC has caught. The two walks are of one mind about it."""
    batch = bytearray.fromhex(JAVA_BATCHES[Codec.NONE])
    batch[choose.draw(st.integers(HEADER_SIZE, len(batch) - 1))] ^= 1 << choose.draw(st.integers(0, 7))
    header = read_header(batch)
    outcomes = []
    for walk in (lambda: list(iter_records(batch)), lambda: summarise(header, source_of(batch))):
        try:
            walk()
        except KafkaError as error:
            outcomes.append(error.code)
        else:
            outcomes.append(ErrorCode.NONE)
    assert outcomes in ([ErrorCode.NONE] * 2, [ErrorCode.INVALID_RECORD] * 2)


def test_a_batch_that_is_not_all_there_is_corrupt() -> None:
    """Its records look like its neighbour's."""
    with pytest.raises(KafkaError) as caught:
        list(iter_records(build_batch(JAVA_RECORDS)[:-1]))
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE


def test_reading_takes_the_memory_of_one_record() -> None:
    """B4: tools and look-ups read what producers compressed: here 64 MiB in 200 records."""
    records = [RecordData(value=bytes(320 << 10))] * 200
    batch = build_batch(records, compression=Codec.ZSTD)
    del records
    tracemalloc.start()
    try:
        assert sum(len(record.value or b"") for record in iter_records(batch)) == 200 * 320 << 10
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


# --- control records ------------------------------------------------------------------------------------------------


def test_control_records_of_other_types_are_no_markers() -> None:
    """A leader change is a control record too; a type of the future is a bare number."""
    (record,) = iter_records(build_control_batch(ControlRecordType.LEADER_CHANGE, b"\0\0", timestamp=5))
    assert control_record_type(record.key) is ControlRecordType.LEADER_CHANGE
    assert read_end_txn_marker(record) is None
    assert control_record_type(b"\0\0\0\x63") == 99


@pytest.mark.parametrize("key", [None, b"", b"\0\0\0", b"\xff\xff\0\1"])
def test_a_control_record_needs_a_whole_key(key: bytes | None) -> None:
    """Too short, or of a negative version."""
    with pytest.raises(KafkaError):
        control_record_type(key)


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0\0\0", b"\xff\xff\0\0\0\0"])
def test_a_marker_needs_a_whole_value(value: bytes | None) -> None:
    """Version and coordinator epoch."""
    with pytest.raises(KafkaError):
        read_end_txn_marker(RecordData(key=b"\0\0\0\1", value=value))


def test_a_large_record_is_copied_once() -> None:
    """Into its batch: a group's generation may have megabytes, and is written in one turn of the event loop."""
    record = RecordData(timestamp=5, key=b"group", value=bytes(4 << 20))
    tracemalloc.start()
    try:
        batch = build_batch([record])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(batch) * 1.1
