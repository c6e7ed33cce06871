"""Compressed batches: how records are packed must not decide whether they are taken.

Input: a byte of settings (as for record batches), a byte: bit 7 says what follows, the lower bits the count of
records. With bit 7 clear what follows are records, well-formed or not, and the same ones go into a batch of every
codec: all are taken or all refused with the same code, and what is stored has the same records. With it set, what
follows is taken for compressed data of the codec that the settings' compression.type names, behind a header in order.

Every batch is walked through, as with `ottla.validate.records=all`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from struct import pack_into

from kproto.batches.compression import Codec, compress
from kproto.batches.header import CRC_OFFSET, HEADER, HEADER_SIZE, LOG_OVERHEAD, BatchHeader, compute_crc
from kproto.batches.record_walk import Bounds
from kproto.batches.records import iter_records
from kproto.batches.validate import check_produced_batch, conform
from kproto.errors import ErrorCode, KafkaError
from kproto.tests.fuzz.record_batches import MAX_OUTPUT, NOW, Rules, built, check_batch, rules_of

Verdict = ErrorCode | list[object]


def fuzz_compressed_batches(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 2:
        return
    rules, count, payload = rules_of(data[0]), data[1] & 0x7F, data[2:]
    rules = replace(rules, max_message_bytes=1 << 20, segment_bytes=1 << 20)
    if data[1] & 0x80:
        check_batch(batch_of(payload, 1 + data[0] % 4, count), rules, transactional=False)
        return
    codecs = list(Codec)
    verdicts = [verdict(batch_of(compressed(codec, payload), codec, count), rules) for codec in codecs]
    if verdicts[0] != verdicts[1]:
        # Only inside compressed batches do offsets have to count up; in an uncompressed one they are put right. That is
        # looked at before a topic's rules are.
        assert verdicts[1] is ErrorCode.INVALID_RECORD
        assert [record.offset for record in iter_records(batch_of(payload, 0, count))] != list(range(count))
        del verdicts[0], codecs[0]
    assert all(each == verdicts[0] for each in verdicts), dict(zip(codecs, verdicts, strict=True))


def compressed(codec: Codec, records: bytes) -> bytes:
    return bytes(compress(codec, records, None if codec in (Codec.NONE, Codec.SNAPPY) else 1))


def batch_of(payload: bytes, codec: int, count: int) -> bytes:
    """A batch with a header in order and this behind it."""
    header = BatchHeader(0, HEADER_SIZE - LOG_OVERHEAD + len(payload), -1, 2, 0, codec, count - 1, NOW, NOW, -1, -1, -1,
                         count)  # fmt: skip
    batch = bytearray(HEADER.pack(*header) + payload)
    pack_into(">I", batch, CRC_OFFSET, compute_crc(batch, 0, len(batch)))
    return bytes(batch)


def verdict(batch: bytes, rules: Rules) -> Verdict:
    """The code that the batch is refused with, or the records that are stored, or what is wrong with those."""
    try:
        header = check_produced_batch(batch, rules)
        made, stored = conform(header, bytearray(batch), rules, NOW, look_inside=True, bounds=Bounds(MAX_OUTPUT))
    except KafkaError as error:
        return error.code
    try:
        return [made.record_count, made.max_timestamp, *iter_records(bytes(stored))]
    except KafkaError as error:
        return [made.record_count, error.code]


def seeds() -> Iterator[bytes]:
    """Records in order under every setting, some with a wrong count, and compressed data of every codec."""
    random = Random(3)
    for settings in range(64):
        batch = built(random)
        count = batch[60]
        yield bytes((settings, count)) + batch[HEADER_SIZE:]
        yield bytes((settings, count + 1)) + batch[HEADER_SIZE:]
        for codec in Codec:
            if codec != Codec.NONE and 1 + settings % 4 == codec:
                yield bytes((settings, 0x80 | count)) + compressed(codec, bytes(batch[HEADER_SIZE:]))
