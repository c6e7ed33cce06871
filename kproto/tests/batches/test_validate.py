"""What a producer may not send, each refusal with the code that a running Kafka gave (or a more precise one)."""

import struct
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec, compress
from kproto.batches.header import HEADER, HEADER_SIZE, BatchHeader, compute_crc, has_valid_crc, read_header
from kproto.batches.record_walk import MAX_DECOMPRESSED_MESSAGE_BYTES, MIN_RECORD_SIZE, BoundExceeded, Bounds
from kproto.batches.records import RecordData, build_batch, build_control_batch, iter_records
from kproto.batches.validate import (
    MAX_RECORD_ERRORS,
    RecordsRefused,
    check_produced_batch,
    conform,
    conforms,
    split_batches,
)
from kproto.errors import ErrorCode, KafkaError
from kproto.primitives import varint

NOW = 1_800_000_000_000
MESSAGE_SET_0 = bytes.fromhex("00000000000000000000000fd20cbff50000ffffffff0000000176")
MESSAGE_SET_1 = bytes.fromhex("0000000000000000000000187fdc1dec01000000000000000005000000016b0000000176")


@dataclass(frozen=True)
class Rules:
    """A topic without overrides, unless a test says otherwise."""

    max_message_bytes: int = 1_048_588
    max_decompressed_message_bytes: int = MAX_DECOMPRESSED_MESSAGE_BYTES
    segment_bytes: int = 1 << 30
    compact: bool = False
    log_append_time: bool = False
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 3_600_000
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3


PLAIN = Rules()
COMPACTED = Rules(compact=True)
APPEND_TIME = Rules(log_append_time=True)


def record(value: bytes = b"v", *, key: bytes | None = b"k", timestamp: int = NOW) -> RecordData:
    return RecordData(timestamp=timestamp, key=key, value=value)


def batch(*records: RecordData, codec: Codec = Codec.NONE) -> bytearray:
    """What a well-behaved producer sends; three records if none are named."""
    return build_batch(records or [record(b"a"), record(b"b"), record(b"c")], compression=codec, leader_epoch=-1)


def with_fields(data: bytearray, *, crc: int | None = None, **fields: int) -> bytearray:
    """The same batch with other words in its header, and a true CRC unless the test asks for a false one."""
    header = BatchHeader._make(HEADER.unpack_from(data))._replace(**fields)
    changed = bytearray(HEADER.pack(*header) + data[61:])
    struct.pack_into(">I", changed, 17, compute_crc(changed, 0, len(changed)) if crc is None else crc)
    return changed


def with_payload(payload: bytes, *, count: int = 3, codec: Codec = Codec.NONE) -> bytearray:
    """A batch with a header in order and any bytes behind it."""
    return with_fields(
        batch()[:61] + payload,
        batch_length=49 + len(payload),
        attributes=codec,
        record_count=count,
        last_offset_delta=count - 1,
    )


def check(data: bytes | bytearray | None, rules: Rules = PLAIN, *, version: int = 13) -> BatchHeader:
    return check_produced_batch(None if data is None else memoryview(data), rules, api_version=version)


def refusal(data: bytes | bytearray | None, rules: Rules = PLAIN, *, version: int = 13) -> str:
    with pytest.raises(KafkaError) as caught:
        check(data, rules, version=version)
    return caught.value.code.name


def conformed(data: bytearray, rules: Rules, now: int = NOW) -> bytes:
    """What the log gets to see of a batch."""
    header = check(data, rules)
    header, changed = conform(header, data, rules, now)
    assert header == read_header(changed) and has_valid_crc(header, changed) and len(changed) == header.size
    return bytes(changed)


def refused(data: bytearray, rules: Rules, now: int = NOW) -> RecordsRefused:
    with pytest.raises(RecordsRefused) as caught:
        conform(check(data, rules), data, rules, now)
    return caught.value


