"""The power goes, or the disk refuses, at any step of making snapshots and cutting the log: the cluster is what it was.

A script creates, alters and deletes topics on a simulated disk, with limits so low that every few records make a
snapshot and cut the log. It stops at one of the disk's operations; of what was not synced, the seed decides what is
left. The cluster that starts then has every topic that was answered, with its id and configs, none whose deletion was
answered, and no log of a topic that it does not know.
"""

from __future__ import annotations

import errno
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import ClusterCoordinator, NewTopic, Topic
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.coordinators.cluster.quorum_files import QuorumFiles
from broker.testing.contexts import config
from kproto.errors import KafkaError
from kproto.formats.metadata_snapshot import snapshot_named
from storage.local.engine import LocalStore
from storage.seams.clock import SystemClock, VirtualClock
from storage.seams.disk import Disk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes

SETTINGS = {
    "metadata.log.max.record.bytes.between.snapshots": "350",
    "metadata.max.retention.bytes": "1200",
    "internal.metadata.log.segment.bytes": "600",
}
FOLDER = "/data/__cluster_metadata-0"


class Answered:
    """What clients know."""

    def __init__(self) -> None:
        self.created: dict[str, bytes] = {}
        self.asked: set[str] = set()
        self.deleted: set[bytes] = set()
        self.cuts = 0


@asynccontextmanager
async def cluster(disk: Disk, seed: int) -> AsyncIterator[tuple[ClusterCoordinator, LocalStore]]:
    """A cluster on this disk. It is not stopped cleanly: that is the disk's business."""
    store = LocalStore(
        "/data", node_id=1, disk=disk, clock=VirtualClock(), entropy=SeededEntropy(seed), offload=InlineOffload()
    )
    await store.open()
    coordinator = ClusterCoordinator(store, config(SETTINGS), SystemClock(), SeededEntropy(seed))
    async with trio.open_nursery() as nursery:
        await coordinator.start(nursery)
        yield coordinator, store
        nursery.cancel_scope.cancel()


@contextmanager
def until_the_end(disk: SimulatedDisk) -> Iterator[None]:
    """What follows may be ended by a power cut, and by the errors that waiting callers get at that moment."""
    try:
        with until_the_power_goes():
            yield
    except* KafkaError:
        assert disk.stop_after is not None and disk.operations >= disk.stop_after


async def live(coordinator: ClusterCoordinator, answered: Answered, chance: random.Random, steps: int) -> None:
    for _ in range(steps):
        with suppress(KafkaError):  # the broker is stopping, or has to load its log again
            if answered.created and chance.random() < 0.4:
                topic_id = answered.created.pop(chance.choice(sorted(answered.created)))
                [gone] = await coordinator.delete_topics([topic_id])
                if isinstance(gone, Topic):
                    answered.deleted.add(topic_id)
            else:
                name = f"t{chance.randrange(1 << 30)}"
                answered.asked.add(name)
                [made] = await coordinator.create_topics([NewTopic(name, 2, 1, configs={"retention.ms": name[1:]})])
                if isinstance(made, Topic):
                    answered.created[name] = made.topic_id
        if chance.random() < 0.5:
            await trio.testing.wait_all_tasks_blocked()


def check(coordinator: ClusterCoordinator, store: LocalStore, answered: Answered, seed: int) -> None:
    topics = coordinator.image.topics
    for name, topic_id in answered.created.items():
        assert name in topics and topics[name].topic_id == topic_id, f"seed {seed}: {name} is gone"
        assert topics[name].configs == {"retention.ms": name[1:]} and topics[name].partition_count == 2
    assert set(topics) <= answered.asked
    assert not answered.deleted & set(coordinator.image.topics_by_id), f"seed {seed}: a deleted topic is back"
    known = {(name, partition) for name in topics for partition in (0, 1)} | {("__cluster_metadata", 0)}
    assert set(store.existing()) <= known, f"seed {seed}: logs of no known topic"
    # What was not answered may have come to be.
    answered.created = {name: topic.topic_id for name, topic in topics.items()}
    answered.cuts += store.log(METADATA_LOG).log_start_offset > 0


@pytest.mark.parametrize("block", range(3))
async def test_a_power_cut_at_any_step(block: int) -> None:
    """L16: topics, ids and configs are there, whatever became of snapshots and segments."""
    cuts = 0
    for seed in range(block * 4, block * 4 + 4):
        chance, answered, disk = random.Random(seed), Answered(), SimulatedDisk()
        for _ in range(4):
            for patience in (chance.randrange(5, 80), None):
                disk.operations, disk.stop_after = 0, patience
                with until_the_end(disk):
                    async with cluster(disk, chance.randrange(1 << 30)) as (coordinator, store):
                        disk.stop_after = None
                        check(coordinator, store, answered, seed)
                        disk.operations, disk.stop_after = 0, chance.randrange(20, 500)
                        await live(coordinator, answered, chance, 12)
                    break
                if disk.stop_after is None:
                    break
                disk = disk.after_power_cut(chance, reorder=bool(seed % 2))
            disk = disk.after_power_cut(chance, reorder=bool(seed % 2))
        disk.stop_after = None
        async with cluster(disk, 1) as (coordinator, store):
            check(coordinator, store, answered, seed)
        cuts += answered.cuts
    assert cuts > 2, "the script cuts no logs"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_fault_at_any_step(code: int) -> None:
    """L16: one operation on a snapshot, or on the cluster log's files, fails; the next start finds everything."""
    for number in range(1, 40, 5):
        chance, answered, inner = random.Random(number), Answered(), SimulatedDisk()
        disk = FaultyDisk(inner)
        with pytest.MonkeyPatch.context() as patch:
            count = 0
            note = disk.note

            def counted(operation: str, path: str, note=note, disk=disk, number=number):  # type: ignore[no-untyped-def]
                nonlocal count
                if operation in ("create", "write", "datasync", "rename", "remove") and ".checkpoint" in path:
                    count += 1
                    if count == number:
                        disk.fail(operation, code, path=path, times=1)
                return note(operation, path)

            patch.setattr(disk, "note", counted)
            async with cluster(disk, number) as (coordinator, store):
                await live(coordinator, answered, chance, 25)
        async with cluster(inner.after_power_cut(chance), 1) as (coordinator, store):
            check(coordinator, store, answered, number)
        if count < number:
            break


async def test_kafkas_names_are_in_the_folder() -> None:
    """The script does what it is meant to: snapshots of those names, and no segment before the first one's offset."""
    disk, answered = SimulatedDisk(), Answered()
    async with cluster(disk, 5) as (coordinator, store):
        await live(coordinator, answered, random.Random(3), 40)
        await trio.testing.wait_all_tasks_blocked()
        names = disk.list_directory(FOLDER)
        snapshots = [found for name in names if (found := snapshot_named(name)) is not None]
        assert snapshots and snapshots[0].end_offset == store.log(METADATA_LOG).log_start_offset
        segments = [int(name[:20]) for name in names if name.endswith(".log")]
        assert snapshots[0].end_offset >= segments[0] > 0
        assert all(segment > snapshots[0].end_offset for segment in segments[1:])
        with pytest.raises(KafkaError):
            await QuorumFiles(store.blobs(METADATA_LOG)).read_snapshot(snapshots[0]._replace(end_offset=1))
