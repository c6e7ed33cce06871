"""The door to files. Everything the storage engines ever ask of a file system is on this page, and nothing else is.

Two protocols. A `Disk` knows paths: list, open, rename, remove, make durable. A `File` knows bytes at positions: it has
no cursor, so that one descriptor serves a writer and any number of readers, threads included.

Three rules decide the shape.

*Durability is explicit and has two halves.* `File.datasync` makes the bytes of a file survive a power cut; its *name*
survives only after `Disk.sync_directory` of the directory that holds it. Nothing is durable by accident, and a test
disk can forget whatever was not asked for.

*A descriptor lives as long as its `File` is held.* A fetch reply under way keeps its file open although the log
has rolled, closed or been deleted meanwhile; when the last holder lets go, the descriptor is closed, without a count.

*Reading without waiting is a question of its own.* `File.read_now` returns bytes that are in memory already, else None,
so that the event loop never waits for a platter. Linux answers it with `preadv(RWF_NOWAIT)`. Where no system call can
(`Disk.tells_residency` is False) it returns None and the caller takes a thread.

Not every platform has every call. `Features` names the differences once; `SystemDisk` asks the platform what it has,
and a test builds one with features taken away and runs the same suite again: so macOS and Windows are kept honest.

Errors are `OSError`, as the system gave them: the engine above decides what a full or a broken disk means. Paths are
text with forward slashes, which every supported platform takes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from kproto.batches.buffers import ReadableBuffer, WritableBuffer

SHORT_OF: Final = frozenset(
    number for name in ("EMFILE", "ENFILE", "ENOMEM") if (number := getattr(errno, name, None)) is not None
)
"""Errors that say nothing about the disk: the process, or the machine, has too much open, or no memory. They pass."""

PASSING_ERRORS: Final = SHORT_OF | frozenset(
    number for name in ("ENOSPC", "EDQUOT") if (number := getattr(errno, name, None)) is not None
)
"""Those, and errors that say no more of the disk than that it is full: they pass."""


class InUse(Exception):
    """The lock is held already: by another process, or by another holder in this one."""


class Space(NamedTuple):
    """Bytes of a file system: all there are, and those that this process may still use."""

    total: int
    usable: int


class Lock(Protocol):
    """An exclusive claim on a path, held until released or until the process ends, however it ends."""

    def strayed(self) -> str | None:
        """None as long as the path, and the directory that it is in, are those that were claimed; otherwise what has
        become of them, in one clause."""
        ...

    def release(self) -> None: ...


class File(Protocol):
    """An open file. Closed by `close`, or when the last reference goes."""

    def size(self) -> int: ...

    def read(self, position: int, length: int) -> bytes:
        """Up to `length` bytes from `position`: fewer only where the file ends. Waits for the disk."""
        ...

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        """Fill `buffer` from `position`; the number of bytes read, fewer than asked only where the file ends."""
        ...

    def read_now(self, position: int, length: int) -> bytes | None:
        """As `read`, if that takes no waiting; None where it would, or where that is unknown."""
        ...

    def write(self, position: int, data: ReadableBuffer) -> None:
        """Put all of `data` at `position`. Raises OSError with an unknown part of it written."""
        ...

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        """Put `buffers` one behind the other from `position`, in one call where the platform can."""
        ...

    def truncate(self, size: int) -> None: ...

    def datasync(self) -> None:
        """Return when the bytes and the size of this file survive a power cut. An OSError here is final: what was
        dirty may be gone from memory and disk alike, and a second call would succeed wrongly."""
        ...

    def strayed(self, path: str, size: int) -> str | None:
        """None if `path` names this file, itself and not by a link, and it has `size` bytes or more. Otherwise what has
        become of it: the predicate of a sentence about `path`."""
        ...

    def fileno(self) -> int | None:
        """The descriptor, for sendfile; None where there is none."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """A file system."""

    @property
    def tells_residency(self) -> bool:
        """Whether `File.read_now` can ever answer."""
        ...

    @property
    def open_files(self) -> int:
        """How many files of `open` and `open_read` have not been closed yet."""
        ...

    def open(self, path: str, *, create: bool = False) -> File:
        """A file to read and write, made empty if `create` and absent. Raises FileNotFoundError."""
        ...

    def open_read(self, path: str) -> File:
        """A file to read. Raises FileNotFoundError."""
        ...

    def read_file(self, path: str) -> bytes | None:
        """All bytes of a small file; None if there is none."""
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Make or replace a small file whose loss or tearing does no harm. Not durable."""
        ...

    def write_file_atomically(self, path: str, data: bytes) -> None:
        """Replace a small file durably: after a power cut at any moment it holds the old bytes or the new ones."""
        ...

    def allocate(self, path: str, size: int) -> None:
        """Make a file that takes `size` bytes of the disk, whatever is in it. A disk that is never full need not."""
        ...

    def file_size(self, path: str) -> int | None:
        """Bytes of a file; None if there is none."""
        ...

    def modified_millis(self, path: str) -> int:
        """When a file was last written, in milliseconds since 1970. Raises FileNotFoundError."""
        ...

    def set_modified_millis(self, path: str, millis: int) -> None:
        """Let a file count as last written then. Raises FileNotFoundError."""
        ...

    def is_directory(self, path: str) -> bool: ...

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link, to something or to nothing."""
        ...

    def list_directory(self, path: str) -> list[str]:
        """The names in a directory, sorted. Raises FileNotFoundError."""
        ...

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it; nothing happens if it is there."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file or directory another name, over an existing file if there is one."""
        ...

    def link(self, path: str, other: str) -> None:
        """Give a file another name beside its own, which must be free (a hard link). Raises OSError, also where the
        file system has no such thing."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""
        ...

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all that is in it; nothing happens if there is none."""
        ...

    def sync_directory(self, path: str) -> None:
        """Return when the names in this directory survive a power cut."""
        ...

    def lock(self, path: str) -> Lock:
        """Claim `path`, a file made for the purpose. Raises InUse."""
        ...

    def space(self, path: str) -> Space:
        """Room on the file system that holds `path`."""
        ...


