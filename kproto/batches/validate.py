"""What Kafka checks of a batch that a producer sent, in its order and with its codes.

:func:`check_produced_batch` needs the header and the CRC only. It runs for every partition of every Produce request:

=====================================================================  ==============================================
what is sent                                                           answer
=====================================================================  ==============================================
nothing, or less than one whole batch                                  INVALID_RECORD
a length below 14, a magic that never was                              CORRUPT_MESSAGE
a message set of magic 0 or 1                                          INVALID_RECORD
zstd in a request before v7                                            UNSUPPORTED_COMPRESSION_TYPE
a second whole batch                                                   INVALID_RECORD
an incomplete second batch, or fewer than 12 bytes                     taken; only the first batch counts
a transactional batch in a request without transactional id            TRANSACTIONAL_ID_AUTHORIZATION_FAILED
a base offset other than 0                                             INVALID_RECORD
more than max.message.bytes                                            MESSAGE_TOO_LARGE
a length below the header's, a wrong CRC                               CORRUPT_MESSAGE
a codec number that is not assigned                                    UNSUPPORTED_COMPRESSION_TYPE (*)
no records, or a count that the last offset delta contradicts          INVALID_RECORD
a control batch; a producer id without a sequence number               INVALID_RECORD
a producer id with an epoch below -1                                   INVALID_PRODUCER_EPOCH
LogAppendTime claimed by the producer on a LogAppendTime topic         INVALID_TIMESTAMP
more records than fit into the bytes, where these are not compressed   INVALID_RECORD
more than segment.bytes                                                RECORD_LIST_TOO_LARGE
=====================================================================  ==============================================

Whatever else the topic's settings demand is the business of :func:`conform`; :func:`conforms` says whether there is
anything to do, so that a plain uncompressed batch is never opened unless the caller asks for that (``look_inside``).
Looking inside happens when

* the batch is compressed: the data must decode to as many record frames as the header says, none of them longer than
  ``max.decompressed.message.bytes`` (INVALID_RECORD (*));
* the topic is compacted: every record needs a key (INVALID_RECORD, with a line per record);
* timestamps are in doubt: the header's largest is too far ahead or contradicts the first one, or the topic bounds the
  past. Then each record is looked at (INVALID_TIMESTAMP, with a line per record);
* ``compression.type`` names a codec that the batch does not have: it is recompressed;
* the caller asks for it.

In all of these but the first each record is walked through, and one that cannot be read is INVALID_RECORD, without a
line of its own, as in Kafka. A header that says something else of time than its records is put right, and so are
offsets that do not count up in a batch that came uncompressed: Kafka does the former for every batch, the latter where
it compresses, and else stores what no consumer reads well and no cleaner can clean. In a compressed batch such offsets
are INVALID_RECORD (*).

LogAppendTime is stamped into the header in place.

(*) Kafka answers UNKNOWN_SERVER_ERROR to undecodable data, unknown codecs, offsets in a compressed batch that do not
count up and the varint of a length that is too long. Clients take that for a passing failure and send the same again;
the code that names the fault stops them.

Departures: null records are refused (Kafka never answers); a batch that has to be opened may hold as much as
:class:`~kproto.batches.record_walk.Bounds` say (MESSAGE_TOO_LARGE); record errors are listed up to
:data:`MAX_RECORD_ERRORS`, and no more than there is room for records in the batch as it came.

Sources: ``ProduceRequest.validateRecords``, ``ByteBufferLogInputStream``, ``UnifiedLog.analyzeAndValidateRecords``,
``LogValidator``; KIP-467 (record errors), KIP-110 (zstd), KIP-937 (timestamp bounds). Each row was asked of a running
broker.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, NoReturn, Protocol

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from kproto.batches.compression import Codec, codec_named
from kproto.batches.crc32c import crc32c
from kproto.batches.decompression import PIECE
from kproto.batches.decompression import pieces as unpacked
from kproto.batches.header import (
    ATTRIBUTES_OFFSET,
    CODEC_MASK,
    CONTROL,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    MAGIC_OFFSET,
    TRANSACTIONAL,
    BatchHeader,
    patch_create_time,
    patch_log_append_time,
    read_header,
)
from kproto.batches.legacy import MIN_ENTRY_LENGTH, UP_TO_MAGIC, legacy_magic
from kproto.batches.record_spans import MOST_RECORDS
from kproto.batches.record_walk import (
    MAX_DECOMPRESSED_MESSAGE_BYTES,
    MIN_RECORD_SIZE,
    BoundExceeded,
    Bounds,
    RecordSummary,
    Source,
    count_frames,
    plainly_sound,
    summarise,
    walk,
)
from kproto.batches.repacking import Repacking, renumbered
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_TIMESTAMP

__all__ = [
    "MAX_RECORD_ERRORS",
    "SMALL_BATCH",
    "BatchRules",
    "NotOneBatch",
    "RecordError",
    "RecordsRefused",
    "check_produced_batch",
    "conform",
    "conforms",
    "split_batches",
]

MAX_RECORD_ERRORS: Final = 1000
"""A batch can hold more bad records than a reply should list."""

SMALL_BATCH: Final = 4
"""Records of a batch up to which a walk over them costs next to nothing."""

MOST_IN_ONE_PIECE: Final = 1 << 20
"""Bytes that a walk goes through from one pause to the next, at the most."""

NO_BOUND: Final = 2**63 - 1

ZSTD_SINCE_VERSION: Final = 7


class BatchRules(Protocol):
    """What a topic's settings say about batches, named as in Kafka's configs; a log's typed settings are one."""

    @property
    def max_message_bytes(self) -> int: ...
    @property
    def max_decompressed_message_bytes(self) -> int: ...
    @property
    def segment_bytes(self) -> int: ...
    @property
    def compact(self) -> bool: ...
    @property
    def log_append_time(self) -> bool: ...
    @property
    def message_timestamp_before_max_ms(self) -> int: ...
    @property
    def message_timestamp_after_max_ms(self) -> int: ...
    @property
    def compression_type(self) -> str: ...
    @property
    def compression_gzip_level(self) -> int: ...
    @property
    def compression_lz4_level(self) -> int: ...
    @property
    def compression_zstd_level(self) -> int: ...