# --- by the header --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", Codec)
def test_what_a_well_behaved_producer_sends_is_taken(codec: Codec) -> None:
    """Every codec, with and without a producer id; the header comes back."""
    data = batch(codec=codec)
    assert check(data) == read_header(data)
    assert check(with_fields(data, producer_id=4, producer_epoch=0, base_sequence=0)).producer_id == 4


@pytest.mark.parametrize("data", [None, b"", bytes(5), bytes(11)])
def test_nothing_is_no_batch(data: bytes | None) -> None:
    """Exactly one batch is due for each partition."""
    assert refusal(data) == "INVALID_RECORD"


@pytest.mark.parametrize("length", [12, 16, 17, 60, 61, 100])
def test_zeros_are_corrupt(length: int) -> None:
    """A length field of zero is below anything that ever was."""
    assert refusal(bytes(length)) == "CORRUPT_MESSAGE"


def test_a_batch_cut_short_is_no_batch() -> None:
    """At every length: Kafka sees no whole batch in it. A length beyond the data is the same thing."""
    data = batch()
    for length in range(len(data)):
        assert refusal(data[:length]) == "INVALID_RECORD"
    assert refusal(with_fields(data, batch_length=len(data) - 11)) == "INVALID_RECORD"
    assert refusal(with_fields(data, batch_length=2**31 - 1)) == "INVALID_RECORD"


@pytest.mark.parametrize("length", [-(2**31), -5, 0, 13, 14, 48])
def test_a_length_below_the_headers_own_is_corrupt(length: int) -> None:
    """Negative ones included."""
    assert refusal(with_fields(batch(), batch_length=length)) == "CORRUPT_MESSAGE"


@pytest.mark.parametrize("magic", [-128, -1, 3, 127])
def test_an_unknown_magic_is_corrupt(magic: int) -> None:
    """No such format was ever written."""
    assert refusal(with_fields(batch(), magic=magic)) == "CORRUPT_MESSAGE"


@pytest.mark.parametrize("data", [MESSAGE_SET_0, MESSAGE_SET_1, MESSAGE_SET_0 * 3, MESSAGE_SET_1 + bytes(40)])
def test_message_sets_are_refused_by_name(data: bytes) -> None:
    """Kafka 4 takes magic 2 only, and the message says so."""
    assert refusal(data) == "INVALID_RECORD"
    with pytest.raises(KafkaError, match="message sets"):
        check(data)


def test_two_batches_are_one_too_many() -> None:
    """Since Produce v3."""
    assert refusal(batch() + batch()) == "INVALID_RECORD"
    assert refusal(batch() + MESSAGE_SET_1) == "INVALID_RECORD"


@pytest.mark.parametrize("tail", [b"abc", batch()[:-1], batch()[:61], batch()[:16]])
def test_what_is_too_short_for_a_second_batch_is_left_out(tail: bytes) -> None:
    """Kafka trims it; the header says how much is to be stored."""
    data = batch()
    assert check(data + tail).size == len(data)
    stored = conformed(data + tail, Rules(compression_type="uncompressed"))
    assert len(stored) == len(data)


@pytest.mark.parametrize("tail", [bytes(20), b"\xff" * 30, b"\0" * 8 + b"\0\0\0\x64" + b"\0" * 4 + b"\x09"])
def test_what_cannot_become_a_second_batch_is_corrupt(tail: bytes) -> None:
    """Its length or its magic is impossible."""
    assert refusal(batch() + tail) == "CORRUPT_MESSAGE"


def test_a_wrong_crc_is_corrupt() -> None:
    """Clients send the batch again: it may have been damaged on the way."""
    assert refusal(with_fields(batch(), crc=1)) == "CORRUPT_MESSAGE"
    damaged = batch()
    damaged[-1] ^= 1
    assert refusal(damaged) == "CORRUPT_MESSAGE"


