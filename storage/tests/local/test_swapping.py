"""Segments in place of others: cut short anywhere, the log has the old ones or the new one, never neither nor both."""

from __future__ import annotations

import errno
import random

import pytest

from storage.local.segment import Corrupt, file_name
from storage.local.swapping import NotBegun, finish_interrupted, put_in_place, remove_unfinished
from storage.seams.disk import Disk, SystemDisk
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes
from storage.testing.keyed_batches import in_log, keyed
from storage.testing.log_builder import batch

DIRECTORY = "/data/orders-0"


def put(disk: Disk, name: str, data: bytes) -> None:
    """A durable file."""
    disk.write_file(f"{DIRECTORY}/{name}", data)
    disk.open(f"{DIRECTORY}/{name}").datasync()


def segment(disk: Disk, base: int, data: bytes, suffix: str = "", *kinds: str) -> None:
    """The files of one segment."""
    put(disk, file_name(base, ".log") + suffix, data)
    for kind in kinds or (".index", ".timeindex"):
        put(disk, file_name(base, kind) + suffix, b"")


def records(first: int, count: int, text: bytes) -> bytes:
    """`count` batches of one record each."""
    return b"".join(in_log([batch(text + b"%d" % number) for number in range(count)], first))


BEFORE = {0: records(0, 3, b"before"), 3: records(3, 2, b"old"), 5: records(5, 4, b"old"), 9: records(9, 1, b"active")}
NEW = b"".join(in_log([batch(b"new")], 4) + in_log([batch(b"end")], 8))


def stage(disk: Disk) -> None:
    """Segments 3 and 5 are about to become one; that one is written."""
    disk.make_directory(DIRECTORY)
    for base, data in BEFORE.items():
        segment(disk, base, data)
    put(disk, file_name(5, ".txnindex"), b"")
    segment(disk, 3, NEW, ".cleaned")
    disk.sync_directory(DIRECTORY)
    disk.sync_directory("/data")
    disk.sync_directory("")


def outcome(disk: Disk) -> str:
    """What the log is now, "old" or "new"; anything else fails."""
    names = finish_interrupted(disk, DIRECTORY, disk.list_directory(DIRECTORY))
    assert names == disk.list_directory(DIRECTORY)
    assert not [name for name in names if name.endswith((".swap", ".cleaned"))]
    logs = {int(name[:20]): disk.read_file(f"{DIRECTORY}/{name}") for name in names if name.endswith(".log")}
    if logs == BEFORE:
        return "old"
    assert logs == {0: BEFORE[0], 3: NEW, 9: BEFORE[9]}, names
    assert file_name(5, ".txnindex") not in names
    return "new"


def test_an_exchange() -> None:
    """The new segment has the place, the files of the old ones wait for their removal under other names."""
    disk = SimulatedDisk()
    stage(disk)
    gone = put_in_place(disk, DIRECTORY, [3, 5])
    assert sorted(gone) == sorted(
        f"{DIRECTORY}/{file_name(base, kind)}.deleted"
        for base, kinds in ((3, (".log", ".index", ".timeindex")), (5, (".log", ".index", ".timeindex", ".txnindex")))
        for kind in kinds
    )
    assert outcome(disk) == "new"


@pytest.mark.parametrize("reorder", [False, True])
def test_power_may_go_at_any_step(reorder: bool) -> None:
    """After every operation, with any part of what was not synced; and again while that is put right."""
    whole = SimulatedDisk()
    stage(whole)
    begin = whole.operations
    put_in_place(whole, DIRECTORY, [3, 5])
    seen = set()
    for steps in range(whole.operations - begin + 1):
        for seed in range(25):
            chance = random.Random(seed)
            disk = SimulatedDisk()
            stage(disk)
            disk.stop_after = disk.operations + steps
            with until_the_power_goes():
                put_in_place(disk, DIRECTORY, [3, 5])
            disk = disk.after_power_cut(chance, reorder=reorder)
            disk.stop_after = chance.randrange(12)
            with until_the_power_goes():
                finish_interrupted(disk, DIRECTORY, disk.list_directory(DIRECTORY))
            seen.add(outcome(disk.after_power_cut(chance, reorder=reorder)))
    assert seen == {"old", "new"}


