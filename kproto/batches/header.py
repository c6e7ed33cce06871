"""The header of a record batch v2: 61 bytes that tell everything a broker needs to know about the records behind them.

======  =====  ======================  ===========================================================================
offset  bytes  field                   meaning
======  =====  ======================  ===========================================================================
0       8      base_offset             offset of the first record; 0 from a producer, set by the broker
8       4      batch_length            bytes that follow this field: size - 12
12      4      partition_leader_epoch  set by the broker
16      1      magic                   2
17      4      crc                     CRC-32C of everything from ``attributes`` to the end
21      2      attributes              bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon
23      4      last_offset_delta       offset of the last record - base_offset
27      8      base_timestamp          timestamp of the first record (delete horizon when bit 6 is set)
35      8      max_timestamp           largest timestamp of a record, or the append time when bit 3 is set
43      8      producer_id             -1: neither idempotent nor transactional
51      2      producer_epoch
53      4      base_sequence           sequence number of the first record
57      4      record_count
======  =====  ======================  ===========================================================================

All numbers are big-endian and signed, the CRC aside. What the broker decides, offset and leader epoch, lies in front
of the checksummed part, so an append patches two fields in place and copies nothing. LogAppendTime is the exception:
it changes checksummed fields, so the CRC is computed again.

:func:`read_header` runs once per batch of every Produce request and several times per batch of a recovery, hence the
shape: one ``Struct.unpack_from`` straight into a named tuple, without a Python-level constructor.

Source: ``org.apache.kafka.common.record.DefaultRecordBatch``; KIP-98 (producer fields), KIP-101 (leader epoch),
KIP-534 (delete horizon).
"""

from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from kproto.batches.crc32c import crc32c
from kproto.errors import ErrorCode, KafkaError

__all__ = [
    "ATTRIBUTES_OFFSET",
    "CODEC_MASK",
    "CONTROL",
    "CRC_OFFSET",
    "DELETE_HORIZON",
    "HEADER",
    "HEADER_SIZE",
    "LOG_APPEND_TIME",
    "LOG_OVERHEAD",
    "MAGIC_OFFSET",
    "TRANSACTIONAL",
    "BatchHeader",
    "assemble",
    "compute_crc",
    "has_valid_crc",
    "header_at",
    "next_sequence",
    "patch_base_offset",
    "patch_create_time",
    "patch_log_append_time",
    "read_header",
]

HEADER: Final = Struct(">qiibIhiqqqhii")
HEADER_SIZE: Final = 61
LOG_OVERHEAD: Final = 12
"""Bytes of base_offset and batch_length, which batch_length does not count."""

MAGIC: Final = 2
MIN_BATCH_LENGTH: Final = HEADER_SIZE - LOG_OVERHEAD
MAGIC_OFFSET: Final = 16
CRC_OFFSET: Final = 17
ATTRIBUTES_OFFSET: Final = 21
MAX_TIMESTAMP_OFFSET: Final = 35

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
DELETE_HORIZON: Final = 0x40

_unpack_header = HEADER.unpack_from
_pack_int64 = Struct(">q").pack_into
_pack_int32 = Struct(">i").pack_into
_pack_uint32 = Struct(">I").pack_into
_EMPTY: Final = bytearray()
_BLANK_HEADER: Final = bytes(HEADER_SIZE)
_pack_int16 = Struct(">h").pack_into
_unpack_int16 = Struct(">h").unpack_from
_new_tuple = tuple.__new__
assert HEADER.size == HEADER_SIZE