@pytest.mark.parametrize("offset", [-1, 1, 5, 2**63 - 1])
def test_a_base_offset_other_than_0_is_invalid(offset: int) -> None:
    """Offsets are the broker's to give, and it looks at this before the CRC."""
    assert refusal(with_fields(batch(), base_offset=offset)) == "INVALID_RECORD"
    assert refusal(with_fields(batch(), base_offset=offset, crc=1)) == "INVALID_RECORD"


@pytest.mark.parametrize(
    ("count", "last_offset_delta"),
    [(0, 2), (-1, 2), (4, 2), (2, 2), (3, 5), (3, 1), (3, -1), (3, 2**31 - 1), (0, -1), (-1, -2), (-(2**31), 0)],
)
def test_a_count_that_the_offsets_contradict_is_invalid(count: int, last_offset_delta: int) -> None:
    """At least one record, and as many offsets as records."""
    data = with_fields(batch(), record_count=count, last_offset_delta=last_offset_delta)
    assert refusal(data) == "INVALID_RECORD"


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_is_unsupported(codec: int) -> None:
    """B6: Kafka answers UNKNOWN_SERVER_ERROR, which clients retry forever."""
    assert refusal(with_fields(batch(), attributes=codec)) == "UNSUPPORTED_COMPRESSION_TYPE"


def test_zstd_came_with_produce_7() -> None:
    """A consumer as old as the producer could not read it (KIP-110)."""
    assert refusal(batch(codec=Codec.ZSTD), version=6) == "UNSUPPORTED_COMPRESSION_TYPE"
    assert check(batch(codec=Codec.ZSTD), version=7)
    assert check(batch(codec=Codec.LZ4), version=3)


def test_control_batches_are_the_brokers() -> None:
    """No client may write a transaction marker."""
    assert refusal(build_control_batch(1, b"\0\0\0\0\0\0", timestamp=NOW)) == "INVALID_RECORD"


def test_a_producer_id_needs_a_sequence_number() -> None:
    """A sequence number without producer id, and an epoch of -1, do no harm, as in Kafka."""
    assert refusal(with_fields(batch(), producer_id=5, producer_epoch=0)) == "INVALID_RECORD"
    assert check(with_fields(batch(), base_sequence=7, producer_epoch=3))
    assert check(with_fields(batch(), producer_id=5, base_sequence=0))


def test_an_epoch_below_none_is_invalid() -> None:
    """-1 is no epoch; nothing is below it."""
    data = with_fields(batch(), producer_id=5, producer_epoch=-2, base_sequence=0)
    assert refusal(data) == "INVALID_PRODUCER_EPOCH"
    assert check(with_fields(batch(), producer_id=-1, producer_epoch=-2))


def test_more_records_than_there_is_room_for_are_invalid() -> None:
    """Plain records are not looked at, but seven bytes each is the least they take."""
    size = len(batch()) - HEADER_SIZE
    most = size // MIN_RECORD_SIZE
    assert check(with_fields(batch(), record_count=most, last_offset_delta=most - 1))
    assert refusal(with_fields(batch(), record_count=most + 1, last_offset_delta=most)) == "INVALID_RECORD"


def test_a_transactional_batch_needs_a_request_with_transactional_id() -> None:
    """Otherwise anybody could write into anybody's transaction."""
    data = with_fields(batch(), attributes=0x10, producer_id=5, producer_epoch=0, base_sequence=0)
    assert refusal(data) == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
    assert check_produced_batch(data, PLAIN, has_transactional_id=True).is_transactional


def test_max_message_bytes_counts_the_whole_batch_as_sent() -> None:
    """Header included, compressed if it is; the CRC is not even looked at."""
    data = batch(record(bytes(1000)))
    assert check(data, Rules(max_message_bytes=len(data)))
    assert refusal(data, Rules(max_message_bytes=len(data) - 1)) == "MESSAGE_TOO_LARGE"
    assert refusal(with_fields(data, crc=1), Rules(max_message_bytes=len(data) - 1)) == "MESSAGE_TOO_LARGE"
    assert check(batch(record(bytes(1000)), codec=Codec.ZSTD), Rules(max_message_bytes=500))


