"""One segment: a `.log` file of batches one behind the other, and its indexes.

The last segment of a log is written, the others only read. Everything a reader needs here may be asked for in a worker
thread while the event loop appends, so it is either replaced whole or only grows: `size` is raised after the bytes are
in the file, `recent` is one tuple of two arrays.

**Finding an offset.** Batches appended since the log was opened are remembered (`recent`, the last thousand or so): a
consumer that follows the end of the log, or reads on from where it was, costs one bisection. Otherwise the offset index
says where to start, and batch headers are read from there, a few kilobytes at most. Nothing else of a batch is read.

**Indexes are caches.** An entry names a batch, and the first header read must be that batch: if not, the index is
damaged (`DamagedIndex`) and the caller has it rebuilt. A wrong index can cost time; it cannot give a wrong answer.
"""

from __future__ import annotations

import errno
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, MAGIC, BatchHeader, header_at
from storage.local.descriptors import Descriptors
from storage.local.index_file import DamagedIndex, WouldWait, read
from storage.local.offset_index import Indexed, OffsetIndex
from storage.local.seen_times import SeenTimes
from storage.local.time_index import Timed, TimeIndex
from storage.seams.disk import Disk, File

NOTHING: Final = b""

MAX_RECENT: Final = 1024
"""Batches remembered per log being written; the older half goes when there are more."""

SCAN_BYTES: Final = 4096
"""Read at a time when looking for a header: about the distance of two index entries."""

WARM_BYTES: Final = 4 << 20
"""Where the system does not say what is in memory, this much of what was written last is taken to be."""

MOST_SKIMMED: Final = 128 << 10
"""Bytes of batches whose headers an opening log reads only to learn the largest timestamp."""

MAX_RELATIVE_OFFSET: Final = 2**31 - 1

HEADERS_A_PAUSE: Final = 512
"""Headers that are read from one pause to the next: half a millisecond."""


class Corrupt(Exception):
    """There is no batch where one should be. `position` is in bytes from the start of the file."""

    def __init__(self, path: str, position: int, reason: str) -> None:
        super().__init__(f"{path}: no record batch at byte {position}: {reason}")
        self.path = path
        self.position = position


class FileSlice:
    """Bytes of a segment: what a fetch answers with. Its file stays open as long as it lives (RecordSlice).

    `more` is True if the next segment goes on where the slice ends.
    """

    __slots__ = ("file", "length", "more", "position", "segment", "warm")

    def __init__(self, segment: Segment, file: File, position: int, length: int, warm: bool | None, more: bool) -> None:
        self.segment = segment
        self.more = more
        self.file = file
        self.position = position
        self.length = length
        self.warm = warm  # None: ask the file

    def __len__(self) -> int:
        return self.length

    def fileno(self) -> int | None:
        return self.file.fileno()

    def read(self) -> bytes:
        return self.file.read(self.position, self.length)

    def is_resident(self) -> bool:
        """Whether the bytes can be had without waiting, by the first and the last of them."""
        if self.warm is not None:
            return self.warm
        read_now = self.file.read_now
        last = read_now(self.position + self.length - 1, 1)
        if last == NOTHING:
            raise OSError(errno.ESTALE, "the segment ends before its last batch: it has been cut")
        return last is not None and read_now(self.position, 1) is not None


def paced(
    batches: Iterator[tuple[int, BatchHeader]], pause: Callable[[], None] | None
) -> Iterator[tuple[int, BatchHeader]]:
    """The same headers, with a pause every now and then."""
    if pause is None:
        yield from batches
        return
    for number, batch in enumerate(batches, 1):
        yield batch
        if not number % HEADERS_A_PAUSE:
            pause()


def places_of_names(directory: str) -> list[str]:
    """The directories in which a log's names lie: its own, and that one's parent. Both are to be synced with what a
    killed process has left: its files are in the page cache, and so are their names."""
    return [directory, directory.rpartition("/")[0]]


def file_name(offset: int, suffix: str) -> str:
    """Kafka's name of a file that belongs to the segment, or snapshot, at `offset`."""
    return f"{offset:020d}{suffix}"


