"""What clients see of several brokers over one store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio
import trio.testing

from broker.tests.brokers.several import Several, several
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_log_dirs import DescribeLogDirsRequest
from kproto.messages.describe_quorum import DescribeQuorumRequest, RequestPartitionData, RequestTopicData
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.messages.unregister_broker import UnregisterBrokerRequest
from storage.testing.shared_memory import SharedView


async def create(cluster: Several, node_id: int, name: str, partitions: int = 12, factor: int = 2) -> int:
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=factor)
    reply = await cluster.brokers[node_id].ask(CreateTopicsRequest(topics=[topic], timeout_ms=5000), 7)
    return int(reply.topics[0].error_code)


async def test_every_broker_shows_all_that_live_and_the_same_leaders(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        assert await create(cluster, 2, "t") == ErrorCode.NONE
        await trio.sleep(1)
        seen = []
        for broker in cluster.brokers.values():
            reply = await broker.ask(MetadataRequest(topics=[MetadataRequestTopic(name="t")]), 12)
            brokers = [(each.node_id, each.host, each.port) for each in reply.brokers]
            assert brokers == [(1, "127.0.0.1", 9001), (2, "127.0.0.1", 9002), (3, "127.0.0.1", 9003)]
            partitions = reply.topics[0].partitions
            seen.append((reply.controller_id, [(each.leader_id, each.replica_nodes) for each in partitions]))
            assert all(len(set(each.replica_nodes)) == 2 for each in partitions)
            assert all(each.isr_nodes == each.replica_nodes for each in partitions)
            described = await broker.ask(DescribeClusterRequest(), 1)
            assert [each.broker_id for each in described.brokers] == [1, 2, 3]
        assert seen[0] == seen[1] == seen[2]
        assert Counter(leader for leader, _ in seen[0][1]) == {1: 4, 2: 4, 3: 4}, "each leads as many as any other"


async def test_every_broker_describes_the_same_quorum(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """All that live vote, and the one that Metadata calls the controller leads, whichever is asked."""
    asked = RequestTopicData(topic_name="__cluster_metadata", partitions=[RequestPartitionData(partition_index=0)])
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        for broker in cluster.brokers.values():
            reply = await broker.ask(DescribeQuorumRequest(topics=[asked]), 2)
            [part] = reply.topics[0].partitions
            assert (part.leader_id, [each.replica_id for each in part.current_voters]) == (1, [1, 2, 3])
            assert {each.log_end_offset for each in part.current_voters} == {part.high_watermark}
            assert [each.node_id for each in reply.nodes] == [1, 2, 3]


async def test_a_broker_that_lives_is_not_forgotten_whichever_is_asked(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """One that does not is not registered."""
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        for node_id, code in ((1, ErrorCode.INVALID_REQUEST), (9, ErrorCode.BROKER_ID_NOT_REGISTERED)):
            for broker in cluster.brokers.values():
                reply = await broker.ask(UnregisterBrokerRequest(broker_id=node_id), 0)
                assert reply.error_code == code


async def test_a_partitions_bytes_are_described_once_for_each_replica(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """By the brokers that it is shown on, as in Kafka, and not by all that could read it."""
    async with several(monkeypatch) as cluster:
        assert await create(cluster, 2, "t", partitions=6, factor=2) == ErrorCode.NONE
        await trio.sleep(1)
        found: dict[int, list[int]] = {}
        for broker in cluster.brokers.values():
            reply = await broker.ask(DescribeLogDirsRequest(topics=None), 4)
            for part in (part for topic in reply.results[0].topics for part in topic.partitions):
                found.setdefault(part.partition_index, []).append(broker.node_id)
        reply = await cluster.brokers[1].ask(MetadataRequest(topics=[MetadataRequestTopic(name="t")]), 12)
        shown = {each.partition_index: sorted(each.replica_nodes) for each in reply.topics[0].partitions}
        assert found == shown


async def test_a_replication_factor_may_be_as_many_as_there_are_brokers(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch, 2) as cluster:
        await trio.sleep(1)
        assert await create(cluster, 1, "two", factor=2) == ErrorCode.NONE
        assert await create(cluster, 1, "three", factor=3) == ErrorCode.INVALID_REPLICATION_FACTOR


async def test_more_partitions_are_assigned_as_many_replicas_as_the_topic_has(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """As in Kafka, where partitions of a topic may differ in where their replicas are, and not in how many."""
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        assert await create(cluster, 1, "t", partitions=1) == ErrorCode.NONE
        for replicas, code in (([3], ErrorCode.INVALID_REPLICA_ASSIGNMENT), ([3, 1], ErrorCode.NONE)):
            wanted = CreatePartitionsTopic(
                name="t", count=2, assignments=[CreatePartitionsAssignment(broker_ids=replicas)]
            )
            reply = await cluster.brokers[2].ask(CreatePartitionsRequest(topics=[wanted], timeout_ms=5000), 3)
            assert reply.results[0].error_code == code


async def test_of_brokers_that_create_the_same_topic_one_is_told_that_it_exists(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        codes: list[int] = []

        async def try_it(node_id: int) -> None:
            codes.append(await create(cluster, node_id, "t"))

        async with trio.open_nursery() as nursery:
            for node_id in cluster.brokers:
                nursery.start_soon(try_it, node_id)
        assert sorted(codes) == [ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS, ErrorCode.TOPIC_ALREADY_EXISTS]


async def test_a_change_is_known_everywhere_when_it_is_answered(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A topic that was made through one broker is there at all others, without waiting; so is its deletion."""
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        asked = MetadataRequest(topics=[MetadataRequestTopic(name="t")], allow_auto_topic_creation=False)

        async def codes() -> list[int]:
            return [(await broker.ask(asked, 12)).topics[0].error_code for broker in cluster.brokers.values()]

        assert await create(cluster, 2, "t") == ErrorCode.NONE
        assert await codes() == [ErrorCode.NONE] * 3
        await cluster.brokers[3].ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=5000), 6)
        assert await codes() == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 3