@pytest.mark.parametrize("operation", ["rename", "sync_directory"])
def test_an_error_at_any_step(operation: str) -> None:
    """Either nothing has begun, and nothing is left of it; or the next opening finishes it."""
    for step in range(1, 30):
        base = SimulatedDisk()
        stage(base)
        disk = FailAt(base, operation, step)
        try:
            put_in_place(disk, DIRECTORY, [3, 5])
        except NotBegun as error:
            assert operation == "rename"
            assert isinstance(error.args[0], OSError)
            assert not [name for name in base.list_directory(DIRECTORY) if name.endswith((".swap", ".cleaned"))]
            assert outcome(base) == "old"
        except OSError:
            assert outcome(base) in ("old", "new")
        else:
            assert outcome(base) == "new"
            assert step > 4
            return
    raise AssertionError("it never succeeded")


class FailAt(FaultyDisk):
    """Fails one operation, once."""

    def __init__(self, disk: SimulatedDisk, operation: str, step: int) -> None:
        super().__init__(disk)
        self._operation, self._step = operation, step

    def check(self, operation: str, path: str) -> None:
        super().check(operation, path)
        if operation == self._operation:
            self._step -= 1
            if self._step == 0:
                raise OSError(errno.EIO, "injected fault", path)


def test_what_cannot_be_read_replaces_nothing() -> None:
    """A damaged `.swap` segment deletes no old one: the log stays offline, and every file as it is."""
    disk = SimulatedDisk()
    stage(disk)
    disk.stop_after = disk.operations + 6
    with until_the_power_goes():
        put_in_place(disk, DIRECTORY, [3, 5])
    disk.stop_after = None
    assert any(name.endswith(".log.swap") for name in disk.list_directory(DIRECTORY))
    disk.open(f"{DIRECTORY}/{file_name(3, '.log')}.swap").write(70, b"\xff")
    before = disk.list_directory(DIRECTORY)
    with pytest.raises(Corrupt, match="checksum"):
        finish_interrupted(disk, DIRECTORY, before)
    assert disk.list_directory(DIRECTORY) == before


def test_a_segment_that_kafka_was_splitting() -> None:
    """The later part is `.swap`, the earlier one still `.cleaned`: the whole one is there, and stays."""
    disk = SimulatedDisk()
    disk.make_directory(DIRECTORY)
    whole = records(0, 6, b"whole")
    segment(disk, 0, whole)
    segment(disk, 0, records(0, 3, b"whole"), ".cleaned")
    segment(disk, 3, records(3, 3, b"whole"), ".swap")
    finish_interrupted(disk, DIRECTORY, disk.list_directory(DIRECTORY))
    assert [name for name in disk.list_directory(DIRECTORY) if ".log" in name] == [file_name(0, ".log")]
    assert disk.read_file(f"{DIRECTORY}/{file_name(0, '.log')}") == whole


def test_a_forgotten_cleaned_file_does_not_undo_a_later_exchange() -> None:
    """Only what is still there in its old form makes a `.swap` superfluous."""
    disk = SimulatedDisk()
    stage(disk)
    put(disk, file_name(0, ".log") + ".cleaned", b"left behind")
    for kind in (".log", ".index", ".timeindex"):
        disk.rename(f"{DIRECTORY}/{file_name(3, kind)}.cleaned", f"{DIRECTORY}/{file_name(3, kind)}.swap")
        for base in (3, 5):
            disk.rename(f"{DIRECTORY}/{file_name(base, kind)}", f"{DIRECTORY}/{file_name(base, kind)}.deleted")
    disk.remove(f"{DIRECTORY}/{file_name(5, '.txnindex')}")
    assert outcome(disk) == "new"


def test_what_came_to_nothing_is_removed() -> None:
    """Unfinished files only."""
    disk = SimulatedDisk()
    stage(disk)
    remove_unfinished(disk, DIRECTORY)
    assert outcome(disk) == "old"
    assert len(disk.list_directory(DIRECTORY)) == 13


def test_a_batch_of_a_swap_may_be_large(tmp_path: object) -> None:
    """Reading it through does not depend on how batches lie."""
    disk = SystemDisk()
    directory = str(tmp_path)
    [data] = in_log([keyed((b"k", b"x" * 3_000_000))])
    disk.write_file(f"{directory}/{file_name(0, '.log')}.swap", data)
    assert finish_interrupted(disk, directory, disk.list_directory(directory)) == [file_name(0, ".log")]
