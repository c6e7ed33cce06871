"""A cluster's logs become a data directory that a broker of one machine serves, with offsets, gaps and producers."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kproto.batches.records import iter_records
from storage.copies import BlobCopy
from storage.engine import Read
from storage.local.engine import LocalStore
from storage.portable.exporting import PLAN, Export, ExportFailed
from storage.producers import ProducerState
from storage.seams.disk import Disk, SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.control_plane import MemoryControlPlane
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import batch, content, whole_batches
from storage.tests.object.object_lab import Cluster
from storage.tests.object.test_importing import GAPS, RECORDS, at, copy_of, importing, log, spec


async def filled() -> Cluster:
    """A cluster with an imported log that has gaps, and another one, both written to by a broker."""
    cluster = Cluster()
    state = ProducerState(77, 1, 4, 10, 1, cluster.clock.wall_millis(), -1, -1)
    blob = BlobCopy("quorum-state", 3, lambda: iter((b"abc",)))
    first = log(*GAPS, end=11, start=5, producers=[state], blobs=[blob])
    taken = await importing(cluster, copy_of(first, log(at(0, b"x"), partition=1, end=1)))
    await taken.run()
    async with cluster.broker(1) as store:
        for partition in (0, 1):
            found = store.log(spec(partition))
            await store.open_logs([found])
            await found.begin_append([batch(b"later")]).wait_durable()
    return cluster


async def exporting(cluster: Cluster, path: Path, disk: Disk | None = None) -> Export:
    """The cluster on its way into this directory."""
    control = MemoryControlPlane(cluster.database, 0, bytes(16))
    await control.open()
    made = Export(
        control,
        cluster.bucket,
        str(path),
        node_id=1,
        disk=disk or SystemDisk(),
        entropy=SeededEntropy(3),
        offload=InlineOffload(),
    )
    await made.plan()
    return made


async def served(path: Path, partition: int, cluster: Cluster) -> tuple[int, int, list[tuple[int, bytes | None]]]:
    """Start, end and records that a broker of one machine finds there."""
    store = LocalStore(
        str(path), node_id=1, disk=SystemDisk(), clock=cluster.clock, entropy=SeededEntropy(1), offload=InlineOffload()
    )
    await store.open()
    try:
        found = store.log(spec(partition))
        await store.open_logs([found])
        records: list[tuple[int, bytes | None]] = []
        offset = found.log_start_offset
        while offset < found.high_watermark:
            [answer] = await store.read_many([Read(found, offset, 1 << 20, found.high_watermark)], 1 << 20)
            batches = whole_batches(content(answer))
            records += [(each.offset, each.value) for _, whole in batches for each in iter_records(whole)]
            offset = batches[-1][0].next_offset
        if partition == 0:
            assert [each.producer_id for each in await found.producers()] == [77]
            assert await store.blobs(spec()).read("quorum-state") == b"abc"
        return found.log_start_offset, found.log_end_offset, records
    finally:
        await store.close()


WANTED = (5, 12, [*RECORDS[2:], (11, b"later")])


async def test_a_directory_has_everything(tmp_path: Path) -> None:
    """It was stopped cleanly, and nothing of the export is left beside it."""
    cluster = await filled()
    made = await exporting(cluster, tmp_path / "data")
    await made.run()
    assert len(await made.verify()) == 64
    names = {each.name for each in (tmp_path / "data").iterdir()}
    assert {"meta.properties", ".kafka_cleanshutdown", "orders-0", "orders-1"} <= names and PLAN not in names
    assert await served(tmp_path / "data", 0, cluster) == WANTED
    assert await served(tmp_path / "data", 1, cluster) == (0, 2, [(0, b"x"), (1, b"later")])


async def test_what_the_cluster_has_appended_has_its_leader_epoch(tmp_path: Path) -> None:
    """That of the import, and none that is older than what lies before it: epochs of a log never fall."""
    made = await exporting(await filled(), tmp_path / "data")
    await made.run()
    await made.verify()
    [segment] = (tmp_path / "data" / "orders-0").glob("*.log")
    batches = whole_batches(segment.read_bytes())
    assert (batches[-1][0].base_offset, batches[-1][0].partition_leader_epoch) == (11, 3)


async def test_an_export_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    """Wherever the disk failed, the same words again make the directory whole, as of the first moment."""
    cluster = await filled()
    faults = [
        ("datasync", ".log"), ("write", "orders-0"), ("create", "orders-1"), ("write_file_atomically", ".snapshot"),
        ("write_file_atomically", "orders-1/partition.metadata"), ("write_file_atomically", "recovery-point"),
        ("write_file_atomically", ".kafka_cleanshutdown"), ("sync_directory", "orders-0"),
    ]  # fmt: skip
    for number, (operation, place) in enumerate(faults):
        path = tmp_path / str(number)
        disk = FaultyDisk(SystemDisk())
        disk.fail(operation, errno.EIO, path=place, times=1)
        with pytest.raises(ExportFailed, match="cannot be written"):
            await (await exporting(cluster, path, disk)).run()
        again = await exporting(cluster, path)
        await again.run()
        await again.verify()
        assert await served(path, 0, cluster) == WANTED


async def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Its files are not touched; and so is one into which another cluster is being exported."""
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ExportFailed, match="is not empty"):
        await exporting(await filled(), tmp_path)
    (tmp_path / "mine").rename(tmp_path.parent / "mine")
    await exporting(await filled(), tmp_path)
    other = Cluster()
    other.database.cluster_id = "another"
    with pytest.raises(ExportFailed, match="another cluster"):
        await exporting(other, tmp_path)
