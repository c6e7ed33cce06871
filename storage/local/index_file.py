"""An index: a sorted array of fixed-size entries in a file, its newest entries still in memory.

Kafka's offset index and time index differ in what an entry holds; this is what they share. The entries of a segment
being written are collected and reach the file a block at a time: an index is a cache of what the log says, so losing
the newest entries costs a reader some scanning and recovery nothing. That keeps an idle partition free of descriptors
and megabytes, and an append free of a second system call. The file is opened for each use and closed again.

Kafka maps an index file of `segment.index.bytes` and cuts it when the segment is closed; an index left by a Kafka that
was killed therefore ends in zeros. Entries count as long as they grow: the first one that does not is the end.

Readers may be in worker threads while the event loop appends. What they need lies in one tuple, replaced whole:
(entries in the file, newer entries). The newer entries are only ever appended to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from struct import Struct
from typing import Final

from storage.seams.disk import PASSING_ERRORS, Disk, File

FLUSH_ENTRIES: Final = 512
"""Entries collected before they are written: one page of the offset index."""

BLOCK_ENTRIES: Final = 512
"""Entries read at a time when searching: what lies in one or two pages anyway."""


class WouldWait(Exception):
    """The bytes asked for are not in memory, and the caller said not to wait."""


def read(file: File, position: int, length: int, wait: bool) -> bytes:
    """Read from `file`; with `wait` False raises WouldWait instead of waiting for the disk."""
    if wait:
        return file.read(position, length)
    data = file.read_now(position, length)
    if data is None:
        raise WouldWait
    return data


class IndexFile:
    """One index file. Entries are tuples of integers as `layout` packs them; `key` entries grow strictly."""

    __slots__ = ("_disk", "_grows", "_last", "_layout", "_path", "_state")

    def __init__(
        self, disk: Disk, path: str, layout: Struct, grows: Callable[[tuple[int, ...], tuple[int, ...]], bool]
    ) -> None:
        self._disk = disk
        self._path = path
        self._layout = layout
        self._grows = grows
        self._state: tuple[int, bytearray] | None = None  # None: the file has not been looked at yet
        self._last: tuple[int, ...] | None = None

    @property
    def path(self) -> str:
        return self._path

    @property
    def last(self) -> tuple[int, ...] | None:
        """The newest entry, as packed."""
        if self._state is None:
            self._load()
        return self._last

    def _loaded(self) -> tuple[int, bytearray]:
        return self._load() if self._state is None else self._state

    def start_empty(self) -> None:
        """A new segment's index: whatever lies under its name is not part of it."""
        self._disk.remove(self._path)
        self._state = (0, bytearray())

    def __len__(self) -> int:
        flushed, newer = self._loaded()
        return flushed + len(newer) // self._layout.size

    def _load(self) -> tuple[int, bytearray]:
        """Look at the file. Raises DamagedIndex when it is absent or its size is no whole number of entries.

        Only the ends are read: a file of ten million bytes is opened by a partition that wants its last entry. Trailing
        entries that do not grow (Kafka's preallocated zeros) are left out, found by bisection.
        """
        size = self._disk.file_size(self._path)
        if size is None or size % self._layout.size:
            raise DamagedIndex(self._path)
        count = size // self._layout.size
        if count:
            file = self._disk.open_read(self._path)
            first, last = self._entry(file, 0), self._entry(file, count - 1)
            if not any(first):
                count = 0
            elif count > 1 and not self._grows(first, last):
                low, high = 0, count - 1  # entry `low` counts, entry `high` does not
                while high - low > 1:
                    middle = (low + high) // 2
                    if self._grows(first, self._entry(file, middle)):
                        low = middle
                    else:
                        high = middle
                count, last = low + 1, self._entry(file, low)
            self._last = last if count else None
            file.close()
        self._state = (count, bytearray())
        return self._state

    def append(self, *entry: int) -> None:
        """Add an entry; it reaches the file with its block."""
        newer = self._loaded()[1]
        newer += self._layout.pack(*entry)
        self._last = entry
        if len(newer) >= FLUSH_ENTRIES * self._layout.size:
            with contextlib.suppress(OSError):  # a full disk: the log says so itself, and these entries can wait
                self.flush()

    def flush(self) -> None:
        """Bring every entry to the file (not to the platter). Creates the file."""
        flushed, newer = self._loaded()
        if not newer:
            return
        file = self._disk.open(self._path, create=True)
        file.write(flushed * self._layout.size, newer)
        file.close()
        self._state = (flushed + len(newer) // self._layout.size, bytearray())

    def finish(self) -> None:
        """Leave the file as Kafka leaves that of a closed segment: there, complete, nothing behind its last entry."""
        self.flush()
        flushed, _ = self._loaded()
        size = self._disk.file_size(self._path)
        if size is None:
            self._disk.write_file(self._path, b"")
        elif size > flushed * self._layout.size:
            file = self._disk.open(self._path)
            file.truncate(flushed * self._layout.size)
            file.close()

    def hold(self) -> None:
        """Have every entry in memory, so that look-ups need no file (waits for the disk). Raises DamagedIndex."""
        flushed, newer = self._loaded()
        size = flushed * self._layout.size
        data = self._disk.read_file(self._path) if flushed else b""
        if data is None or len(data) < size:
            raise DamagedIndex(self._path)
        self._state = (0, bytearray(data[:size]) + newer)

    def replace(self, entries: list[tuple[int, ...]]) -> None:
        """Make the file hold exactly `entries`."""
        pack = self._layout.pack
        data = b"".join([pack(*entry) for entry in entries])
        try:
            self._disk.write_file(self._path, data)
        except OSError as error:
            if error.errno not in PASSING_ERRORS:
                raise
            with contextlib.suppress(OSError):
                self._disk.remove(self._path)
            self._state = (0, bytearray(data))  # a full disk: they can wait, as those of `append` do
        else:
            self._state = (len(entries), bytearray())
        self._last = entries[-1] if entries else None

    def search(self, goes_right: Callable[[tuple[int, ...]], bool], wait: bool) -> tuple[int, ...] | None:
        """The last entry for which `goes_right` holds (it holds for a prefix of the entries); None if for none.

        Raises WouldWait when `wait` is False and the file's blocks are not in memory.
        """
        flushed, newer = self._loaded()
        layout = self._layout
        if newer and goes_right(layout.unpack_from(newer, 0)):
            return _last_of(newer, len(newer) // layout.size, layout, goes_right)
        if not flushed:
            return None
        try:
            file = self._disk.open_read(self._path)
        except FileNotFoundError:
            raise DamagedIndex(self._path) from None
        try:
            low, high = 0, (flushed - 1) // BLOCK_ENTRIES  # blocks: the answer begins in [low, high]
            size = layout.size
            while low < high:
                middle = (low + high + 1) // 2
                entry = layout.unpack(self._exactly(file, middle * BLOCK_ENTRIES * size, size, wait))
                if goes_right(entry):
                    low = middle
                else:
                    high = middle - 1
            start = low * BLOCK_ENTRIES
            count = min(BLOCK_ENTRIES, flushed - start)
            block = self._exactly(file, start * size, count * size, wait)
        finally:
            file.close()
        return _last_of(block, count, layout, goes_right)

    def entries(self) -> list[tuple[int, ...]]:
        """Every entry, oldest first (waits for the disk): for checks and tests."""
        flushed, newer = self._loaded()
        data = (self._disk.read_file(self._path) or b"")[: flushed * self._layout.size] + bytes(newer)
        return list(self._layout.iter_unpack(data))

    def _exactly(self, file: File, position: int, length: int, wait: bool) -> bytes:
        data = read(file, position, length, wait)
        if len(data) != length:
            raise DamagedIndex(self._path)
        return data

    def _entry(self, file: File, number: int) -> tuple[int, ...]:
        size = self._layout.size
        return self._layout.unpack(self._exactly(file, number * size, size, True))


class DamagedIndex(Exception):
    """An index does not say what the log says; the message is its path."""


def _last_of(
    data: bytes | bytearray, count: int, layout: Struct, goes_right: Callable[[tuple[int, ...]], bool]
) -> tuple[int, ...] | None:
    low, high = 0, count  # entries below `low` go right, from `high` on they do not
    while low < high:
        middle = (low + high) // 2
        if goes_right(layout.unpack_from(data, middle * layout.size)):
            low = middle + 1
        else:
            high = middle
    return layout.unpack_from(data, (low - 1) * layout.size) if low else None