@dataclass(frozen=True, slots=True)
class Features:
    """What a platform can do. Each may be switched off; everything still works, slower or by other means."""

    positional_io: bool
    """pread and pwrite (POSIX). Without: seek, then read or write, under a lock."""
    vectored_io: bool
    """pwritev (Linux, BSD, macOS 11). Without: one write per buffer."""
    read_without_waiting: bool
    """preadv with RWF_NOWAIT (Linux). Without it, what is in memory is unknown."""
    datasync: bool
    """fdatasync. Without: fsync (or macOS' F_FULLFSYNC, the only call there that reaches the platter)."""
    directory_sync: bool
    """fsync of a directory (POSIX). Without: the file system is trusted to order its names (NTFS journals them)."""
    descriptors: bool
    """Whether sendfile may have our descriptors. Without: replies read the bytes."""

    @staticmethod
    def detect() -> Features:
        """What this platform has. With OTTLA_PORTABLE in the environment: what any platform has."""
        if os.environ.get("OTTLA_PORTABLE", "") not in ("", "0"):
            return Features.portable()
        posix = os.name == "posix"
        return Features(
            positional_io=hasattr(os, "pread") and hasattr(os, "pwrite"),
            vectored_io=hasattr(os, "pwritev"),
            read_without_waiting=hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT"),
            datasync=hasattr(os, "fdatasync") and sys.platform != "darwin",
            directory_sync=posix,
            descriptors=hasattr(os, "sendfile"),
        )

    @staticmethod
    def portable() -> Features:
        """The least that any platform has: what tests force."""
        return Features(
            positional_io=False,
            vectored_io=False,
            read_without_waiting=False,
            datasync=False,
            directory_sync=False,
            descriptors=False,
        )


_BINARY = getattr(os, "O_BINARY", 0)
_LARGEST_WRITEV = 1000
"""Buffers per pwritev: below IOV_MAX (1024) everywhere."""