async def test_a_change_waits_a_second_for_a_broker_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It hears of it when it is back."""
    async with several(monkeypatch) as cluster:
        await trio.sleep(1)
        cluster.brokers[3].freeze()
        began = trio.current_time()
        assert await create(cluster, 1, "t") == ErrorCode.NONE
        assert trio.current_time() - began < 1.5
        cluster.brokers[3].thaw()
        await trio.sleep(3)
        assert "t" in cluster.brokers[3].services.cluster.image.topics


async def test_a_topic_that_was_deleted_is_gone_everywhere(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await create(cluster, 1, "t")
        await trio.sleep(1)
        await cluster.brokers[3].ask(DeleteTopicsRequest(topic_names=["t"], timeout_ms=5000), 5)
        await trio.sleep(1)
        for broker in cluster.brokers.values():
            request = MetadataRequest(topics=[MetadataRequestTopic(name="t")], allow_auto_topic_creation=False)
            reply = await broker.ask(request, 12)
            assert reply.topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await create(cluster, 2, "t") == ErrorCode.NONE


async def test_producer_ids_are_given_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        given = [await broker.services.cluster.next_producer_id() for broker in cluster.brokers.values() for _ in "ab"]
        assert len(set(given)) == 6


async def test_where_a_log_ends_is_asked_of_the_store_and_not_of_memory(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Another broker has appended a moment ago: ListOffsets of a broker that has not heard of it yet has to know."""
    async with several(monkeypatch, 2) as cluster:
        await create(cluster, 1, "t", 1, 1)
        await trio.sleep(1)
        one, two = cluster.brokers.values()
        assert two.services.partitions.log_of("t", 0) is not None
        data = build_batch([RecordData(0, 0, None, b"v")])
        part = PartitionProduceData(index=0, records=data)
        topic = TopicProduceData(name="t", partition_data=[part])
        sent = await one.ask(ProduceRequest(acks=-1, timeout_ms=1000, topic_data=[topic]), 9)
        assert sent.responses[0].partition_responses[0].error_code == ErrorCode.NONE
        asked = ListOffsetsTopic(name="t", partitions=[ListOffsetsPartition(partition_index=0, timestamp=-1)])
        reply = await two.ask(ListOffsetsRequest(replica_id=-1, topics=[asked]), 7)
        assert (reply.topics[0].partitions[0].error_code, reply.topics[0].partitions[0].offset) == (0, 1)


async def test_each_log_is_looked_after_by_one_living_broker(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """By its leader; and when that broker is gone, by another."""
    async with several(monkeypatch) as cluster:
        assert await create(cluster, 2, "t", 60) == ErrorCode.NONE
        await trio.sleep(1)
        topic = cluster.brokers[1].services.cluster.image.topics["t"]

        def keepers() -> list[list[int]]:
            known = {id: broker.services.brokers for id, broker in cluster.brokers.items()}
            return [
                [id for id, each in known.items() if each is not None and each.keeps(topic.topic_id, partition, 60)]
                for partition in range(60)
            ]

        found = keepers()
        assert all(len(each) == 1 for each in found) and {each[0] for each in found} == {1, 2, 3}
        brokers = cluster.brokers[1].services.brokers
        assert brokers is not None
        assert found == [[brokers.replicas(topic, partition)[0]] for partition in range(60)]
        tidies = [broker.services.brokers.tidies() for broker in cluster.brokers.values() if broker.services.brokers]
        assert sum(tidies) == 1
        await cluster.brokers.pop(3).kill()
        await trio.sleep(5)
        assert all(len(each) == 1 for each in keepers())
        kept = [new == old for new, old in zip(keepers(), found, strict=True) if old != [3]]
        assert sum(kept) >= 0.9 * len(kept), "of what living brokers look after, little changes hands"


async def test_a_store_is_told_what_it_looks_after(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing before the broker has joined, and its part from then on."""
    told: dict[int, tuple[Callable[[bytes, int], bool], Callable[[], bool]]] = {}

    def share_upkeep(view: SharedView, keeps: Callable[[bytes, int], bool], tidies: Callable[[], bool]) -> None:
        assert not tidies()
        told[view.membership.node_id] = keeps, tidies

    monkeypatch.setattr(SharedView, "share_upkeep", share_upkeep, raising=False)
    async with several(monkeypatch):
        await trio.sleep(1)
        assert sum(tidies() for _, tidies in told.values()) == 1
        assert all(sum(keeps(bytes(16), number) for keeps, _ in told.values()) == 1 for number in range(60))
