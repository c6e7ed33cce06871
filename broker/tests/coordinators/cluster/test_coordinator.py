"""The cluster coordinator: what is answered, published and done to logs, in which order, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import (
    Alteration,
    ClusterChange,
    ClusterCoordinator,
    NewPartitions,
    NewTopic,
    ResourceType,
    Topic,
)
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.coordinators.cluster.features import new_cluster_levels
from broker.coordinators.cluster.image import CONSUMER_OFFSETS
from broker.testing.contexts import config
from broker.testing.faulty_log import FaultyLog, FaultyStore, Gate
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import format_uuid
from storage.engine import LogStore, WrongEnd
from storage.memory.engine import MemoryStore
from storage.seams import slices
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy


class Running:
    """A started coordinator and the store below it."""

    def __init__(self, store: FaultyStore, settings: dict[str, str]) -> None:
        self.store = store
        self.coordinator = ClusterCoordinator(
            cast(LogStore, store), config(settings), SystemClock(), SeededEntropy(len(store.logs))
        )
        self.changes: list[ClusterChange] = []
        self.coordinator.subscribe(self.changes.append)

    @property
    def log(self) -> FaultyLog:
        return self.store.faulty(METADATA_LOG)

    async def create(self, *names: str, partitions: int = 1) -> list[Topic]:
        results = await self.coordinator.create_topics([NewTopic(name, partitions, 1) for name in names])
        return [result for result in results if isinstance(result, Topic)]

    def names(self) -> set[str]:
        return set(self.coordinator.image.topics)

    def logs(self) -> set[tuple[str, int]]:
        """Logs in the store, the cluster's own left out."""
        return {key for key in self.store.existing() if key[0] != METADATA_LOG.topic}


@asynccontextmanager
async def running(store: FaultyStore | None = None, **settings: str) -> AsyncIterator[Running]:
    store = store or FaultyStore(MemoryStore(SystemClock(), SeededEntropy(7)))
    async with trio.open_nursery() as nursery:
        host = Running(store, {name.replace("_", "."): value for name, value in settings.items()})
        await host.coordinator.start(nursery)
        yield host
        nursery.cancel_scope.cancel()


def code(result: object) -> ErrorCode | None:
    return result.code if isinstance(result, KafkaError) else None


# --- starting


async def test_a_log_whose_beginning_is_gone_is_not_replayed() -> None:
    """Kafka cuts it behind a snapshot: half of the records would make a cluster that has forgotten its topics."""
    store = FaultyStore(MemoryStore(SystemClock(), SeededEntropy(7)))
    async with running(store) as host:
        await host.create("t")
    log = store.log(METADATA_LOG)
    await log.delete_before(log.log_end_offset - 1)
    with pytest.RaisesGroup(pytest.RaisesExc(KafkaError, match="it begins at offset [1-9].* snapshot")):
        async with running(store):
            pass


# --- creating


async def test_a_created_topic_can_be_used_everywhere_when_it_is_answered() -> None:
    """K2: in the image, announced to subscribers, its logs made."""
    async with running() as host:
        [topic] = await host.create("t", partitions=3)
        assert host.coordinator.image.topics["t"] is host.coordinator.image.topic_by_id(topic.topic_id)
        assert [created.name for change in host.changes for created in change.created] == ["t"]
        assert host.logs() == {("t", 0), ("t", 1), ("t", 2)}


async def test_nothing_is_published_before_it_is_durable() -> None:
    """K1: readers do not act on a topic that a crash could undo."""
    async with running() as host, trio.open_nursery() as nursery:
        host.log.hold()
        nursery.start_soon(host.create, "t")
        await trio.testing.wait_all_tasks_blocked()
        assert (host.names(), host.logs()) == (set(), set())
        host.log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert (host.names(), host.logs()) == ({"t"}, {("t", 0)})


async def test_topics_of_one_request_fail_each_on_its_own() -> None:
    """Results are in the order of the request."""
    async with running() as host:
        results = await host.coordinator.create_topics([NewTopic("a"), NewTopic("b b"), NewTopic("a"), NewTopic("c")])
        assert [code(result) for result in results] == [
            None,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            ErrorCode.TOPIC_ALREADY_EXISTS,
            None,
        ]
        assert host.names() == {"a", "c"}


async def test_a_request_too_large_creates_nothing() -> None:
    """POLICY_VIOLATION for every topic of it."""
    async with running() as host:
        results = await host.coordinator.create_topics([NewTopic("a"), NewTopic("b", 10_000, 1)])
        assert [code(result) for result in results] == [ErrorCode.POLICY_VIOLATION] * 2
        assert host.names() == set()


