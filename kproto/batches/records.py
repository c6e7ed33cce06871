"""The records inside a batch: building batches, and looking inside.

A broker rarely does either. Its own coordinators build batches (small ones), the cleaner rebuilds those it thins out,
tools and share groups look inside. What clients produce passes by unopened.

One record, behind the header, once the codec is undone::

    length            varint     bytes of all that follows
    attributes        int8       0
    timestamp_delta   varlong    timestamp - base_timestamp
    offset_delta      varint     offset - base_offset
    key_length        varint     -1: no key
    key
    value_length      varint     -1: no value (a tombstone)
    value
    header_count      varint
      key_length      varint     never negative; UTF-8
      key
      value_length    varint     -1: null
      value

A varint is zigzag-coded (0, -1, 1, -2 ... become 0, 1, 2, 3 ...), then written in groups of seven bits, the lowest
first, bit 7 saying that another byte follows: five bytes at most for 32 bits, ten for 64.

**Looking inside is done as if the bytes were hostile**, because they may be: a producer chooses them, and their first
check is here. Whatever does not fit raises ``KafkaError(INVALID_RECORD)``: an overlong varint, a length that leads
outside its record, a negative count, a record whose parts do not add up to its length, bytes left over at the end.
Records come out of their codec piece by piece, and what is in memory is the record that is being read.

Header keys are text. Bytes that are not UTF-8 survive a round trip all the same (``surrogateescape``), for a cleaner
must not change them.

Source: ``org.apache.kafka.common.record.DefaultRecord``, ``DefaultRecordBatch``, ``ByteUtils``; KIP-82 (headers),
KIP-98 (control records).
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.compression import Codec, compress
from kproto.batches.decompression import cut, decompress, pieces
from kproto.batches.header import (
    CODEC_MASK,
    CONTROL,
    DELETE_HORIZON,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    TRANSACTIONAL,
    BatchHeader,
    assemble,
    read_header,
)
from kproto.batches.record_walk import VARINT, Bounds, Source, invalid, read_varint, wrap_int64
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP

__all__ = [
    "DEFAULT_MAX_OUTPUT",
    "ControlRecordType",
    "EncodedRecords",
    "EndTxnMarker",
    "Header",
    "RecordData",
    "build_batch",
    "build_control_batch",
    "build_end_txn_marker",
    "control_record_type",
    "decompressed_records",
    "encode_record_parts",
    "iter_records",
    "parse_records",
    "read_end_txn_marker",
    "record_pieces",
]

Header = tuple[str, bytes | None]

DEFAULT_MAX_OUTPUT: Final = 128 * 1024 * 1024
"""Bytes that one batch's records may come to when they are decompressed, where the caller names no other bound."""


class RecordData(NamedTuple):
    """One record. ``offset`` and ``timestamp`` are absolute; ``value`` None is a tombstone."""

    offset: int = 0
    timestamp: int = NO_TIMESTAMP
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header] = ()


# --- building -------------------------------------------------------------------------------------------------------


_ONE_BYTE: Final = [bytes((number << 1,)) for number in range(64)]


def _varint(number: int) -> bytes:
    if 0 <= number < 64:
        return _ONE_BYTE[number]
    zigzag = (number << 1) ^ (number >> 63)
    if zigzag < 0x4000:
        return bytes((zigzag & 0x7F | 0x80, zigzag >> 7)) if zigzag >= 0x80 else bytes((zigzag,))
    groups = bytearray()
    while zigzag >= 0x80:
        groups.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    groups.append(zigzag)
    return bytes(groups)


_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


_NULL = _varint(-1)
_NO_HEADERS = _varint(0)


def _encode_headers(headers: Sequence[Header]) -> bytes:
    parts = [_varint(len(headers))]
    for key, value in headers:
        name = key.encode("utf-8", "surrogateescape")
        parts += (_varint(len(name)), name)
        parts += (_NULL,) if value is None else (_varint(len(value)), value)
    return b"".join(parts)


class EncodedRecords(NamedTuple):
    """Records as they stand in a batch, uncompressed, all with the timestamp of its first record: ``number`` of them,
    of which the first is the ``first``-th of the batch, counted from 0: they stand before all others then, and behind
    them otherwise."""

    data: bytes
    first: int
    number: int


