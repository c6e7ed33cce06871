"""A membership in memory, under the clock seam: what `storage/membership.py` means, in the fewest words.

`MemoryCluster` is what a database would keep; `MemoryCluster.seat()` gives one process its `Membership`. A seat can be
cut off (`MemoryMembership.cut_off`): its calls then fail, as those of a broker that does not reach the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from storage.engine import StoreError
from storage.membership import LEASE_MS, Endpoint, Fenced, LiveBroker, Shard, ShardLease, Unavailable, View
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy


class MemoryCluster:
    """The state that all seats share."""

    def __init__(self, clock: Clock, entropy: Entropy, lease_ms: int = LEASE_MS) -> None:
        self.clock = clock
        self.entropy = entropy
        self.lease_ms = lease_ms
        self.secret = entropy.uuid() + entropy.uuid()
        self.brokers: dict[int, LiveBroker] = {}
        self.until: dict[int, int] = {}
        self.leases: dict[Shard, ShardLease] = {}
        self.change = 0

    def seat(self, node_id: int) -> MemoryMembership:
        """The way to it of one process."""
        return MemoryMembership(self, node_id, self.entropy.uuid())

    def lives(self, incarnation: bytes) -> bool:
        """Whether this incarnation's lease lasts."""
        now = self.clock.monotonic_millis()
        return any(each.incarnation == incarnation and self.until[each.node_id] > now for each in self.brokers.values())

    def lease(self, shard: Shard) -> ShardLease:
        """Who has a shard, -1 for a dead owner."""
        lease = self.leases.get(shard, ShardLease(shard, -1, b"", -1))
        return lease if self.lives(lease.incarnation) else lease._replace(owner=-1)

    def view(self) -> View:
        """What the answer to a heartbeat says."""
        self.change += 1
        living = [each for _, each in sorted(self.brokers.items()) if self.lives(each.incarnation)]
        return View(living, [self.lease(shard) for shard in self.leases], self.clock.wall_millis(), self.change)


class MemoryMembership:
    """`Membership` says what its methods promise."""

    def __init__(self, cluster: MemoryCluster, node_id: int, incarnation: bytes) -> None:
        self._cluster = cluster
        self.node_id = node_id
        self.incarnation = incarnation
        self._until = 0
        self.cut_off = False
        """True to let every call fail."""

    async def _reach(self, *, member: bool = True) -> MemoryCluster:
        await trio.lowlevel.checkpoint()
        if self.cut_off:
            raise Unavailable("this broker is cut off")
        there = self._cluster.brokers.get(self.node_id)
        if member and (there is None or there.incarnation != self.incarnation):
            raise Fenced("another process has this node id")
        return self._cluster

    async def join(self, endpoints: Mapping[str, Endpoint], rack: str | None, version: str) -> View:
        cluster = await self._reach(member=False)
        there = cluster.brokers.get(self.node_id)
        if there is not None and cluster.lives(there.incarnation):
            raise StoreError(f"a broker with node.id {self.node_id} is at work in this cluster")
        cluster.brokers[self.node_id] = LiveBroker(
            self.node_id, self.incarnation, rack, dict(endpoints), version, cluster.clock.wall_millis(), False
        )
        return self._extend(cluster)

    async def heartbeat(self) -> View:
        return self._extend(await self._reach())

    def _extend(self, cluster: MemoryCluster) -> View:
        self._until = cluster.until[self.node_id] = cluster.clock.monotonic_millis() + cluster.lease_ms
        return cluster.view()

    async def leave(self) -> None:
        cluster = await self._reach()
        del cluster.brokers[self.node_id]
        self._until = 0

    def lease_remaining_ms(self) -> int:
        return self._until - self._cluster.clock.monotonic_millis()

    async def claim(self, shards: Sequence[Shard]) -> list[ShardLease]:
        cluster = await self._reach()
        for shard in shards:
            lease = cluster.lease(shard)
            if lease.owner == -1:
                cluster.leases[shard] = ShardLease(shard, self.node_id, self.incarnation, lease.epoch + 1)
        return [cluster.lease(shard) for shard in shards]

    async def release(self, shards: Sequence[Shard]) -> None:
        cluster = await self._reach()
        for shard in shards:
            lease = cluster.lease(shard)
            if lease.incarnation == self.incarnation:
                cluster.leases[shard] = lease._replace(owner=-1, incarnation=b"")

    async def drain(self, node_id: int, draining: bool) -> bool:
        cluster = await self._reach()
        there = cluster.brokers.get(node_id)
        if there is None or not cluster.lives(there.incarnation):
            return False
        cluster.brokers[node_id] = there._replace(draining=draining)
        return True

    async def secret(self) -> bytes:
        return (await self._reach(member=False)).secret
