"""Where each record of a batch lies in its bytes, and its key: what a cleaner needs to know to leave some out.

A cleaner keeps records or drops them, it never changes one. So it does not take them apart as
:func:`kproto.batches.records.parse_records` does: values and headers are stepped over, and what stays is copied as the
bytes it is. Only where a batch gets a delete horizon (KIP-534) each record's timestamp delta is rewritten, as the
horizon takes the place of the timestamp that the deltas are relative to.

**Bounds.** All of a batch is in memory, and something is made of each record. So a batch of more than
:data:`MOST_RECORDS` records, or that comes to more bytes than :func:`most_unpacked` says, is refused
(MESSAGE_TOO_LARGE); a compacted topic does not take such a batch in the first place.

The bytes are as hostile here as there: what a span claims lies inside the data, or ``KafkaError(INVALID_RECORD)`` is
raised. What is stepped over is not looked at.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.compression import Codec, compress
from kproto.batches.header import (
    CODEC_MASK,
    DELETE_HORIZON,
    LOG_APPEND_TIME,
    BatchHeader,
    assemble,
)
from kproto.batches.records import decompressed_records
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP
from kproto.primitives import varint, varlong

MOST_RECORDS: Final = 1 << 18
"""Records of a batch that a cleaner takes apart: of each it makes objects, some hundred bytes."""

LEAST_UNPACKED: Final = 32 << 20

_MIN_INT64: Final = -(2**63)


def most_unpacked(size: int) -> int:
    """How many bytes a batch of ``size`` may come to so that a cleaner, which holds all of it, takes it apart."""
    return max(LEAST_UNPACKED, 16 * size)


class RecordSpan(NamedTuple):
    """One record in the decompressed bytes of its batch.

    ``data[begin:end]`` is all of it, its length included; ``data[rest:end]`` what follows the timestamp delta.
    """

    begin: int
    rest: int
    end: int
    timestamp_delta: int
    offset_delta: int
    key: bytes | None
    has_value: bool


class RecordKeys(NamedTuple):
    """The keys of a batch's records, None where there is none; which of them have no value; all offset deltas."""

    keys: list[bytes | None]
    without_value: list[int]
    offset_deltas: list[int]


def record_keys(header: BatchHeader, batch: ReadableBuffer) -> RecordKeys:
    """What :func:`record_spans` returns of keys, in two thirds of the time. Raises the same."""
    if header.record_count > MOST_RECORDS:
        raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"{header.record_count} records in one batch")
    data = bytes(decompressed_records(header, batch, most_unpacked(header.size)))
    keys: list[bytes | None] = []
    without_value: list[int] = []
    deltas: list[int] = []
    add_key, add_delta = keys.append, deltas.append
    limit = len(data)
    pos = 0
    if header.record_count < 0:
        raise _invalid(f"a record count of {header.record_count}")
    try:
        # Varints are spelled out up to two bytes: this loop sees every record of every dirty log.
        for number in range(header.record_count):
            size = data[pos]
            pos += 1
            if size >= 0x80:
                byte = data[pos]
                if byte < 0x80:
                    size = size & 0x7F | byte << 7
                    pos += 1
                else:
                    size, pos = _zigzag(data, pos - 1)
            end = pos + (size >> 1)
            if size & 1 or end > limit:
                raise _invalid("a record leads outside its batch")
            pos += 1  # the attributes byte, which means nothing yet
            while data[pos] >= 0x80:  # the timestamp
                pos += 1
            delta = data[pos + 1]
            pos += 2
            if delta >= 0x80:
                delta, pos = _zigzag(data, pos - 1)
            add_delta((delta >> 1) ^ -(delta & 1))
            size = data[pos]
            pos += 1
            if size >= 0x80:
                size, pos = _zigzag(data, pos - 1)
            if size & 1:
                add_key(None)
            else:
                stop = pos + (size >> 1)
                add_key(data[pos:stop])
                pos = stop
            # The value's length: odd is negative, which is none. The rest of it need not be read.
            if pos >= end:
                raise _invalid("a record ends before its value")
            if data[pos] & 1:
                without_value.append(number)
            pos = end
    except IndexError:
        raise _invalid("a record leads outside its batch") from None
    if pos != limit:
        raise _invalid(f"{limit - pos} bytes behind the last record")
    return RecordKeys(keys, without_value, deltas)