def encode_record_parts(
    records: Iterable[tuple[bytes | None, bytes | None]], first: int
) -> Iterator[tuple[bytes, ...]]:
    """Records as key and value, without headers, for :class:`EncodedRecords`: the parts of one after the other."""
    for delta, (key, value) in enumerate(records, first):
        front = b"\0" + _varint(0) + _varint(delta) + (_NULL if key is None else _varint(len(key)) + key)
        if value is None:
            yield _varint(len(front) + len(_NULL) + len(_NO_HEADERS)), front, _NULL, _NO_HEADERS
        else:
            length = _varint(len(value))
            yield _varint(len(front) + len(length) + len(value) + len(_NO_HEADERS)), front, length, value, _NO_HEADERS


def build_batch(
    records: Iterable[RecordData],
    *,
    encoded: EncodedRecords | None = None,
    base_offset: int = 0,
    compression: int = Codec.NONE,
    level: int | None = None,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    control: bool = False,
    leader_epoch: int = 0,
    log_append_time: bool = False,
    keep_offsets: bool = False,
    last_offset_delta: int | None = None,
    delete_horizon: int | None = None,
) -> bytearray:
    """One whole batch with a valid CRC.

    Records get consecutive offsets from ``base_offset`` on, whatever their own ``offset`` says. A cleaner, which leaves
    gaps, passes ``keep_offsets=True`` and the original's ``last_offset_delta``; only then may there be no records.
    ``encoded`` are more records, before or behind those of ``records``.
    ``log_append_time`` sets attribute bit 3; the largest timestamp then counts for all. ``delete_horizon`` (ms) is that
    of KIP-534.
    """
    parts: list[ReadableBuffer] = []
    base_timestamp = max_timestamp = NO_TIMESTAMP
    if delete_horizon is not None:
        base_timestamp = delete_horizon
    first = count = 0
    delta = -1
    if encoded is not None and encoded.first == 0:
        parts.append(encoded.data)
        first = count = encoded.number
    for offset, timestamp, key, value, headers in records:
        if count == first:
            if delete_horizon is None:
                base_timestamp = timestamp
            max_timestamp = timestamp
        elif timestamp > max_timestamp:
            max_timestamp = timestamp
        if keep_offsets:
            assert offset - base_offset > delta, "offsets rise within a batch"
            delta = offset - base_offset
        else:
            delta = count
        count += 1
        time_delta = timestamp - base_timestamp
        if not _MIN_INT64 <= time_delta <= _MAX_INT64:
            time_delta = wrap_int64(time_delta)
        front = b"\0" + _varint(time_delta) + _varint(delta) + (_NULL if key is None else _varint(len(key)) + key)
        back = _encode_headers(headers) if headers else _NO_HEADERS
        if value is None:
            parts += (_varint(len(front) + 1 + len(back)), front, _NULL, back)
        else:
            length = _varint(len(value))
            parts += (_varint(len(front) + len(length) + len(value) + len(back)), front, length, value, back)
    if encoded is not None:
        assert encoded.first in (0, count) and not keep_offsets, "encoded records know their place"
        if not first:
            parts.append(encoded.data)
            count += encoded.number
        delta = count - 1
    if last_offset_delta is None:
        last_offset_delta = delta
    assert last_offset_delta >= max(delta, 0), "a batch without records still covers offsets"
    header = BatchHeader(
        base_offset=base_offset,
        batch_length=0,
        partition_leader_epoch=leader_epoch,
        magic=2,
        crc=0,
        attributes=(compression & CODEC_MASK)
        | (LOG_APPEND_TIME if log_append_time else 0)
        | (TRANSACTIONAL if transactional else 0)
        | (CONTROL if control else 0)
        | (DELETE_HORIZON if delete_horizon is not None else 0),
        last_offset_delta=last_offset_delta,
        base_timestamp=base_timestamp,
        max_timestamp=max_timestamp,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        record_count=count,
    )
    if compression != Codec.NONE and count:
        parts = [compress(compression, b"".join(parts), level)]
    return assemble(header, *parts)


# --- looking inside -------------------------------------------------------------------------------------------------