class RecordError(NamedTuple):
    """Why one record of a batch is refused; Produce v8 and later tell the client (KIP-467)."""

    batch_index: int
    message: str


class RecordsRefused(KafkaError):
    """Some records of a batch are refused, and with them all of it."""

    def __init__(self, code: ErrorCode, message: str, record_errors: Sequence[RecordError]) -> None:
        super().__init__(code, message)
        self.record_errors = record_errors


class NotOneBatch(KafkaError):
    """What a partition was sent is not exactly one batch of a kind that the request may carry.

    Kafka refuses the request for that before it looks at the partition's log (``ProduceRequest.validateRecords``), so
    the answer does not say where that log starts.
    """


def _invalid(reason: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_RECORD, reason)


def _not_one_batch(reason: str) -> NotOneBatch:
    return NotOneBatch(ErrorCode.INVALID_RECORD, reason)


# --- by the header --------------------------------------------------------------------------------------------------


def check_produced_batch(
    records: ReadableBuffer | None,
    rules: BatchRules,
    *,
    api_version: int = 13,
    has_transactional_id: bool = False,
) -> BatchHeader:
    """Judge the ``records`` field of one partition in a Produce request by header and CRC; return the batch's header.

    The batch is ``records[: header.size]``: bytes behind it, which Kafka tolerates if they are too few for another
    batch, are not to be stored. Raises ``KafkaError`` as the table above says.
    """
    if records is None:
        raise _not_one_batch("a partition without records")
    length = len(records)
    try:
        header = read_header(records)
    except KafkaError:
        _refuse_no_batch(records)
    size = LOG_OVERHEAD + header.batch_length
    if size > length:
        raise _not_one_batch(f"the record batch takes {size} bytes, and {length} are here")
    attributes = header.attributes
    codec = attributes & CODEC_MASK
    if codec >= Codec.ZSTD and api_version < ZSTD_SINCE_VERSION:
        raise NotOneBatch(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"codec {codec} needs Produce v{ZSTD_SINCE_VERSION} or later"
        )
    if size < length:
        _check_what_follows(records, size)
    if attributes & TRANSACTIONAL and not has_transactional_id:
        raise NotOneBatch(
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "a transactional batch in a request without transactional id",
        )
    if header.base_offset != 0:
        raise _invalid(f"a producer's batch starts at offset 0, not at {header.base_offset}")
    if size > rules.max_message_bytes:
        raise _too_large(size, rules)
    if crc32c(memoryview(records)[ATTRIBUTES_OFFSET:size]) != header.crc:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "the record batch does not match its CRC")
    if codec > Codec.ZSTD:
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"no compression codec has the number {codec}")
    count = header.record_count
    if count <= 0 or header.last_offset_delta != count - 1:
        raise _invalid(f"{count} records with a last offset delta of {header.last_offset_delta}")
    if attributes & CONTROL:
        raise _invalid("clients do not write control records")
    if header.producer_id >= 0 and header.base_sequence < 0:
        raise _invalid(f"producer id {header.producer_id} with sequence number {header.base_sequence}")
    if header.producer_id >= 0 and header.producer_epoch < NO_PRODUCER_EPOCH:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH, f"no producer has epoch {header.producer_epoch}")
    if attributes & LOG_APPEND_TIME and rules.log_append_time:
        reason = "the timestamp type LogAppendTime is the broker's to set"
        # The count is a claim still, and a reply must not be large because of a claim.
        listed = min(count, MAX_RECORD_ERRORS, size // MIN_RECORD_SIZE)
        errors = [RecordError(index, reason) for index in range(listed)]
        raise RecordsRefused(ErrorCode.INVALID_TIMESTAMP, reason, errors)
    if codec == Codec.NONE and count > (size - HEADER_SIZE) // MIN_RECORD_SIZE:
        raise _invalid(f"{size - HEADER_SIZE} bytes have no room for {count} records")
    if size > rules.segment_bytes:
        raise _longer_than_segment(size, rules)
    return header


def _too_large(size: int, rules: BatchRules) -> KafkaError:
    limit = rules.max_message_bytes
    return KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"a record batch of {size} bytes where {limit} are allowed")