class Segment:
    """One segment of a log. `size` bytes of it are batches, all of them synced as far as its maker knows.

    `created` is when it was made (wall clock, milliseconds); 0 if nothing depends on it. A maker that knows the batches
    gives `newest`: the largest timestamp, and the last offset of the first batch that has it; -1 twice if no record has
    a timestamp. Attributes are for reading; only methods of the segment change them.
    """

    __slots__ = (
        "_descriptors", "_directory", "_disk", "_file", "_learned", "base_offset", "created", "first_timestamp", "full",
        "held",
        "max_timestamp", "max_timestamp_offset", "offset_index", "recent", "seen", "size", "synced_size", "time_index",
        "timestamps_known", "unindexed_bytes", "used", "warm_from",
    )  # fmt: skip

    def __init__(
        self,
        disk: Disk,
        descriptors: Descriptors,
        directory: str,
        base_offset: int,
        size: int,
        *,
        created: int = 0,
        newest: tuple[int, int] | None = None,
    ) -> None:
        self._disk = disk
        self._descriptors = descriptors
        self._directory = directory
        self._file: File | None = None
        self.base_offset = base_offset
        self.size = size
        self.synced_size = size
        self.offset_index = OffsetIndex(disk, self.path(".index"), base_offset)
        self.time_index = TimeIndex(disk, self.path(".timeindex"), base_offset)
        self.recent: tuple[array[int], array[int]] = array("q"), array("q")
        self.seen = SeenTimes()
        """What look-ups have found out about the times of records."""
        self.unindexed_bytes = 0
        self.full = False  # an index can take no more entries
        self.used = False
        self.held = False  # has to be readable without its files' names
        self.warm_from = size
        self.created = created  # wall clock, milliseconds
        self.first_timestamp = -1  # of the first batch; known of the segment that is being written
        # The largest timestamp, and the last offset of the first batch that has it.
        self.max_timestamp, self.max_timestamp_offset = newest or (-1, -1)
        self.timestamps_known = size == 0 or newest is not None
        self._learned: tuple[int, int] | None = None  # the same two, of what was there before this was opened

    def __repr__(self) -> str:
        return f"<Segment {self.path('.log')} {self.size} bytes>"

    def path(self, suffix: str) -> str:
        """The path of one of this segment's files."""
        return f"{self._directory}/{file_name(self.base_offset, suffix)}"

    def owns(self, path: str) -> bool:
        """Whether `path` is one of this segment's files."""
        return path.startswith(self.path("."))

    def was_used(self) -> bool:
        """Whether the file was asked for since the last call."""
        used, self.used = self.used, False
        return used

    # -- the file ------------------------------------------------------------------------------------------------------

    @property
    def file(self) -> File:
        """The `.log` file, to read. Where too many are open it is closed when the caller lets go of it."""
        self.used = True
        if self._file is not None:
            return self._file
        file = self._disk.open(self.path(".log"))
        return self._keep(file) if self._descriptors.has_room else file

    @property
    def written_file(self) -> File:
        """The `.log` file, to write: it stays open until what is written has been synced."""
        self.used = True
        return self._file or self._keep(self._disk.open(self.path(".log")))

    @property
    def open_file(self) -> File | None:
        """The `.log` file if it is open: always so if this process has written to it since it was last synced."""
        return self._file

    def create(self) -> None:
        """Make the `.log` file. Its name is durable once the directory is synced."""
        self._keep(self._disk.open(self.path(".log"), create=True))
        self.offset_index.file.start_empty()
        self.time_index.file.start_empty()

    def _keep(self, file: File) -> File:
        if self._file is None:  # another thread may have opened it meanwhile, and the one that is written to must stay
            self._file = file
            self._descriptors.opened(self)
        return self._file

    def release(self) -> bool:
        """Let go of the file; not of one with unsynced bytes, as the kernel reports their errors on this descriptor."""
        if self.held or (self.synced_size < self.size and self._file is not None):
            return False
        self._file = None
        return True

    def hold(self) -> None:
        """Stay readable although the files are about to be renamed (waits for the disk).

        Raises OSError, DamagedIndex.
        """
        self.held = True
        self._keep(self.file)
        self.offset_index.file.hold()
        self.time_index.file.hold()

    def unhold(self) -> None:
        """The files keep their names after all: the segment need not stay readable without them."""
        self.held = False

    def note_synced(self, size: int) -> None:
        """The first `size` bytes are on the platter."""
        self.synced_size = max(self.synced_size, size)

    def unsynced_from(self, position: int) -> None:
        """Recovery has read the bytes from `position` on, which may be in memory only."""
        self.synced_size = min(position, self.size)

    def end_at(self, position: int) -> None:
        """What lies from `position` on is torn, and does not count any more. The file itself is cut later."""
        self.size = position
        self.warm_from = min(self.warm_from, position)

    def put_away(self) -> None:
        """Let go of the file: it is read through, or written no more and synced. One that is held stays."""
        if not self.held:
            self._file = None
            self._descriptors.forget(self)

    def remove_files(self) -> None:
        """Remove the segment from the disk."""
        self._file = None
        self.synced_size = self.size
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            self._disk.remove(self.path(suffix))

    # -- writing -------------------------------------------------------------------------------------------------------

    def note(self, header: BatchHeader, base_offset: int, position: int, index_interval: int, index_limit: int) -> None:
        """A batch has been written at `position`, the end of the file: keep indexes and memory up with it."""
        last_offset = base_offset + header.last_offset_delta
        timestamp = header.max_timestamp
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
            self.max_timestamp_offset = last_offset
        if position == 0:
            self.first_timestamp = timestamp
        if self.unindexed_bytes > index_interval:
            self.offset_index.append(last_offset, position)
            if self.timestamps_known:  # an entry says that everything before it is older
                self.time_index.append_if_newer(*self._newest())
            self.unindexed_bytes = 0
            if 8 * (len(self.offset_index) + 1) > index_limit or 12 * (len(self.time_index) + 2) > index_limit:
                self.full = True
        size = LOG_OVERHEAD + header.batch_length
        self.unindexed_bytes += size
        offsets, positions = self.recent
        if len(offsets) >= MAX_RECENT:
            offsets, positions = offsets[MAX_RECENT // 2 :], positions[MAX_RECENT // 2 :]
            self.recent = offsets, positions
        positions.append(position)  # first: a reader in another thread goes by the offsets
        offsets.append(base_offset)
        self.size = position + size

    def flush_indexes(self) -> None:
        """Bring what the indexes have in memory to their files, which goes to the page cache. Raises OSError."""
        self.offset_index.file.flush()
        self.time_index.file.flush()

    def finish(self) -> None:
        """Nothing more will be written: bring the indexes to their files, as Kafka leaves those of a closed segment."""
        if self.timestamps_known:
            self.time_index.append_if_newer(*self._newest())
        self.offset_index.file.finish()
        self.time_index.file.finish()

    # -- finding -------------------------------------------------------------------------------------------------------

    def find(self, offset: int, *, wait: bool = True) -> int:
        """Where the batch with `offset` begins, or the next one if there is none; `size` when all end before.

        Raises WouldWait, DamagedIndex, Corrupt.
        """
        offsets, positions = self.recent
        if offsets and offset >= offsets[0]:
            return positions[bisect_right(offsets, offset) - 1]
        for position, header in self.headers_from(offset, wait=wait):
            if header.base_offset + header.last_offset_delta >= offset:
                return position
        return self.size

    def headers_from(self, offset: int, *, wait: bool = True) -> Iterator[tuple[int, BatchHeader]]:
        """Batches from somewhere at or before the one with `offset`: as near before it as the index knows."""
        yield from self._headers_at(self.offset_index.lookup(offset, wait=wait), wait)

    def headers_near(self, position: int, *, wait: bool = True) -> Iterator[tuple[int, BatchHeader]]:
        """Batches from one that begins at `position` or before: as near before it as the index knows."""
        yield from self._headers_at(self.offset_index.before(position, wait=wait), wait)

    def _headers_at(self, indexed: Indexed | None, wait: bool) -> Iterator[tuple[int, BatchHeader]]:
        """Batches from an entry of the index on, or all. Raises DamagedIndex where that is not the batch it says."""
        if indexed is None:
            yield from self.headers(0, wait=wait)
            return
        if not 0 <= indexed.position < self.size:
            raise DamagedIndex(self.path(".index"))
        try:
            found = False
            for position, header in self.headers(indexed.position, wait=wait):
                if not found and header.base_offset + header.last_offset_delta != indexed.last_offset:
                    raise DamagedIndex(self.path(".index"))
                found = True
                yield position, header
        except Corrupt:
            if found:
                raise
            raise DamagedIndex(self.path(".index")) from None

    def headers(self, position: int, *, wait: bool = True) -> Iterator[tuple[int, BatchHeader]]:
        """(position, header) of each batch from `position`, where one must begin, to the end as it is now.

        Raises Corrupt where there is no batch, WouldWait.
        """
        file, size = self.file, self.size
        amount = SCAN_BYTES
        least = self.base_offset
        farthest = least + MAX_RELATIVE_OFFSET
        while position < size:
            start = position
            block = read(file, start, min(amount, size - start), wait)
            limit = len(block) - HEADER_SIZE
            if limit < 0:
                raise Corrupt(self.path(".log"), start, f"only {len(block)} bytes are left")
            while position - start <= limit:
                header = header_at(block, position - start)
                following = position + LOG_OVERHEAD + header.batch_length
                if header.magic != MAGIC or header.batch_length < HEADER_SIZE - LOG_OVERHEAD or following > size:
                    raise Corrupt(self.path(".log"), position, "magic or length is wrong")
                if (
                    header.last_offset_delta < 0
                    or not least <= header.base_offset <= farthest - header.last_offset_delta
                ):
                    raise Corrupt(self.path(".log"), position, f"offset {header.base_offset} cannot follow {least - 1}")
                yield position, header
                least = header.base_offset + header.last_offset_delta + 1
                position = following
            amount = SCAN_BYTES if position - start < 2 * SCAN_BYTES else HEADER_SIZE

    def position_at(self, offset: int) -> int:
        """Where the last indexed batch begins that ends at `offset` or before; 0 if the index knows none."""
        entry = self.offset_index.lookup(offset)
        return 0 if entry is None or entry.position < 0 else entry.position

    def offset_beyond(self, position: int, *, wait: bool = True) -> int | None:
        """The first offset of which no byte lies before `position`; None when all do.

        Raises WouldWait, DamagedIndex, Corrupt.
        """
        if position >= self.size:
            return None
        offsets, positions = self.recent
        if positions and position >= positions[0]:
            index = bisect_left(positions, position)
            return offsets[index] if index < len(offsets) else None
        for begin, header in self.headers_near(position, wait=wait):
            if begin >= position:
                return header.base_offset
        return None

    def read_batch(self, position: int, header: BatchHeader) -> bytes:
        """The whole batch at `position`."""
        return self.file.read(position, LOG_OVERHEAD + header.batch_length)

    def slice(self, position: int, end: int, more: bool = False) -> FileSlice:
        """The bytes from `position` to `end`. `more`: the next segment goes on there."""
        warm = None
        if not self._disk.tells_residency:
            warm = position >= self.warm_from and position >= self.size - WARM_BYTES
        return FileSlice(self, self.file, position, end - position, warm, more)

    # -- timestamps ----------------------------------------------------------------------------------------------------

    def _newest(self) -> tuple[int, int]:
        noted, learned = (self.max_timestamp, self.max_timestamp_offset), self._learned
        if learned is not None and (learned[0], -learned[1]) > (noted[0], -noted[1]):
            return learned
        return noted

    def learn_first_timestamp(self) -> None:
        """Read the first batch's timestamp from the file (waits for the disk). Raises Corrupt.

        If it has none, the segment counts as made when it was last written, for it was not made later.
        """
        for _, header in self.headers(0):
            self.first_timestamp = header.max_timestamp
            if self.first_timestamp < 0:
                self.created = self._disk.modified_millis(self.path(".log"))
            return

    def find_end(self) -> int:
        """The offset after the last one, if the indexes are those of a closed segment (waits for the disk).

        Learns the largest timestamp on the way. The last entry of a closed segment's time index is its largest
        timestamp, so no batch behind that one is younger. If one is, entries are missing; going on from there would
        write down that everything before was older, which it is not. When that entry's batch is far from the end, the
        upkeep finds out later. Raises DamagedIndex, Corrupt.
        """
        last, timed = self.offset_index.last, self.time_index.last
        start = last.last_offset if last is not None else self.base_offset
        newest, newest_offset = timed if timed is not None else (-1, -1)
        near = self.size - self.position_at(newest_offset) <= MOST_SKIMMED
        if near and last is not None:
            start = min(start, newest_offset) if timed is not None else self.base_offset
        end, found = start, timed is None
        for _, header in self.headers_from(start):
            end = header.base_offset + header.last_offset_delta + 1
            if timed is not None and end - 1 == timed.last_offset:
                found = header.max_timestamp == timed.timestamp
            if header.max_timestamp > newest:
                if near:
                    raise DamagedIndex(self.path(".timeindex"))
                newest, newest_offset = header.max_timestamp, end - 1
        if near and not found:
            raise DamagedIndex(self.path(".timeindex"))
        self.max_timestamp, self.max_timestamp_offset = newest, newest_offset
        self.timestamps_known = near
        self.unindexed_bytes = self.size - (last.position if last is not None else 0)
        return end

    def learn_timestamps(self, pause: Callable[[], None] | None = None) -> tuple[int, int]:
        """The largest timestamp, and the last offset of the first batch that has it; -1 twice if no record has one.

        Waits for the disk; the indexes may be damaged, the answer is not. Kafka's rule: the time index is right up to
        its last entry's batch, the batches behind it are looked at. What is appended meanwhile is noted elsewhere, so
        this may be asked in a thread; `pause` is called now and then.
        """
        if self.timestamps_known:
            return self._newest()
        best, best_offset = -1, -1
        trusted = False
        try:
            last = self.time_index.last
            if last is not None:
                for _, header in paced(self.headers_from(last.last_offset), pause):
                    end = header.base_offset + header.last_offset_delta
                    if end == last.last_offset and header.max_timestamp == last.timestamp:
                        trusted = True
                        best, best_offset = last.timestamp, last.last_offset
                    if trusted and header.max_timestamp > best:
                        best, best_offset = header.max_timestamp, end
                    if end > last.last_offset and not trusted:
                        break
        except DamagedIndex:
            trusted = False
        if not trusted:
            best, best_offset = -1, -1
            for _, header in paced(self.headers(0), pause):
                if header.max_timestamp > best:
                    best, best_offset = header.max_timestamp, header.base_offset + header.last_offset_delta
        self._learned = best, best_offset
        self.timestamps_known = True
        return self._newest()

    def newest(self) -> int:
        """The largest timestamp; if no record has one, when the file was last written (waits for the disk)."""
        newest, _ = self.learn_timestamps()
        return newest if newest >= 0 else self._disk.modified_millis(self.path(".log"))

    def headers_since(self, entry: Timed | None) -> Iterator[tuple[int, BatchHeader]]:
        """Batches from that of an entry of the time index on (waits for the disk). Raises DamagedIndex."""
        checked = entry is None
        for position, header in self.headers_from(entry.last_offset if entry is not None else self.base_offset):
            if entry is not None and not checked:
                end = header.base_offset + header.last_offset_delta
                if end < entry.last_offset:
                    continue
                if end != entry.last_offset or header.max_timestamp != entry.timestamp:
                    raise DamagedIndex(self.path(".timeindex"))
                checked = True
            yield position, header
        if not checked:
            raise DamagedIndex(self.path(".timeindex"))

    # -- rebuilding ----------------------------------------------------------------------------------------------------

    def rebuild_indexes(self, index_interval: int, check: Callable[[BatchHeader], object] | None = None) -> int:
        """Rebuild both indexes from the batches; returns the offset after the last one. Raises Corrupt."""
        builder = IndexBuilder(self, index_interval)
        for position, header in self.headers(0):
            builder.add(position, header)
            if check is not None:
                check(header)
        builder.finish()
        return builder.end_offset

    def adopt_indexes(
        self,
        offsets: list[tuple[int, int]],
        times: list[tuple[int, int]],
        *,
        newest: tuple[int, int],
        timestamps_known: bool,
        unindexed_bytes: int,
    ) -> None:
        """Replace the index files by these entries, and what is known of the batches by what is given."""
        self.offset_index.replace(offsets)
        self.time_index.replace(times)
        self.max_timestamp, self.max_timestamp_offset = newest
        self.timestamps_known = timestamps_known
        self.unindexed_bytes = unindexed_bytes


class IndexBuilder:
    """Index entries of a segment as its batches go by, as they would have been made when these were appended.

    With `keep_below`, the entries of batches that begin before that position are taken over from the present indexes.
    """

    __slots__ = (
        "_interval", "_keep_below", "_known", "_offsets", "_segment", "_timed_offset", "_times", "_unindexed",
        "end_offset", "max_offset", "max_timestamp",
    )  # fmt: skip

    def __init__(self, segment: Segment, index_interval: int, keep_below: int = 0) -> None:
        self._segment = segment
        self._interval = index_interval
        self._offsets: list[tuple[int, int]] = []
        self._times: list[tuple[int, int]] = []
        self._timed_offset = -1
        self._unindexed = 0
        self.end_offset = segment.base_offset
        self.max_timestamp = -1
        self.max_offset = -1
        self._keep_below = keep_below
        self._known = True  # what the largest timestamp is; without that there can be no entries in the time index

    def skim(self) -> None:
        """Take over the entries of batches below `keep_below`, and learn what else must be known of these.

        Of the time index any prefix may have reached the file. So headers are read again from the batch of its last
        entry: an entry says that everything before is older, and that has to be true of the next one too. If that would
        be far, the time index gets no entries for now.
        """
        if not self._keep_below:
            return
        segment, base = self._segment, self._segment.base_offset
        self._offsets = [
            (base + entry[0], entry[1])
            for entry in segment.offset_index.file.entries()
            if 0 <= entry[1] < self._keep_below
        ]
        last_offset, position = self._offsets[-1] if self._offsets else (-1, 0)
        self._unindexed = self._keep_below - position
        times = [(entry[0], base + entry[1]) for entry in segment.time_index.file.entries()]
        times = [entry for entry in times if entry[1] <= last_offset]
        skimmed = None
        if self._keep_below - segment.position_at(times[-1][1] if times else base) > MOST_SKIMMED:
            self._known = False
            skimmed = times[-1] if times else (-1, -1)
        elif times:
            skimmed = self._skim_from(times[-1])
        if skimmed is None:
            times, skimmed = [], self._skim_from(None)
        assert skimmed is not None
        self._times = times
        self._timed_offset = times[-1][1] if times else -1
        self.max_timestamp, self.max_offset = skimmed

    def _skim_from(self, entry: tuple[int, int] | None) -> tuple[int, int] | None:
        """The largest timestamp below `keep_below` and where it is, by `entry` and what follows it.

        None when there is no such batch as `entry` names.
        """
        segment = self._segment
        newest = entry if entry is not None else (-1, -1)
        found = entry is None
        try:
            batches = segment.headers(0) if entry is None else segment.headers_from(entry[1])
            for position, header in batches:
                if position >= self._keep_below:
                    break
                last_offset = header.base_offset + header.last_offset_delta
                if entry is not None and last_offset == entry[1]:
                    found = header.max_timestamp == entry[0]
                if header.max_timestamp > newest[0]:
                    newest = header.max_timestamp, last_offset
        except DamagedIndex:
            return None
        return newest if found else None

    def add(self, position: int, header: BatchHeader) -> None:
        """The next batch."""
        last_offset = header.base_offset + header.last_offset_delta
        if header.max_timestamp > self.max_timestamp:
            self.max_timestamp, self.max_offset = header.max_timestamp, last_offset
        if self._unindexed > self._interval:
            self._offsets.append((last_offset, position))
            self._time()
            self._unindexed = 0
        self._unindexed += LOG_OVERHEAD + header.batch_length
        self.end_offset = last_offset + 1

    def _time(self) -> None:
        if self._known and self.max_timestamp >= 0 and self.max_offset > self._timed_offset:
            self._times.append((self.max_timestamp, self.max_offset))
            self._timed_offset = self.max_offset

    def finish(self) -> None:
        """All batches have gone by: replace the segment's index files."""
        self._time()
        self._segment.adopt_indexes(
            self._offsets,
            self._times,
            newest=(self.max_timestamp, self.max_offset),
            timestamps_known=self._known,
            unindexed_bytes=self._unindexed,
        )


def total_size(buffers: Sequence[ReadableBuffer]) -> int:
    """Bytes of all buffers together."""
    return sum(map(len, buffers))


__all__ = [
    "MAX_RELATIVE_OFFSET", "Corrupt", "DamagedIndex", "FileSlice", "IndexBuilder", "Segment", "WouldWait", "file_name",
    "total_size",
]  # fmt: skip
