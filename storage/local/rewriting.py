"""Rewriting segments of a compacted log: the part of a cleaning that takes time. Synchronous, and alone with itself.

A `Rewriter` is made from a `Job`, which is plain data, and a disk. It touches nothing but the closed segments that the
job names, which never change, and files that end in `.cleaned`; so it can do its work in a thread or in another process
while the log is written and read. Which records survive is decided by `storage/compaction.py`; what this adds is
reading, writing and indexes.

One segment comes out of each group of neighbours. It is written beside them, synced with its indexes, and left for its
owner to put in place (`swapping.py`). Where all batches of a single segment survive, nothing is written at all.

Batches that survive as they are go from the read buffer to the file without being taken apart, neighbours in one piece.
Where none does, an empty one holds the place: a segment of no bytes is one that is about to be written.

Source: org.apache.kafka.storage.internals.log.Cleaner.{cleanSegments, cleanInto, buildOffsetMap}.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, MAGIC, BatchHeader, header_at, read_header
from kproto.batches.record_spans import place_holder
from kproto.errors import KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.compaction import MAX_RELATIVE_OFFSET, Compaction, LastOfProducer, Source
from storage.local import transaction_index
from storage.local.descriptors import Descriptors
from storage.local.segment import Corrupt, IndexBuilder, Segment, file_name
from storage.seams.disk import Disk, File
from storage.seams.pacing import Pace

CLEANED: Final = ".cleaned"
"""What the names of unfinished files end in."""

MAX_POSITION: Final = 2**31 - 1
"""Bytes of a segment: an index has 32 bits for them."""

SYNC_BYTES: Final = 8 << 20
"""Written between two syncs: what the disk has to bring home at once should not hold up others' small syncs."""


class Job(NamedTuple):
    """One cleaning of one log: what a `Rewriter` needs to know. Times in milliseconds since 1970."""

    directory: str
    sources: tuple[Source, ...]  # every segment below `upto`, oldest first
    first_dirty: int
    upto: int
    now: int
    delete_retention_ms: int
    index_interval_bytes: int
    aborted: tuple[CompletedTransaction, ...]
    producers: Mapping[int, LastOfProducer]
    memory: int  # bytes, for keys
    load_factor: float
    buffer_size: int


class Rewritten(NamedTuple):
    """The segment that has been made of `sources`, under its unfinished name."""

    sources: tuple[int, ...]  # their base offsets; the first one is the new segment's as well
    size: int
    max_timestamp: int
    max_timestamp_offset: int
    aborted: tuple[CompletedTransaction, ...]  # what its transaction index holds


class CleanedSegment(Segment):
    """A segment under its unfinished name."""

    __slots__ = ()

    def path(self, suffix: str) -> str:
        return super().path(suffix) + CLEANED


class Stopped(Exception):
    """The rewriting was called off."""


class Uncleanable(Exception):
    """A log holds something that cannot be read; the message says what and where."""


class Workshop:
    """Rewrites one log after another: what a thread or process of its own is opened with, and kept for many logs.

    Starting a process takes longer than cleaning a small log, so it is started once and given job after job. `begin`
    takes a job; `learn` and `rewrite` are about it; the next `begin`, or `end`, lets go of its keys.
    """

    def __init__(self, disk: Disk, bytes_per_second: float) -> None:
        self._disk = disk
        self._pace = Pace(bytes_per_second)
        self._rewriter: Rewriter | None = None

    def begin(self, job: Job) -> int:
        """Take a job and learn its keys: see `Rewriter.learn`."""
        self._rewriter = Rewriter(self._disk, job, self._pace)
        return self._rewriter.learn()

    def rewrite(self, group: Sequence[Source]) -> Rewritten | None:
        """See `Rewriter.rewrite`."""
        assert self._rewriter is not None, "a job was begun"
        return self._rewriter.rewrite(group)

    def end(self) -> int:
        """The job is over; what was learned for it is forgotten. Returns how many dirty batches could not be read."""
        assert self._rewriter is not None, "a job was begun"
        unreadable, self._rewriter = self._rewriter.unreadable, None
        return unreadable

    def stop(self) -> None:
        """From another thread: end what is under way with `Stopped`, as soon as possible."""
        if self._rewriter is not None:
            self._rewriter.stop()


