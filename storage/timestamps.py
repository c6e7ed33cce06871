"""Finding a record by its time inside one batch: the step of a look-up that every engine ends with.

An engine finds the batch by headers alone (`max_timestamp` says how late a batch's records get); which record of it
is meant only the records say. Records are not in the order of their timestamps: producers choose these. So "the first
record at or after a time" is the first by *offset* whose timestamp is large enough, and all records before it in the
log are earlier than asked for.

This is the only place where an engine opens a batch, and it may be the first time that anything looks at the records
there: a header may promise a record that is not there. They are walked through piece by piece, in the memory of one
piece, and nothing is made of those that are not the one. If they cannot be read, the batch's first offset stands for
the record: the one asked for is not before it, and a consumer that reads from there learns what is wrong.

Source: org.apache.kafka.common.record.FileRecords.searchForTimestamp, RecordBatch.offsetOfMaxTimestamp; KIP-79,
KIP-734.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import BatchHeader, read_header
from kproto.batches.record_walk import Bounds, Source, walk_times
from kproto.batches.records import record_pieces
from kproto.errors import KafkaError
from kproto.ids import NO_TIMESTAMP
from storage.engine import TimestampOffset


class Searched(NamedTuple):
    """What a look into a batch has found."""

    found: TimestampOffset | None
    latest: int
    """No record of the batch that was looked at is later: of a batch without what was searched for, that is all."""


def first_record_at(
    header: BatchHeader,
    pieces: Iterable[bytes],
    timestamp: int,
    log_start_offset: int,
    pause: Callable[[], None] | None = None,
) -> Searched:
    """The first record that is not before `timestamp` nor before the start of the log, if there is one.

    `header` has the batch's place in the log patched in; `pieces` are its records, freed of their codec. `pause` is
    called about once a millisecond.
    """
    latest = NO_TIMESTAMP
    if header.max_timestamp < timestamp or header.last_offset < log_start_offset:
        return Searched(None, header.max_timestamp)
    try:
        for page in walk_times(header, Source(pieces, Bounds(), pause)):
            times = page.timestamps(header)
            most = max(times)
            if most >= timestamp:
                for twice, time in zip(page.twice_offset_deltas, times, strict=True):
                    if time >= timestamp and (offset := header.base_offset + (twice >> 1)) >= log_start_offset:
                        return Searched(TimestampOffset(time, offset, header.partition_leader_epoch), latest)
            latest = max(latest, most)
    except KafkaError:
        return Searched(_start_of(header, log_start_offset), header.max_timestamp)
    return Searched(None, latest)


def latest_record(
    header: BatchHeader,
    pieces: Iterable[bytes],
    log_start_offset: int,
    pause: Callable[[], None] | None = None,
) -> TimestampOffset | None:
    """The record with the largest timestamp, the first of equals, not before the start of the log."""
    latest: TimestampOffset | None = None
    try:
        for page in walk_times(header, Source(pieces, Bounds(), pause)):
            times = page.timestamps(header)
            if latest is not None and max(times) <= latest.timestamp:
                continue
            for twice, time in zip(page.twice_offset_deltas, times, strict=True):
                if (latest is None or time > latest.timestamp) and (
                    offset := header.base_offset + (twice >> 1)
                ) >= log_start_offset:
                    latest = TimestampOffset(time, offset, header.partition_leader_epoch)
    except KafkaError:
        return _start_of(header, log_start_offset)
    return latest


def opened(batch: ReadableBuffer) -> tuple[BatchHeader, Iterable[bytes]]:
    """The first two arguments of a look into a batch that is in memory."""
    header = read_header(batch)
    return header, record_pieces(header, batch)


def _start_of(header: BatchHeader, log_start_offset: int) -> TimestampOffset:
    return TimestampOffset(
        header.max_timestamp, max(header.base_offset, log_start_offset), header.partition_leader_epoch
    )
