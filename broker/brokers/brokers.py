"""What a broker knows of the brokers of its cluster, as of the last heartbeat: the source of what clients are shown.

**Any broker may serve any partition**, for all of them have the same store. So a leader is advice: the broker whose
memory has what the partition's consumers want to read. It is the first in the order of `rendezvous.py`, which deals a
topic's partitions evenly; replicas are the next ones, from as many racks as can be, and all of them are in sync. A
request that goes elsewhere is served as well, and no client is ever told that it has asked the wrong broker. When
brokers come or go, leaders change at once, without an election and in the same leader epoch: nothing about the
partition's records has changed.

**Shards of coordinators have owners** (`lifecycle.py`), and only the owner answers. The partitions of the coordinators'
topics are shown as led by their owners, which is what a tool that looks for one expects.

A broker that drains is no longer shown, so that clients go elsewhere, unless all of them drain.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from broker.brokers.rendezvous import LOTS, laid_out, layout_of, lots_of, ranked, spread
from storage.membership import LiveBroker, Shard, ShardLease, View

if TYPE_CHECKING:
    from broker.coordinators.cluster import Topic

NO_NODE: Final = -1
NO_REPLICAS: Final[list[int]] = []


class Brokers:
    """The brokers that live, this one (`node_id`) among them."""

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self._shown: tuple[LiveBroker, ...] = ()
        self._living: dict[int, LiveBroker] = {}
        self._leases: dict[Shard, ShardLease] = {}
        self._ranks: dict[str, list[LiveBroker]] = {}
        self._replicas: dict[tuple[int, int, int], list[list[int]]] = {}
        self._lists: dict[tuple[int, ...], list[int]] = {}

    def update(self, view: View, draining: Container[int] = ()) -> None:
        """A heartbeat was answered. `draining` are node ids of brokers that are to be left, beside those that the view
        says drain."""
        living = {
            each.node_id: each._replace(draining=True) if each.node_id in draining else each for each in view.brokers
        }
        if living and living != self._living:  # with none, this broker's own lease has run out: it still serves
            self._living = living
            steady = tuple(broker for broker in living.values() if not broker.draining)
            self._shown = steady or tuple(living.values())
            self._ranks.clear()
            self._replicas.clear()
            self._lists.clear()
        self._leases = {lease.shard: lease for lease in view.leases}

    def note(self, leases: Iterable[ShardLease]) -> None:
        """Leases as they stand after a claim."""
        self._leases.update((lease.shard, lease) for lease in leases)

    @property
    def shown(self) -> Sequence[LiveBroker]:
        """The brokers that clients are shown, by their node ids."""
        return self._shown

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(broker.node_id for broker in self._shown)

    @property
    def controller(self) -> int:
        """The broker that clients are told to send changes to. Any would do; that all are told the same saves the
        brokers conflicts. -1 while none is known."""
        return self._shown[0].node_id if self._shown else NO_NODE

    @property
    def living(self) -> Collection[LiveBroker]:
        """The brokers that live, drained or not, by their node ids."""
        return self._living.values()

    def lives(self, node_id: int) -> LiveBroker | None:
        """The broker of this node id, drained or not; None if it does not live."""
        return self._living.get(node_id)

    # --- partitions

    def replicas(self, topic: Topic, partition: int) -> list[int]:
        """Node ids of the brokers that the partition is shown on: the leader first, all of them in sync. Not to be
        changed. Empty while no broker is known."""
        if topic.internal and (owner := self.owner(Shard(topic.name, partition))) is not None:
            rest = [each for each in self._preferred(topic, partition) if each != owner.node_id]
            return [owner.node_id, *rest][: topic.replication_factor]
        return self._preferred(topic, partition)

    def _preferred(self, topic: Topic, partition: int) -> list[int]:
        return self._replicas_of(topic.topic_id, partition, topic.partition_count, topic.replication_factor)

    def _replicas_of(self, topic_id: bytes, partition: int, partition_count: int, factor: int) -> list[int]:
        layout, lots = layout_of(topic_id), lots_of(partition_count)
        found = self._replicas.get((layout, lots, factor))
        if found is None:
            found = [self._spread(preferred, factor) for preferred in laid_out(layout, lots, self._shown)]
            self._replicas[layout, lots, factor] = found
        return found[partition % lots] if found else NO_REPLICAS

    def _spread(self, preferred: Sequence[LiveBroker], count: int) -> list[int]:
        """The node ids; partitions that have the same share one list."""
        chosen = tuple(broker.node_id for broker in spread(preferred, count))
        return self._lists.setdefault(chosen, list(chosen))

    # --- upkeep

    def keeps(self, topic_id: bytes, partition: int, partition_count: int = LOTS) -> bool:
        """Whether this broker looks after the log: merges, compacts and shortens it. It is the one that clients are
        told is the leader, so what is to be merged passed through its hands. False while no broker is known.

        `partition_count`: of the topic, where it is known; brokers that know another one disagree for a moment."""
        return self._replicas_of(topic_id, partition, partition_count, 1) == [self.node_id]

    def tidies(self) -> bool:
        """Whether this broker looks after what is no single log's: objects, orphans, expired producers."""
        return self._first("upkeep") == self.node_id

    def _first(self, thing: str) -> int:
        rank = self._ranked(thing)
        return rank[0].node_id if rank else NO_NODE

    # --- shards of coordinators

    def owner(self, shard: Shard) -> LiveBroker | None:
        """The broker that coordinates a shard; None while there is none that lives."""
        lease = self._leases.get(shard)
        broker = None if lease is None else self._living.get(lease.owner)
        return broker if broker is not None and lease is not None and broker.incarnation == lease.incarnation else None

    def coordinator(self, topic: str, partition: int) -> LiveBroker | None:
        """The owner of a partition of a coordinators' topic; None while there is none that lives."""
        return self.owner(Shard(topic, partition))

    def lease(self, shard: Shard) -> ShardLease | None:
        """Who has a shard, as last heard."""
        return self._leases.get(shard)

    def preferred_owner(self, shard: Shard) -> int:
        """The broker that should have a shard. -1 while none is known."""
        return self._first(f"shard {shard.topic} {shard.partition}")

    def _ranked(self, thing: str) -> list[LiveBroker]:
        found = self._ranks.get(thing)
        if found is None:
            found = self._ranks[thing] = ranked(thing, self._shown)
        return found
