"""Record batches as producers send them, under the settings of a topic, from the first look to every single record.

Input: a byte of settings, a byte of repairs, and the `records` field of a partition. Repairs, so that mutations get
behind the checksum: bit 0 sets the length field to what is there, bit 1 the magic, bit 2 the offset delta to the count,
bit 3 the CRC.

- Only KafkaError escapes, with one of the codes that `check_produced_batch` and `conform` name; time and memory are in
  proportion to the input and to the bound on decompressed records.
- A batch that both let pass has a header in order, a true CRC, and is let pass again unchanged (nothing is left to do).
- Wherever its records can be read, there are as many as the header says. In a batch that had to be opened they can.
- The three walks over records (by frames, by summary, record by record) agree on what they accept and on what it is, in
  pieces of whatever size. What is sound at a glance is so under the walk.
- Taken apart and rebuilt, the records are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from struct import pack_into
from typing import Any, Final

from kproto.batches.compression import Codec
from kproto.batches.header import CRC_OFFSET, HEADER_SIZE, LOG_OVERHEAD, BatchHeader, compute_crc, has_valid_crc
from kproto.batches.record_walk import (
    MAX_DECOMPRESSED_MESSAGE_BYTES,
    Bounds,
    RecordSummary,
    Source,
    count_frames,
    plainly_sound,
    summarise,
)
from kproto.batches.records import (
    RecordData,
    build_batch,
    decompressed_records,
    iter_records,
    parse_records,
)
from kproto.batches.validate import BatchRules, check_produced_batch, conform, conforms, split_batches
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_TIMESTAMP
from kproto.tests.fuzz.bounds import measured

NOW: Final = 1_800_000_000_000
MAX_OUTPUT: Final = 256 * 1024
"""What the records of a batch may come to."""

REFUSALS: Final = {
    ErrorCode.INVALID_RECORD,
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.INVALID_TIMESTAMP,
    ErrorCode.RECORD_LIST_TOO_LARGE,
    ErrorCode.INVALID_PRODUCER_EPOCH,
}


@dataclass(frozen=True)
class Rules:
    """A topic's settings."""

    max_message_bytes: int = 64 * 1024
    max_decompressed_message_bytes: int = MAX_DECOMPRESSED_MESSAGE_BYTES
    segment_bytes: int = 48 * 1024
    compact: bool = False
    log_append_time: bool = False
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 3_600_000
    compression_type: str = "producer"
    compression_gzip_level: int = 1
    compression_lz4_level: int = 1
    compression_zstd_level: int = 1


TYPES: Final = ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd", "producer", "producer")


def rules_of(settings: int) -> Rules:
    """The settings in a byte: three bits of compression.type, compaction, timestamps."""
    return Rules(
        compression_type=TYPES[settings & 7],
        compact=settings & 8 != 0,
        log_append_time=settings & 16 != 0,
        message_timestamp_before_max_ms=86_400_000 if settings & 32 else 2**63 - 1,
    )