def _longer_than_segment(size: int, rules: BatchRules) -> KafkaError:
    limit = rules.segment_bytes
    return KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, f"a record batch of {size} bytes where a segment takes {limit}")


def _refuse_no_batch(records: ReadableBuffer) -> NoReturn:
    """Say why no batch of magic 2 with a whole header starts here."""
    length = len(records)
    if length < LOG_OVERHEAD:
        raise _not_one_batch(f"{length} bytes are no record batch")
    claim = _int32_at(records, 8)
    if claim < MIN_ENTRY_LENGTH:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"a record batch length of {claim}")
    if length < UP_TO_MAGIC:
        raise _not_one_batch(f"{length} bytes are no record batch")
    magic = memoryview(records)[MAGIC_OFFSET]
    if (legacy := legacy_magic(records)) is not None:
        raise _not_one_batch(f"message sets of magic {legacy} have not been accepted since Kafka 4.0")
    if magic != 2:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"a record batch of unknown magic {magic}")
    if LOG_OVERHEAD + claim > length:
        raise _not_one_batch(f"the record batch takes {LOG_OVERHEAD + claim} bytes, and {length} are here")
    raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"a record batch length of {claim} is below the header's own")


def _int32_at(buf: ReadableBuffer, pos: int) -> int:
    return int.from_bytes(memoryview(buf)[pos : pos + 4], "big", signed=True)


def _check_what_follows(records: ReadableBuffer, pos: int) -> None:
    """Refuse a second batch at ``pos``, or what cannot be the beginning of one; the beginning of one is ignored."""
    rest = len(records) - pos
    if rest < LOG_OVERHEAD:
        return
    claim = _int32_at(records, pos + 8)
    if claim < MIN_ENTRY_LENGTH:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"a second record batch of length {claim}")
    if rest < UP_TO_MAGIC:
        return
    if memoryview(records)[pos + MAGIC_OFFSET] > 2:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "a second record batch of unknown magic")
    if LOG_OVERHEAD + claim <= rest:
        raise _not_one_batch("more than one record batch for a partition")


# --- by the topic's settings ----------------------------------------------------------------------------------------


def conforms(header: BatchHeader, rules: BatchRules, now: int) -> bool:
    """Whether the batch may be appended as it is; if not, :func:`conform` has work to do, some of it long.

    ``now`` is the broker's wall clock in milliseconds.
    """
    return not (
        header.attributes & CODEC_MASK
        or rules.compact
        or rules.log_append_time
        or header.max_timestamp - now > rules.message_timestamp_after_max_ms  # as _timestamps_in_doubt, without a call
        or header.max_timestamp < header.base_timestamp
        or header.attributes & LOG_APPEND_TIME
        or rules.message_timestamp_before_max_ms != NO_BOUND
        or rules.compression_type not in ("producer", "uncompressed")
    )


