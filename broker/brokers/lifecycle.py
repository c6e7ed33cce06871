"""Living among brokers: join, heartbeat, shards taken up and given up, drain, leave.

**Heartbeats.** Each says that this broker lives, and its answer says who else does and who owns which shard
(`storage/membership.py`). Whatever is done here follows from that answer, so all brokers act on the same facts, a
fraction of a second apart.

**Shards** of coordinators are owned by the broker that is preferred for them (`rendezvous.py`). One that is owned by a
dead broker is claimed by whichever is preferred now; one that another broker is to have, because it has just joined or
this one is to drain, is given up: first here, so that clients are told NOT_COORDINATOR and look again, then in the
database. The new owner appends a batch to the shard's log first (`fencing.py`), and loads it then.

**A lease that has run out** silences the coordinators before any other broker may take their shards: a watch gives all
of them up at that moment, by this broker's own clock, whether or not the database can be reached. They are taken up
again if the next heartbeat that is answered says that they are still this broker's.

**Draining** (`ottla cluster drain N`, which sets the broker's config `ottla.drain`) takes a broker out of what clients
are shown and takes its shards, and nothing else: it serves what it is still asked for until it is stopped. Its clients
leave with the next metadata.

**Fenced.** Another process has the same node id: this one ends, with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.brokers.brokers import NO_NODE, Brokers
from storage.engine import StoreError
from storage.membership import (
    HEARTBEAT_INTERVAL_MS,
    LEASE_MS,
    Endpoint,
    Fenced,
    Membership,
    OutcomeUnknown,
    Shard,
    ShardLease,
    Unavailable,
)
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.coordinators.shards import Shards

LEAVE_SECONDS: Final = 2.0
"""How long a stop waits for the database to hear of it."""


class Lifecycle:
    """This broker's life in its cluster. `shards` has those of each coordinators' topic, by its name."""

    def __init__(
        self,
        membership: Membership,
        brokers: Brokers,
        shards: Mapping[str, Shards[Any]],
        draining: Callable[[], Container[int]],
    ) -> None:
        """`draining` gives the node ids of brokers that are to be left."""
        self._membership = membership
        self._brokers = brokers
        self._shards = shards
        self._draining = draining
        self._left = False
        self._nudged = trio.Event()
        self._extended = trio.Event()
        self._logger = get_logger(__name__)

    async def join(self, endpoints: Mapping[str, Endpoint], rack: str | None, version: str) -> None:
        """Live from now on. Raises StoreError: another process of this node id lives; Unavailable."""
        self._brokers.update(await self._membership.join(endpoints, rack, version), self._draining())

    async def run(self) -> None:
        """Live on, until cancelled. Raises StoreError when another process has taken this node id."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_lease)
            while not self._left:
                await self._beat()
                with trio.move_on_after(HEARTBEAT_INTERVAL_MS / 1000):
                    await self._nudged.wait()
                self._nudged = trio.Event()
            nursery.cancel_scope.cancel()

    async def leave(self) -> None:
        """Give everything back, so that no other broker need wait for the lease to run out."""
        self._left = True
        self._give_up_all()
        with trio.move_on_after(LEAVE_SECONDS, shield=True):
            try:
                await self._membership.leave()
            except (Unavailable, OutcomeUnknown, Fenced) as error:
                self._logger.warning("the other brokers will wait for this one's lease to end", reason=str(error))

    def nudge(self) -> None:
        """Something has changed, such as that a coordinators' topic was made: do not wait for the next heartbeat."""
        self._nudged.set()

    # --- heartbeats

    async def _beat(self) -> None:
        try:
            with trio.fail_after(LEASE_MS / 1000):
                self._brokers.update(await self._membership.heartbeat(), self._draining())
            self._extended.set()
            await self._settle()
        except Fenced as error:
            if self._left:
                return
            raise StoreError(f"this broker was taken for dead and replaced: {error}") from error
        except (Unavailable, OutcomeUnknown, trio.TooSlowError) as error:
            self._logger.warning("no answer to a heartbeat", reason=str(error) or "it took too long")

    async def _watch_lease(self) -> None:
        while True:
            left = self._membership.lease_remaining_ms()
            if left > 0:
                await trio.sleep(left / 1000)
                continue
            self._extended = trio.Event()
            if self._give_up_all():
                self._logger.warning("the lease of this broker has run out: it coordinates nothing any more")
            await self._extended.wait()

    def _give_up_all(self) -> bool:
        """Coordinate nothing; True if that is news."""
        owned = False
        for shards in self._shards.values():
            for index in list(shards.owned):
                owned = True
                shards.give_up(index)
        return owned

    # --- shards

    async def _settle(self) -> None:
        """Bring what this broker coordinates to what the last heartbeat says."""
        claims: list[Shard] = []
        releases: list[Shard] = []
        slices = Slices()
        for topic, shards in self._shards.items():
            async for index in slices.over(range(shards.partition_count)):
                shard = Shard(topic, index)
                lease = self._brokers.lease(shard)
                is_mine = lease is not None and self._is_mine(lease)
                is_wanted = self._brokers.preferred_owner(shard) == self._membership.node_id
                if is_mine and is_wanted:
                    assert lease is not None
                    shards.take_up(index, lease.epoch)
                elif is_mine:
                    shards.give_up(index)
                    releases.append(shard)
                else:
                    shards.give_up(index)
                    if is_wanted and (lease is None or lease.owner == NO_NODE):
                        claims.append(shard)
        if releases:
            await self._membership.release(releases)
        if claims:
            leases = await self._membership.claim(claims)
            self._brokers.note(leases)
            async for lease in slices.over(leases):
                topic_shards = self._shards[lease.shard.topic]
                if self._is_mine(lease) and lease.shard.partition < topic_shards.partition_count:
                    topic_shards.take_up(lease.shard.partition, lease.epoch)
        if releases or claims:
            self._logger.info("shards changed hands", taken=len(claims), given_up=len(releases))

    def _is_mine(self, lease: ShardLease) -> bool:
        return lease.owner == self._membership.node_id and lease.incarnation == self._membership.incarnation
