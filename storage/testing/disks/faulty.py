"""A disk that counts its operations and fails on request: for tests of what an engine does about it.

    disk = FaultyDisk(SystemDisk())
    disk.fail("datasync", errno.EIO, path=".log", times=1)
    ...
    assert disk.calls["datasync"] == 3

Operations are named as in `storage/seams/disk.py`; `times=None` fails forever, until `heal`. A write that fails may
have written a part: `short` bytes of it arrive first. With `cold` set nothing is in memory until a reader has waited
for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from storage.seams.disk import Disk, File, Lock, Space


@dataclass
class _Fault:
    operation: str
    code: int
    path: str
    times: int | None
    short: int


class FaultyDisk:
    """A disk in front of another."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._faults: list[_Fault] = []
        self.calls: Counter[str] = Counter()
        self.trace: list[tuple[str, str]] = []
        """(operation, path) of everything that changes the disk or makes it durable, in order."""
        self.cold = False

    def fail(self, operation: str, code: int, *, path: str = "", times: int | None = None, short: int = 0) -> None:
        """Let `operation` on paths that contain `path` fail with errno `code`."""
        self._faults.append(_Fault(operation, code, path, times, short))

    def heal(self) -> None:
        """Fail no more."""
        self._faults.clear()

    def note(self, operation: str, path: str) -> _Fault | None:
        """Count an operation; the fault that applies to it."""
        self.calls[operation] += 1
        if not operation.startswith(("read", "list", "is_", "file_size", "space", "modified")):
            self.trace.append((operation, path))
        for fault in self._faults:
            if fault.operation == operation and fault.path in path:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def check(self, operation: str, path: str) -> None:
        """Count an operation and raise the fault planned for it. Raises OSError."""
        fault = self.note(operation, path)
        if fault is not None:
            raise OSError(fault.code, "injected fault", path)

    @property
    def tells_residency(self) -> bool:
        return self._disk.tells_residency

    @property
    def open_files(self) -> int:
        return self._disk.open_files

    def open(self, path: str, *, create: bool = False) -> File:
        self.check("create" if create else "open", path)
        return _FaultyFile(self, path, self._disk.open(path, create=create))

    def open_read(self, path: str) -> File:
        self.check("open_read", path)
        return _FaultyFile(self, path, self._disk.open_read(path))

    def read_file(self, path: str) -> bytes | None:
        self.check("read_file", path)
        return self._disk.read_file(path)

    def write_file(self, path: str, data: bytes) -> None:
        self.check("write_file", path)
        self._disk.write_file(path, data)

    def write_file_atomically(self, path: str, data: bytes) -> None:
        self.check("write_file_atomically", path)
        self._disk.write_file_atomically(path, data)

    def allocate(self, path: str, size: int) -> None:
        self.check("allocate", path)
        self._disk.allocate(path, size)

    def file_size(self, path: str) -> int | None:
        self.check("file_size", path)
        return self._disk.file_size(path)

    def modified_millis(self, path: str) -> int:
        self.check("modified_millis", path)
        return self._disk.modified_millis(path)

    def set_modified_millis(self, path: str, millis: int) -> None:
        self.check("set_modified_millis", path)
        self._disk.set_modified_millis(path, millis)

    def is_directory(self, path: str) -> bool:
        return self._disk.is_directory(path)

    def is_link(self, path: str) -> bool:
        return self._disk.is_link(path)

    def list_directory(self, path: str) -> list[str]:
        self.check("list_directory", path)
        return self._disk.list_directory(path)

    def make_directory(self, path: str) -> None:
        self.check("make_directory", path)
        self._disk.make_directory(path)

    def rename(self, old: str, new: str) -> None:
        self.check("rename", old)
        self._disk.rename(old, new)

    def link(self, path: str, other: str) -> None:
        self.check("link", path)
        self._disk.link(path, other)

    def remove(self, path: str) -> None:
        self.check("remove", path)
        self._disk.remove(path)

    def remove_tree(self, path: str) -> None:
        self.check("remove_tree", path)
        self._disk.remove_tree(path)

    def sync_directory(self, path: str) -> None:
        self.check("sync_directory", path)
        self._disk.sync_directory(path)

    def lock(self, path: str) -> Lock:
        return self._disk.lock(path)

    def space(self, path: str) -> Space:
        self.check("space", path)
        return self._disk.space(path)


class _FaultyFile:
    """A file of a FaultyDisk."""

    def __init__(self, disk: FaultyDisk, path: str, file: File) -> None:
        self._disk = disk
        self._path = path
        self._file = file
        self._warm = False

    def size(self) -> int:
        return self._file.size()

    def read(self, position: int, length: int) -> bytes:
        self._disk.check("read", self._path)
        return self._file.read(position, length)

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        self._disk.check("read_into", self._path)
        self._warm = True
        return self._file.read_into(position, buffer)

    def read_now(self, position: int, length: int) -> bytes | None:
        self._disk.check("read_now", self._path)
        if self._disk.cold and not self._warm:
            return None
        return self._file.read_now(position, length)

    def write(self, position: int, data: ReadableBuffer) -> None:
        fault = self._disk.note("write", self._path)
        if fault is not None:
            self._file.write(position, memoryview(data)[: fault.short])
            raise OSError(fault.code, "injected fault", self._path)
        self._file.write(position, data)

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        self.write(position, b"".join(buffers))

    def truncate(self, size: int) -> None:
        self._disk.check("truncate", self._path)
        self._file.truncate(size)

    def datasync(self) -> None:
        self._disk.check("datasync", self._path)
        self._file.datasync()

    def strayed(self, path: str, size: int) -> str | None:
        return self._file.strayed(path, size)

    def fileno(self) -> int | None:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