async def test_many_clients_that_need_a_topic_get_one() -> None:
    """Concurrent auto-creation is one creation; all callers are answered when it can be used."""
    async with running() as host:
        answers: list[Topic | KafkaError] = []

        async def client() -> None:
            answers.extend(await host.coordinator.auto_create_topics(["t"]))
            assert ("t", 0) in host.logs()

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client)
        assert {topic.topic_id for topic in answers if isinstance(topic, Topic)} == {
            host.coordinator.image.topics["t"].topic_id
        }
        assert len(answers) == 20


async def test_a_client_that_goes_away_does_not_leave_a_change_half_done() -> None:
    """K4: once begun, a change runs to its end."""
    async with running() as host:
        host.log.hold()
        with trio.move_on_after(0):
            await host.create("t", partitions=2)
        await trio.testing.wait_all_tasks_blocked()
        host.log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert host.logs() == {("t", 0), ("t", 1)}


async def test_a_topic_whose_logs_cannot_be_made_now_exists_all_the_same() -> None:
    """Its record is durable; logs are made by their first append."""
    async with running() as host:
        host.store.create_error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        assert [topic.name for topic in await host.create("t")] == ["t"]
        assert host.names() == {"t"}


async def test_internal_topics_are_made_on_first_need_as_kafka_makes_them() -> None:
    """__consumer_offsets: 50 partitions, compacted, segments of 100 MiB, compression as produced."""
    async with running() as host:
        topic = await host.coordinator.ensure_internal_topic(CONSUMER_OFFSETS)
        assert topic.internal
        assert topic.partition_count == 50
        assert topic.configs == {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": "104857600",
        }
        assert (await host.coordinator.ensure_internal_topic(CONSUMER_OFFSETS)).topic_id == topic.topic_id
        [again] = await host.coordinator.auto_create_topics([CONSUMER_OFFSETS])
        assert isinstance(again, Topic)
        assert again.topic_id == topic.topic_id
        [other] = await host.coordinator.auto_create_topics(["__transaction_state"])
        assert isinstance(other, Topic)
        assert (other.partition_count, other.configs["cleanup.policy"]) == (50, "compact")


# --- deleting


async def test_a_deleted_topic_is_gone_when_it_is_answered() -> None:
    """From the image and from the store."""
    async with running() as host:
        [topic] = await host.create("t", partitions=2)
        results = await host.coordinator.delete_topics([topic.topic_id, topic.topic_id])
        assert [code(result) for result in results] == [None, ErrorCode.UNKNOWN_TOPIC_ID]
        assert (host.names(), host.logs()) == (set(), set())
        assert [deleted.name for change in host.changes for deleted in change.deleted] == ["t"]


async def test_a_name_is_used_again_only_when_its_old_logs_are_gone() -> None:
    """K3: delete and create at once under one name: the new topic has a new id and never meets old files."""
    async with running() as host, trio.open_nursery() as nursery:
        [old] = await host.create("t")
        host.store.deletions = Gate()
        nursery.start_soon(host.coordinator.delete_topics, [old.topic_id])
        await trio.testing.wait_all_tasks_blocked()
        assert host.names() == set(), "out of metadata before the files are gone"
        created: list[Topic] = []

        async def create() -> None:
            created.extend(await host.create("t"))

        nursery.start_soon(create)
        await trio.testing.wait_all_tasks_blocked()
        assert created == []
        assert await host.create("other"), "no other caller waits"
        host.store.deletions.opened.set()
        await trio.testing.wait_all_tasks_blocked()
        assert created[0].topic_id != old.topic_id
        assert host.logs() == {("t", 0), ("other", 0)}


async def test_a_deletion_between_two_slices_of_a_creation_keeps_the_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """K3: a long request gives way between its topics, so the wait for removals before the first is not enough. The
    deletion may itself wait for a topic that the creation has made: neither waits for the other forever."""
    async with running() as host, trio.open_nursery() as nursery:
        [old] = await host.create("t")
        monkeypatch.setattr(slices, "SLICE_SECONDS", 0)
        host.store.deletions = Gate()
        created: list[Topic] = []
        others = [f"other{number}" for number in range(20)]

        async def create() -> None:
            created.extend(await host.create(*others, "t", "last"))

        async def delete() -> None:
            while others[0] not in host.names():
                await trio.lowlevel.checkpoint()
            other = host.coordinator.image.topics[others[0]]
            await host.coordinator.delete_topics([old.topic_id, other.topic_id])

        nursery.start_soon(create)
        nursery.start_soon(delete)
        await trio.testing.wait_all_tasks_blocked()
        assert host.names() == {*others[1:], "last"}
        assert created == []
        host.store.deletions.opened.set()
        await trio.testing.wait_all_tasks_blocked()
        assert {topic.name for topic in created} == {*others, "t", "last"}
        assert created[len(others)].topic_id != old.topic_id
        assert host.logs() == {(name, 0) for name in (*others[1:], "t", "last")}