def _timestamps_in_doubt(header: BatchHeader, rules: BatchRules, now: int) -> bool:
    return (
        header.max_timestamp - now > rules.message_timestamp_after_max_ms
        or header.max_timestamp < header.base_timestamp
        or header.attributes & LOG_APPEND_TIME != 0
        or rules.message_timestamp_before_max_ms != NO_BOUND
    )


def conform(
    header: BatchHeader,
    batch: WritableBuffer,
    rules: BatchRules,
    now: int,
    *,
    look_inside: bool = False,
    bounds: Bounds | None = None,
    pause: Callable[[], None] | None = None,
) -> tuple[BatchHeader, WritableBuffer]:
    """Make a batch that :func:`check_produced_batch` passed fit its topic; return it with its new header.

    ``batch`` is changed in place where that suffices, and is then what comes back, cut to the batch's size; a change
    of codec or of offsets makes a new one. It is not changed before all of it has been looked at, so after
    :class:`~kproto.batches.record_walk.BoundExceeded` the same can be tried with wider bounds. ``look_inside`` asks for
    a walk over all records where nothing else does. ``pause`` is called again and again while that goes on.

    Fit for a worker thread: it touches nothing but its arguments. Its memory is some pieces of 64 KiB, what
    :mod:`kproto.batches.decompression` says of decoders, and a new batch.

    Raises ``KafkaError``: INVALID_RECORD or INVALID_TIMESTAMP (as :class:`RecordsRefused` where it is about single
    records), MESSAGE_TOO_LARGE when there is more to do than ``bounds`` allow or recompression made the batch too
    large, RECORD_LIST_TOO_LARGE likewise.
    """
    bounds = bounds or Bounds()
    if len(batch) > header.size:
        batch = memoryview(batch)[: header.size]
    codec = _codec_for(header, rules)
    compressed = header.attributes & CODEC_MASK != 0
    packing = codec != Codec.NONE and not compressed
    doubt = not rules.log_append_time and (packing or _timestamps_in_doubt(header, rules, now))
    largest = rules.max_decompressed_message_bytes if compressed else MAX_DECOMPRESSED_MESSAGE_BYTES
    walked = look_inside or rules.compact or doubt or packing
    if rules.compact and header.record_count > MOST_RECORDS:
        raise BoundExceeded("records")
    usual = compressed and look_inside and not (rules.compact or doubt or codec != header.compression)
    repacking = None
    if (compressed or walked) and not (
        usual and _sound_at_a_glance(header, Source(_pieces(header, batch), bounds, pause), largest)
    ):
        pieces = _pieces(header, batch)
        if compressed and codec != header.compression:
            repacking = Repacking(header, codec, _level_for(codec, rules), rules.max_message_bytes)
            pieces = repacking.passing(pieces)
        source = Source(pieces, bounds, pause)
        if walked:
            summary = summarise(header, source, largest)
            _check_summary(header, batch, summary, rules, now, pause)
            batch = _put_right(header, batch, summary, rules, repacking)
        else:
            count_frames(header, source, largest)
            if repacking is not None:
                batch = _fitting(repacking, rules)
    if packing:
        header = read_header(batch)
        repacking = Repacking(header, codec, _level_for(codec, rules), rules.max_message_bytes)
        for _ in repacking.passing(_pieces(header, batch)):
            if pause is not None:
                pause()
        batch = _fitting(repacking, rules)
    if rules.log_append_time:
        patch_log_append_time(batch, 0, now)
    return read_header(batch), batch


def _pieces(header: BatchHeader, batch: ReadableBuffer) -> Iterator[bytes | memoryview]:
    """The records of a batch, piece by piece."""
    payload = memoryview(batch)[HEADER_SIZE : header.size]
    codec = header.attributes & CODEC_MASK
    few = header.record_count <= SMALL_BATCH and len(payload) <= MOST_IN_ONE_PIECE
    if codec == Codec.NONE and (few or len(payload) <= PIECE):
        # A view of few large records is not copied: next to nothing of it is looked at, if they have few headers.
        return iter((bytes(payload) if len(payload) <= PIECE else payload,))
    return unpacked(codec, payload)


