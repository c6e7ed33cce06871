"""Finding a record by its time inside one batch: the step of a look-up that every engine ends with.

An engine finds the batch by headers alone (`max_timestamp` says how late a batch's records get); which record of it
is meant only the records say. Records are not in the order of their timestamps: producers choose these. So "the first
record at or after a time" is the first by *offset* whose timestamp is large enough, and all records before it in the
log are earlier than asked for.

This is the only place where an engine opens a batch, and it may be the first time that anything looks at the records
there. They are walked through piece by piece, in the memory of one piece. If they cannot be read, the batch's first
offset stands for the record: the one asked for is not before it, and a consumer that reads from there learns what is
wrong.

Source: org.apache.kafka.common.record.FileRecords.searchForTimestamp, RecordBatch.offsetOfMaxTimestamp; KIP-79,
KIP-734.
"""

from __future__ import annotations

from collections.abc import Iterator

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import BatchHeader, read_header
from kproto.batches.record_walk import Bounds, Source, walk
from kproto.batches.records import record_pieces
from kproto.errors import KafkaError
from storage.engine import TimestampOffset


def first_record_at(batch: ReadableBuffer, timestamp: int, log_start_offset: int) -> TimestampOffset | None:
    """The first record of `batch` that is not before `timestamp` nor before the start of the log, if there is one.

    `batch` is whole, with its place in the log patched in.
    """
    header = read_header(batch)
    if header.max_timestamp < timestamp or header.last_offset < log_start_offset:
        return None
    try:
        for offset, time in _offsets_and_times(header, batch):
            if time >= timestamp and offset >= log_start_offset:
                return TimestampOffset(time, offset, header.partition_leader_epoch)
    except KafkaError:
        return _start_of(header, log_start_offset)
    return None


def latest_record(batch: ReadableBuffer, log_start_offset: int) -> TimestampOffset | None:
    """The record of `batch` with the largest timestamp, the first of equals, not before the start of the log."""
    header = read_header(batch)
    latest: tuple[int, int] | None = None
    try:
        for offset, time in _offsets_and_times(header, batch):
            if offset >= log_start_offset and (latest is None or time > latest[1]):
                latest = offset, time
    except KafkaError:
        return _start_of(header, log_start_offset)
    return None if latest is None else TimestampOffset(latest[1], latest[0], header.partition_leader_epoch)


def _offsets_and_times(header: BatchHeader, batch: ReadableBuffer) -> Iterator[tuple[int, int]]:
    """Of every record; nothing else is made of them. Raises KafkaError."""
    for page in walk(header, Source(record_pieces(header, batch), Bounds())):
        offsets = [header.base_offset + (twice >> 1) for twice in page.twice_offset_deltas]
        yield from zip(offsets, page.timestamps(header), strict=True)


def _start_of(header: BatchHeader, log_start_offset: int) -> TimestampOffset:
    return TimestampOffset(
        header.max_timestamp, max(header.base_offset, log_start_offset), header.partition_leader_epoch
    )
