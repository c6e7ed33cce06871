"""Snapshots of the cluster's log: when they are made, what stays, and what a start makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, MutableMapping
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import ClusterImage
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.quorum_files import QuorumFiles
from broker.coordinators.cluster.snapshot_keeper import Captured, SnapshotKeeper, SnapshotRules
from broker.testing.faulty_log import FaultyStore
from broker.tests.coordinators.cluster import kafka_snapshot
from broker.tests.coordinators.cluster.test_coordinator import Running, running
from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch, build_control_batch, iter_records
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import (
    BeginTransactionRecord,
    FeatureLevelRecord,
    TopicRecord,
    UserScramCredentialRecord,
    decode_record,
    encode_record,
)
from kproto.formats.metadata_snapshot import SnapshotId, read_snapshot, snapshot_named, write_snapshot
from kproto.formats.quorum_state import QuorumState
from kproto.release.features import levels_of_release
from kproto.schema.declare import Record
from storage.engine import Batch, Read, WrongEnd
from storage.memory.blobs import MemoryBlobs
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock, VirtualClock
from storage.seams.entropy import SeededEntropy

EVERY = "metadata.log.max.record.bytes.between.snapshots"
KEEP = "metadata.max.retention.bytes"


def new_store() -> FaultyStore:
    return FaultyStore(MemoryStore(SystemClock(), SeededEntropy(7)))


class Snapshots(MutableMapping[SnapshotId, bytes]):
    """The snapshots among some blobs, by what their names say."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        self._blobs = blobs

    def __getitem__(self, snapshot_id: SnapshotId) -> bytes:
        return self._blobs.files[snapshot_id.file_name]

    def __setitem__(self, snapshot_id: SnapshotId, data: bytes) -> None:
        self._blobs.files[snapshot_id.file_name] = data

    def __delitem__(self, snapshot_id: SnapshotId) -> None:
        del self._blobs.files[snapshot_id.file_name]

    def __iter__(self) -> Iterator[SnapshotId]:
        names = [snapshot_named(name) for name in self._blobs.files]
        return iter([snapshot_id for snapshot_id in names if snapshot_id is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class MemoryFiles(QuorumFiles):
    """Quorum files in memory, with a look at the snapshots' bytes."""

    def __init__(self, blobs: MemoryBlobs | None = None) -> None:
        blobs = MemoryBlobs() if blobs is None else blobs
        super().__init__(blobs)
        self.files = Snapshots(blobs)


def files_of(store: FaultyStore) -> MemoryFiles:
    return MemoryFiles(store.blobs(METADATA_LOG))


def contents(image: ClusterImage) -> tuple[object, object]:
    """Everything that an image shows, for comparison."""
    topics = sorted((topic.name, topic.topic_id, topic.partition_count) for topic in image.topics.values())
    return topics, {key: dict(value) for key, value in image.configs.items()}


async def settle() -> None:
    """Let the others run until they wait for something that does not happen by itself."""
    await trio.testing.wait_all_tasks_blocked()


async def test_the_log_grows_so_far_and_a_snapshot_is_made() -> None:
    """After so many bytes; it holds what the image holds, and a start from it is as one from the log."""
    store = new_store()
    async with running(store, **{EVERY: "500"}) as host:
        await host.create("a", "b", partitions=3)
        await settle()
        assert len(files_of(store).files) == 1
        [found] = files_of(store).files
        assert found == SnapshotId(host.coordinator.end_offset, 0)
        await host.create("c")
        await settle()
        assert len(files_of(store).files) == 1, "not so many bytes yet"
        before = contents(host.coordinator.image)
    log = store.log(METADATA_LOG)
    assert log.log_start_offset == 0
    await log.delete_before(found.end_offset)
    async with running(store) as host:
        assert contents(host.coordinator.image) == before
        assert host.logs() == {("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2), ("c", 0)}


def prepared(*records: Record) -> bytes:
    """What `kafka-storage format` leaves for a new log."""
    return b"".join(write_snapshot(0, 0, kafka_snapshot.QUORUM, map(encode_record, records), 0))


async def test_a_new_log_opens_with_what_was_prepared_for_it() -> None:
    """The records are in the log then, once: Kafka looks for them there and nowhere else."""
    store = new_store()
    levels = levels_of_release(30)
    kraft = levels.pop("kraft.version")
    records = [FeatureLevelRecord(name=name, feature_level=level) for name, level in levels.items()]
    password = UserScramCredentialRecord(name="a", mechanism=1, salt=b"s", stored_key=b"k", server_key=b"v")
    files_of(store).files[SnapshotId(0, 0)] = prepared(*records, password)
    for _ in range(2):
        async with running(store) as host:
            assert host.coordinator.image.finalized_features == {**levels, "kraft.version": kraft}
            assert host.coordinator.image.broker_configs("") == {"min.insync.replicas": "1"}
            assert host.coordinator.end_offset == len(records) + 2
    [found] = await store.read_many([Read(store.log(METADATA_LOG), 0, 1 << 20, len(records) + 2)], 1 << 20)
    assert not isinstance(found, KafkaError) and isinstance(found.records, bytes | memoryview)
    written = [decode_record(record.value or b"") for record in iter_records(found.records)]
    assert written[:-1] == [*records, password]


@pytest.mark.parametrize("level", [6, 34])
async def test_a_new_log_is_not_opened_with_what_is_not_known(level: int) -> None:
    """Nor with what cannot be read: the next start finds all as it was."""
    newer = prepared(FeatureLevelRecord(name="metadata.version", feature_level=level))
    for data, why in ((newer, f"level {level} of metadata.version"), (newer[:-1], "was to open with cannot be read")):
        store = new_store()
        files_of(store).files[SnapshotId(0, 0)] = data
        with pytest.RaisesGroup(pytest.RaisesExc(KafkaError, match=why)):
            async with running(store):
                pass
        assert store.log(METADATA_LOG).log_end_offset == 0


class TrioClock(VirtualClock):
    """The time that trio's tests let pass."""

    def monotonic_millis(self) -> int:
        return int(trio.current_time() * 1000)

    def wall_millis(self) -> int:
        return 1_700_000_000_000 + self.monotonic_millis()


class Cluster:
    """Whose state a keeper keeps: a machine without a log worth mentioning."""

    def __init__(self) -> None:
        self.end_offset = 0
        self.replayed_bytes = 0

    def capture(self) -> Captured:
        async def settled() -> None:
            """At once."""

        state = ClusterMachine().capture()
        return Captured(SnapshotId(self.end_offset, 0), TrioClock().wall_millis(), state, settled)


@pytest.mark.parametrize(("interval", "made"), [("3600000", [1, 2]), ("0", [])])
async def test_a_snapshot_is_made_after_so_much_time_if_there_is_news(
    interval: str, made: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    """And not again for the same records; an interval of 0 means that only bytes count."""
    files, cluster = MemoryFiles(), Cluster()
    rules = SnapshotRules(1 << 20, int(interval), -1, -1)
    keeper = SnapshotKeeper(new_store().log(METADATA_LOG), files, rules, TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run, cluster)
        await trio.sleep(7200)
        assert not files.files, "there is nothing to tell"
        for end_offset in (1, 2):
            cluster.end_offset = end_offset
            keeper.grown(cluster)
            await trio.sleep(10_000)
        assert [found.end_offset for found in sorted(files.files)] == made
        nursery.cancel_scope.cancel()


async def test_old_snapshots_go_with_time(autojump_clock: trio.testing.MockClock) -> None:
    """When the state of the oldest is older than retention allows, and a newer one is there."""
    store, files, cluster = new_store(), MemoryFiles(), Cluster()
    await fill(store, 9)
    keeper = SnapshotKeeper(
        store.log(METADATA_LOG), files, SnapshotRules(1 << 20, 3_600_000, -1, 5 * 3_600_000), TrioClock()
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run, cluster)
        for end_offset in range(1, 9):
            await trio.sleep(3600)
            cluster.end_offset = end_offset
            keeper.grown(cluster)
        await trio.sleep(1800)
        oldest, *others = sorted(found.end_offset for found in files.files)
        assert oldest > 1 and others[-1] == 8
        assert store.log(METADATA_LOG).log_start_offset == oldest
        await trio.sleep(8 * 3600)
        assert [found.end_offset for found in files.files] == [8], "the newest stays however old it is"
        nursery.cancel_scope.cancel()


class FullFiles(MemoryFiles):
    """Has no room for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 2

    async def write_snapshot(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "full on command")
        await super().write_snapshot(snapshot_id, pieces)


async def test_a_snapshot_that_cannot_be_written_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    """A minute later, and nothing else suffers from it."""
    files, cluster = FullFiles(), Cluster()
    keeper = SnapshotKeeper(new_store().log(METADATA_LOG), files, SnapshotRules(100, 0, -1, -1), TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run, cluster)
        await trio.sleep(1)
        cluster.end_offset, cluster.replayed_bytes = 5, 100
        keeper.grown(cluster)
        await trio.sleep(100)
        assert not files.files
        await trio.sleep(200)
        assert [found.end_offset for found in files.files] == [5]
        nursery.cancel_scope.cancel()


async def test_a_snapshot_waits_for_its_records_and_for_deletions() -> None:
    """K10: neither records that a power cut may take, nor a topic whose files a crash would leave without owner."""
    store = new_store()
    async with running(store, **{EVERY: "550"}) as host:
        [topic] = await host.create("short", partitions=2)
        await settle()
        files_of(store).files.clear()
        host.log.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.create, "much-longer-name", "another")
            await settle()
            assert not files_of(store).files
            host.log.release()
            await settle()
            assert len(files_of(store).files) == 1
            files_of(store).files.clear()
            store.deletions = type(store.deletions)()
            nursery.start_soon(host.coordinator.delete_topics, [topic.topic_id])
            nursery.start_soon(host.create, "third", "fourth", "fifth")
            await settle()
            assert not files_of(store).files
            store.deletions.opened.set()
            await settle()
            assert len(files_of(store).files) == 1


async def test_what_retention_allows_stays() -> None:
    """Older snapshots and the log behind them, until both together take too many bytes."""
    store = new_store()
    async with running(store, **{EVERY: "300"}) as host:
        for number in range(6):
            await host.create(f"topic-{number}")
            await settle()
        assert len(files_of(store).files) > 2
        assert store.log(METADATA_LOG).log_start_offset == 0
    async with running(store, **{EVERY: "300", KEEP: "1500"}) as host:
        await host.create("one-more", "and-another")
        await settle()
        stored = sorted(files_of(store).files)
        assert store.log(METADATA_LOG).log_start_offset == stored[0].end_offset > 0
        before = contents(host.coordinator.image)
    async with running(store) as host:
        assert contents(host.coordinator.image) == before


async def test_the_log_is_cut_behind_whole_snapshots_only() -> None:
    """K12: one that is damaged, or cannot be read, is no place to cut."""
    store = new_store()
    async with running(store, **{EVERY: "300"}) as host:
        for number in range(4):
            await host.create(f"topic-{number}")
            await settle()
    files = files_of(store).files
    whole = dict(files)
    for found in files:
        files[found] = files[found][:-1]
    async with running(store, **{EVERY: "1000000", KEEP: "1"}) as host:
        assert len(host.names()) == 4
        await settle()
        assert set(files) == set(whole)
        assert store.log(METADATA_LOG).log_start_offset == 0


async def test_a_damaged_snapshot_is_left_out_and_left_alone() -> None:
    """K11: an older one serves, or the log, as far as it reaches back; then nothing does, and nothing is changed."""
    store = new_store()
    async with running(store, **{EVERY: "300"}) as host:
        for number in range(4):
            await host.create(f"topic-{number}")
            await settle()
        before = contents(host.coordinator.image)
    files, log = files_of(store).files, store.log(METADATA_LOG)
    older, newer = sorted(files)[-2:]
    files[newer] = files[newer][:100]
    await log.delete_before(older.end_offset)
    async with running(store) as host:
        assert contents(host.coordinator.image) == before
    assert len(files[newer]) == 100
    await log.delete_before(older.end_offset + 1)
    kept = dict(files)
    with pytest.RaisesGroup(
        pytest.RaisesExc(KafkaError, match=rf"it begins at offset {older.end_offset + 1}, and no snapshot .*100|inside")
    ):
        async with running(store):
            pass
    assert files == kept
    assert log.log_start_offset == older.end_offset + 1


async def test_a_log_that_ends_before_its_snapshot_is_refused() -> None:
    """It has lost records: going on would give their offsets to others."""
    store = new_store()
    async with running(store) as host:
        await host.create("t")
        end = host.coordinator.end_offset
    name = SnapshotId(end + 1, 0)
    files_of(store).files[name] = b"".join(write_snapshot(0, 1, kafka_snapshot.QUORUM, [], 2))
    with pytest.RaisesGroup(pytest.RaisesExc(KafkaError, match=f"ends at offset {end}, but .*{name.file_name}")):
        async with running(store):
            pass


async def fill(store: FaultyStore, count: int) -> None:
    """Control batches up to an offset, as a quorum's log has them."""
    log = store.log(METADATA_LOG)
    for number in range(count):
        data = build_control_batch(2, b"\0\0\0", timestamp=number)
        log.begin_append([Batch(read_header(data), memoryview(data))])


def append(store: FaultyStore, *values: bytes) -> None:
    data = build_batch([RecordData(0, 5, None, value, ()) for value in values])
    store.log(METADATA_LOG).begin_append([Batch(read_header(data), memoryview(data))])


@asynccontextmanager
async def kafkas(more: int = 0, **settings: str) -> AsyncIterator[Running]:
    store = new_store()
    await fill(store, kafka_snapshot.ID.end_offset + more)
    await store.log(METADATA_LOG).delete_before(kafka_snapshot.ID.end_offset)
    files_of(store).files[kafka_snapshot.ID] = b"".join(
        write_snapshot(
            kafka_snapshot.ID.epoch, kafka_snapshot.LAST_TIMESTAMP, kafka_snapshot.QUORUM, kafka_snapshot.VALUES, 1
        )
    )
    async with running(store, **settings) as host:
        yield host


async def test_a_directory_whose_log_kafka_has_cut_is_served() -> None:
    """Topics, ids, configs and producer ids are Kafka's; nothing is written but who leads."""
    async with kafkas() as host:
        topics = host.coordinator.image.topics
        assert {name: (topic.topic_id, topic.partition_count) for name, topic in topics.items()} == {
            "kept": (kafka_snapshot.KEPT, 3),
            "kept.too": (kafka_snapshot.KEPT_TOO, 1),
        }
        assert topics["kept"].configs == {"retention.ms": "77777777"}
        assert host.coordinator.image.broker_configs("") == {"log.cleaner.threads": "2", "min.insync.replicas": "1"}
        assert await host.coordinator.next_producer_id() == 1000
        assert host.log.log_end_offset == kafka_snapshot.ID.end_offset + 1, "the block of producer ids, nothing else"
        assert await files_of(host.store).quorum_state() == QuorumState(1, 1, 0)


async def test_our_snapshot_of_kafkas_cluster_has_everything() -> None:
    """What Ottla has no use for outlives the records that said it."""
    async with kafkas(more=3, **{EVERY: "100", KEEP: "1"}) as host:
        await host.create("ours")
        await settle()
        [(found, data)] = files_of(host.store).files.items()
        assert found.end_offset == host.log.log_start_offset > kafka_snapshot.ID.end_offset
        snapshot = read_snapshot(data)
        assert snapshot.quorum == kafka_snapshot.QUORUM
        kept = {record.value for batch in snapshot.batches for record in iter_records(batch)}
        assert set(kafka_snapshot.VALUES) <= kept


async def test_a_transaction_left_open_is_aborted_before_anything_is_written() -> None:
    """A controller of Kafka's died in the middle of it: its records never count, and ours do."""
    store = new_store()
    topic_id = bytes(15) + b"x"
    append(store, encode_record(BeginTransactionRecord()), encode_record(TopicRecord(name="half", topic_id=topic_id)))
    for _ in range(2):
        async with running(store) as host:
            await host.create(f"ours-{host.coordinator.end_offset}")
            assert "half" not in host.names()
    assert len(host.names()) == 2


async def test_a_reload_starts_from_the_newest_snapshot() -> None:
    """Another owner of the log, found out by an append, costs a reload, also of a log whose beginning is gone."""
    store = new_store()
    async with running(store, **{EVERY: "300", KEEP: "1"}) as host:
        for number in range(4):
            await host.create(f"topic-{number}")
            await settle()
        assert store.log(METADATA_LOG).log_start_offset > 0
        host.log.refuse_next(WrongEnd(0, 0))
        await host.create("lost")
        await settle()
        assert len(await host.create("found")) == 1
        assert host.names() == {"topic-0", "topic-1", "topic-2", "topic-3", "found"}


async def test_who_leads_is_noted_once() -> None:
    """In the version of the quorum: 0 where its voters are in the configuration; the epoch never goes back."""
    store = new_store()
    async with running(store):
        assert await files_of(store).quorum_state() == QuorumState(0, 1, 0, voters=(1,))
    await files_of(store).write_quorum_state(QuorumState(0, -1, 7, voted_id=1, voters=(1,)))
    async with running(store):
        assert await files_of(store).quorum_state() == QuorumState(0, 1, 7, voters=(1,))