def _sound_at_a_glance(header: BatchHeader, source: Source, largest: int) -> bool:
    """Whether a small compressed batch needs no walk: the usual case, in a third of the time."""
    if header.record_count > SMALL_BATCH:
        return False
    records = source.take()
    return len(records) <= largest and plainly_sound(header, records) and not source.take()


def _put_right(
    header: BatchHeader, batch: WritableBuffer, summary: RecordSummary, rules: BatchRules, repacking: Repacking | None
) -> WritableBuffer:
    """What the header says of time, and offsets that do not count up, after the records."""
    if repacking is not None:
        batch = _fitting(repacking, rules)
    right = summary.max_timestamp == header.max_timestamp and not header.log_append_time
    if not right and not rules.log_append_time:
        patch_create_time(batch, 0, summary.max_timestamp)
    if not summary.offsets_count_up:
        batch = renumbered(read_header(batch), memoryview(batch)[HEADER_SIZE:])
    return batch


def _fitting(repacking: Repacking, rules: BatchRules) -> bytearray:
    made = repacking.finish()
    if made is None:
        raise _too_large(repacking.size, rules)
    if len(made) > rules.segment_bytes:
        raise _longer_than_segment(len(made), rules)
    return made


def _codec_for(header: BatchHeader, rules: BatchRules) -> Codec:
    return Codec(header.compression) if rules.compression_type == "producer" else codec_named(rules.compression_type)


def _level_for(codec: int, rules: BatchRules) -> int | None:
    level = {
        Codec.GZIP: rules.compression_gzip_level,
        Codec.LZ4: rules.compression_lz4_level,
        Codec.ZSTD: rules.compression_zstd_level,
    }.get(Codec(codec))
    # Kafka writes gzip's own default as -1.
    return None if codec == Codec.GZIP and level == -1 else level


def _check_summary(
    header: BatchHeader,
    batch: ReadableBuffer,
    summary: RecordSummary,
    rules: BatchRules,
    now: int,
    pause: Callable[[], None] | None,
) -> None:
    """Keys on a compacted topic, and timestamps unless the broker stamps them; offsets of a compressed batch, which
    must count up from 0 (those of another are put right)."""
    if header.attributes & CODEC_MASK and not summary.offsets_count_up:
        raise _invalid("offsets inside a compressed batch do not count up from 0")
    earliest, latest = _timestamp_bounds(rules, now)
    early = summary.min_timestamp < earliest and summary.min_timestamp != NO_TIMESTAMP
    if not ((rules.compact and summary.keyless) or early or summary.max_timestamp > latest):
        return
    # Only now is it worth finding out which ones.
    errors: list[RecordError] = []
    code = ErrorCode.INVALID_RECORD
    for page in walk(header, Source(_pieces(header, batch), Bounds(), pause)):
        keyless = set(page.keyless) if rules.compact else ()
        for index, timestamp in enumerate(page.timestamps(header), page.number):
            if index in keyless:
                errors.append(RecordError(index, "a record of a compacted topic needs a key"))
            elif timestamp != NO_TIMESTAMP and not earliest <= timestamp <= latest:
                errors.append(RecordError(index, f"timestamp {timestamp} is not within [{earliest}, {latest}]"))
                code = ErrorCode.INVALID_TIMESTAMP
        if len(errors) >= MAX_RECORD_ERRORS:
            del errors[MAX_RECORD_ERRORS:]
            break
    if errors:
        what = "timestamps out of range" if code == ErrorCode.INVALID_TIMESTAMP else "missing keys"
        raise RecordsRefused(code, f"records were refused for {what}", errors)


def _timestamp_bounds(rules: BatchRules, now: int) -> tuple[int, int]:
    if rules.log_append_time:
        return -NO_BOUND - 1, NO_BOUND
    return now - rules.message_timestamp_before_max_ms, now + rules.message_timestamp_after_max_ms


# --- several batches ------------------------------------------------------------------------------------------------


def split_batches(records: ReadableBuffer) -> list[tuple[BatchHeader, int]]:
    """The batches in ``records``, which must hold whole ones only: each header with its position.

    CRCs are not checked. Raises ``KafkaError(CORRUPT_MESSAGE)`` where a header cannot be read or a batch is not all
    there.
    """
    batches: list[tuple[BatchHeader, int]] = []
    pos, end = 0, len(records)
    while pos < end:
        header = read_header(records, pos)
        batches.append((header, pos))
        pos += header.size
    if pos != end:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the last record batch lacks {pos - end} of its bytes")
    return batches