async def test_creating_and_deleting_in_a_storm_leaves_what_the_log_says() -> None:
    """Twenty clients create and delete three names as fast as they can."""
    async with running() as host:

        async def client(number: int) -> None:
            for turn in range(10):
                name = f"t{(number + turn) % 3}"
                await host.create(name, partitions=2)
                topic = host.coordinator.image.topics.get(name)
                if topic is not None:
                    await host.coordinator.delete_topics([topic.topic_id])

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(client, number)
        assert (host.names(), host.logs()) == (set(), set())


async def test_a_crash_before_the_files_are_deleted_is_made_good_at_the_start() -> None:
    """K5: only logs of topics whose removal is in the log are deleted; a stranger's log stays."""
    async with running() as host:
        [topic] = await host.create("t", partitions=2)
        await host.create("kept")
        host.store.deletions = Gate()  # and the process dies while deleting
        with trio.move_on_after(0):
            await host.coordinator.delete_topics([topic.topic_id])
        await trio.testing.wait_all_tasks_blocked()
    stranger = METADATA_LOG._replace(topic="stranger", topic_id=b"s" * 16)
    await host.store.create_logs([stranger])
    host.store.deletions.opened.set()
    async with running(host.store) as again:
        assert again.names() == {"kept"}
        assert again.logs() == {("kept", 0), ("stranger", 0)}


# --- growing and altering


