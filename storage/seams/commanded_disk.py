"""A machine's file system whose segments can be full, or slow to sync, on command.

Made only for a broker that takes commands: what is written to a log then goes through one call more. Reads, and all
files but those of records, are the system's: on a disk that is full checkpoints can still be written, from the room
that an engine keeps in reserve, and what is deleted is gone.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import Protocol

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from storage.seams.disk import File, SystemDisk

SEGMENT = ".log"


class Trouble(Protocol):
    """What the disk is to do wrong; see `storage/misbehaving.py`."""

    full: bool
    sync_seconds: float
    injected: int


class CommandedDisk(SystemDisk):
    """The system's disk; `trouble` is what it does wrong now, and `over` is set when it does that no longer."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Trouble | None = None
        self.over = threading.Event()

    def misbehave(self, trouble: Trouble | None) -> None:
        """Do this wrong from now on, and nothing else; None: nothing."""
        self.over.set()  # threads that wait for the trouble before hold this very event
        self.over = threading.Event()
        self.trouble = trouble

    def open(self, path: str, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        return CommandedFile(file, self) if path.endswith(SEGMENT) else file


class CommandedFile:
    """A segment on such a disk."""

    __slots__ = ("_disk", "_file")

    def __init__(self, file: File, disk: CommandedDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, position: int, data: ReadableBuffer) -> None:
        self._need_room()
        self._file.write(position, data)

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        self._need_room()
        self._file.write_all(position, buffers)

    def datasync(self) -> None:
        over, trouble = self._disk.over, self._disk.trouble
        if trouble is not None and trouble.sync_seconds:
            trouble.injected += 1
            over.wait(trouble.sync_seconds)
        self._file.datasync()

    def _need_room(self) -> None:
        trouble = self._disk.trouble
        if trouble is not None and trouble.full:
            trouble.injected += 1
            raise OSError(errno.ENOSPC, "no space left on device, as commanded")

    def size(self) -> int:
        return self._file.size()

    def read(self, position: int, length: int) -> bytes:
        return self._file.read(position, length)

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        return self._file.read_into(position, buffer)

    def read_now(self, position: int, length: int) -> bytes | None:
        return self._file.read_now(position, length)

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def strayed(self, path: str, size: int) -> str | None:
        return self._file.strayed(path, size)

    def fileno(self) -> int | None:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