class BatchHeader(NamedTuple):
    """The 13 fields in wire order, immutable.

    ``_replace`` makes a changed copy; the ``patch_`` functions change the buffer and leave the header as it was read.
    """

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch, header included."""
        return LOG_OVERHEAD + self.batch_length

    @property
    def compression(self) -> int:
        """Codec number, 0 (none) to 4 (zstd); 5 to 7 are not assigned. See :mod:`kproto.batches.compression`."""
        return self.attributes & CODEC_MASK

    @property
    def log_append_time(self) -> bool:
        """Whether the broker's clock stamped the records: then each of them bears ``max_timestamp``."""
        return self.attributes & LOG_APPEND_TIME != 0

    @property
    def timestamp_type(self) -> int:
        """0 CreateTime, 1 LogAppendTime: the number in attribute bit 3."""
        return (self.attributes & LOG_APPEND_TIME) >> 3

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return self.attributes & TRANSACTIONAL != 0

    @property
    def is_control(self) -> bool:
        """Whether the batch holds one control record, which consumers do not see."""
        return self.attributes & CONTROL != 0

    @property
    def delete_horizon(self) -> int | None:
        """When the cleaner may drop this batch's tombstones or marker (ms since 1970, KIP-534); None until it knows."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON else None

    @property
    def last_offset(self) -> int:
        """Offset of the last record, whether or not compaction has left it there."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """Where the next batch of the log starts."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def has_producer_id(self) -> bool:
        """Whether an idempotent or transactional producer wrote the batch."""
        return self.producer_id >= 0

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last record; -1 without a sequence. Numbers wrap from 2^31 - 1 to 0."""
        if self.base_sequence < 0:
            return -1
        return (self.base_sequence + self.last_offset_delta) & 0x7FFF_FFFF


def next_sequence(sequence: int) -> int:
    """The sequence number that follows: after 2^31 - 1 comes 0."""
    return (sequence + 1) & 0x7FFF_FFFF


def read_header(buf: ReadableBuffer, pos: int = 0) -> BatchHeader:
    """Decode the header of the batch at ``buf[pos:]``. The records behind it need not be there.

    Raises ``KafkaError(CORRUPT_MESSAGE)`` when fewer than 61 bytes are left, the magic is not 2, or the length is below
    the header's own.
    """
    try:
        header = _new_tuple(BatchHeader, _unpack_header(buf, pos))
    except StructError:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "the bytes end inside a record batch header") from None
    if header.magic != MAGIC or header.batch_length < MIN_BATCH_LENGTH:
        raise _refusal(header)
    return header


def header_at(buf: ReadableBuffer, pos: int = 0) -> BatchHeader:
    """What stands at ``buf[pos:]`` where a header should be, unchecked: for scans that look for damage themselves.

    Raises ``struct.error`` when fewer than 61 bytes are left.
    """
    return _new_tuple(BatchHeader, _unpack_header(buf, pos))


def is_of_transaction(records: ReadableBuffer | None) -> bool:
    """Whether the first batch of these bytes says that it is part of a transaction, be it sound otherwise or not."""
    return (
        records is not None
        and len(records) >= HEADER_SIZE
        and records[MAGIC_OFFSET] == MAGIC
        and bool(records[ATTRIBUTES_OFFSET + 1] & TRANSACTIONAL)
    )


def assemble(header: BatchHeader, *payload: ReadableBuffer) -> bytearray:
    """Header and payload, which may come in parts, as one buffer, with the length and the CRC that belong to them. The
    payload is copied once."""
    batch = _EMPTY.join((_BLANK_HEADER, *payload))
    size = len(batch)
    HEADER.pack_into(batch, 0, *header._replace(batch_length=size - LOG_OVERHEAD, crc=0))
    _pack_uint32(batch, CRC_OFFSET, compute_crc(batch, 0, size))
    return batch


def _refusal(header: BatchHeader) -> KafkaError:
    if header.magic != MAGIC:
        return KafkaError(ErrorCode.CORRUPT_MESSAGE, f"record batch has magic {header.magic}, only {MAGIC} is known")
    return KafkaError(
        ErrorCode.CORRUPT_MESSAGE,
        f"record batch length {header.batch_length} is below the {MIN_BATCH_LENGTH} bytes that its header takes",
    )


def patch_base_offset(buf: WritableBuffer, pos: int, base_offset: int, leader_epoch: int) -> None:
    """Give the batch at ``buf[pos:]`` its place in the log. Both fields lie outside the CRC."""
    _pack_int64(buf, pos, base_offset)
    _pack_int32(buf, pos + 12, leader_epoch)


def patch_log_append_time(buf: WritableBuffer, pos: int, timestamp: int) -> None:
    """Stamp the batch at ``buf[pos:]`` with the broker's time: attribute bit 3, max_timestamp, and a new CRC.

    The records keep their own timestamps in their bytes; readers of a LogAppendTime batch use max_timestamp for all.
    """
    (attributes,) = _unpack_int16(buf, pos + ATTRIBUTES_OFFSET)
    _patch_timestamps(buf, pos, attributes | LOG_APPEND_TIME, timestamp)


def patch_create_time(buf: WritableBuffer, pos: int, max_timestamp: int) -> None:
    """Correct the batch at ``buf[pos:]`` to CreateTime with this largest timestamp, and compute the CRC again."""
    (attributes,) = _unpack_int16(buf, pos + ATTRIBUTES_OFFSET)
    _patch_timestamps(buf, pos, attributes & ~LOG_APPEND_TIME, max_timestamp)


def _patch_timestamps(buf: WritableBuffer, pos: int, attributes: int, max_timestamp: int) -> None:
    header = read_header(buf, pos)
    assert len(buf) - pos >= header.size, "the whole batch must be in the buffer"
    _pack_int16(buf, pos + ATTRIBUTES_OFFSET, attributes)
    _pack_int64(buf, pos + MAX_TIMESTAMP_OFFSET, max_timestamp)
    _pack_uint32(buf, pos + CRC_OFFSET, compute_crc(buf, pos, header.size))


def compute_crc(buf: ReadableBuffer, pos: int, size: int) -> int:
    """CRC-32C of the batch of ``size`` bytes at ``buf[pos:]``, as its ``crc`` field should say."""
    return crc32c(memoryview(buf)[pos + ATTRIBUTES_OFFSET : pos + size])


def has_valid_crc(header: BatchHeader, buf: ReadableBuffer, pos: int = 0) -> bool:
    """Whether the batch at ``buf[pos:]`` is all there and its bytes are those that were checksummed."""
    size = header.size
    return len(buf) - pos >= size and crc32c(memoryview(buf)[pos + ATTRIBUTES_OFFSET : pos + size]) == header.crc
