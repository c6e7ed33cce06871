"""A directory that another program, or a person, changes under the broker is noticed, named, and not made worse.

What was done to the files is not for the broker to mend. What it owes is: no acknowledgement for what the next start
would not find, no offset given out twice, no mark of a clean stop, nothing written into what is not its own, and a log
line that names the file. A log that is touched stops alone; the others go on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from kproto.errors import ErrorCode, KafkaError
from storage.engine import FetchedRecords, Read, StoreError
from storage.seams.disk import Features, SystemDisk
from storage.seams.logging import process_lines
from storage.testing.log_builder import batch, batches, content
from storage.tests.local.local_lab import Place, append, log_of, values_of

CLEAN = ".kafka_cleanshutdown"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What is logged."""
    stream = StringIO()
    process_lines().configure(form="json", stream=stream)
    yield stream
    process_lines().configure()


def events(lines: StringIO) -> list[str]:
    """The events logged, in order."""
    return [json.loads(line)["event"] for line in lines.getvalue().splitlines()]


@contextmanager
def refused(code: ErrorCode = ErrorCode.KAFKA_STORAGE_ERROR) -> Iterator[None]:
    """The block is refused with this code."""
    with pytest.raises(KafkaError) as caught:
        yield
    assert caught.value.code is code


def is_clean(place: Place) -> bool:
    """Whether the last stop has left the mark of a clean one."""
    return (place.path / CLEAN).exists()


def removed(directory: Path) -> None:
    """The partition's directory is gone."""
    shutil.rmtree(directory)


def moved(directory: Path) -> None:
    """Another directory of the same name is there, with the same files."""
    shutil.copytree(directory, directory.with_name("copy"))
    directory.rename(directory.with_name("aside"))
    directory.with_name("copy").rename(directory)


def replaced(directory: Path) -> None:
    """A restored copy of the segment has its name."""
    [segment] = directory.glob("*.log")
    copy = segment.with_suffix(".restored")
    shutil.copy(segment, copy)
    copy.rename(segment)


def cut(directory: Path) -> None:
    """The segment has lost its second half."""
    [segment] = directory.glob("*.log")
    os.truncate(segment, segment.stat().st_size // 2)


@pytest.mark.parametrize("accident", [removed, moved, replaced, cut])
async def test_nothing_is_acknowledged_that_would_not_be_found(
    place: Place, lines: StringIO, accident: Callable[[Path], None]
) -> None:
    """The first append behind the accident is refused, the log stops, by name; other logs go on; the stop is no clean
    one."""
    async with place.open() as store:
        log, other = log_of(store), log_of(store, "other")
        await append(log, *batches(4))
        accident(place.path / "orders-0")
        for _ in range(2):
            with refused():
                await append(log, batch(b"lost"))
        assert await append(other, batch(b"fine")) == 0
        assert not store.has_stopped
    assert events(lines).count("partition offline") == 1
    assert "orders-0" in lines.getvalue()
    assert not is_clean(place)


async def test_a_roll_into_another_directory_is_refused(place: Place) -> None:
    """A new segment is not begun beside one that is not there."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=1)
        await append(log, batch(b"a"))
        removed(place.path / "orders-0")
        with refused():
            log.begin_append([batch(b"b")])
        assert not store.has_stopped
    assert not (place.path / "orders-0").exists()


async def test_a_cut_file_has_no_hole(place: Place) -> None:
    """No append lies behind bytes that were never written, and no consumer is sent the NUL bytes between them."""
    async with place.open(SystemDisk()) as store:
        log = log_of(store)
        await append(log, *batches(4))
        cut(place.path / "orders-0")
        with refused():
            log.begin_append([batch(b"behind a hole")])
        [answer] = await store.read_many([Read(log, 0, 1 << 20, 4)], 1 << 20)
        if Features.detect().read_without_waiting:
            assert isinstance(answer, KafkaError)
        else:
            assert not isinstance(answer, FetchedRecords) or b"\0" * 100 not in content(answer)
    assert b"\0" * 100 not in place.file(".log").read_bytes()


async def test_a_missing_directory_is_no_new_log(place: Place, lines: StringIO) -> None:
    """A log whose directory was removed while the broker was down is offline until it is back, or its topic deleted:
    a new one would give its offsets out again."""
    async with place.open() as store:
        await append(log_of(store), *batches(4))
        await append(log_of(store, "other"), batch(b"fine"))
    (place.path / "orders-0").rename(place.path.parent / "elsewhere")
    async with place.open() as store:
        assert "directories of logs are missing: restore them, or delete their topics" in events(lines)
        with refused():
            await append(log_of(store), batch(b"new"))
        assert await values_of(store, log_of(store, "other")) == [b"fine"]
    (place.path.parent / "elsewhere").rename(place.path / "orders-0")
    async with place.open() as store:
        assert len(await values_of(store, log_of(store))) == 4
    removed(place.path / "orders-0")
    async with place.open() as store:
        await store.delete_logs([log_of(store).spec])
        assert await append(log_of(store), batch(b"new")) == 0


@pytest.mark.parametrize("dangling", [False, True])
async def test_links_are_not_followed(place: Place, tmp_path: Path, dangling: bool) -> None:
    """Nothing is written where a link leads; the log is offline, the directory goes on."""
    target = tmp_path / "target"
    async with place.open() as store:
        log = log_of(store)
        if not dangling:
            target.mkdir()
        (place.path / "orders-0").symlink_to(target)
        with refused():
            await append(log, batch(b"x"))
        await store.create_logs([log.spec, log_of(store, "made").spec])
        assert (place.path / "made-0").is_dir()
        assert await append(log_of(store, "other"), batch(b"fine")) == 0
        assert not store.has_stopped
        await store.delete_logs([log.spec])
    assert target.exists() is not dangling
    assert dangling or not list(target.iterdir())


async def test_a_second_broker_does_not_start_when_the_lock_is_removed(place: Place) -> None:
    """The lock is of the directory, not only of a file that can be removed."""
    async with place.open():
        (place.path / ".lock").unlink()
        with pytest.raises(StoreError, match="in use"):
            async with Place(place.path).open():
                pass


async def test_checkpoints_are_not_written_into_another_directory(place: Place, lines: StringIO) -> None:
    """A directory that was exchanged for another broker's gets nothing of ours, and the broker says so."""
    async with place.open() as store:
        await append(log_of(store), *batches(4))
        place.path.rename(place.path.parent / "aside")
        place.path.mkdir()
        (place.path / "recovery-point-offset-checkpoint").write_text("0\n0\n")
        with pytest.raises(OSError, match="replaced"):
            await store.volume.write_recovery_points()
        assert store.has_stopped
    assert sorted(os.listdir(place.path)) == ["recovery-point-offset-checkpoint"]
    assert (place.path / "recovery-point-offset-checkpoint").read_text() == "0\n0\n"
    assert "log directory stopped" in events(lines)


async def test_many_foreign_files_are_one_line(place: Place, lines: StringIO) -> None:
    """At every start ten thousand files of another program were as many warnings."""
    place.path.mkdir()
    for number in range(500):
        (place.path / f"photo{number}.jpg").touch()
    async with place.open():
        pass
    [line] = [json.loads(line) for line in lines.getvalue().splitlines() if "left alone" in line]
    assert (line["count"], len(line["names"])) == (500, 5)


async def test_the_folder_of_keys_and_certificates_is_not_foreign(place: Place, lines: StringIO) -> None:
    """`ottla serve --secure` makes it here: its first start gave a warning about it."""
    (place.path / "secure").mkdir(parents=True)
    async with place.open():
        pass
    assert "left alone" not in lines.getvalue()