def test_a_batch_must_fit_into_a_segment() -> None:
    """max.message.bytes may be set above segment.bytes; the batch has nowhere to go then."""
    data = batch(record(bytes(2000)))
    assert check(data, Rules(segment_bytes=len(data)))
    assert refusal(data, Rules(segment_bytes=len(data) - 1)) == "RECORD_LIST_TOO_LARGE"


def test_unused_attribute_bits_are_carried_along() -> None:
    """As in Kafka: bits 6 to 15 of a produced batch change nothing."""
    for bit in range(6, 15):
        assert check(with_fields(batch(), attributes=1 << bit)).attributes == 1 << bit


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_bytes_are_taken_or_refused(choose: st.DataObject) -> None:
    """B3: a batch with bytes exchanged, cut or lengthened, its CRC made true or not, for several topics."""
    data = batch(codec=choose.draw(st.sampled_from(Codec)))
    for _ in range(choose.draw(st.integers(1, 3))):
        data[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))
    data = data[: choose.draw(st.integers(0, len(data)))] if choose.draw(st.booleans()) else data
    data += choose.draw(st.binary(max_size=20))
    if len(data) > 61 and choose.draw(st.booleans()):
        struct.pack_into(">I", data, 17, compute_crc(data, 0, 12 + max(49, min(len(data), int.from_bytes(data[8:12])))))
    rules = choose.draw(st.sampled_from([PLAIN, COMPACTED, APPEND_TIME, Rules(compression_type="zstd")]))
    try:
        header = check(data, rules)
        header, changed = conform(header, data, rules, NOW)
    except KafkaError:
        return
    assert has_valid_crc(header, changed)


# --- by the topic's settings ----------------------------------------------------------------------------------------


def test_a_plain_batch_needs_no_look_inside() -> None:
    """Garbage behind a consistent header is left to the caller, who may ask for a look."""
    data = with_payload(b"these are no records")
    assert conforms(check(data), PLAIN, NOW)
    assert conforms(check(data), Rules(compression_type="uncompressed"), NOW)
    assert conform(check(data), data, PLAIN, NOW)[1] == data
    with pytest.raises(KafkaError) as caught:
        conform(check(data), data, PLAIN, NOW, look_inside=True)
    assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize(
    "rules", [COMPACTED, APPEND_TIME, Rules(compression_type="gzip"), Rules(message_timestamp_before_max_ms=5)]
)
def test_some_topics_ask_for_more(rules: Rules) -> None:
    """Keys, the broker's time, another codec, a bound on the past."""
    assert not conforms(check(batch()), rules, NOW)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
def test_a_compressed_batch_that_holds_what_it_says_stays_as_it_is(codec: Codec) -> None:
    """It is opened, and nothing in it is changed."""
    data = batch(codec=codec)
    assert not conforms(check(data), PLAIN, NOW)
    assert conformed(bytearray(data), PLAIN) == data


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
@pytest.mark.parametrize("lie", ["one less", "one more", "none", "cut short", "garbage", "trailing bytes", "empty"])
def test_a_compressed_batch_that_lies_is_invalid(codec: Codec, lie: str) -> None:
    """Counts, undecodable data, bytes behind the last record. Kafka says 87 to the first kind and -1 to the rest."""
    records = bytes(batch())[61:]
    packed = bytes(compress(codec, records))
    payload, count = {
        "one less": (packed, 2),
        "one more": (packed, 4),
        "none": (bytes(compress(codec, b"")), 3),
        "cut short": (packed[:-3], 3),
        "garbage": (b"no codec writes this", 3),
        "trailing bytes": (bytes(compress(codec, records + b"abcd")), 3),
        "empty": (b"", 3),
    }[lie]
    data = with_payload(payload, count=count, codec=codec)
    header = check(data)
    for rules, look_inside in ((PLAIN, False), (PLAIN, True), (COMPACTED, False)):
        with pytest.raises(KafkaError) as caught:
            conform(header, data, rules, NOW, look_inside=look_inside)
        assert caught.value.code is ErrorCode.INVALID_RECORD