def record_pieces(header: BatchHeader, batch: ReadableBuffer) -> Iterator[bytes]:
    """The bytes of all records behind ``header``, freed of their codec, a piece at a time. ``batch`` begins at the
    header.

    Raises ``KafkaError``: CORRUPT_MESSAGE when ``batch`` is shorter than its header says; and as
    :func:`~kproto.batches.decompression.pieces` does.
    """
    payload = _payload(header, batch)
    codec = header.attributes & CODEC_MASK
    # A cleaner may have left a batch without records; such a one has no compressed stream either.
    if codec == Codec.NONE or (not payload and not header.record_count):
        return cut(payload)
    return pieces(codec, payload)


def decompressed_records(
    header: BatchHeader, batch: ReadableBuffer, max_output: int = DEFAULT_MAX_OUTPUT
) -> ReadableBuffer:
    """The same in one piece, for a caller who needs all of it.

    Raises ``KafkaError`` as :func:`record_pieces` does, and MESSAGE_TOO_LARGE above ``max_output`` bytes.
    """
    payload = _payload(header, batch)
    codec = header.attributes & CODEC_MASK
    if codec == Codec.NONE or (not payload and not header.record_count):
        return payload
    return decompress(codec, payload, max_output)


def _payload(header: BatchHeader, batch: ReadableBuffer) -> memoryview:
    if len(batch) < header.size:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{len(batch)} bytes of a batch of {header.size}")
    return memoryview(batch)[HEADER_SIZE : header.size]


def iter_records(batch: ReadableBuffer) -> Iterator[RecordData]:
    """The records of the batch at the start of ``batch``, in order, with absolute offsets and timestamps.

    Keys, values and header values are ``bytes`` of their own. The CRC is not checked here
    (:func:`~kproto.batches.header.has_valid_crc` does). Memory is that of the largest record.
    Raises ``KafkaError`` as :func:`record_pieces` and :func:`parse_records` do.
    """
    header = read_header(batch)
    return parse_records(header, record_pieces(header, batch))


def _read_number(data: bytes | memoryview, pos: int, end: int, bits: int = 32) -> tuple[int, int]:
    """A zigzag varint of at most ``bits`` bits that ends before ``end``, and the position behind it."""
    number, pos = read_varint(data, pos, bits)
    if pos > end:
        raise invalid("a varint leads outside its record")
    return (number >> 1) ^ -(number & 1), pos


def _read_sized(data: bytes, pos: int, end: int) -> tuple[bytes | None, int]:
    """A length and so many bytes; None for a negative length, as Kafka reads it."""
    if pos < end and (size := data[pos]) < 0x80:
        size = (size >> 1) ^ -(size & 1)
        pos += 1
    else:
        size, pos = _read_number(data, pos, end)
    if size < 0:
        return None, pos
    stop = pos + size
    if stop > end:
        raise invalid("a key, value or header leads outside its record")
    return data[pos:stop], stop


def _read_headers(data: bytes, pos: int, end: int) -> tuple[tuple[Header, ...], int]:
    count, pos = _read_number(data, pos, end)
    # A header takes two bytes at the least, so the count cannot be taken further than the bytes go.
    if count < 0 or 2 * count > end - pos:
        raise invalid(f"{count} headers in {end - pos} bytes")
    headers = []
    for _ in range(count):
        name, pos = _read_sized(data, pos, end)
        if name is None:
            raise invalid("a header without a key")
        value, pos = _read_sized(data, pos, end)
        headers.append((name.decode("utf-8", "surrogateescape"), value))
    return tuple(headers), pos


