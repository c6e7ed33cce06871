"""The list of dirty logs: with it a start after a crash visits few logs; without it, or with a wrong one, it is slow.

What is in the logs is the same in every case: that is tried here with lists that are missing, cut, garbled, stale, and
with lists that name nothing although everything has grown.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from kproto.batches.crc32c import crc32c
from kproto.errors import ErrorCode
from storage.local import dirty_logs
from storage.local.dirty_logs import decode, encode
from storage.progress import Recovered
from storage.seams.offload import InlineOffload
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import batch, batches, joined, spec
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, read_all, values_of

LOGS = 12
QUIET = range(8)
BUSY = range(8, LOGS)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


async def killed(place: Place) -> Place:
    """Twelve logs, of which four have grown since the last checkpoint; as a kill leaves them."""
    async with place.open() as store:
        for partition in range(LOGS):
            await append(log_of(store, partition=partition), *batches(3))
        await store.volume.write_recovery_points()
        for partition in BUSY:
            log_of(store, partition=partition).begin_append([batch(b"3")])
        return place.as_killed()


async def expect(place: Place) -> None:
    """Every log has what was appended to it, and goes on behind it."""
    async with place.open() as store:
        for partition in range(LOGS):
            log = log_of(store, partition=partition)
            grown = partition in BUSY
            found = await values_of(store, log)
            assert len(found) == 3 + grown, partition
            assert (await read_all(store, log)).startswith(joined(batches(3)))
            assert await append(log, batch(b"next")) == 3 + grown


def list_of(place: Place) -> Path:
    return place.path / dirty_logs.NAME


def checksum(place: Place) -> int:
    """Of the recovery points."""
    return crc32c((place.path / "recovery-point-offset-checkpoint").read_bytes())


def listed(place: Place) -> set[tuple[str, int]] | None:
    return decode(list_of(place).read_bytes(), checksum(place))


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_list_is_read_as_it_was_written() -> None:
    """Names and numbers come back; for other recovery points it is no list."""
    keys = {("orders", 0), ("a.b_c-7", 99999), ("x" * 249, 2**31 - 1)}
    assert decode(encode(keys, 77), 77) == keys
    assert decode(encode(set(), 77), 77) == set()
    assert decode(encode(keys, 77), 78) is None


def test_a_list_is_whole_or_none() -> None:
    """Cut anywhere but between lines, or with any byte changed, it is no list, or what is missing is known."""
    keys = {("orders", number) for number in range(5)}
    data = encode(keys, 77)
    lines = {len(part) for part in (data[: at + 1] for at in range(len(data)) if data[at] == 10)}
    for size in range(len(data)):
        found = decode(data[:size], 77)
        assert found is None or (size in lines and found < keys)
    for at in range(len(data)):
        for bit in (1, 32, 128):
            found = decode(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], 77)
            # One of the two slots may be wrong: a crash may have torn it.
            assert found is None or found == keys


# -- starts ------------------------------------------------------------------------------------------------------------


async def test_a_start_after_a_crash_visits_what_has_grown(place: Place) -> None:
    """L17: one listing of the directory and one of each log on the list; the others at their first use."""
    left = await killed(place)
    assert listed(left) == {("orders", partition) for partition in BUSY}
    disk = FaultyDisk(HurriedDisk())
    async with left.open(disk) as store:
        assert disk.calls["list_directory"] == 1 + len(BUSY)
        assert store.loader.unverified == {("orders", partition) for partition in QUIET}
        assert log_of(store, partition=0).log_end_offset == 3
        assert disk.calls["list_directory"] == 2 + len(BUSY)
        assert ("orders", 0) not in store.loader.unverified
    await expect(left)


def gone(place: Place) -> None:
    list_of(place).unlink()


def cut(place: Place) -> None:
    list_of(place).write_bytes(list_of(place).read_bytes()[:-5])


def without_its_last_line(place: Place) -> None:
    list_of(place).write_bytes(b"".join(list_of(place).read_bytes().splitlines(keepends=True)[:-1]))


def zeroed(place: Place) -> None:
    list_of(place).write_bytes(bytes(list_of(place).stat().st_size))


def garbled(place: Place) -> None:
    list_of(place).write_bytes(b"\xff\n" * 500)


def empty(place: Place) -> None:
    list_of(place).write_bytes(b"")


def naming_nothing(place: Place) -> None:
    list_of(place).write_bytes(encode(set(), checksum(place)))


def naming_the_wrong_ones(place: Place) -> None:
    list_of(place).write_bytes(encode({("orders", 0), ("unknown", 5)}, checksum(place)))


def of_other_recovery_points(place: Place) -> None:
    list_of(place).write_bytes(encode(set(), 1))


SPOILED = [gone, cut, zeroed, garbled, empty, of_other_recovery_points]
WRONG = [without_its_last_line, naming_nothing, naming_the_wrong_ones]


@pytest.mark.parametrize("spoil", SPOILED)
async def test_without_a_list_every_log_is_visited(place: Place, spoil: Callable[[Place], None]) -> None:
    """L17: a list that is missing, cut, garbled or of another time is none."""
    left = await killed(place)
    spoil(left)
    disk = FaultyDisk(HurriedDisk())
    async with left.open(disk) as store:
        assert disk.calls["list_directory"] == 1 + LOGS
        assert store.loader.unverified == set()
    left = place.as_killed("again") if not (place.path / ".kafka_cleanshutdown").exists() else left
    await expect(left)


@pytest.mark.parametrize("spoil", [*SPOILED, *WRONG])
async def test_whatever_the_list_says_the_logs_say_the_same(place: Place, spoil: Callable[[Place], None]) -> None:
    """E12: a log that has grown and is not on the list is recovered when it is opened."""
    left = await killed(place)
    spoil(left)
    await expect(left)


@pytest.mark.parametrize("spoil", WRONG)
async def test_a_torn_log_that_is_not_on_the_list(place: Place, spoil: Callable[[Place], None]) -> None:
    """Its torn end is cut off when it is first opened; a log that lacks synced batches is offline."""
    left = await killed(place)
    last = BUSY[-1]
    torn, short = left.file(".log", partition=last), left.file(".log", partition=1)
    torn.write_bytes(torn.read_bytes()[:-3])
    short.write_bytes(short.read_bytes()[:-3])
    before = short.read_bytes()
    spoil(left)
    async with left.open() as store:
        assert await append(log_of(store, partition=last), batch(b"next")) == 3
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log_of(store, partition=1).log_end_offset  # noqa: B018
    assert short.read_bytes() == before
    assert not (left.path / ".kafka_cleanshutdown").exists(), "a stop with damage about is not clean"


async def test_recovery_may_be_cut_short(place: Place) -> None:
    """A second crash during the start, and a third: the list is there until the logs have been recovered."""
    left = await killed(place)
    for _ in range(3):
        store = left.store()
        await store.open()
        left = left.as_killed("killed" + left.path.name)
        store.data.give_up()
        assert (listed(left) or set()) >= {("orders", partition) for partition in BUSY}
    await expect(left)


async def test_progress_is_shown_while_logs_are_recovered(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """How many logs are done of how many, and how many bytes were checked; the end is reported, however it ends."""
    left = await killed(place)
    shown: list[Recovered | None] = []

    class Watcher:
        def show(self, now: Recovered) -> None:
            shown.append(now)

        def close(self) -> None:
            shown.append(None)

    async with left.open(offload=InlineOffload(delay=lambda: 0.5), progress=Watcher()):
        pass
    *during, end = shown
    assert end is None
    assert [now.of for now in during if now is not None] == [len(BUSY)] * len(during)
    assert len(during) >= 2


# -- while the broker runs ---------------------------------------------------------------------------------------------


async def test_a_checkpoint_begins_another_list(place: Place) -> None:
    """What was synced and noted is off the list; what is touched again is on it again; what was not synced stays."""
    async with place.open() as store:
        for partition in range(4):
            await append(log_of(store, partition=partition), batch(b"x"))
        log_of(store, partition=3).begin_append([batch(b"y")])
        assert listed_now(place) == {("orders", partition) for partition in range(4)}
        await store.volume.write_recovery_points()
        assert listed_now(place) == {("orders", 3)}
        await append(log_of(store, partition=1), batch(b"z"))
        assert listed_now(place) == {("orders", 1), ("orders", 3)}


def listed_now(place: Place) -> set[tuple[str, int]] | None:
    path = place.path / "recovery-point-offset-checkpoint"
    return decode(list_of(place).read_bytes(), crc32c(path.read_bytes()) if path.exists() else 0)


async def test_what_is_touched_while_the_checkpoint_is_written_is_on_the_next_list(place: Place) -> None:
    """However an append and the writing of recovery points fall together."""
    async with place.open() as store, trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(store.volume.write_recovery_points)
            for _ in range(number % 4):
                await trio.lowlevel.checkpoint()
            await append(log_of(store, partition=number % 3), batch(b"%d" % number))
            left = place.as_killed()
            ends = points(left)
            for partition in range(min(number + 1, 3)):
                end = log_of(store, partition=partition).log_end_offset
                on_list = ("orders", partition) in (listed_now(left) or {("orders", partition)})
                assert on_list or ends.get(("orders", partition)) == end


def points(place: Place) -> dict[tuple[str, int], int]:
    path = place.path / "recovery-point-offset-checkpoint"
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    return {(line.split()[0], int(line.split()[1])): int(line.split()[2]) for line in lines}


async def test_the_list_is_synced_a_moment_later(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Once for all that came meanwhile."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        for partition in range(5):
            log_of(store, partition=partition).begin_append([batch(b"x")])
        await trio.sleep(20)
        assert disk.calls["datasync"] == 1
        nursery.cancel_scope.cancel()


async def test_a_full_disk_costs_the_list_and_nothing_else(place: Place) -> None:
    """A line that cannot be written is left out; the log is found out when it is opened."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        await append(log_of(store), batch(b"x"))
        await store.volume.write_recovery_points()
        disk.fail("write", 28, path=str(list_of(place)), times=1, short=7)
        await append(log_of(store), batch(b"y"))
        await append(log_of(store, partition=1), batch(b"z"))
        left = place.as_killed()
    assert listed(left) == {("orders", 1)}
    async with left.open() as store:
        assert await values_of(store, log_of(store)) == [b"x", b"y"]
        assert await values_of(store, log_of(store, partition=1)) == [b"z"]


