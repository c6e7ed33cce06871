"""Who lives and who has what, by the database's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from storage.engine import StoreError
from storage.membership import Endpoint, Shard
from storage.object.control_plane import Fenced
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.postgres.membership import PostgresMembership
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.testing.postgres import binaries, empty_database, shared_server

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")

ENDPOINTS = {"PLAINTEXT": Endpoint("one.example", 9092), "INTERNAL": Endpoint("10.0.0.1", 9093)}
SHARD, OTHER = Shard("__consumer_offsets", 3), Shard("__transaction_state", 3)
FOREVER = 3600 * 1000


class Cluster:
    """Processes of one cluster."""

    def __init__(self) -> None:
        self.url = empty_database()
        self.planes: list[PostgresControlPlane] = []

    async def process(self, node_id: int, life: int = 1, *, lease_ms: int = FOREVER) -> PostgresMembership:
        """A process of this node id; one with another `life` is another process."""
        clock, entropy = SystemClock(), SystemEntropy()
        incarnation = bytes([node_id, life] * 8)
        plane = PostgresControlPlane(self.url, node_id, incarnation, clock=clock, entropy=entropy, lease_ms=lease_ms)
        await plane.open()
        self.planes.append(plane)
        return PostgresMembership(plane, clock=clock, entropy=entropy)

    async def member(self, node_id: int, life: int = 1) -> PostgresMembership:
        """One that has joined."""
        membership = await self.process(node_id, life)
        await membership.join(ENDPOINTS, f"rack-{node_id}", "1.0")
        return membership

    def kill(self, node_id: int) -> None:
        """Let the lease of a broker be over."""
        shared_server().execute(
            f"UPDATE ottla.broker SET lease_until = 0 WHERE node_id = {node_id}", self.url.rpartition("/")[2]
        )


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    for plane in made.planes:
        await plane.close()


async def test_brokers_learn_of_each_other() -> None:
    """By their heartbeats, and of nothing else; a view that is the same has the same number."""
    async with cluster() as brokers:
        one = await brokers.member(1)
        alone = await one.heartbeat()
        assert [broker.node_id for broker in alone.brokers] == [1]
        two = await brokers.member(2)
        both = await one.heartbeat()
        assert [(broker.node_id, broker.rack, broker.version) for broker in both.brokers] == [
            (1, "rack-1", "1.0"), (2, "rack-2", "1.0"),
        ]  # fmt: skip
        assert both.brokers[0].endpoints == ENDPOINTS
        assert both.brokers[1].incarnation == two.incarnation
        assert alone.change < both.change == (await one.heartbeat()).change
        assert both.time >= alone.time > 1_600_000_000_000
        brokers.kill(2)
        assert [broker.node_id for broker in (await one.heartbeat()).brokers] == [1]
        assert [broker.node_id for broker in (await two.heartbeat()).brokers] == [1, 2], "it lives on if it can"


async def test_a_store_that_has_not_joined_is_no_broker() -> None:
    """As that of a command."""
    async with cluster() as brokers:
        await brokers.process(7)
        assert [broker.node_id for broker in (await (await brokers.member(1)).heartbeat()).brokers] == [1]


async def test_a_lease_is_judged_from_when_the_heartbeat_was_sent() -> None:
    """So it is over here first."""
    async with cluster() as brokers:
        one = await brokers.process(1)
        assert one.lease_remaining_ms() <= 0
        await one.join({}, None, "1.0")
        assert FOREVER - 60_000 < one.lease_remaining_ms() <= FOREVER


async def test_a_node_id_is_one_process() -> None:
    """A second one waits for the lease of the first to be over, and then the first is fenced."""
    async with cluster() as brokers:
        first = await brokers.member(1)
        with pytest.raises(StoreError, match="another process lives under node id 1"):
            await brokers.process(1, 2, lease_ms=1)
        brokers.kill(1)
        second = await brokers.member(1, 2)
        for refused in (first.heartbeat(), first.claim([SHARD]), first.join({}, None, "1.0")):
            with pytest.raises((Fenced, StoreError)):
                await refused
        assert [broker.incarnation for broker in (await second.heartbeat()).brokers] == [second.incarnation]


async def test_a_shard_is_had_by_one_living_broker() -> None:
    """Until it lets go, or is dead; the epoch grows with each change of hands."""
    async with cluster() as brokers:
        one, two = await brokers.member(1), await brokers.member(2)
        [lease, other] = await one.claim([SHARD, OTHER])
        assert (lease.shard, lease.owner, lease.epoch, lease.incarnation) == (SHARD, 1, 1, one.incarnation)
        assert await two.claim([SHARD]) == [lease]
        assert await one.claim([SHARD]) == [lease]
        await two.release([SHARD])
        await one.release([OTHER])
        [kept, taken] = await two.claim([SHARD, OTHER])
        assert (kept, taken.owner, taken.epoch) == (lease, 2, other.epoch + 1)
        brokers.kill(1)
        assert {each.shard: each.owner for each in (await two.heartbeat()).leases} == {SHARD: -1, OTHER: 2}
        [moved] = await two.claim([SHARD])
        assert (moved.owner, moved.epoch) == (2, 2)
        assert (await one.claim([SHARD])) == [moved]


async def test_a_broker_that_leaves_is_dead_at_once() -> None:
    """With all that it had."""
    async with cluster() as brokers:
        one, two = await brokers.member(1), await brokers.member(2)
        await one.claim([SHARD])
        await one.leave()
        assert one.lease_remaining_ms() <= 0
        view = await two.heartbeat()
        assert ([broker.node_id for broker in view.brokers], view.leases[0].owner) == ([2], -1)
        again = await brokers.member(1, 2)
        assert (await again.claim([SHARD]))[0].epoch == 2


async def test_a_broker_is_drained_by_any() -> None:
    """It finds the wish in its view; a new process of its node id is not drained."""
    async with cluster() as brokers:
        one, two = await brokers.member(1), await brokers.member(2)
        assert await two.drain(1, True)
        assert not await two.drain(9, True)
        assert [broker.draining for broker in (await one.heartbeat()).brokers] == [True, False]
        await one.leave()
        await brokers.member(1, 2)
        assert [broker.draining for broker in (await two.heartbeat()).brokers] == [False, False]


async def test_brokers_share_a_secret() -> None:
    """Made by the first that asks."""
    async with cluster() as brokers:
        one, two = await brokers.member(1), await brokers.member(2)
        secret = await one.secret()
        assert len(secret) == 32
        assert await two.secret() == secret
