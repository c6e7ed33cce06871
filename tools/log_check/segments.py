"""The batches of a log, one after the other through all its segments, and everything that speaks of them beside.

What makes the end of a log *torn* and anything else *damaged* is the rule of recovery (FORMAT.md, L3): bytes that are
no valid batch, above the recovery point, with no valid batch behind them, in a directory that was not stopped cleanly.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from kproto.batches.header import BatchHeader
from kproto.batches.records import EndTxnMarker, iter_records
from kproto.errors import KafkaError
from storage.local.segment import MAX_RELATIVE_OFFSET
from storage.markers import end_marker
from storage.seams.disk import SystemDisk
from tools.log_check.findings import Finding, Known, plural
from tools.log_check.witnesses import Ends, Replay, TransactionIndexWitness, Witness
from tools.log_files.batches import Hole, Stored, walk

MOST_PER_SEGMENT: Final = 10
"""Findings about the batches of one segment; the others are counted."""

MAX_SEGMENT: Final = 2**31 - 1


class SegmentFiles(NamedTuple):
    """A segment, with the size its file had when the check began, and what speaks of it."""

    path: Path
    base_offset: int
    size: int
    witnesses: list[Witness]
    transactions: TransactionIndexWitness


class Gap(NamedTuple):
    """Offsets without a batch, up to but not including `end`."""

    path: Path
    start: int
    end: int


class Doubt(NamedTuple):
    """Bytes that are no valid batch, at the end of what there is so far: torn if nothing more comes."""

    path: Path
    position: int
    size: int
    offset: int
    reason: str


class LogScan:
    """Reads a log from its first batch to its last. `end` and the counts are known when `findings` has been used up."""

    def __init__(
        self, segments: list[SegmentFiles], known: Known, replay: Replay, whole_log: list[Witness], records: bool
    ) -> None:
        self.end = 0
        self.batches = 0
        self.records = 0
        self.gaps: list[Gap] = []
        self.compacted = False  # a batch shows it
        self._segments = segments
        self._known = known
        self._replay = replay
        self._whole_log = whole_log
        self._look_inside = records
        self._doubt: Doubt | None = None
        self._lost = False  # behind damage: which offsets it took is not known, nor what indexes say of it
        self._blind = False  # there is damage in this segment
        self._epoch = -1

    def findings(self) -> Iterator[Finding]:
        """Everything that is not as it should be. Raises OSError."""
        self.end = self._segments[0].base_offset if self._segments else 0
        for number, segment in enumerate(self._segments):
            yield from self._between(segment, first=number == 0)
            found = 0
            for finding in self._segment(segment):
                found += finding.path == segment.path
                if finding.path != segment.path or found <= MOST_PER_SEGMENT:
                    yield finding
            if found > MOST_PER_SEGMENT:
                yield Finding(segment.path, f"there is more of that, {found - MOST_PER_SEGMENT} times")
            last = number == len(self._segments) - 1
            if self._blind or self._doubt is not None or (last and self._known.running):
                continue
            for witness in (*segment.witnesses, segment.transactions):
                yield from witness.finish(Ends(self.end, segment.size, self._ahead(last)))
        if self._doubt is not None:
            yield self._torn(self._doubt)
        for witness in self._whole_log:
            yield from witness.finish(Ends(self.end, 0, self._ahead(True)))

    def _ahead(self, last: bool) -> bool:
        return last and not self._known.clean

    def _between(self, segment: SegmentFiles, first: bool) -> Iterator[Finding]:
        if segment.size and self._doubt is not None:
            doubt, self._doubt = self._doubt, None
            yield self._damaged(doubt)
        if segment.base_offset < self.end:
            yield Finding(
                segment.path,
                f"it begins below offset {self.end}, where the segment before it ends: the partition stays offline",
            )
        elif segment.base_offset > self.end and not first and not self._lost:
            self.gaps.append(Gap(segment.path, self.end, segment.base_offset))
        if segment.size > MAX_SEGMENT:
            yield Finding(segment.path, f"{segment.size} bytes are more than an index can point into (2^31 - 1)")
        self.end = max(self.end, segment.base_offset)
        self._lost = self._blind = False

    def _segment(self, segment: SegmentFiles) -> Iterator[Finding]:
        file = SystemDisk().open_read(str(segment.path))
        try:
            for found in walk(file, segment.size):
                if self._doubt is not None:
                    doubt, self._doubt = self._doubt, None
                    yield self._damaged(doubt)
                if isinstance(found, Hole):
                    self._doubt = Doubt(segment.path, found.position, found.size, self.end, found.reason)
                elif not found.crc_valid:
                    self._doubt = Doubt(
                        segment.path, found.position, found.header.size, self.end,
                        f"the CRC of the batch that says it has offsets {found.header.base_offset} to "
                        f"{found.header.last_offset} is wrong",
                    )  # fmt: skip
                else:
                    yield from self._batch(segment, found)
        finally:
            file.close()

    def _damaged(self, doubt: Doubt) -> Finding:
        self._lost = self._blind = True
        return Finding(
            doubt.path,
            f"{plural(doubt.size, 'byte')} from {doubt.position} on are no valid batch ({doubt.reason}), and more "
            "follows: the log is damaged in the middle, where nothing is ever cut",
        )

    def _torn(self, doubt: Doubt) -> Finding:
        where = f"the last {plural(doubt.size, 'byte')}, from {doubt.position} on, are no valid batch ({doubt.reason})"
        if self._known.running:
            return Finding(doubt.path, f"{where}: a batch is being written, or the log is torn", note=True)
        if self._known.clean:
            return Finding(doubt.path, f"{where}, although the last stop was a clean one: the log is damaged")
        if doubt.offset < (self._known.recovery_point or 0):
            return Finding(
                doubt.path,
                f"{where}, but everything below offset {self._known.recovery_point} had been synced: the log is "
                f"damaged from offset {doubt.offset} on, and the partition stays offline",
            )
        return Finding(
            doubt.path,
            f"{where}: the log is torn, as an unclean stop may leave it; the next start cuts them off, and keeps "
            f"everything below offset {doubt.offset}",
            note=True,
        )

    def _batch(self, segment: SegmentFiles, found: Stored) -> Iterator[Finding]:
        header, position = found.header, found.position
        base, last = header.base_offset, header.last_offset
        where = f"the batch at byte {position}"
        if base < self.end:
            before = f"offset {self.end - 1} came before it" if self.batches else f"the file begins with {self.end}"
            yield Finding(segment.path, f"{where} begins with offset {base}, but {before}: offsets do not ascend")
        elif base > self.end and not self._lost:
            self.gaps.append(Gap(segment.path, self.end, base))
        self._lost = False
        if last - segment.base_offset > MAX_RELATIVE_OFFSET:
            yield Finding(segment.path, f"{where} ends with offset {last}, too far from the file's name for an index")
        if header.partition_leader_epoch < self._epoch:
            yield Finding(
                segment.path,
                f"{where} is of leader epoch {header.partition_leader_epoch}, but epoch {self._epoch} came before it",
            )
        self._epoch = max(self._epoch, header.partition_leader_epoch)
        self.end = max(self.end, last + 1)
        self.batches += 1
        self.records += header.record_count
        if header.record_count <= header.last_offset_delta or header.delete_horizon is not None:
            self.compacted = True
        for witness in self._whole_log if self._blind else (*segment.witnesses, *self._whole_log):
            yield from witness.see(position, header)
        if header.has_producer_id:
            yield from self._producer(segment, found)
        if self._look_inside:
            yield from _inside(segment.path, found)

    def _producer(self, segment: SegmentFiles, found: Stored) -> Iterator[Finding]:
        header = found.header
        if not header.is_control:
            self._replay.apply(header)
            return
        try:
            marker: EndTxnMarker | None = end_marker(header, found.data)
        except KafkaError as error:
            yield Finding(segment.path, f"the control batch at byte {found.position} is unreadable: {error.message}")
            return
        if marker is not None:
            ended = self._replay.end(header, marker)
            whole = self._replay.complete and not self.compacted and not self.gaps
            if not self._blind:
                yield from segment.transactions.see_marker(header, marker, ended, whole)


def _inside(path: Path, found: Stored) -> Iterator[Finding]:
    """The records of a batch against its header."""
    header: BatchHeader = found.header
    where = f"the batch at byte {found.position}"
    count, before, largest = 0, header.base_offset - 1, -1
    try:
        for record in iter_records(found.data):
            if not before < record.offset <= header.last_offset:
                yield Finding(path, f"{where} has a record with offset {record.offset} after {before}")
                return
            count, before, largest = count + 1, record.offset, max(largest, record.timestamp)
    except KafkaError as error:
        yield Finding(path, f"the records of {where} cannot be read: {error.message}")
        return
    if count != header.record_count:
        yield Finding(path, f"{where} announces {plural(header.record_count, 'record')} and holds {count}")
    elif count and largest != header.max_timestamp and header.record_count > header.last_offset_delta:
        yield Finding(
            path, f"{where} says that its largest timestamp is {header.max_timestamp}, its records go up to {largest}"
        )
