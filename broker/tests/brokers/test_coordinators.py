"""Groups and transactions of several brokers: who coordinates what, and what becomes of it when one of them goes."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from broker.brokers.entry import TransactionsAnywhere
from broker.coordinators.machine import EndOfTransaction
from broker.coordinators.runtime import Runtime
from broker.testing.contexts import World
from broker.tests.brokers.several import Broker, Several, several
from broker.tests.coordinators.transactions.test_coordinator import Client
from broker.tests.handlers.group_requests import commit_codes, commit_request, with_member
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.end_txn import EndTxnRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from kproto.messages.metadata import MetadataRequest
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from kproto.messages.produce import ProduceRequest
from kproto.messages.txn_offset_commit import TxnOffsetCommitRequest
from kproto.schema.declare import Request

GROUPS = [f"g{number}" for number in range(12)]


async def committed(broker: Broker, group: str) -> list[tuple[int, int]]:
    """Offset and error code of each partition; the code of the group, if it has one."""
    asked = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
    [found] = (await broker.ask(asked, 8)).groups
    if found.error_code:
        return [(-1, found.error_code)]
    return [(each.committed_offset, each.error_code) for topic in found.topics for each in topic.partitions]


async def until_committed(cluster: Several, offsets: list[tuple[int, int]]) -> Broker:
    """The coordinator of group g, once it says that the group has committed this."""
    while True:
        owner = await cluster.coordinator_of("g")
        if await committed(owner, "g") == offsets:
            return owner
        await trio.sleep(0.05)


async def with_topics(cluster: Several) -> None:
    topic = CreatableTopic(name="t", num_partitions=6, replication_factor=1)
    await cluster.brokers[1].ask(CreateTopicsRequest(topics=[topic], timeout_ms=5000), 7)
    for key_type in (0, 1):
        await cluster.coordinator_of("g", key_type)
    await cluster.until_shards_have_owners()


async def test_shards_are_spread_and_each_has_one_owner(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        owned = [set(broker.services.groups.shards.owned) for broker in cluster.brokers.values()]
        assert set.union(*owned) == set(range(50)) and sum(map(len, owned)) == 50
        assert all(len(each) >= 5 for each in owned)


async def test_only_the_owner_of_a_shard_answers_for_a_group(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        for group in GROUPS:
            owner = await cluster.coordinator_of(group)
            for broker in cluster.brokers.values():
                expected = ErrorCode.NONE if broker is owner else ErrorCode.NOT_COORDINATOR
                assert commit_codes(await broker.ask(commit_request((0, 5), group=group), 8)) == [expected]


async def test_a_killed_broker_is_replaced_within_three_seconds(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Its groups keep what they have committed and their members their generation; FindCoordinator names no dead."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        owner = await cluster.coordinator_of("g")
        await owner.ask(commit_request((0, 5)), 8)
        member = await with_member(cast(World, owner))
        await owner.kill()
        del cluster.brokers[owner.node_id]
        with trio.fail_after(3):
            heir = await until_committed(cluster, [(5, 0)])
        assert heir is not owner
        beat = await heir.ask(HeartbeatRequest(group_id="g", generation_id=1, member_id=member), 3)
        assert beat.error_code == ErrorCode.NONE
        reply = await heir.ask(MetadataRequest(topics=None), 12)
        assert owner.node_id not in {each.node_id for each in reply.brokers}
        assert owner.node_id not in {each.leader_id for topic in reply.topics for each in topic.partitions}


async def test_a_broker_that_stops_gives_its_shards_back_at_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        owner = await cluster.coordinator_of("g")
        await owner.ask(commit_request((0, 5)), 8)
        await owner.stop()
        del cluster.brokers[owner.node_id]
        with trio.fail_after(1):
            await until_committed(cluster, [(5, 0)])


async def test_a_broker_without_its_database_stops_answering_before_its_lease_ends(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """And what it was asked last is either in the log or was not acknowledged. Back again, it is one of them again."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        owner = await cluster.coordinator_of("g")
        await owner.ask(commit_request((0, 5)), 8)
        owner.freeze()
        answers: list[int] = []

        async def ask_the_frozen() -> None:
            answers.extend(commit_codes(await owner.ask(commit_request((0, 99)), 8)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_the_frozen)
            await trio.sleep(3)
            assert answers == [ErrorCode.NOT_COORDINATOR]
            assert commit_codes(await owner.ask(commit_request((0, 100)), 8)) == [ErrorCode.NOT_COORDINATOR]
            frozen = cluster.brokers.pop(owner.node_id)
            heir = await cluster.coordinator_of("g")
            assert await committed(heir, "g") == [(5, 0)]
            assert commit_codes(await heir.ask(commit_request((0, 6)), 8)) == [ErrorCode.NONE]
            frozen.thaw()
            cluster.brokers[frozen.node_id] = frozen
        await trio.sleep(2)
        assert await cluster.coordinator_of("g") is frozen, "it is preferred for the shard, as before"
        assert await committed(frozen, "g") == [(6, 0)]


async def test_a_new_broker_gets_its_share(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch, 2) as cluster:
        await with_topics(cluster)
        for group in GROUPS:
            await (await cluster.coordinator_of(group)).ask(commit_request((0, 5), group=group), 8)
        third = await cluster.start(3)
        await trio.sleep(2)
        await cluster.until_shards_have_owners()
        assert len(third.services.groups.shards.owned) >= 5
        for group in GROUPS:
            assert await committed(await cluster.coordinator_of(group), group) == [(5, 0)]


async def test_a_broker_that_drains_is_left_and_comes_back_with_its_next_start(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        drain = AlterConfigsResource(
            resource_type=4, resource_name="2", configs=[AlterableConfig(name="ottla.drain", value="true")]
        )
        reply = await cluster.brokers[2].ask(IncrementalAlterConfigsRequest(resources=[drain]), 1)
        assert reply.responses[0].error_code == ErrorCode.NONE
        await trio.sleep(2)
        assert not cluster.brokers[2].services.groups.shards.owned
        for broker in cluster.brokers.values():
            reply = await broker.ask(MetadataRequest(topics=None), 12)
            assert [each.node_id for each in reply.brokers] == [1, 3]
            assert 2 not in {each.leader_id for topic in reply.topics for each in topic.partitions}
        await cluster.brokers.pop(2).stop()
        again = await cluster.start(2)
        await trio.sleep(2)
        assert again.services.groups.shards.owned
        assert [each.node_id for each in (await again.ask(MetadataRequest(topics=None), 12)).brokers] == [1, 2, 3]


async def test_a_key_without_an_owner_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The coordinators' topic has just been made: clients are told to come back, and not to a broker that refuses."""
    async with several(monkeypatch) as cluster:
        reply = await cluster.brokers[1].ask(FindCoordinatorRequest(coordinator_keys=["g"]), 4)
        assert reply.coordinators[0].error_code in (ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NONE)


class Routed:
    """A client that asks each broker what it is there for: coordinators for what they coordinate, another for data."""

    def __init__(self, transactions: Broker, groups: Broker, data: Broker) -> None:
        self.transactions, self.groups, self.data = transactions, groups, data

    async def ask(self, request: Request, version: int) -> Any:
        broker = self.transactions
        if isinstance(request, ProduceRequest):
            broker = self.data
        elif isinstance(request, TxnOffsetCommitRequest):
            broker = self.groups
        return await broker.ask(request, version)


async def pair_of_different_coordinators(cluster: Several) -> tuple[str, Broker, Broker]:
    """A transactional id, its coordinator, and that of group g, which is another broker."""
    groups = await cluster.coordinator_of("g")
    for number in range(30):
        transactions = await cluster.coordinator_of(f"tx{number}", 1)
        if transactions is not groups:
            return f"tx{number}", transactions, groups
    raise AssertionError("one of 30 ids has another coordinator")


@pytest.mark.parametrize("commit", [True, False])
async def test_a_transaction_over_three_brokers(
    commit: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Its coordinator, that of the group and the one that takes the data are different ones. The marker in the group's
    shard is written by its owner, which thereby knows the offsets, and goes on without a reload."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        name, transactions, groups = await pair_of_different_coordinators(cluster)
        [data] = [each for each in cluster.brokers.values() if each not in (transactions, groups)]
        client = Client(cast(World, Routed(transactions, groups, data)), name)
        for _ in range(2):
            assert await client.init() is ErrorCode.NONE
            assert await client.produce(b"v") is ErrorCode.NONE
            assert await client.commit_offset(7) is ErrorCode.NONE
            assert await client.end(commit) is ErrorCode.NONE
            await trio.sleep(1)
            assert await client.state() == ("CompleteCommit" if commit else "CompleteAbort")
            assert await committed(groups, "g") == ([(7, 0)] if commit else [])
        assert not [
            runtime
            for broker in cluster.brokers.values()
            for runtime in broker.services.groups.statistics().shards.runtimes
            if runtime.losses
        ]
        for broker in cluster.brokers.values():
            log = broker.services.partitions.log_of("t", 0)
            assert log is not None and log.last_stable_offset == 4


async def test_a_partition_that_its_coordinator_elsewhere_does_not_know_gets_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        name, transactions, groups = await pair_of_different_coordinators(cluster)
        client = Client(cast(World, Routed(transactions, groups, groups)), name)
        await client.init()
        fenced = client.owner
        await client.init()
        client.owner = fenced
        assert await client.produce(b"v") is ErrorCode.INVALID_PRODUCER_EPOCH


async def test_a_transaction_survives_the_death_of_its_coordinator(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It was decided, and the coordinator died: the next one writes the markers, the group's among them."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        name, transactions, groups = await pair_of_different_coordinators(cluster)
        client = Client(cast(World, Routed(transactions, groups, groups)), name)
        await client.init()
        await client.produce(b"v")
        await client.commit_offset(7)

        async def never(transactional_id: str) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(transactions.services.transactions, "_complete_once", never)
        end = EndTxnRequest(
            transactional_id=name,
            producer_id=client.owner.producer_id,
            producer_epoch=client.owner.producer_epoch,
            committed=True,
        )
        assert (await transactions.ask(end, 4)).error_code == ErrorCode.NONE
        await transactions.kill()
        del cluster.brokers[transactions.node_id]
        with trio.fail_after(4):
            heir = await cluster.coordinator_of(name, 1)
            await until_committed(cluster, [(7, 0)])
        assert heir is not transactions


async def test_offsets_of_a_transaction_wait_until_a_new_owner_has_loaded_the_shard(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The coordinator is asked then, and not before. A new owner knows of no marker that the former one has written, so
    it would take that for the end of what it asks about; the append would be refused, and the shard lost with it."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        name, transactions, groups = await pair_of_different_coordinators(cluster)
        client = Client(cast(World, Routed(transactions, groups, transactions)), name)
        await client.init()
        await client.commit_offset(7)
        assert await client.end(True) is ErrorCode.NONE
        await until_committed(cluster, [(7, 0)])
        load, add = Runtime.load, TransactionsAnywhere.add_partitions
        states: list[str] = []

        async def slowly(runtime: Runtime[Any]) -> None:
            await trio.sleep(1)
            await load(runtime)

        async def noted(anywhere: TransactionsAnywhere, *question: Any) -> Any:
            states.extend(each.state for each in heir.services.groups.statistics().shards.runtimes)
            return await add(anywhere, *question)

        monkeypatch.setattr(Runtime, "load", slowly)
        monkeypatch.setattr(TransactionsAnywhere, "add_partitions", noted)
        await groups.kill()
        del cluster.brokers[groups.node_id]
        with trio.fail_after(4):
            heir = await cluster.coordinator_of("g")
        client.w = cast(World, Routed(transactions, heir, transactions))
        assert await client.commit_offset(8) is ErrorCode.NONE
        assert states
        assert set(states) == {"active"}


async def test_markers_are_given_up_with_the_shard_and_written_in_its_new_epoch(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The group's owner does not answer, and the coordinator loses its lease and gets it again meanwhile: what it still
    had to write it writes as of now, and not forever in an epoch that logs have seen the end of."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        name, transactions, groups = await pair_of_different_coordinators(cluster)
        client = Client(cast(World, Routed(transactions, groups, groups)), name)
        await client.init()
        await client.commit_offset(7)
        del cluster.brokers[groups.node_id]  # it cannot be asked
        before = transactions.services.transactions.shards.epoch_of(name)
        assert await client.end(True) is ErrorCode.NONE
        await trio.sleep(0.5)
        transactions.freeze()
        await trio.sleep(4)
        transactions.thaw()
        await trio.sleep(3)
        cluster.brokers[groups.node_id] = groups
        with trio.fail_after(15):
            await until_committed(cluster, [(7, 0)])
            owner = await cluster.coordinator_of(name, 1)
            assert await Client(cast(World, Routed(owner, groups, groups)), name).settled() == "CompleteCommit"
        assert owner.services.transactions.shards.epoch_of(name) > before


async def test_a_marker_that_is_refused_late_is_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """So that the coordinator that was late takes it for written, and asks no more."""
    async with several(monkeypatch) as cluster:
        await with_topics(cluster)
        groups = await cluster.coordinator_of("g")
        partition = groups.services.groups.place_of("g").partition
        await groups.services.groups.end_transaction(partition, EndOfTransaction(9, 0, 5, True))
        with pytest.raises(KafkaError) as refused:
            await groups.services.groups.end_transaction(partition, EndOfTransaction(9, 0, 3, True))
        assert refused.value.code is ErrorCode.TRANSACTION_COORDINATOR_FENCED
