"""What `storage/membership.py` promises, of the double that tests of the broker use."""

from __future__ import annotations

import pytest

from storage.engine import StoreError
from storage.membership import Endpoint, Fenced, Shard, Unavailable, View
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.memory_membership import MemoryCluster, MemoryMembership

OFFSETS = [Shard("__consumer_offsets", index) for index in range(3)]


def cluster() -> tuple[MemoryCluster, VirtualClock]:
    clock = VirtualClock()
    return MemoryCluster(clock, SeededEntropy(1)), clock


async def joined(shared: MemoryCluster, node_id: int) -> MemoryMembership:
    seat = shared.seat(node_id)
    await seat.join({"PLAINTEXT": Endpoint("host", 9092)}, None, "1")
    return seat


def living(view: View) -> list[int]:
    return [broker.node_id for broker in view.brokers]


async def owned(seat: MemoryMembership, shards: list[Shard]) -> dict[int, int]:
    leases = await seat.claim(shards)
    return {lease.shard.partition: lease.epoch for lease in leases if lease.owner == seat.node_id}


async def test_members_are_seen_by_each_other_while_they_beat() -> None:
    shared, clock = cluster()
    one = await joined(shared, 1)
    await joined(shared, 2)
    assert living(await one.heartbeat()) == [1, 2]
    clock.advance(1500)
    await one.heartbeat()
    clock.advance(1500)
    assert living(await one.heartbeat()) == [1]


async def test_a_node_id_is_used_once_at_a_time() -> None:
    shared, clock = cluster()
    one = await joined(shared, 1)
    with pytest.raises(StoreError):
        await joined(shared, 1)
    clock.advance(2000)
    await joined(shared, 1)
    with pytest.raises(Fenced):
        await one.heartbeat()


async def test_a_shard_has_one_owner_until_that_dies_and_then_a_higher_epoch() -> None:
    shared, clock = cluster()
    one, two = await joined(shared, 1), await joined(shared, 2)
    assert await owned(one, OFFSETS[:2]) == {0: 0, 1: 0}
    assert await owned(two, OFFSETS) == {2: 0}
    await one.release(OFFSETS[:1])
    assert await owned(two, OFFSETS) == {0: 1, 2: 0}
    clock.advance(1900)
    await two.heartbeat()
    clock.advance(100)
    assert one.lease_remaining_ms() <= 0
    assert await owned(two, OFFSETS) == {0: 1, 1: 1, 2: 0}


async def test_who_leaves_gives_everything_back_at_once() -> None:
    shared, _ = cluster()
    one, two = await joined(shared, 1), await joined(shared, 2)
    await one.claim(OFFSETS)
    await one.leave()
    assert living(await two.heartbeat()) == [2]
    assert len(await owned(two, OFFSETS)) == 3
    await joined(shared, 1)


async def test_a_broker_is_asked_to_drain_by_its_node_id() -> None:
    shared, _ = cluster()
    one = await joined(shared, 1)
    assert await one.drain(1, True)
    assert not await one.drain(7, True)
    assert [broker.draining for broker in (await one.heartbeat()).brokers] == [True]


async def test_who_cannot_reach_the_membership_changes_nothing() -> None:
    shared, _ = cluster()
    one = await joined(shared, 1)
    one.cut_off = True
    for call in (one.heartbeat, one.leave, one.secret):
        with pytest.raises(Unavailable):
            await call()
    assert living(shared.view()) == [1]
