"""The upkeep and the cleaner go on whatever happens to one of their duties, and a stop does what it can."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from storage.local.cleaner import Cleaner
from storage.local.expiry import Expiry
from storage.local.removal import Removal
from storage.local.upkeep import Upkeep
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import batch
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


async def _fails(*_: object) -> None:
    raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize(
    ("part", "duty"),
    [
        (Upkeep, "_sync_list"), (Upkeep, "_flush_late"), (Upkeep, "_look_for_room"), (Upkeep, "_close_files"),
        (Upkeep, "learn_timestamps"), (Upkeep, "_close_idle"), (Removal, "remove_due"), (Expiry, "apply"),
        (Cleaner, "clean_due"),
    ],
)  # fmt: skip
async def test_a_duty_that_fails_keeps_no_other_from_being_done(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, part: Any, duty: str
) -> None:
    """It is named in the log; bytes that no producer waits for are synced within two minutes all the same."""
    monkeypatch.setattr(part, duty, _fails)
    async with place.open() as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.maintain)
            log_of(store).begin_append([batch(b"x")])
            await trio.sleep(150)
            assert (place.path / "recovery-point-offset-checkpoint").read_bytes() == b"0\n1\norders 0 1\n"
            nursery.cancel_scope.cancel()
        monkeypatch.undo()


@pytest.mark.parametrize("operation", ["write_file_atomically", "remove", "list_directory"])
async def test_a_disk_that_fails_for_a_while(
    place: Place, autojump_clock: trio.testing.MockClock, operation: str
) -> None:
    """When it is well again the upkeep has gone on, and the stop is a clean one."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store)
        await append(log, batch(b"x"))
        disk.fail(operation, errno.EIO)
        await trio.sleep(200)
        disk.heal()
        await append(log, batch(b"y"))
        await trio.sleep(100)
        assert (place.path / "recovery-point-offset-checkpoint").read_bytes() == b"0\n1\norders 0 2\n"
        nursery.cancel_scope.cancel()
    assert (place.path / ".kafka_cleanshutdown").exists()


async def test_a_stop_that_meets_a_mistake_of_ours_lets_go_of_the_directory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not clean, and the next store opens."""
    async with place.open() as store:
        await append(log_of(store), batch(b"x"))
        monkeypatch.setattr(store.upkeep, "learn_timestamps", _fails)
    assert not (place.path / ".kafka_cleanshutdown").exists()
    async with place.open() as store:
        assert log_of(store).log_end_offset == 1


async def test_a_stop_whose_time_is_over_lets_go_of_the_directory(
    place: Place, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    store = place.store()
    await store.open()
    await append(log_of(store), batch(b"x"))
    monkeypatch.setattr(store.upkeep, "learn_timestamps", trio.sleep_forever)
    with trio.move_on_after(5) as scope:
        await store.close()
    assert scope.cancelled_caught
    assert not (place.path / ".kafka_cleanshutdown").exists()
    async with place.open() as store:
        assert log_of(store).log_end_offset == 1
