"""The coordinator on real runtimes: shards are found, loaded, let go. In-memory engine, virtual time."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.testing

from broker.coordinators.groups import Caller
from broker.coordinators.groups.consumer.upgrade import MANY
from broker.coordinators.routing import shard_of
from broker.testing.contexts import World, world
from broker.tests.handlers.group_requests import (
    commit_request,
    committed_by,
    description_of,
    join_request,
    with_coordinator,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_protocol import AssignedTopicPartition, ConsumerProtocolAssignment, encode_assignment
from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequestProtocol, JoinGroupResponse
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from storage.memory.engine import MemoryLog, MemoryStore
from storage.seams import slices
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

CALLER = Caller("client", "/127.0.0.1", 3)


async def test_groups_and_offsets_outlive_the_broker() -> None:
    """G6: a coordinator that starts on the same log knows them before it answers its first request."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(groups=True, store=store) as w:
        await with_coordinator(w)
        await with_topic(w)
        member = await with_member(w)
        await w.ask(commit_request((0, 5), group="other"), 9)
    async with world(groups=True, store=store) as w:
        beat = HeartbeatRequest(group_id="g", generation_id=1, member_id=member)
        assert (await w.ask(beat, 4)).error_code == ErrorCode.NONE
        assert {each.group_id for each in (await w.ask(ListGroupsRequest(), 5)).groups} == {"g", "other"}
        assert [each.offset for each in (await committed_by(w, "other")).values()] == [5]


async def test_all_shards_share_one_budget_which_a_setting_bounds() -> None:
    """ottla.group.state.max.bytes counts what the shards hold together, also after a start; statistics show it."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    settings = {"ottla.group.state.max.bytes": str(1 << 20)}
    async with world(groups=True, store=store, settings=settings) as w:
        await with_coordinator(w)
        heavy = [JoinGroupRequestProtocol(name="range", metadata=b"x" * 400_000)]
        codes = []
        for group in ("one", "another", "a third"):
            request = join_request(group=group)
            request.protocols = heavy
            codes.append((await w.services.groups.join(request, CALLER)).error_code)
        assert codes == [ErrorCode.NONE, ErrorCode.NONE, ErrorCode.GROUP_MAX_SIZE_REACHED]
        found = w.services.groups.statistics()
        assert 800_000 < found.state_bytes < found.state_max_bytes == 1 << 20
        assert found.refused == 1
    async with world(groups=True, store=store, settings=settings) as w:
        assert 0 < w.services.groups.statistics().state_bytes < 10_000, "generations without assignments are volatile"


async def test_only_shards_that_hold_something_are_loaded_at_the_start() -> None:
    """Fifty empty ones cost nothing until a group belongs to them."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(groups=True, store=store) as w:
        await with_coordinator(w)
        await with_member(w)
    async with world(groups=True, store=store) as w:
        assert len(w.services.groups.shards.open) == 1
        await with_member(w, "another")
        assert len(w.services.groups.shards.open) == 2


async def test_an_offline_shard_stops_neither_the_start_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Its groups get COORDINATOR_LOAD_IN_PROGRESS, and it goes on trying; every other group is served."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(groups=True, store=store) as w:
        await with_coordinator(w)
        await with_member(w)
        await with_member(w, "another")
    offline = shard_of("g", 50)
    ends, starts = MemoryLog.log_end_offset, MemoryLog.log_start_offset
    is_offline = True

    def unless_offline(asked: property) -> property:
        def ask(log: MemoryLog) -> int:
            if is_offline and (log.spec.topic, log.spec.partition) == ("__consumer_offsets", offline):
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
            return cast(int, asked.__get__(log))

        return property(ask)

    monkeypatch.setattr(MemoryLog, "log_end_offset", unless_offline(cast(property, ends)))
    monkeypatch.setattr(MemoryLog, "log_start_offset", unless_offline(cast(property, starts)))
    async with world(groups=True, store=store) as w:
        described = await description_of(w, "another")
        assert described is not None and len(described.members) == 1
        with pytest.raises(KafkaError) as refused:
            await description_of(w, "g")
        assert refused.value.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        is_offline = False
        await trio.sleep(1)
        described = await description_of(w, "g")
        assert described is not None and len(described.members) == 1


async def test_a_join_waits_and_a_session_ends_by_the_clock(autojump_clock: trio.testing.MockClock) -> None:
    """The deadline of a silent member ends the wait of another one's JoinGroup."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_member(w)
        joined: list[JoinGroupResponse] = []

        async def join() -> None:
            joined.append(await w.services.groups.join(join_request(), CALLER))

        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
        assert joined[0].error_code == ErrorCode.NONE
        assert [each.member_id for each in joined[0].members] == [joined[0].member_id]
        assert 10 <= trio.current_time() - begin < 10.1


async def test_a_client_that_goes_away_while_it_waits_hurts_no_other(autojump_clock: trio.testing.MockClock) -> None:
    """Its connection's task is cancelled; the member counts as joined until its session ends."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        with trio.move_on_after(1):
            await w.services.groups.join(join_request(), CALLER)
        again = await w.services.groups.join(join_request(member), CALLER)
        assert len(again.members) == 2
        await trio.sleep(120)
        assert await description_of(w, "g") is not None


