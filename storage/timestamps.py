"""Finding a record by its time inside one batch: the step of a look-up that every engine ends with.

An engine finds the batch by headers alone (`max_timestamp` says how late a batch's records get); which record of it
is meant only the records say. Records are not in the order of their timestamps: producers choose these. So "the first
record at or after a time" is the first by *offset* whose timestamp is large enough, and all records before it in the
log are earlier than asked for.

This is the only place where an engine opens a batch, and what it finds there may never have been looked at before. If
the records cannot be read, the batch's first offset stands for the record: the one asked for is not before it, and a
consumer that reads from there learns what is wrong.

Source: org.apache.kafka.common.record.FileRecords.searchForTimestamp, RecordBatch.offsetOfMaxTimestamp; KIP-79,
KIP-734.
"""

from __future__ import annotations

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import BatchHeader, read_header
from kproto.batches.records import iter_records
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
        for record in iter_records(batch):
            if record.timestamp >= timestamp and record.offset >= log_start_offset:
                return TimestampOffset(record.timestamp, record.offset, header.partition_leader_epoch)
    except KafkaError:
        return _start_of(header, log_start_offset)
    return None


def latest_record(batch: ReadableBuffer, log_start_offset: int) -> TimestampOffset | None:
    """The record of `batch` with the largest timestamp, the first of equals, not before the start of the log."""
    header = read_header(batch)
    latest: TimestampOffset | None = None
    try:
        for record in iter_records(batch):
            if record.offset >= log_start_offset and (latest is None or record.timestamp > latest.timestamp):
                latest = TimestampOffset(record.timestamp, record.offset, header.partition_leader_epoch)
    except KafkaError:
        return _start_of(header, log_start_offset)
    return latest


def _start_of(header: BatchHeader, log_start_offset: int) -> TimestampOffset:
    return TimestampOffset(
        header.max_timestamp, max(header.base_offset, log_start_offset), header.partition_leader_epoch
    )
