"""The door to files: positions, durability, locks; with the platform's calls and with any of them taken away."""

from __future__ import annotations

import errno
import gc
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from storage.seams.disk import Features, InUse, SystemDisk

DETECTED = Features.detect()
VARIANTS = [
    DETECTED,
    *[replace(DETECTED, **{field.name: False}) for field in fields(Features)],
    Features.portable(),
]


@pytest.fixture(params=VARIANTS, ids=["detected", *[f"no {field.name}" for field in fields(Features)], "portable"])
def disk(request: pytest.FixtureRequest) -> SystemDisk:
    """A disk with everything the platform has, or with some of it."""
    assert isinstance(request.param, Features)
    return SystemDisk(request.param)


def test_bytes_at_positions(disk: SystemDisk, tmp_path: Path) -> None:
    """Writes land where they are sent, reads stop at the end of the file."""
    file = disk.open(f"{tmp_path}/file", create=True)
    file.write(0, b"hello")
    file.write_all(5, [b" ", memoryview(b"wide"), bytearray(b" world")])
    file.write(0, memoryview(b"H"))
    assert file.size() == 16
    assert file.read(0, 100) == b"Hello wide world"
    assert file.read(6, 4) == b"wide"
    assert file.read(16, 1) == file.read(99, 1) == b""
    buffer = bytearray(20)
    assert file.read_into(11, memoryview(buffer)[:10]) == 5
    assert bytes(buffer[:6]) == b"world\0"
    file.truncate(5)
    file.datasync()
    assert disk.file_size(f"{tmp_path}/file") == 5
    assert disk.open_read(f"{tmp_path}/file").read(0, 9) == b"Hello"
    file.close()
    file.close()


def test_when_a_file_was_written(disk: SystemDisk, tmp_path: Path) -> None:
    """Given in milliseconds, and set when a file takes the place of another."""
    disk.write_file(f"{tmp_path}/file", b"x")
    assert disk.modified_millis(f"{tmp_path}/file") > 1_700_000_000_000
    disk.set_modified_millis(f"{tmp_path}/file", 1_234_567)
    assert disk.modified_millis(f"{tmp_path}/file") == 1_234_567
    with pytest.raises(FileNotFoundError):
        disk.set_modified_millis(f"{tmp_path}/none", 1)


def test_more_buffers_than_one_call_takes(disk: SystemDisk, tmp_path: Path) -> None:
    """Thousands of buffers arrive in order."""
    file = disk.open(f"{tmp_path}/file", create=True)
    parts = [b"%d," % number for number in range(3000)]
    file.write_all(0, parts)
    assert file.read(0, 1 << 20) == b"".join(parts)


def test_reading_what_is_in_memory(disk: SystemDisk, tmp_path: Path) -> None:
    """What was just written is had without waiting, where anybody can tell; elsewhere the answer is None."""
    file = disk.open(f"{tmp_path}/file", create=True)
    file.write(0, b"x" * 10_000)
    for position, length, expected in ((0, 1, b"x"), (9_990, 100, b"x" * 10), (20_000, 5, b"")):
        found = file.read_now(position, length)
        assert found in (expected, None)
        assert disk.tells_residency or found is None


def test_a_missing_file(disk: SystemDisk, tmp_path: Path) -> None:
    """Opening says so; looking answers None; removing is content."""
    missing = f"{tmp_path}/missing"
    with pytest.raises(FileNotFoundError):
        disk.open(missing)
    with pytest.raises(FileNotFoundError):
        disk.open_read(missing)
    with pytest.raises(FileNotFoundError):
        disk.list_directory(missing)
    assert disk.read_file(missing) is None
    assert disk.file_size(missing) is None
    disk.remove(missing)
    disk.remove_tree(missing)


def test_names(disk: SystemDisk, tmp_path: Path) -> None:
    """Directories are made with those above them, listed in order, renamed and removed with all that is in them."""
    disk.make_directory(f"{tmp_path}/a/b")
    disk.make_directory(f"{tmp_path}/a/b")
    for name in ("z", "m", "k"):
        disk.write_file(f"{tmp_path}/a/{name}", b"text")
    disk.sync_directory(f"{tmp_path}/a")
    assert disk.list_directory(f"{tmp_path}/a") == ["b", "k", "m", "z"]
    assert disk.is_directory(f"{tmp_path}/a/b")
    assert not disk.is_directory(f"{tmp_path}/a/k")
    disk.rename(f"{tmp_path}/a", f"{tmp_path}/c")
    disk.rename(f"{tmp_path}/c/k", f"{tmp_path}/c/m")
    assert disk.list_directory(f"{tmp_path}/c") == ["b", "m", "z"]
    disk.remove_tree(f"{tmp_path}/c")
    assert disk.list_directory(str(tmp_path)) == []


def test_replacing_a_file(disk: SystemDisk, tmp_path: Path) -> None:
    """The new bytes are there whole, nothing else is left."""
    path = f"{tmp_path}/checkpoint"
    for text in (b"long enough", b"short"):
        disk.write_file_atomically(path, text)
        assert disk.read_file(path) == text
    assert disk.list_directory(str(tmp_path)) == ["checkpoint"]


def test_a_file_for_which_there_is_no_room(disk: SystemDisk, tmp_path: Path) -> None:
    """Nothing is left of it, rather than a part; found by filling a disk: a torn snapshot lay about."""
    resource = pytest.importorskip("resource")
    path = f"{tmp_path}/caches"
    disk.write_file(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, limits[1]))
    try:
        with pytest.raises(OSError):
            disk.write_file(path, b"too long")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert disk.read_file(path) is None


def test_a_lock(disk: SystemDisk, tmp_path: Path) -> None:
    """One holder at a time; free again when released."""
    path = f"{tmp_path}/.lock"
    lock = disk.lock(path)
    for _ in range(2):
        with pytest.raises(InUse):
            disk.lock(path)
    lock.release()
    lock.release()
    disk.lock(path).release()


def test_a_file_lives_as_long_as_it_is_held(tmp_path: Path) -> None:
    """A file that was removed can be read through what is held of it; the last holder's going closes it."""
    disk = SystemDisk()
    file = disk.open(f"{tmp_path}/file", create=True)
    file.write(0, b"still here")
    descriptor = file.fileno()
    disk.remove(f"{tmp_path}/file")
    assert file.read(0, 100) == b"still here"
    if descriptor is None:
        return
    os.fstat(descriptor)
    del file
    gc.collect()
    with pytest.raises(OSError, match="Bad file") as caught:
        os.fstat(descriptor)
    assert caught.value.errno == errno.EBADF


def test_room(disk: SystemDisk, tmp_path: Path) -> None:
    """How large the file system is, and what is left of it."""
    space = disk.space(str(tmp_path))
    assert 0 <= space.usable <= space.total


def test_the_environment_can_ask_for_the_portable_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTTLA_PORTABLE=1 runs a whole broker as on a platform that has nothing."""
    monkeypatch.setenv("OTTLA_PORTABLE", "1")
    assert Features.detect() == Features.portable()
    assert not SystemDisk().tells_residency
    monkeypatch.setenv("OTTLA_PORTABLE", "0")
    assert Features.detect() != Features.portable()
