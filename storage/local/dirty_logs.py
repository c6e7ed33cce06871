"""The list of dirty logs: which ones may have grown since the recovery points were last written.

A start after a crash has to look at those, and a directory with a hundred thousand logs has few of them. The list is
kept in one file at the top of the directory, `ottla-dirty-logs`, text, a checksum (crc32c) in front of each line:

    xxxxxxxx ottla-dirty-logs 1
    xxxxxxxx checkpoint xxxxxxxx         two of these: checksums of recovery-point files that the list goes with
    xxxxxxxx checkpoint xxxxxxxx
    xxxxxxxx log TOPIC PARTITION         any number

**Nothing depends on it but time.** A log that is not on the list is held against its recovery point when it is first
opened (`recovery.Trust.VERIFY`), and recovered if it does not end exactly there. So the list may be stale, cut or
wrong: what is served is the same. It must be so, for a line is written when a log's first unsynced bytes are, but
synced a moment later, and a power cut may keep those bytes and lose the line.

**Whole or nothing.** A list with a line that is not right, or one that does not go with the recovery points found
(Kafka has run here since, or a person has put another file in its place), is no list: every log is visited, as without
one.

**Generations.** A log is added once. When all recovery points have been written, the list is replaced by one of the
logs touched since that began. The new recovery points' checksum is put into the other of the two slots before they are
written, so that a crash between the two finds a list that goes with either. Kafka leaves the file alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from kproto.batches.crc32c import crc32c
from storage.seams.disk import Disk, File

NAME: Final = "ottla-dirty-logs"

Key = tuple[str, int]

_TITLE: Final = b"ottla-dirty-logs 1"


def _line(text: bytes) -> bytes:
    return b"%08x %s\n" % (crc32c(text), text)


def _slot(checkpoint: int) -> bytes:
    return _line(b"checkpoint %08x" % checkpoint)


_FIRST_SLOT: Final = len(_line(_TITLE))
_SLOT_SIZE: Final = len(_slot(0))
_LINES: Final = _FIRST_SLOT + 2 * _SLOT_SIZE


def _log_line(key: Key) -> bytes:
    return _line(b"log %s %d" % (key[0].encode(), key[1]))


def encode(keys: Iterable[Key], checkpoint: int) -> bytes:
    """A list that goes with the recovery-point file of this checksum."""
    return b"".join([_line(_TITLE), _slot(checkpoint), _slot(checkpoint), *map(_log_line, keys)])


def decode(data: bytes, checkpoint: int) -> set[Key] | None:
    """The logs on the list; None when this is not a whole list that goes with recovery points of this checksum."""
    if not data.startswith(_line(_TITLE)) or not data.endswith(b"\n"):
        return None
    slots = [data[first : first + _SLOT_SIZE] for first in (_FIRST_SLOT, _FIRST_SLOT + _SLOT_SIZE)]
    if _slot(checkpoint) not in slots:
        return None
    keys = set()
    for line in data[_LINES:].splitlines():
        checksum, _, text = line.partition(b" ")
        if checksum != b"%08x" % crc32c(text) or not text.startswith(b"log "):
            return None
        _, topic, partition = text.split(b" ")
        keys.add((topic.decode(), int(partition)))
    return keys


def any_checkpoint(data: bytes) -> int:
    """The checksum of recovery points that a list goes with: for showing the list, not for using it."""
    found = data[_FIRST_SLOT : _FIRST_SLOT + _SLOT_SIZE].rpartition(b" ")[2].strip()
    try:
        return int(found, 16)
    except ValueError:
        return -1


class DirtyLogs:
    """The list in one directory. `add`, `begin` and `finish` belong to the event loop, the others to any thread."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._path = f"{directory}/{NAME}"
        self._file: File | None = None  # None: there is no list now; the next `finish` begins one
        self._end = 0
        self._slot = 0  # the one that goes with the recovery points on disk
        self._listed: set[Key] = set()
        self._touched: set[Key] = set()  # since `begin`
        self.has_news = False
        """Whether there are lines that have not been synced."""

    def read(self, checkpoint: int) -> set[Key] | None:
        """What an earlier run has left, given the checksum of the recovery-point file; None if that is no help."""
        data = self._disk.read_file(self._path)
        return None if data is None else decode(data, checkpoint)

    def add(self, key: Key) -> None:
        """This log has bytes that the recovery points do not cover. Never fails: without the list a start is slow."""
        if key in self._touched:
            return
        self._touched.add(key)
        if key not in self._listed:
            self._write(key)

    def _write(self, key: Key) -> None:
        file = self._file
        if file is None:
            return
        line = _log_line(key)
        try:
            file.write(self._end, line)
        except OSError:
            # A part of the line may be there. The next one would be written over it, but may be shorter.
            with contextlib.suppress(OSError):
                file.truncate(self._end)
            return
        self._end += len(line)
        self._listed.add(key)
        self.has_news = True

    def expect(self, checkpoint: int) -> None:
        """The recovery points are about to be replaced by some of this checksum: let the list go with both."""
        file = self._file
        if file is not None:
            self._slot = 1 - self._slot
            with contextlib.suppress(OSError):
                file.write(_FIRST_SLOT + self._slot * _SLOT_SIZE, _slot(checkpoint))

    def sync(self) -> None:
        """Let the lines written so far survive a power cut. Raises OSError."""
        self.has_news = False
        file = self._file
        if file is not None:
            file.datasync()

    # -- generations ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Recovery points are about to be noted: from now on remember which logs are touched."""
        self._touched = set()

    def replace(self, keys: set[Key], checkpoint: int) -> None:
        """Put a list of these logs, that goes with `checkpoint`, in the place of the old one; `finish` must follow.

        Durable. Raises OSError; then the old list stays.
        """
        self._disk.write_file_atomically(self._path, encode(keys, checkpoint))

    def finish(self, keys: set[Key]) -> None:
        """The list of `keys` is in its place: add what was touched meanwhile, and from now on write to it."""
        try:
            self._file = self._disk.open(self._path)
            self._end = self._file.size()
        except OSError:
            self._file = None
        self._slot = 0
        self._listed = keys
        for key in self._touched - keys:
            self._write(key)

    def remove(self) -> None:
        """Every log ends at its recovery point, and there will be a mark that says so. Raises OSError."""
        self._file = None
        self._disk.remove(self._path)