class SystemDisk:
    """The machine's file system."""

    def __init__(self, features: Features | None = None) -> None:
        self.features = features if features is not None else Features.detect()
        self._open: set[int] = set()  # a set, because threads add and discard without losing count

    @property
    def open_files(self) -> int:
        return len(self._open)

    @property
    def tells_residency(self) -> bool:
        return self.features.read_without_waiting

    def open(self, path: str, *, create: bool = False) -> File:
        return self._file(path, os.O_RDWR | (os.O_CREAT if create else 0))

    def open_read(self, path: str) -> File:
        return self._file(path, os.O_RDONLY)

    def _file(self, path: str, flags: int) -> File:
        descriptor = os.open(path, flags | _BINARY, 0o644)
        self._open.add(descriptor)
        if self.features.positional_io:
            return _DescriptorFile(descriptor, self.features, self._open)
        return _SeekingFile(descriptor, self.features, self._open)

    def read_file(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write_file(self, path: str, data: bytes) -> None:
        with open(path, "wb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:  # rather none than one that is empty or cut, for want of room
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise

    def write_file_atomically(self, path: str, data: bytes) -> None:
        temporary = path + ".tmp"
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        self.sync_directory(os.path.dirname(path) or ".")

    def allocate(self, path: str, size: int) -> None:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.write(bytes(size))

    def file_size(self, path: str) -> int | None:
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None

    def modified_millis(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000

    def set_modified_millis(self, path: str, millis: int) -> None:
        os.utime(path, ns=(millis * 1_000_000, millis * 1_000_000))

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def is_link(self, path: str) -> bool:
        return os.path.islink(path)

    def list_directory(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)

    def link(self, path: str, other: str) -> None:
        os.link(path, other)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def remove_tree(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.islink(path):
                os.unlink(path)
            else:
                shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        if not self.features.directory_sync:
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> Lock:
        return _FileLock(path)

    def space(self, path: str) -> Space:
        usage = shutil.disk_usage(path)
        return Space(usage.total, usage.free)


class _DescriptorFile:
    """A file by its descriptor, with POSIX' positional calls."""

    __slots__ = ("_closed", "_descriptor", "_features", "_open")

    def __init__(self, descriptor: int, features: Features, counted: set[int]) -> None:
        self._descriptor = descriptor
        self._open = counted
        self._features = features
        self._closed = False

    def size(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_END)  # a quarter of what fstat takes; no call here has a cursor

    def read(self, position: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, position)
        if len(data) == length or not data:
            return data
        parts = [data]  # a read may be cut short anywhere (signals, 2 GiB limits): only an empty one means the end
        got = len(data)
        while got < length and (data := os.pread(self._descriptor, length - got, position + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        view = memoryview(buffer)
        if not self._features.vectored_io:
            data = self.read(position, len(view))
            view[: len(data)] = data
            return len(data)
        got = 0
        while got < len(view):
            count = os.preadv(self._descriptor, [view[got:]], position + got)
            if count == 0:
                break
            got += count
        return got

    def read_now(self, position: int, length: int) -> bytes | None:
        if not self._features.read_without_waiting:
            return None
        buffer = bytearray(length)
        try:
            count = os.preadv(self._descriptor, (buffer,), position, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                return None  # this file system cannot tell
            raise
        if count == length:
            return bytes(buffer)
        if position + count < self.size():
            return None  # the rest is not in memory
        return bytes(buffer[:count])

    def write(self, position: int, data: ReadableBuffer) -> None:
        written = os.pwrite(self._descriptor, data, position)
        if written != len(data):
            self._write_rest(position, memoryview(data), written)

    def _write_rest(self, position: int, view: memoryview, written: int) -> None:
        while written < len(view):  # a short write is how a full disk begins; the next call says which error it is
            count = os.pwrite(self._descriptor, view[written:], position + written)
            if count == 0:
                raise OSError(errno.EIO, "a write made no progress")
            written += count

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        if not self._features.vectored_io:
            for buffer in buffers:
                self.write(position, buffer)
                position += len(buffer)
            return
        for start in range(0, len(buffers), _LARGEST_WRITEV):
            part = buffers[start : start + _LARGEST_WRITEV]
            expected = sum(map(len, part))
            written = os.pwritev(self._descriptor, part, position)
            if written != expected:
                self._write_rest(position, memoryview(b"".join(part)), written)
            position += expected

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def datasync(self) -> None:
        if self._features.datasync:
            os.fdatasync(self._descriptor)
        elif sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(self._descriptor)

    def strayed(self, path: str, size: int) -> str | None:
        try:
            named = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return "is gone"
        mine = os.fstat(self._descriptor)
        if not os.path.samestat(named, mine):
            return "has been replaced by another file"
        return None if mine.st_size >= size else f"has been cut to {mine.st_size} bytes, and should have {size}"

    def fileno(self) -> int | None:
        return self._descriptor if self._features.descriptors and not self._closed else None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._open.discard(self._descriptor)  # before it is closed, and may be another file's
            os.close(self._descriptor)

    def __del__(self) -> None:
        self.close()


class _SeekingFile(_DescriptorFile):
    """A file where the platform has a cursor only (Windows): each access takes the lock, seeks, reads or writes."""

    __slots__ = ("_lock",)

    def __init__(self, descriptor: int, features: Features, counted: set[int]) -> None:
        super().__init__(descriptor, features, counted)
        self._lock = threading.Lock()

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, position: int, length: int) -> bytes:
        with self._lock:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            parts = []
            while length > 0 and (data := os.read(self._descriptor, length)):
                parts.append(data)
                length -= len(data)
        return b"".join(parts)

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        data = self.read(position, len(buffer))
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def read_now(self, position: int, length: int) -> bytes | None:
        return None

    def write(self, position: int, data: ReadableBuffer) -> None:
        view = memoryview(data)
        with self._lock:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            while view:
                count = os.write(self._descriptor, view)
                if count == 0:
                    raise OSError(errno.EIO, "a write made no progress")
                view = view[count:]

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        for buffer in buffers:
            self.write(position, buffer)
            position += len(buffer)


_locked_here: set[str] = set()


class _FileLock:
    """An advisory lock on a file.

    POSIX has two kinds that do not see each other: record locks (`lockf`), which are what a JVM takes, and `flock`.
    Taking both keeps out either. The directory is claimed too (`flock`): the file can be removed, and made again by a
    process that then has a lock of its own, but a directory that is in use cannot. A record lock belongs to the process
    and is lost when *any* descriptor of the file is closed in it, so a second holder in the same process is refused
    before it opens the file.
    """

    __slots__ = ("_descriptor", "_directory", "_path")

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        if self._path in _locked_here:
            raise InUse(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        self._directory: int | None = None
        try:
            if os.name == "posix":
                import fcntl

                self._directory = _claim_directory(os.path.dirname(self._path))
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            os.close(descriptor)
            if self._directory is not None:
                os.close(self._directory)
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise InUse(path) from error
            raise
        self._descriptor: int | None = descriptor
        _locked_here.add(self._path)

    def strayed(self) -> str | None:
        directory = os.path.dirname(self._path)
        for path, held in ((directory, self._directory), (self._path, self._descriptor)):
            if held is None:
                continue
            try:
                named = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return f"{path} is gone"
            if not os.path.samestat(named, os.fstat(held)):
                return f"{path} has been replaced by another"
        return None

    def release(self) -> None:
        if self._descriptor is not None:
            _locked_here.discard(self._path)
            os.close(self._descriptor)
            self._descriptor = None
            if self._directory is not None:
                os.close(self._directory)
                self._directory = None


def _claim_directory(path: str) -> int | None:
    """Lock a directory itself: its descriptor, or None where that cannot be. Raises OSError if a process has it."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise
        return None
    return descriptor


def read_descriptor(descriptor: int, position: int, length: int) -> bytes:
    """Up to `length` bytes of an open file, by the descriptor that `File.fileno` has given out; fewer only where the
    file ends. Waits for the disk."""
    data = os.pread(descriptor, length, position)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), position + len(data))):
        data += more
    return data