async def test_topics_that_went_while_no_coordinator_watched_take_their_offsets_along() -> None:
    """The coordinator of the next start finds out when it loads."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(groups=True, store=store) as w:
        await with_coordinator(w)
        await with_topic(w)
        await with_topic(w, "kept")
        await w.ask(commit_request((0, 5)), 9)
        await w.ask(commit_request((0, 6), topic="kept"), 9)
    async with world(store=store) as w:  # no group coordinator
        await w.cluster.delete_topics([w.cluster.image.topics["t"].topic_id])
    async with world(groups=True, store=store) as w:
        await trio.testing.wait_all_tasks_blocked()
        [machine] = w.services.groups.shards.machines()
        assert {place.topic for place in machine.committed("g")} == {"kept"}


async def test_a_deleted_topic_takes_its_offsets_along_soon() -> None:
    """They are not only hidden: the log gets their tombstones."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        await w.ask(commit_request((0, 5), (1, 5)), 9)
        await w.cluster.delete_topics([w.cluster.image.topics["t"].topic_id])
        await trio.testing.wait_all_tasks_blocked()
        [machine] = w.services.groups.shards.machines()
        assert machine.committed("g") == {}


async def test_deleting_the_offsets_topic_deletes_all_groups() -> None:
    """An administrator may; who waits is sent away, and the next FindCoordinator makes a new one."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_member(w)
        codes: list[ErrorCode] = []

        async def join() -> None:
            codes.append((await w.ask(join_request(), 3)).error_code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            await trio.testing.wait_all_tasks_blocked()
            await w.cluster.delete_topics([w.cluster.image.topics["__consumer_offsets"].topic_id])
        assert codes == [ErrorCode.NOT_COORDINATOR]
        assert (await w.ask(ListGroupsRequest(), 5)).groups == []
        assert (await w.ask(join_request(), 3)).error_code == ErrorCode.NOT_COORDINATOR
        await with_coordinator(w)
        await with_member(w)


async def test_a_large_classic_group_is_upgraded_while_others_are_served(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two consumers join at once, one upgrade serves both, and a commit is answered before. Members and what they own
    outlive the broker, and no step of it costs a shard."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(groups=True, store=store) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=2 * MANY)
        groups = w.services.groups
        joined: dict[str, JoinGroupResponse] = {}

        async def join() -> None:
            answer = await groups.join(join_request(), CALLER)
            joined[answer.member_id] = answer

        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(join)
        handed = [
            SyncGroupRequestAssignment(member_id=each, assignment=assigned("t", 2 * number, 2 * number + 1))
            for number, each in enumerate(joined)
        ]
        leader = next(iter(joined.values())).leader
        sync = SyncGroupRequest(group_id="g", generation_id=1, member_id=leader, assignments=handed)
        assert (await groups.sync(sync)).error_code == ErrorCode.NONE

        order: list[str] = []
        monkeypatch.setattr(slices, "SLICE_SECONDS", 0)  # on any processor

        async def subscribe(member: str) -> None:
            beat = ConsumerGroupHeartbeatRequest(
                group_id="g", member_id=member, rebalance_timeout_ms=5_000, subscribed_topic_names=["t"],
                topic_partitions=[],
            )  # fmt: skip
            answer = await groups.consumer_heartbeat(beat, Caller("client", "/127.0.0.1", 1))
            assert answer.error_code == ErrorCode.NONE
            order.append(member)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscribe, "new")
            nursery.start_soon(subscribe, "newer")
            await trio.lowlevel.checkpoint()
            await w.ask(commit_request((0, 5), group="other"), 9)
            order.append("other")
        assert (order[0], sorted(order[1:])) == ("other", ["new", "newer"])
        before = await consumers_of(w)
        assert before.keys() == {"new", "newer", *joined}
        assert sum(before.values()) == 2 * MANY
    async with world(groups=True, store=store) as w:
        assert await consumers_of(w) == before
        assert sum(each.losses for each in w.services.groups.statistics().shards.runtimes) == 0


def assigned(topic: str, *partitions: int) -> bytes:
    """What a leader hands out."""
    share = AssignedTopicPartition(topic=topic, partitions=list(partitions))
    return encode_assignment(ConsumerProtocolAssignment(assigned_partitions=[share]), 1)


async def consumers_of(w: World) -> dict[str, int]:
    """The members of the consumer group, each with how many partitions it owns, or has yet to give up."""
    found = (await w.ask(ConsumerGroupDescribeRequest(group_ids=["g"]), 1)).groups[0]
    return {
        each.member_id: sum(len(topic.partitions) for topic in each.assignment.topic_partitions)
        for each in found.members
    }