def test_a_batch_may_stand_for_more_than_it_takes() -> None:
    """64 MiB of one record in two kilobytes is taken, as by Kafka, in the memory of some pieces."""
    data = batch(record(bytes(64 << 20)), codec=Codec.ZSTD)
    assert len(data) < 4096
    tracemalloc.start()
    try:
        assert conformed(bytearray(data), PLAIN) == data
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
@pytest.mark.parametrize("walked", [True, False])
def test_no_record_of_a_compressed_batch_is_longer_than_the_topic_allows(codec: Codec, walked: bool) -> None:
    """max.decompressed.message.bytes bounds each record, its length field aside, and not the batch. Apache Kafka
    was seen to take a record of 1,000 bytes where 1,000 are allowed, and to refuse one of 1,001 with INVALID_RECORD."""
    overhead = len(batch(record(bytes(500)))) - HEADER_SIZE - 500 - 2
    rules = Rules(max_decompressed_message_bytes=1000)
    most = record(bytes(1000 - overhead))
    for taken in (batch(most, codec=codec), batch(most, most, most, codec=codec)):
        conform(check(taken, rules), taken, rules, NOW, look_inside=walked)
    refused = batch(most, record(bytes(1001 - overhead)), codec=codec)
    with pytest.raises(KafkaError) as caught:
        conform(check(refused, rules), refused, rules, NOW, look_inside=walked)
    assert caught.value.code is ErrorCode.INVALID_RECORD
    plain = batch(record(bytes(5000)))
    conform(check(plain, rules), plain, rules, NOW, look_inside=walked)


@pytest.mark.parametrize("bounds", [(1 << 20, 100), (100, 1 << 20)])
def test_more_work_than_there_may_be_is_left_before_anything_is_changed(bounds: tuple[int, int]) -> None:
    """The same batch can be tried with wider bounds."""
    data = batch(*[record(timestamp=NOW)] * 500, codec=Codec.ZSTD)
    data = with_fields(data, max_timestamp=5)
    before = bytes(data)
    with pytest.raises(BoundExceeded) as caught:
        conform(check(data), data, COMPACTED, NOW, bounds=Bounds(*bounds))
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert data == before
    header, _ = conform(check(data), data, COMPACTED, NOW)
    assert header.max_timestamp == NOW


@pytest.mark.parametrize("codec", Codec)
def test_a_compacted_topic_needs_keys(codec: Codec) -> None:
    """Each keyless record is named (KIP-467)."""
    data = batch(record(), record(key=None), record(key=b""), record(key=None), codec=codec)
    error = refused(data, COMPACTED)
    assert error.code is ErrorCode.INVALID_RECORD
    assert [index for index, _ in error.record_errors] == [1, 3]
    assert conformed(batch(record(), codec=codec), COMPACTED) == batch(record(), codec=codec)


def test_broken_records_of_a_compacted_topic_are_invalid() -> None:
    """There the walk takes place anyway."""
    with pytest.raises(KafkaError) as caught:
        conform(check(data := with_payload(b"these are no records")), data, COMPACTED, NOW)
    assert caught.value.code is ErrorCode.INVALID_RECORD


def test_a_reply_lists_a_bounded_number_of_records() -> None:
    """A batch of a megabyte can hold a hundred thousand bad records."""
    error = refused(batch(*[record(key=None)] * (MAX_RECORD_ERRORS + 5)), COMPACTED)
    assert len(error.record_errors) == MAX_RECORD_ERRORS


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize(
    ("rules", "timestamps", "bad"),
    [
        (PLAIN, [NOW, NOW + 3_600_001, NOW], [1]),
        (PLAIN, [NOW + 2**60], [0]),
        (Rules(message_timestamp_after_max_ms=10), [NOW + 10, NOW + 11], [1]),
        (Rules(message_timestamp_before_max_ms=10), [NOW, NOW - 11, NOW - 10, -1], [1]),
    ],
)
def test_timestamps_must_lie_within_the_topics_bounds(
    rules: Rules, timestamps: Sequence[int], bad: Sequence[int], codec: Codec
) -> None:
    """KIP-937, each record named. No timestamp at all (-1) is always allowed."""
    error = refused(batch(*[record(timestamp=timestamp) for timestamp in timestamps], codec=codec), rules)
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == bad