class Rewriter:
    """Cleans one log as far as a thread or process of its own can."""

    def __init__(self, disk: Disk, job: Job, pace: Pace) -> None:
        self._disk = disk
        self._job = job
        self._pace = pace
        self._buffer = bytearray(max(job.buffer_size, 4096))
        self._compaction = Compaction(
            first_dirty=job.first_dirty,
            upto=job.upto,
            now=job.now,
            delete_retention_ms=job.delete_retention_ms,
            aborted=job.aborted,
            producers=job.producers,
            memory=job.memory,
            load_factor=job.load_factor,
        )
        self._stopped = False
        self.bytes_read = 0

    def stop(self) -> None:
        """From another thread: end with `Stopped` as soon as possible."""
        self._stopped = True

    @property
    def unreadable(self) -> int:
        """How many batches stay as they are because their records cannot be read."""
        return len(self._compaction.unreadable)

    def learn(self) -> int:
        """The first pass. Returns the offset up to which this cleaning goes. Raises Uncleanable, OSError, Stopped."""
        try:
            return self._learn()
        except (Corrupt, KafkaError) as error:
            raise Uncleanable(f"{self._job.directory}: {error}") from error

    def rewrite(self, group: Sequence[Source]) -> Rewritten | None:
        """The second pass over `group`, which has to follow the one asked about before. None: nothing would change.

        Raises Uncleanable, OSError, Stopped; what has been written by then is of no use.
        """
        try:
            return self._rewrite(group)
        except (Corrupt, KafkaError) as error:
            raise Uncleanable(f"{self._job.directory}: {error}") from error

    def _learn(self) -> int:
        sources = self._job.sources
        for number, source in enumerate(sources):
            if number + 1 < len(sources) and sources[number + 1].base_offset <= self._job.first_dirty:
                continue
            for _, view, batches in self._read(source):
                for at, header in batches:
                    if not self._compaction.learn(header, view[at : at + LOG_OVERHEAD + header.batch_length]):
                        return self._compaction.end
        self._compaction.learned_all()
        return self._compaction.end

    def _rewrite(self, group: Sequence[Source]) -> Rewritten | None:
        judge = self._compaction.judge_batch
        output = _Output(self._disk, self._job, group[0].base_offset, self._pace)
        if len(group) > 1:
            output.begin()
        last: BatchHeader | None = None
        for source in group:
            for position, view, batches in self._read(source):
                _, last = batches[-1]
                for at, header in batches:
                    end = at + LOG_OVERHEAD + header.batch_length
                    batch = view[at:end]
                    result = judge(header, batch)
                    is_alone = len(group) == 1 and position == at == 0 and source.size == end
                    if result is batch or (is_alone and not header.record_count and header.producer_id < 0):
                        output.keep(header, view, at, end)
                        continue
                    if not output.begun:
                        self._copy_front(source, position + at, output)
                    if result is not None:
                        output.put(result)
                output.flush()
        if not output.begun:
            return None
        if not output.size and last is not None:
            output.put(place_holder(last))
            output.flush()
        base_offset, end_offset = group[0].base_offset, self._end_of(group)
        aborted = self._compaction.take_aborted(base_offset, end_offset)
        modified = self._disk.modified_millis(self._path(group[-1]))
        return output.finish(tuple(source.base_offset for source in group), aborted, modified)

    def _path(self, source: Source) -> str:
        return f"{self._job.directory}/{file_name(source.base_offset, '.log')}"

    def _end_of(self, group: Sequence[Source]) -> int:
        """The offset after the last one of a group."""
        following = [source.base_offset for source in self._job.sources if source.base_offset > group[-1].base_offset]
        return min(following, default=self._job.upto)

    def _copy_front(self, source: Source, size: int, output: _Output) -> None:
        """So far nothing was changed, and nothing written: write the first `size` bytes of the segment now."""
        output.begin()
        for _, view, batches in self._read(source._replace(size=size), own_buffer=True):
            for at, header in batches:
                output.keep(header, view, at, at + LOG_OVERHEAD + header.batch_length)
            output.flush()

    def _read(
        self, source: Source, *, own_buffer: bool = False
    ) -> Iterator[tuple[int, memoryview, list[tuple[int, BatchHeader]]]]:
        """A segment piece by piece: where in the file a piece begins, its bytes, and where in these batches begin.

        The bytes are good until the next piece. Raises Corrupt, OSError, Stopped.
        """
        path = self._path(source)
        buffer = bytearray(len(self._buffer)) if own_buffer else self._buffer
        file = self._disk.open_read(path)
        position, least = 0, source.base_offset
        farthest = least + MAX_RELATIVE_OFFSET
        try:
            while position < source.size:
                if self._stopped:
                    raise Stopped
                wanted = min(len(buffer), source.size - position)
                view = memoryview(buffer)[:wanted]
                got = file.read_into(position, view)
                self.bytes_read += got
                self._pace.spend(got)
                batches: list[tuple[int, BatchHeader]] = []
                at, length = 0, HEADER_SIZE
                while at + HEADER_SIZE <= got:
                    header = header_at(buffer, at)
                    length = LOG_OVERHEAD + header.batch_length
                    if header.magic != MAGIC or length < HEADER_SIZE or position + at + length > source.size:
                        raise Corrupt(path, position + at, "magic or length is wrong")
                    if (
                        header.last_offset_delta < 0
                        or not least <= header.base_offset <= farthest - header.last_offset_delta
                    ):
                        raise Corrupt(path, position + at, f"offset {header.base_offset} cannot follow {least - 1}")
                    if at + length > got:
                        break
                    batches.append((at, header))
                    least = header.base_offset + header.last_offset_delta + 1
                    at += length
                if not batches:
                    if got < wanted or length <= wanted:
                        raise Corrupt(path, position, f"only {got} bytes are left")
                    buffer = bytearray(length)  # a batch larger than the buffer
                    continue
                yield position, view, batches
                position += at
        finally:
            file.close()


