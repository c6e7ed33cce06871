"""Look-ups by time in a log on disk: which record is the first at or after a time, and which is the latest.

Both run in a thread, as work that computes (`Offload.compute`), and call `pause` about once a millisecond. What they
read is bounded by what the log is: the time index says where to begin, headers are read from there on, and a batch
whose header promises what is searched for is opened and walked through, piece by piece.

**A header is believed as far as it must be.** That a batch has nothing later than its header says is relied on: a
record that is later than that is not found, as in Kafka. That a batch does have what its header promises is not: it
is looked at, and where that was in vain the segment remembers it (`seen_times.py`). So the promise costs one walk,
and not one for each look-up.

Sources: org.apache.kafka.storage.internals.log.{UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kproto.batches.decompression import PIECE
from kproto.batches.header import CODEC_MASK, HEADER_SIZE, LOG_OVERHEAD, BatchHeader
from kproto.batches.records import record_pieces
from storage.engine import TimestampOffset
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.segment import Corrupt, Segment, paced
from storage.seams.offload import Pause
from storage.timestamps import first_record_at, latest_record

NO_BOUND: Final = -(1 << 63)
"""No record is as early as that, or none was looked at."""


def offset_for_time(log: Log, timestamp: int, pause: Pause) -> TimestampOffset | None:
    """The first record at or after `timestamp` (waits for the disk). Raises DamagedIndex, Corrupt, OSError."""
    for segment in list(log.segments):
        newest, _ = segment.learn_timestamps(pause)
        if newest < timestamp:
            continue
        try:
            found = _first_in(segment, timestamp, log.start, pause)
        except DamagedIndex:
            if segment is log.segments[-1]:
                raise  # only the event loop may rebuild it
            log.rebuild(segment)
            found = _first_in(segment, timestamp, log.start, pause)
        if found is not None:
            return found
    return None


def _first_in(segment: Segment, timestamp: int, start: int, pause: Pause) -> TimestampOffset | None:
    entry = segment.time_index.lookup(timestamp)
    position, bound = segment.seen.first_position(timestamp)
    if position and position >= (segment.position_at(entry.last_offset) if entry is not None else 0):
        batches = segment.headers(position)
    else:
        bound = entry.timestamp if entry is not None else NO_BOUND
        batches = segment.headers_since(entry)
    in_vain = False
    for position, header in paced(batches, pause):
        end = position + LOG_OVERHEAD + header.batch_length
        if header.max_timestamp < timestamp:
            bound = max(bound, header.max_timestamp + 1)
            continue
        searched = first_record_at(header, _records(segment, position, header), timestamp, start, pause)
        if searched.found is not None:
            return searched.found
        # With a bound of `timestamp` at the most: what came before is earlier than that, or would have been found. Only
        # records before the start of the log may be later, and no reader is interested in those.
        bound = max(bound, min(searched.latest + 1, timestamp))
        segment.seen.note_none(end, bound)
        in_vain = True
    if in_vain:
        segment.seen.note_none(end, bound)
    return None


def offset_of_max_timestamp(log: Log, pause: Pause) -> TimestampOffset | None:
    """The record with the largest timestamp, the first of equals (waits for the disk). Raises as the above."""
    found: TimestampOffset | None = None
    segments = [(segment, *segment.learn_timestamps(pause)) for segment in log.segments if segment.size]
    # Most promising first, the earlier of equals first: mostly the first batch looked into has the answer. Not if that
    # batch, or a part of it, lies before the start of the log; or if it promised too much.
    for segment, newest, newest_offset in sorted(segments, key=lambda entry: -entry[1]):
        if found is None or _may_hold_better(newest, segment.base_offset, found):
            found = _latest_in(segment, newest, newest_offset, log.start, found, pause)
    return found


def _may_hold_better(promised: int, offset: int, found: TimestampOffset) -> bool:
    """Whether records at `offset` and behind it, none later than `promised`, may be later than `found`, or as late and
    before it."""
    return promised > found.timestamp or (promised == found.timestamp and offset < found.offset)


def _latest_in(
    segment: Segment, newest: int, newest_offset: int, start: int, found: TimestampOffset | None, pause: Pause
) -> TimestampOffset | None:
    """The better of `found` and what the segment has."""
    begin = 0
    mine: TimestampOffset | None = None
    known = segment.seen.latest
    if known is not None and known[1].offset >= start:
        begin, mine = known
    elif newest_offset >= start:
        for position, header in paced(segment.headers_from(newest_offset), pause):
            if header.base_offset + header.last_offset_delta == newest_offset:
                mine = latest_record(header, _records(segment, position, header), start, pause)
                break
    if begin or mine is None or mine.timestamp < newest:
        end = begin
        for position, header in paced(segment.headers(begin), pause):
            end = position + LOG_OVERHEAD + header.batch_length
            last_offset = header.base_offset + header.last_offset_delta
            if last_offset < start or (
                mine is not None and not _may_hold_better(header.max_timestamp, header.base_offset, mine)
            ):
                continue
            latest = latest_record(header, _records(segment, position, header), start, pause)
            if latest is not None and (mine is None or _may_hold_better(latest.timestamp, latest.offset, mine)):
                mine = latest
        if mine is not None and end:
            segment.seen.note_latest(end, mine)
    if mine is not None and (found is None or _may_hold_better(mine.timestamp, mine.offset, found)):
        return mine
    return found


def _records(segment: Segment, position: int, header: BatchHeader) -> Iterator[bytes]:
    """The records of a batch, freed of their codec. A plain batch is never in memory whole."""
    if header.attributes & CODEC_MASK:
        return record_pieces(header, segment.read_batch(position, header))
    return _plain_pieces(segment, position, LOG_OVERHEAD + header.batch_length)


def _plain_pieces(segment: Segment, position: int, size: int) -> Iterator[bytes]:
    file = segment.file
    for at in range(HEADER_SIZE, size, PIECE):
        piece = file.read(position + at, min(PIECE, size - at))
        if not piece:
            raise Corrupt(segment.path(".log"), position + at, "the file is shorter than its batches")
        yield piece