@pytest.mark.parametrize("timestamp", [-1, -5, 0, NOW - 10**12, NOW + 3_600_000])
def test_other_timestamps_are_taken(timestamp: int) -> None:
    """The past is unbounded by default, the future bounded to an hour."""
    data = batch(record(timestamp=timestamp))
    assert conforms(check(data), PLAIN, NOW)
    assert conformed(data, PLAIN) == data


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("claim", [-1, 0, NOW + 10**9, 2**63 - 1])
def test_a_wrong_largest_timestamp_is_put_right(claim: int, codec: Codec) -> None:
    """Retention and look-ups by time rely on it. Kafka corrects all; here those seen to be wrong."""
    data = batch(record(timestamp=NOW - 3), record(timestamp=NOW), record(timestamp=NOW - 1), codec=codec)
    stored = conformed(with_fields(data, max_timestamp=claim), PLAIN)
    assert stored == data


def test_the_producer_may_not_claim_log_append_time() -> None:
    """On a LogAppendTime topic Kafka refuses it, on any other it takes the bit away."""
    claimed = with_fields(batch(), attributes=0x08)
    with pytest.raises(RecordsRefused) as caught:
        check(claimed, APPEND_TIME)
    assert caught.value.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in caught.value.record_errors] == [0, 1, 2]
    assert not read_header(conformed(claimed, PLAIN)).log_append_time


@pytest.mark.parametrize("codec", Codec)
def test_log_append_time_is_stamped_in_place(codec: Codec) -> None:
    """Whatever the producer's timestamps say; the records' bytes stay."""
    data = batch(record(timestamp=NOW + 10**12), record(timestamp=-1), codec=codec)
    before = bytes(data)
    header, stored = conform(check(data, APPEND_TIME), data, APPEND_TIME, NOW)
    assert header.log_append_time and header.max_timestamp == NOW and has_valid_crc(header, stored)
    assert stored[61:] == before[61:]
    assert stored is data, "patched where it was"