# -- stops, deletions --------------------------------------------------------------------------------------------------


async def test_a_stop_is_clean_when_every_log_has_been_verified(place: Place) -> None:
    """L9: a log not opened since the crash is held against its recovery point before the mark is made."""
    left = await killed(place)
    async with left.open() as store:
        assert len(store.loader.unverified) == len(QUIET)
    assert (left.path / ".kafka_cleanshutdown").exists()
    assert not list_of(left).exists()
    await expect(left)


async def test_a_stop_is_not_clean_if_a_log_has_grown_unseen(place: Place) -> None:
    """L9: a log that was not on the list and ends elsewhere is put on it, and there is no mark."""
    left = await killed(place)
    naming_nothing(left)
    async with left.open():
        pass
    assert not (left.path / ".kafka_cleanshutdown").exists()
    assert listed(left) == {("orders", partition) for partition in BUSY}
    await expect(left)


async def test_a_deleted_log_is_forgotten(place: Place) -> None:
    """A topic made again under the name of one that was on the list, or was not, shows nothing of it."""
    left = await killed(place)
    async with left.open() as store:
        await store.delete_logs([spec("orders", partition) for partition in range(LOGS)])
        assert store.loader.unverified == set()
        for partition in range(LOGS):
            log = store.log(spec("orders", partition)._replace(topic_id=b"y" * 16))
            assert await append(log, batch(b"new")) == 0
        again = left.as_killed("again")
    async with again.open() as store:
        for partition in range(LOGS):
            log = store.log(spec("orders", partition)._replace(topic_id=b"y" * 16))
            assert await values_of(store, log) == [b"new"]


