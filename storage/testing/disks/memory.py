"""A disk that is a dictionary: for tests that open thousands of logs a second, and want to see every byte.

Everything is in memory at once and for good; nothing is forgotten in a power cut (`faulty.py` refuses things, and
this one never does). Directories are made where a path names them, and stay until they are removed. Like POSIX, an open
file outlives its name.

    disk = MemoryDisk({"data/orders-0/00000000000000000000.log": b"..."})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from storage.seams.disk import File, InUse, Lock, Space


class _Content(bytearray):
    """The bytes of a file, whatever its name is."""

    modified = 0


class MemoryDisk:
    """A file system in memory."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files: dict[str, _Content] = {}
        self._directories: set[str] = set()
        self._locked: set[str] = set()
        for path, data in (files or {}).items():
            self.write_file(path, data)

    @property
    def files(self) -> dict[str, bytes]:
        """A copy of everything there is."""
        return {path: bytes(data) for path, data in sorted(self._files.items())}

    @property
    def tells_residency(self) -> bool:
        return True

    @property
    def open_files(self) -> int:
        return 0

    def open(self, path: str, *, create: bool = False) -> File:
        if path not in self._files:
            if not create:
                raise FileNotFoundError(path)
            self.write_file(path, b"")
        return _MemoryFile(self._files[path])

    def open_read(self, path: str) -> File:
        return self.open(path)

    def read_file(self, path: str) -> bytes | None:
        data = self._files.get(path)
        return None if data is None else bytes(data)

    def write_file(self, path: str, data: bytes) -> None:
        self._files[path] = _Content(data)
        self.make_directory(path.rpartition("/")[0])

    def write_file_atomically(self, path: str, data: bytes) -> None:
        self.write_file(path, data)

    def allocate(self, path: str, size: int) -> None:
        """This disk is never full."""

    def file_size(self, path: str) -> int | None:
        data = self._files.get(path)
        return None if data is None else len(data)

    def modified_millis(self, path: str) -> int:
        """0, the beginning of time, unless it was set: this disk has no clock."""
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path].modified

    def set_modified_millis(self, path: str, millis: int) -> None:
        if path not in self._files:
            raise FileNotFoundError(path)
        self._files[path].modified = millis

    def is_directory(self, path: str) -> bool:
        return path in self._directories

    def is_link(self, path: str) -> bool:
        return False

    def list_directory(self, path: str) -> list[str]:
        if not self.is_directory(path):
            raise FileNotFoundError(path)
        inside = f"{path}/"
        names = {name[len(inside) :].partition("/")[0] for name in self._files if name.startswith(inside)}
        names |= {name[len(inside) :].partition("/")[0] for name in self._directories if name.startswith(inside)}
        return sorted(names)

    def make_directory(self, path: str) -> None:
        while path and path not in self._directories:
            self._directories.add(path)
            path = path.rpartition("/")[0]

    def rename(self, old: str, new: str) -> None:
        if old in self._files:
            self._files[new] = self._files.pop(old)
            return
        if not self.is_directory(old):
            raise FileNotFoundError(old)
        moved = {path: data for path, data in self._files.items() if path.startswith(f"{old}/")}
        for path, data in moved.items():
            self._files[new + path[len(old) :]] = data
            del self._files[path]
        self._directories = {
            new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path for path in self._directories
        }

    def link(self, path: str, other: str) -> None:
        if path not in self._files:
            raise FileNotFoundError(path)
        self._files[other] = self._files[path]

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def remove_tree(self, path: str) -> None:
        for name in [name for name in self._files if name.startswith(f"{path}/")]:
            del self._files[name]
        self._directories = {name for name in self._directories if name != path and not name.startswith(f"{path}/")}

    def sync_directory(self, path: str) -> None:
        pass

    def lock(self, path: str) -> Lock:
        if path in self._locked:
            raise InUse(path)
        self._locked.add(path)
        return _MemoryLock(self._locked, path)

    def space(self, path: str) -> Space:
        return Space(1 << 40, 1 << 39)


class _MemoryLock:
    def __init__(self, locked: set[str], path: str) -> None:
        self._locked = locked
        self._path = path

    def strayed(self) -> str | None:
        return None

    def release(self) -> None:
        self._locked.discard(self._path)


class _MemoryFile:
    """An open file of a MemoryDisk."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def size(self) -> int:
        return len(self._data)

    def read(self, position: int, length: int) -> bytes:
        return bytes(self._data[position : position + length])

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        part = self._data[position : position + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def read_now(self, position: int, length: int) -> bytes | None:
        return self.read(position, length)

    def write(self, position: int, data: ReadableBuffer) -> None:
        gap = position - len(self._data)
        if gap > 0:
            self._data += bytes(gap)
        self._data[position : position + len(data)] = data

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        self.write(position, b"".join(buffers))

    def truncate(self, size: int) -> None:
        self._data[size:] = bytes(max(0, size - len(self._data)))

    def datasync(self) -> None:
        pass

    def strayed(self, path: str, size: int) -> str | None:
        return None

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        pass