class _Output:
    """A segment in the making."""

    def __init__(self, disk: Disk, job: Job, base_offset: int, pace: Pace) -> None:
        self._disk = disk
        self._pace = pace
        self._segment = CleanedSegment(disk, Descriptors(1), job.directory, base_offset, 0)
        self._indexes = IndexBuilder(self._segment, job.index_interval_bytes)
        self._parts: list[ReadableBuffer] = []
        self._run = (0, 0)  # of the buffer being kept from, the piece that has not become a part yet
        self._view = memoryview(b"")
        self.size = self._written = self._synced = 0
        self._file: File | None = None

    @property
    def begun(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def begin(self) -> None:
        """Make the file, without anything that an earlier attempt has left in it."""
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            self._disk.remove(self._segment.path(suffix))
        self._file = self._disk.open(self._segment.path(".log"), create=True)

    def keep(self, header: BatchHeader, view: memoryview, at: int, end: int) -> None:
        """A batch that stays as it is, `view[at:end]`. Nothing happens before `begin`."""
        if self._file is None:
            return
        if self._view is not view or self._run[1] != at:
            self._close_run()
            self._view, self._run = view, (at, at)
        self._run = self._run[0], end
        self._note(header, end - at)

    def put(self, batch: ReadableBuffer) -> None:
        """A batch in place of another."""
        self._close_run()
        self._parts.append(batch)
        self._note(read_header(batch), len(batch))

    def _close_run(self) -> None:
        first, end = self._run
        if first < end:
            self._parts.append(self._view[first:end])
        self._run = (0, 0)

    def _note(self, header: BatchHeader, size: int) -> None:
        self._indexes.add(self.size, header)
        self.size += size

    def flush(self) -> None:
        """Write what was put: the buffers it came from are about to be used again."""
        self._close_run()
        if not self._parts:
            return
        assert self._file is not None
        if self.size > MAX_POSITION:
            raise OSError(errno.EFBIG, "a segment would become larger than its index can tell", self._segment.path(""))
        self._file.write_all(self._written, self._parts)
        self._parts = []
        self._pace.spend(self.size - self._written)
        self._written = self.size
        if self._written - self._synced >= SYNC_BYTES:
            self._file.datasync()
            self._synced = self._written

    def finish(self, sources: tuple[int, ...], aborted: Sequence[CompletedTransaction], modified: int) -> Rewritten:
        """Bring everything to the platter, the names excepted. The file counts as `modified` when its last source was,
        for retention goes by that where records have no time."""
        assert self._file is not None
        self._file.datasync()
        self._file.close()
        segment = self._segment
        self._disk.set_modified_millis(segment.path(".log"), modified)
        self._indexes.finish()
        suffixes = [".index", ".timeindex"]
        if aborted:
            self._disk.write_file(segment.path(".txnindex"), transaction_index.encode(aborted))
            suffixes.append(".txnindex")
        for suffix in suffixes:
            file = self._disk.open(segment.path(suffix))
            file.datasync()
            file.close()
        return Rewritten(
            sources,
            self.size,
            segment.max_timestamp,
            segment.max_timestamp_offset,
            tuple(aborted),
        )