# -- a process that is killed ------------------------------------------------------------------------------------------

WRITER = """
import sys, trio
from pathlib import Path
from storage.progress import Recovered
from storage.tests.local.local_lab import Place, append, log_of
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.testing.log_builder import batch

async def main():
    store = Place(Path(sys.argv[1])).store(SystemDisk(), ThreadOffload())
    await store.open()
    number = 0
    while True:
        log = log_of(store, partition=number * 7 % 20)
        if number % 10 == 9:
            await append(log, batch(b"%d" % number))
        else:
            log.begin_append([batch(b"%d" % number)])
        print(number * 7 % 20, number, flush=True)
        number += 1
        if number % 50 == 0:
            await store.volume.write_recovery_points()

trio.run(main)
"""


def write_until_killed(place: Place, acknowledged: int) -> list[list[str]]:
    """Kill the writer when it has reported so many appends; all that it reported, partition and value each."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
    return [line.split() for line in reported if line.endswith("\n")]


@pytest.mark.parametrize("acknowledged", [1, 49, 53, 220])
async def test_a_killed_process_loses_nothing(place: Place, acknowledged: int) -> None:
    """SIGKILL between two appends or within one: every reported append is there, with the list and without."""
    lines = write_until_killed(place, acknowledged)
    for name in ("with", "without"):
        left = place.as_killed(name)
        if name == "without":
            list_of(left).unlink(missing_ok=True)
        async with left.open() as store:
            for partition in range(20):
                sent = [number.encode() for where, number in lines if int(where) == partition]
                found = await values_of(store, log_of(store, partition=partition)) if sent else []
                assert found[: len(sent)] == sent
                assert len(found) <= len(sent) + 1