@pytest.mark.parametrize("sent", Codec)
@pytest.mark.parametrize("wanted", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_compression_type_changes_the_codec(sent: Codec, wanted: str) -> None:
    """B5: another codec, the same records, the producer's numbers as they were."""
    data = with_fields(batch(codec=sent), producer_id=8, producer_epoch=1, base_sequence=44)
    stored = conformed(bytearray(data), Rules(compression_type=wanted))
    header = read_header(stored)
    assert Codec(header.compression).name.lower() == ("none" if wanted == "uncompressed" else wanted)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (8, 1, 44)
    assert list(iter_records(stored)) == list(iter_records(data))


def test_recompression_may_make_a_batch_too_large() -> None:
    """What was small as zstd need not be small as sent out."""
    data = batch(record(bytes(5000)), codec=Codec.ZSTD)
    for rules, code in (
        (Rules(compression_type="uncompressed", max_message_bytes=4000), ErrorCode.MESSAGE_TOO_LARGE),
        (Rules(compression_type="uncompressed", segment_bytes=4000), ErrorCode.RECORD_LIST_TOO_LARGE),
    ):
        with pytest.raises(KafkaError) as caught:
            conform(check(data, rules), data, rules, NOW)
        assert caught.value.code is code


@pytest.mark.parametrize("deltas", [(0, 5), (0, 0), (1, 0), (5, 6), (0, -1)])
def test_offsets_that_do_not_count_up(deltas: tuple[int, int]) -> None:
    """In a compressed batch they are refused, as by Kafka. In an uncompressed one Kafka stores what no consumer reads
    well and no cleaner cleans; they are put right wherever the records are looked at."""
    records = b"".join(
        varint(len(body)) + body
        for delta in deltas
        for body in [b"\0" + varint(0) + varint(delta) + varint(1) + b"k" + varint(100) + bytes(100) + varint(0)]
    )
    packed = with_payload(bytes(compress(Codec.GZIP, records)), count=2, codec=Codec.GZIP)
    with pytest.raises(KafkaError) as caught:
        conform(check(packed), packed, PLAIN, NOW, look_inside=True)
    assert caught.value.code is ErrorCode.INVALID_RECORD
    plain = with_payload(records, count=2)
    assert conform(check(plain), plain, PLAIN, NOW)[1] == plain
    for rules, look_inside in ((PLAIN, True), (COMPACTED, False)):
        header, stored = conform(check(plain), bytearray(plain), rules, NOW, look_inside=look_inside)
        assert has_valid_crc(header, stored)
        assert [(each.offset, each.key, each.value) for each in iter_records(stored)] == [
            (0, b"k", bytes(100)), (1, b"k", bytes(100))
        ]  # fmt: skip


@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
def test_records_that_are_to_be_compressed_are_counted_first(name: str) -> None:
    """Found by fuzzing: broken records of an uncompressed batch were packed unseen, into one that no broker accepts."""
    rules = Rules(compression_type=name)
    for broken in (with_payload(b"\x02\x00\x02\x00"), with_payload(bytes(batch()[61:]), count=4)):
        with pytest.raises(KafkaError) as caught:
            conform(check(broken, rules), bytearray(broken), rules, NOW)
        assert caught.value.code is ErrorCode.INVALID_RECORD


def test_offsets_that_do_not_count_up_are_put_right_before_they_are_compressed() -> None:
    """Found by fuzzing: they were packed as they were, into a batch that is refused when it is sent. Kafka was
    seen to put them right."""
    gap = build_batch(
        [RecordData(0, NOW, b"k"), RecordData(5, NOW + 1, b"k")],
        keep_offsets=True, producer_id=7, producer_epoch=1, base_sequence=4,
    )  # fmt: skip
    stored = conformed(with_fields(gap, last_offset_delta=1), Rules(compression_type="gzip"))
    assert [record[:3] for record in iter_records(stored)] == [(0, NOW, b"k"), (1, NOW + 1, b"k")]
    header = read_header(stored)
    assert (header.producer_id, header.producer_epoch, header.base_sequence, header.record_count) == (7, 1, 4, 2)
    assert header.compression == Codec.GZIP and has_valid_crc(header, stored)


def test_a_claimed_count_does_not_make_a_long_reply() -> None:
    """Found by fuzzing: a batch of some dozen bytes that claims a million records was answered with a thousand errors.
    No more are listed than records fit into the batch."""
    claimed = with_fields(
        with_payload(b"", count=1_000_000), attributes=8, record_count=1_000_000, last_offset_delta=999_999
    )
    with pytest.raises(RecordsRefused) as caught:
        check(claimed, APPEND_TIME)
    assert 1 <= len(caught.value.record_errors) <= len(claimed) // 6


# --- several batches ------------------------------------------------------------------------------------------------


def test_batches_are_split_at_their_lengths() -> None:
    """Each header with its position; nothing is nothing."""
    first, second = batch(), batch(record(bytes(100)))
    assert split_batches(memoryview(first + second)) == [(read_header(first), 0), (read_header(second), len(first))]
    assert split_batches(b"") == []


@pytest.mark.parametrize("missing", [1, 50, 100])
def test_half_a_batch_at_the_end_is_corrupt(missing: int) -> None:
    """A caller that may meet a torn end looks for it before."""
    with pytest.raises(KafkaError) as caught:
        split_batches(batch() + batch(record(bytes(100)))[:-missing])
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE
