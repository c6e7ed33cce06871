"""The disk in memory answers as the machine's file system does."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.seams.disk import Disk, InUse, SystemDisk
from storage.testing.disks.memory import MemoryDisk


@pytest.fixture(params=["memory", "system"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """The one that imitates and the one that is imitated."""
    return MemoryDisk() if request.param == "memory" else SystemDisk()


def test_files(disk: Disk, tmp_path: Path) -> None:
    """Bytes at positions, gaps of zeros, cutting and lengthening, names that are not there."""
    top = str(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.open(f"{top}/a")
    file = disk.open(f"{top}/a", create=True)
    file.write_all(2, [b"cd", memoryview(b"ef")])
    assert file.read(0, 100) == b"\0\0cdef" and file.read(9, 1) == b""
    buffer = bytearray(4)
    assert file.read_into(4, buffer) == 2 and buffer == b"ef\0\0"
    file.truncate(3)
    file.truncate(5)
    assert disk.read_file(f"{top}/a") == b"\0\0c\0\0" and disk.file_size(f"{top}/a") == file.size() == 5
    disk.write_file(f"{top}/b", b"new")
    disk.rename(f"{top}/b", f"{top}/a")
    assert disk.list_directory(top) == ["a"] and disk.read_file(f"{top}/a") == b"new"
    assert file.size() == 5
    disk.remove(f"{top}/a")
    disk.remove(f"{top}/a")
    assert disk.read_file(f"{top}/a") is None and disk.file_size(f"{top}/a") is None
    with pytest.raises(FileNotFoundError):
        disk.modified_millis(f"{top}/a")


def test_directories(disk: Disk, tmp_path: Path) -> None:
    """Made, moved with what is in them, removed as a whole."""
    top = str(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.list_directory(f"{top}/x")
    disk.make_directory(f"{top}/x/y")
    disk.make_directory(f"{top}/x/y")
    disk.write_file(f"{top}/x/file", b"1")
    assert disk.list_directory(f"{top}/x") == ["file", "y"]
    disk.rename(f"{top}/x", f"{top}/z")
    assert not disk.is_directory(f"{top}/x") and disk.is_directory(f"{top}/z/y")
    assert disk.read_file(f"{top}/z/file") == b"1"
    disk.remove_tree(f"{top}/z")
    assert not disk.is_directory(f"{top}/z") and disk.list_directory(top) == []


def test_locks(disk: Disk, tmp_path: Path) -> None:
    """One holder at a time."""
    lock = disk.lock(f"{tmp_path}/.lock")
    with pytest.raises(InUse):
        disk.lock(f"{tmp_path}/.lock")
    lock.release()
    disk.lock(f"{tmp_path}/.lock").release()