async def test_new_partitions_have_logs_when_they_are_answered() -> None:
    """Subscribers hear of growth."""
    async with running() as host:
        await host.create("t")
        results = await host.coordinator.create_partitions([NewPartitions("t", 3), NewPartitions("no", 3)])
        assert [code(result) for result in results] == [None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert host.logs() == {("t", 0), ("t", 1), ("t", 2)}
        assert [(topic.name, topic.partition_count) for topic in host.changes[-1].grown] == [("t", 3)]


async def test_a_topic_that_grows_and_is_deleted_leaves_no_log() -> None:
    """K3: its deletion waits for the logs that its new partitions are being given, as for those of a new topic."""
    async with running() as host, trio.open_nursery() as nursery:
        [topic] = await host.create("t")
        host.store.creations = Gate()
        for count in (2, 3):
            nursery.start_soon(host.coordinator.create_partitions, [NewPartitions("t", count)])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(host.coordinator.delete_topics, [topic.topic_id])
        await trio.testing.wait_all_tasks_blocked()
        assert host.names() == set()
        host.store.creations.opened.set()
        await trio.testing.wait_all_tasks_blocked()
        assert host.logs() == set()


async def test_altered_configs_are_in_the_image_and_announced() -> None:
    """Topics as altered, brokers as such; a broker's become part of its settings."""
    async with running() as host:
        await host.create("t")
        assert host.coordinator.config.num_partitions == 1
        results = await host.coordinator.alter_configs(
            [
                Alteration(ResourceType.TOPIC, "t", lambda current: {"retention.ms": "5"}),
                Alteration(ResourceType.BROKER, "", lambda current: {"num.partitions": "4"}),
                Alteration(ResourceType.TOPIC, "no", lambda current: {}),
            ]
        )
        assert [code(result) for result in results] == [None, None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert host.coordinator.image.topics["t"].configs == {"retention.ms": "5"}
        assert [topic.name for change in host.changes for topic in change.altered] == ["t"]
        assert host.changes[-1].broker_configs_changed
        assert host.coordinator.config.num_partitions == 4
        [topic] = await host.coordinator.auto_create_topics(["auto"])
        assert isinstance(topic, Topic)
        assert topic.partition_count == 4


async def test_two_that_append_to_one_config_both_succeed() -> None:
    """K8: compute sees what the decision before it made, published or not."""
    async with running() as host:
        await host.create("t")
        host.log.hold()

        async def append(item: str) -> None:
            def compute(current: Mapping[str, str]) -> dict[str, str]:
                return {"k": current.get("k", "") + item}

            await host.coordinator.alter_configs([Alteration(ResourceType.TOPIC, "t", compute)])

        async with trio.open_nursery() as nursery:
            for item in "abc":
                nursery.start_soon(append, item)
            await trio.testing.wait_all_tasks_blocked()
            host.log.release()
        assert sorted(host.coordinator.image.topics["t"].configs["k"]) == ["a", "b", "c"]


# --- producer ids


async def test_producer_ids_are_never_given_twice_not_even_after_a_restart() -> None:
    """K6: a block costs one record; the rest of a block is lost with the process."""
    async with running() as host:
        ids = [await host.coordinator.next_producer_id() for _ in range(1500)]
        assert ids == list(range(1500))
        opening = len(new_cluster_levels()) + 1  # records that a log opens with: levels, and a default
        assert host.log.inner.log_end_offset == opening + 2  # and two blocks
    async with running(host.store) as again:
        assert await again.coordinator.next_producer_id() == 2000


async def test_concurrent_askers_share_a_block() -> None:
    """Waiting for one block, not each for one of their own."""
    async with running() as host:
        ids: list[int] = []

        async def ask() -> None:
            ids.append(await host.coordinator.next_producer_id())

        host.log.hold()
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            host.log.release()
        assert sorted(ids) == list(range(100))


# --- starting, losing


async def test_a_restarted_coordinator_knows_everything() -> None:
    """Topics with ids and configs, in the first image already."""
    async with running() as host:
        created = await host.create("a", "b", partitions=2)
        await host.coordinator.alter_configs([Alteration(ResourceType.TOPIC, "a", lambda c: {"retention.ms": "5"})])
    async with running(host.store) as again:
        topics = again.coordinator.image.topics
        assert {topic.topic_id for topic in created} == {topic.topic_id for topic in topics.values()}
        assert topics["a"].configs == {"retention.ms": "5"}
        assert {topic.name for topic in again.changes[0].created} == {"a", "b"}
        assert again.coordinator.metadata_offset == host.coordinator.metadata_offset


async def test_a_new_log_opens_with_the_levels_of_its_features() -> None:
    """And, as Kafka's does, with min.insync.replicas as a dynamic default; only a new log."""
    async with running() as host:
        assert host.coordinator.image.finalized_features == new_cluster_levels()
        assert host.coordinator.image.broker_configs("") == {"min.insync.replicas": "1"}
        opened_with = host.coordinator.metadata_offset
        assert opened_with == len(new_cluster_levels())
    async with running(host.store) as again:
        assert again.coordinator.metadata_offset == opened_with


async def test_a_log_that_cannot_be_read_stops_the_start() -> None:
    """Never an empty cluster in place of one that cannot be read."""
    store = FaultyStore(MemoryStore(SystemClock(), SeededEntropy(7)))
    async with running(store) as host:
        await host.create("t")
    host.log.unreadable = True
    async with trio.open_nursery() as nursery:
        with pytest.raises(KafkaError):
            await Running(store, {}).coordinator.start(nursery)


async def test_a_lost_append_reloads_and_publishes_what_the_log_says() -> None:
    """Clients get NOT_CONTROLLER, which they retry; the image follows the log, whatever it turns out to hold."""
    async with running() as host:
        await host.create("before")
        host.log.hold()
        results: list[Topic | KafkaError] = []

        async def create() -> None:
            results.extend(await host.coordinator.create_topics([NewTopic("unknown")]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            await trio.testing.wait_all_tasks_blocked()
            host.log.lose_held()
        assert [code(result) for result in results] == [ErrorCode.NOT_CONTROLLER]
        await trio.testing.wait_all_tasks_blocked()
        assert host.names() == {"before", "unknown"}, "the record did reach the log"
        assert await host.create("after")


async def test_a_deletion_of_unknown_fate_is_finished_if_the_log_has_it() -> None:
    """The client got NOT_CONTROLLER, the record did reach the log: topic and files are gone after the reload."""
    async with running() as host:
        [topic] = await host.create("t", partitions=2)
        host.log.hold()
        results: list[Topic | KafkaError] = []

        async def delete() -> None:
            results.extend(await host.coordinator.delete_topics([topic.topic_id]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(delete)
            await trio.testing.wait_all_tasks_blocked()
            host.log.lose_held()
        assert [code(result) for result in results] == [ErrorCode.NOT_CONTROLLER]
        await trio.testing.wait_all_tasks_blocked()
        assert (host.names(), host.logs()) == (set(), set())
        assert await host.create("t")


async def test_while_reloading_changes_are_refused_and_readers_read_on() -> None:
    """NOT_CONTROLLER for changes; the last image stays."""
    async with running() as host:
        await host.create("t")
        host.log.unreadable = True
        host.log.refuse_next(WrongEnd(0, 0))
        for _ in range(2):
            [result] = await host.coordinator.create_topics([NewTopic("u")])
            assert code(result) is ErrorCode.NOT_CONTROLLER
        assert host.names() == {"t"}


async def test_a_change_that_cannot_be_written_is_refused_and_the_next_one_is_made() -> None:
    """The disk is full for a moment: NOT_CONTROLLER for one change, nothing is loaded again."""
    async with running() as host:
        host.log.unreadable = True
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
        results = await host.coordinator.create_topics([NewTopic("t"), NewTopic("u")])
        assert [code(result) for result in results] == [ErrorCode.NOT_CONTROLLER, None]
        assert host.names() == {"u"}


async def test_the_cluster_id_is_the_stores() -> None:
    """As clients see it: 22 characters."""
    async with running() as host:
        assert len(host.coordinator.cluster_id) == len(format_uuid(bytes(16)))
