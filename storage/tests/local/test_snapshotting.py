"""Snapshots at checkpoints: what a start after a kill need not read, and what is never written for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from storage.local import snapshotting
from storage.local.engine import LocalStore
from storage.local.log import SNAPSHOT_WORTH
from storage.local.snapshotting import Snapshots
from storage.seams.disk import File, SystemDisk
from storage.testing.log_builder import ScriptedProducer, batch
from storage.tests.local.local_lab import Place, append, log_of, same_topic

VALUE = bytes(1000)


class CountingDisk(SystemDisk):
    """Knows how many bytes of `.log` files have been read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes = 0
        self.refuses = False

    def open(self, path: str, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        if not path.endswith(".log"):
            return file
        plain_read, plain_into = file.read, file.read_into

        class Counted:
            """Passes everything on."""

            def __getattr__(self, name: str) -> object:
                return getattr(file, name)

            def read(counted, position: int, length: int) -> bytes:
                self.read_bytes += length
                return plain_read(position, length)

            def read_into(counted, position: int, buffer: memoryview) -> int:
                self.read_bytes += len(buffer)
                return plain_into(position, buffer)

        return Counted()  # type: ignore[return-value]  # it has all that a File has

    def write_file(self, path: str, data: bytes) -> None:
        super().write_file(path, data)
        if self.refuses and path.endswith(".snapshot"):
            raise OSError(28, "no space left")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


async def checkpoint(store: LocalStore) -> None:
    """What the upkeep does once a minute."""
    await store.upkeep.sync_dirty()
    await Snapshots(store.volume, store.catalog).write_due()
    await store.volume.write_recovery_points()


def snapshots(place: Place, partition: int = 0) -> list[str]:
    return [name for name in place.names(partition=partition) if name.endswith(".snapshot")]


@pytest.mark.parametrize("numbered", [True, False])
async def test_a_start_reads_what_is_behind_the_checkpoint(place: Place, numbered: bool) -> None:
    """However large the open segment is, and whether or not any of its batches has a producer."""
    producer, plain = ScriptedProducer(9), batch(VALUE)
    async with place.open() as store:
        for _ in range(500):
            log_of(store).begin_append([producer.batch(VALUE) if numbered else plain])
        await checkpoint(store)
        for number in range(3):
            await append(log_of(store), producer.batch(b"behind %d" % number))
        killed = place.as_killed()
    disk = CountingDisk()
    async with killed.open(disk=disk) as store:
        log = log_of(store)
        assert log.log_end_offset == 503
        assert disk.read_bytes < 50_000, "of half a megabyte"
        for back in range(5 if numbered else 3):
            assert log.begin_append([producer.repeat(back)]).duplicate


async def test_a_recovery_that_has_read_much_spares_the_next_one(place: Place) -> None:
    """What it has replayed is written down at once: the log may not be written to again."""
    async with place.open() as store:
        for _ in range(100):
            log_of(store).begin_append([batch(VALUE)])
        killed = place.as_killed()
    async with killed.open() as store:
        assert log_of(store).log_end_offset == 100
        assert snapshots(killed) == [f"{100:020d}.snapshot"]


async def test_a_log_that_has_grown_little_is_left_alone(place: Place) -> None:
    """Of many logs most are such; and a log is not written down twice."""
    async with place.open() as store:
        log_of(store, partition=1).begin_append([batch(bytes(SNAPSHOT_WORTH - 1000))])
        log_of(store, partition=2).begin_append([batch(bytes(SNAPSHOT_WORTH))])
        await checkpoint(store)
        assert (snapshots(place, 1), snapshots(place, 2)) == ([], [f"{1:020d}.snapshot"])
        log_of(store, partition=2).begin_append([batch(bytes(SNAPSHOT_WORTH // 2))])
        await checkpoint(store)
        assert snapshots(place, 2) == [f"{1:020d}.snapshot"]
        log_of(store, partition=2).begin_append([batch(bytes(SNAPSHOT_WORTH // 2))])
        await checkpoint(store)
        assert snapshots(place, 2) == [f"{3:020d}.snapshot"], "the older one goes"


async def test_what_one_checkpoint_writes_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs that have grown most come first, the others next time."""
    monkeypatch.setattr(snapshotting, "MOST", 2)
    monkeypatch.setattr(snapshotting, "PIECE", 1)
    async with place.open() as store:
        for partition, size in enumerate((1, 3, 2)):
            log_of(store, partition=partition).begin_append([batch(bytes(size * SNAPSHOT_WORTH))])
        await checkpoint(store)
        assert [len(snapshots(place, partition)) for partition in range(3)] == [0, 1, 1]
        await checkpoint(store)
        assert [len(snapshots(place, partition)) for partition in range(3)] == [1, 1, 1]


async def test_a_full_disk_costs_the_snapshot_only(place: Place) -> None:
    """Nothing that is half written is left, and older snapshots stay."""
    disk = CountingDisk()
    async with place.open(disk=disk) as store:
        log_of(store).begin_append([batch(bytes(SNAPSHOT_WORTH))])
        await checkpoint(store)
        log_of(store).begin_append([batch(bytes(SNAPSHOT_WORTH))])
        disk.refuses = True
        await checkpoint(store)
        assert snapshots(place) == [f"{1:020d}.snapshot"]
        disk.refuses = False


async def test_a_new_log_gets_no_snapshot_of_its_namesake(place: Place) -> None:
    """A topic is deleted and made again while a snapshot of its log is under way: that is written before the directory
    is renamed, or not at all."""
    async with place.open() as store:
        log = log_of(store)
        log.begin_append([batch(bytes(SNAPSHOT_WORTH))])
        await store.upkeep.sync_dirty()
        async with trio.open_nursery() as nursery:
            async with store.volume.reshaping:
                nursery.start_soon(Snapshots(store.volume, store.catalog).write_due)
                await trio.testing.wait_all_tasks_blocked()
                log.delete()
            await store.delete_logs([log.spec])
        again = store.log(same_topic(log.spec)._replace(topic_id=b"another topic id"))
        again.begin_append([batch(b"first")])
        assert snapshots(place) == []
