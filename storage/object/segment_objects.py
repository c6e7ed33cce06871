"""Objects made from records that are in the log already: one run per log, with absolute offsets and an index.

A merge puts a log's many small runs side by side, as they are; a compaction puts there what has survived. Either way
the bytes are those of a segment file of Kafka's: dense or with gaps, offsets patched in, every batch with its own
checksum. What is smaller than a row can hold goes into its row, and an object of which nothing is left over is not
written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import BatchHeader
from storage.object.control_plane import INLINE_BYTES, LogName, LogSwap, NewRun, StoredRun
from storage.object.object_format import IndexBuilder, encode_footer
from storage.object.object_format import StoredRun as FooterRun


class Segment:
    """One log's batches on their way into an object, which stand for offsets [base_offset, last_offset]."""

    def __init__(self, base_offset: int, last_offset: int) -> None:
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.pieces: list[ReadableBuffer] = []
        self.latest = -1
        self.index = IndexBuilder(base_offset)

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self.index.length

    def add(self, header: BatchHeader, batch: ReadableBuffer) -> None:
        """The next batch, which says its offset."""
        latest = header.max_timestamp if header.record_count else -1
        self.index.add(header.base_offset, len(batch), latest)
        self.latest = max(self.latest, latest)
        self.pieces.append(batch)


class SegmentObject:
    """An object in the making; `key` is where it is put."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.pieces: list[ReadableBuffer] = []
        self.swaps: list[LogSwap] = []
        self.length = 0
        self._footer: list[FooterRun] = []

    def add(
        self, log_id: int, name: LogName, planned: Sequence[StoredRun], segment: Segment, forgotten: Iterable[int] = ()
    ) -> None:
        """A log's segment, which takes the place of the runs `planned`."""
        new = NewRun(segment.base_offset, segment.last_offset, self.length, segment.length, segment.latest)
        if segment.length <= INLINE_BYTES:
            new = new._replace(position=0, inline=b"".join(segment.pieces))
        else:
            self._footer.append(
                FooterRun(
                    name.topic,
                    name.topic_id,
                    name.partition,
                    self.length,
                    segment.length,
                    segment.base_offset,
                    segment.last_offset + 1 - segment.base_offset,
                    segment.latest,
                    segment.index.index(),
                )
            )
            self.pieces += segment.pieces
            self.length += segment.length
        self.swaps.append(LogSwap(log_id, planned, [new], list(forgotten)))

    def finish(self) -> int:
        """Put the footer behind; the object's size, 0 if everything is inline and there is no object to be put."""
        if not self._footer:
            return 0
        footer = encode_footer(self._footer)
        self.pieces.append(footer)
        return self.length + len(footer)