def record_spans(header: BatchHeader, batch: ReadableBuffer) -> tuple[bytes, list[RecordSpan]]:
    """The decompressed records of ``batch``, which begins at ``header``, and where in them each record lies.

    Raises ``KafkaError`` as :func:`kproto.batches.records.decompressed_records` does, and INVALID_RECORD where the
    bytes do not fit the format or the header's count.
    """
    if header.record_count > MOST_RECORDS:
        raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"{header.record_count} records in one batch")
    data = bytes(decompressed_records(header, batch, most_unpacked(header.size)))
    spans: list[RecordSpan] = []
    add = spans.append
    make = tuple.__new__
    limit = len(data)
    pos = 0
    if header.record_count < 0:
        raise _invalid(f"a record count of {header.record_count}")
    try:
        for _ in range(header.record_count):
            begin = pos
            size = data[pos]
            pos += 1
            if size >= 0x80:
                byte = data[pos]
                if byte < 0x80:
                    size = size & 0x7F | byte << 7
                    pos += 1
                else:
                    size, pos = _zigzag(data, pos - 1)
            end = pos + (size >> 1)
            if size & 1 or end > limit:
                raise _invalid("a record leads outside its batch")
            pos += 1  # the attributes byte, which means nothing yet
            time = data[pos]
            pos += 1
            if time >= 0x80:
                byte = data[pos]
                if byte < 0x80:
                    time = time & 0x7F | byte << 7
                    pos += 1
                else:
                    time, pos = _zigzag(data, pos - 1)
            rest = pos
            delta = data[pos]
            pos += 1
            if delta >= 0x80:
                byte = data[pos]
                if byte < 0x80:
                    delta = delta & 0x7F | byte << 7
                    pos += 1
                else:
                    delta, pos = _zigzag(data, pos - 1)
            size = data[pos]
            pos += 1
            if size >= 0x80:
                size, pos = _zigzag(data, pos - 1)
            if size & 1:
                key = None
            else:
                size >>= 1
                key = data[pos : pos + size]
                pos += size
            # The value's length: odd is negative, which is none. The rest of it need not be read.
            if pos >= end:
                raise _invalid("a record ends before its value")
            add(
                make(
                    RecordSpan,
                    (begin, rest, end, (time >> 1) ^ -(time & 1), (delta >> 1) ^ -(delta & 1), key, not data[pos] & 1),
                )
            )
            pos = end
    except IndexError:
        raise _invalid("a record leads outside its batch") from None
    if pos != limit:
        raise _invalid(f"{limit - pos} bytes behind the last record")
    return data, spans


def batch_of_spans(
    header: BatchHeader, data: bytes, kept: Iterable[RecordSpan], *, delete_horizon: int | None = None
) -> bytearray:
    """The batch of ``header`` with the records ``kept`` only, compressed as it was.

    Offsets, sequences, epochs and flags stay, and so does the last offset, whatever is left (KIP-98: the last sequence
    follows from it). With ``delete_horizon``, which may only be given to a batch that has none, the batch gets that.
    """
    kept = list(kept)
    attributes = header.attributes
    base_timestamp = header.base_timestamp
    if header.attributes & LOG_APPEND_TIME:
        max_timestamp = header.max_timestamp
    else:
        latest = max([span.timestamp_delta for span in kept], default=0)
        max_timestamp = _wrap_int64(base_timestamp + latest) if kept else NO_TIMESTAMP
    if delete_horizon is None:
        payload: ReadableBuffer = b"".join([data[span.begin : span.end] for span in kept])
    else:
        assert not attributes & DELETE_HORIZON, "a horizon is set once"
        parts = []
        for span in kept:
            moved = varlong(_wrap_int64(base_timestamp + span.timestamp_delta - delete_horizon))
            tail = data[span.rest : span.end]
            parts += [varint(1 + len(moved) + len(tail)), b"\0", moved, tail]
        payload = b"".join(parts)
        base_timestamp = delete_horizon
        attributes |= DELETE_HORIZON
    if attributes & CODEC_MASK and kept:
        payload = compress(Codec(attributes & CODEC_MASK), payload)
    return assemble(
        header._replace(
            attributes=attributes,
            base_timestamp=base_timestamp,
            max_timestamp=max_timestamp,
            record_count=len(kept),
        ),
        payload,
    )


def emptied_batch(header: BatchHeader) -> bytearray:
    """The batch of ``header`` without any record: kept for its last offset and its producer's last sequence."""
    return assemble(
        header._replace(
            attributes=header.attributes & ~(CODEC_MASK | DELETE_HORIZON), base_timestamp=NO_TIMESTAMP, record_count=0
        ),
        b"",
    )


def place_holder(header: BatchHeader) -> bytearray:
    """A batch without records, producer or time, at the offsets of ``header``: where nothing else is left."""
    return assemble(
        header._replace(
            attributes=0,
            base_timestamp=NO_TIMESTAMP,
            max_timestamp=NO_TIMESTAMP,
            producer_id=NO_PRODUCER_ID,
            producer_epoch=NO_PRODUCER_EPOCH,
            base_sequence=NO_SEQUENCE,
            record_count=0,
        ),
        b"",
    )


def _zigzag(data: bytes, pos: int) -> tuple[int, int]:
    """An unsigned varint of up to ten bytes, zigzag not yet undone, and the position behind it."""
    number = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, pos
        shift += 7
        if shift >= 70:
            raise _invalid("a varint takes more than 10 bytes")


def _wrap_int64(number: int) -> int:
    return (number - _MIN_INT64) % 2**64 + _MIN_INT64


def _invalid(reason: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_RECORD, reason)