def fuzz_record_batches(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 2:
        return
    records = repaired(bytearray(data[2:]), data[1])
    check_batch(bytes(records), rules_of(data[0]), data[0] & 64 != 0)


def repaired(records: bytearray, repairs: int) -> bytearray:
    """The same bytes with some fields of the first header put right."""
    if len(records) >= HEADER_SIZE:
        if repairs & 1:
            pack_into(">i", records, 8, len(records) - LOG_OVERHEAD)
        if repairs & 2:
            records[16] = 2
        if repairs & 4:
            count = int.from_bytes(records[57:61], "big", signed=True)
            pack_into(">i", records, 23, max(count - 1, -1))
        if repairs & 8:
            size = LOG_OVERHEAD + int.from_bytes(records[8:12], "big", signed=True)
            if HEADER_SIZE <= size <= len(records):
                pack_into(">I", records, CRC_OFFSET, compute_crc(records, 0, size))
    return records


def check_batch(records: bytes, rules: BatchRules, transactional: bool) -> tuple[BatchHeader, bytes] | None:
    """The batch as it would be stored and its header; None if it is refused. Raises AssertionError for a finding."""
    try:
        header = measured(
            lambda: check_produced_batch(records, rules, has_transactional_id=transactional),
            len(records), bytes_per_byte=2,
        )  # fmt: skip
    except KafkaError as error:
        assert error.code in REFUSALS
        return None
    assert 0 < header.size <= len(records) and has_valid_crc(header, records)
    walk_all_ways(header, records)
    as_is = conforms(header, rules, NOW)
    try:
        # Decompressed, copied and compressed again; each record that is looked at costs no more than its own size.
        made, stored = measured(
            lambda: conform(header, bytearray(records), rules, NOW, bounds=Bounds(MAX_OUTPUT)),
            len(records) + MAX_OUTPUT, bytes_per_byte=24, beside=4 << 20,
        )  # fmt: skip
    except KafkaError as error:
        assert error.code in REFUSALS
        assert not as_is, "what needs no work cannot fail"
        return None
    assert made.size == len(stored) and has_valid_crc(made, stored)
    assert made.record_count == header.record_count
    if as_is:
        assert bytes(stored) == records[: header.size]
    # A batch that claims LogAppendTime is judged by the time it claims and stored as CreateTime, as Kafka does both.
    if not header.log_append_time:
        again, unchanged = conform(made, bytearray(stored), rules, NOW, bounds=Bounds(MAX_OUTPUT))
        assert again == made and unchanged == stored
        looked_into(made, bytes(stored), rules)
    assert split_batches(bytes(stored) * 2) == [(made, 0), (made, made.size)]
    check_records(made, bytes(stored), opened=not as_is and rules.compact)
    return made, bytes(stored)


def looked_into(header: BatchHeader, batch: bytes, rules: BatchRules) -> None:
    """A batch that is walked through is refused, or its records can be read and count up; a glance is not mistaken."""
    try:
        made, stored = conform(header, bytearray(batch), rules, NOW, look_inside=True, bounds=Bounds(MAX_OUTPUT))
    except KafkaError as error:
        assert error.code in REFUSALS
        assert header.compression or not plainly_sound(header, batch, HEADER_SIZE)
        return
    offsets = [record.offset for record in iter_records(bytes(stored))]
    assert offsets == list(range(made.record_count)) and has_valid_crc(made, stored)
    if not header.compression and plainly_sound(header, batch, HEADER_SIZE):
        assert bytes(stored) == batch, "what is sound at a glance needs no change"


def walk_all_ways(header: BatchHeader, batch: bytes) -> None:
    """Each walk over the records accepts what the others accept."""
    try:
        records = decompressed_records(header, batch, MAX_OUTPUT)
    except KafkaError as error:
        assert error.code in REFUSALS
        return
    if header.record_count > Bounds().items:
        return  # refused as too many, whatever follows
    parsed = summary = None
    counted = False
    steps = (1 + header.crc % 99, 1 << 20)  # in pieces of some size, and in one

    def source(step: int) -> Source:
        return Source((bytes(records[at : at + step]) for at in range(0, len(records), step)), Bounds())

    try:
        parsed = list(parse_records(header, (bytes(records[at : at + 7]) for at in range(0, len(records), 7))))
    except KafkaError as error:
        assert error.code in REFUSALS
    try:
        for step in steps:
            summary = None
            summary = summarise(header, source(step))
    except KafkaError as error:
        assert error.code in REFUSALS
    try:
        for step in steps:
            counted = False
            count_frames(header, source(step))
            counted = True
    except KafkaError as error:
        assert error.code in REFUSALS
    assert (parsed is None) is (summary is None), "the summary and the records disagree on what is well-formed"
    if parsed is not None and summary is not None:
        assert counted and header.record_count == len(parsed)
        assert summary == summarised(parsed, header)


def summarised(records: list[RecordData], header: BatchHeader) -> RecordSummary:
    """What a summary of these records has to say."""
    times = [record.timestamp for record in records]
    # The end of time stands for no time in a summary.
    known = [time for time in times if time != NO_TIMESTAMP and time != 2**63 - 1]
    return RecordSummary(
        min(known, default=NO_TIMESTAMP),
        max([NO_TIMESTAMP, *times]),
        any(record.key is None for record in records),
        [record.offset - header.base_offset for record in records] == list(range(len(records))),
    )


def check_records(header: BatchHeader, batch: bytes, *, opened: bool) -> None:
    """The records of a batch that was let pass: as many as announced, and the same when they are rebuilt."""
    try:
        records = list(iter_records(batch))
    except KafkaError as error:
        assert not opened and error.code in (ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE)
        return
    assert len(records) == header.record_count
    rebuilt = build_batch(records, base_offset=header.base_offset, compression=header.compression, level=1)
    apart = [record._replace(offset=header.base_offset + number) for number, record in enumerate(records)]
    assert list(iter_records(rebuilt)) == apart
    if opened and not header.log_append_time and header.max_timestamp >= header.base_timestamp:
        assert all(record.key is not None for record in records)


def built(random: Random, codec: int = Codec.NONE, **fields: Any) -> bytearray:
    """A batch of some records: keys, nulls, headers, timestamps near NOW."""
    records = [
        RecordData(
            timestamp=NOW - random.randrange(100_000),
            key=random.choice((None, b"", b"key", random.randbytes(5))),
            value=random.choice((None, b"", b"value" * random.randrange(20), random.randbytes(40))),
            headers=random.choice(((), (("h", None),), (("h", b""), ("\xfc", b"v")))),
        )
        for _ in range(random.randrange(1, 6))
    ]
    return build_batch(records, compression=codec, level=None if codec == Codec.SNAPPY else 1, **fields)


def seeds() -> Iterator[bytes]:
    """Batches of every codec under every setting, repaired and not; some by other people's encoders."""
    random = Random(1)
    for settings in range(64):
        for repairs in (0, 15):
            yield bytes((settings, repairs)) + built(random, random.randrange(5))
    yield b"\x40\x00" + built(random, transactional=True, producer_id=5, producer_epoch=0, base_sequence=0)
    yield b"\x40\x00" + built(random, control=True)
    yield b"\x00\x00" + built(random) + built(random)[:40]
    damaged = built(random)
    damaged[-1] ^= 1
    yield b"\x00\x00" + damaged
    yield b"\x00\x00" + built(random) * 2
    yield from (b"\x00\x00" + batch for batch in clients_batches())


def without_time(batch: bytearray) -> bytes:
    """The batch without the time that some write into a gzip header: seeds are the same each time they are made."""
    if batch[22] & 7 == Codec.GZIP:
        batch[HEADER_SIZE + 4 : HEADER_SIZE + 8] = bytes(4)
        pack_into(">I", batch, CRC_OFFSET, compute_crc(batch, 0, len(batch)))
    return bytes(batch)


def clients_batches() -> Iterator[bytes]:
    """What the builders of kafka-python and aiokafka make, where they are installed."""
    import warnings
    from importlib import import_module

    for client in ("kafka", "aiokafka"):
        for codec in Codec:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    module = import_module(f"{client}.record.default_records")
                    builder = module.DefaultRecordBatchBuilder(
                        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1,
                        base_sequence=-1, batch_size=1 << 16,
                    )  # fmt: skip
                    for offset in range(3):
                        builder.append(offset=offset, timestamp=NOW, key=b"k", value=b"v" * 50, headers=[("h", b"x")])
                    yield without_time(bytearray(builder.build()))
            except Exception:
                continue  # not installed, or without that codec