def parse_records(header: BatchHeader, records: Iterable[bytes]) -> Iterator[RecordData]:
    """The records in ``records``, the decompressed bytes behind ``header`` in pieces.

    Raises ``KafkaError(INVALID_RECORD)`` where the bytes do not fit the format or the header's count,
    MESSAGE_TOO_LARGE beyond what :class:`~kproto.batches.record_walk.Bounds` allow.
    """
    if header.record_count < 0:
        raise invalid(f"a record count of {header.record_count}")
    source = Source(records, Bounds())
    base_offset, base_timestamp = header.base_offset, header.base_timestamp
    # A generator of many records: the named tuple is made without its Python-level constructor.
    new_record = tuple.__new__
    append_time = header.max_timestamp if header.attributes & LOG_APPEND_TIME else None
    data = bytes(source.take())
    pos, end_of_data = 0, len(data)
    try:
        for _ in range(header.record_count):
            if end_of_data - pos < VARINT:
                data = bytes(source.join(data[pos:], VARINT))
                pos, end_of_data = 0, len(data)
            size, pos = _read_number(data, pos, end_of_data)
            if size < 0:
                raise invalid(f"a record of {size} bytes")
            end = pos + size
            if end > end_of_data:
                data = bytes(source.join(data[pos:], size))
                pos, end, end_of_data = 0, size, len(data)
                if end > end_of_data:
                    raise invalid("a record leads outside its batch")
            pos += 1  # the attributes byte, which means nothing yet
            timestamp, pos = _read_number(data, pos, end, 64)
            delta, pos = _read_number(data, pos, end)
            key, pos = _read_sized(data, pos, end)
            value, pos = _read_sized(data, pos, end)
            headers: tuple[Header, ...] = ()
            if pos < end and data[pos] == 0:
                pos += 1
            else:
                headers, pos = _read_headers(data, pos, end)
            if pos != end:
                raise invalid(f"a record of {size} bytes has {end - pos} left over")
            timestamp = base_timestamp + timestamp if append_time is None else append_time
            if not _MIN_INT64 <= timestamp <= _MAX_INT64:
                timestamp = wrap_int64(timestamp)
            yield new_record(RecordData, (base_offset + delta, timestamp, key, value, headers))
    except IndexError:
        raise invalid("a record leads outside its batch") from None
    if pos != end_of_data or source.take():
        raise invalid("there are bytes behind the last record")


# --- control records ------------------------------------------------------------------------------------------------


class ControlRecordType(IntEnum):
    """The second int16 of a control record's key. Numbers above these may come; readers skip what they do not know."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


class EndTxnMarker(NamedTuple):
    """What ended a transaction: the decision, and the epoch of the coordinator that took it."""

    commit: bool
    coordinator_epoch: int


_control_types: dict[int, int] = {int(kind): kind for kind in ControlRecordType}
_control_key = Struct(">hh")
_end_txn_value = Struct(">hi")


def build_control_batch(
    control_type: int,
    value: bytes,
    *,
    timestamp: int,
    base_offset: int = 0,
    leader_epoch: int = 0,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    transactional: bool = False,
) -> bytearray:
    """A batch of one control record; ``value`` is that type's message, its int16 version included."""
    record = RecordData(timestamp=timestamp, key=_control_key.pack(0, control_type), value=value)
    return build_batch(
        (record,),
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=transactional,
        control=True,
        leader_epoch=leader_epoch,
    )


def build_end_txn_marker(
    *,
    commit: bool,
    producer_id: int,
    producer_epoch: int,
    coordinator_epoch: int,
    timestamp: int,
    base_offset: int = 0,
    leader_epoch: int = 0,
) -> bytearray:
    """The control batch that commits or aborts a producer's open transaction on one partition."""
    return build_control_batch(
        ControlRecordType.COMMIT if commit else ControlRecordType.ABORT,
        _end_txn_value.pack(0, coordinator_epoch),
        timestamp=timestamp,
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
    )


def control_record_type(key: bytes | None) -> int:
    """The type in a control record's key; a :class:`ControlRecordType` if it is one of those, else the bare number.

    Raises ``KafkaError(INVALID_RECORD)`` for a key that is too short or of a negative version.
    """
    if key is None or len(key) < _control_key.size:
        raise invalid("the key of a control record takes four bytes")
    version: int
    number: int
    version, number = _control_key.unpack_from(key)
    if version < 0:
        raise invalid(f"the key of a control record has version {version}")
    return _control_types.get(number, number)


def read_end_txn_marker(record: RecordData) -> EndTxnMarker | None:
    """The transaction marker in a control record, or None if it is a control record of another type.

    Raises ``KafkaError(INVALID_RECORD)`` when key or value cannot be a control record's.
    """
    kind = control_record_type(record.key)
    if kind not in (ControlRecordType.ABORT, ControlRecordType.COMMIT):
        return None
    if record.value is None or len(record.value) < _end_txn_value.size:
        raise invalid("the value of a transaction marker takes six bytes")
    version, coordinator_epoch = _end_txn_value.unpack_from(record.value)
    if version < 0:
        raise invalid(f"the value of a transaction marker has version {version}")
    return EndTxnMarker(kind == ControlRecordType.COMMIT, coordinator_epoch)
