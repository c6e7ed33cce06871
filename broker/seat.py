"""A broker's seat among those that share its store: what `server.py` adds to the services of a broker that is alone.

In the order of a start: the cluster's coordinator follows the shared log (`coordinator`); the coordinators of groups
and transactions own the shards that they are given, and no more (`share`); when all of them stand, the broker joins the
others and lives among them (`join`). From then on they see it, and give it its share. A stop leaves first, so that the
others take its shards over while its clients are still being answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from broker.brokers.brokers import Brokers
from broker.brokers.entry import Ask, GroupShardsAnywhere, TransactionsAnywhere
from broker.brokers.lifecycle import Lifecycle
from broker.brokers.telling import make_catch_up
from broker.config.settings import ConfigError
from broker.coordinators.cluster import Alteration
from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE, ResourceType
from broker.coordinators.cluster.shared import SharedClusterCoordinator
from broker.coordinators.fencing import fencing_batch
from storage.engine import Batch, StoreError
from storage.membership import Endpoint, Membership, OutcomeUnknown, SharesUpkeep, Unavailable

if TYPE_CHECKING:
    import trio

    from broker.config.settings import BrokerConfig
    from broker.context import Services
    from broker.coordinators.cluster import ClusterChange
    from broker.coordinators.groups import GroupCoordinator
    from broker.coordinators.machine import EndOfTransaction
    from broker.coordinators.shards import Shards
    from broker.coordinators.transactions import TransactionCoordinator
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy

DRAIN = "ottla.drain"


class Seat:
    """One broker's. Its parts are made one after the other, as its methods are called."""

    def __init__(self, membership: Membership, config: BrokerConfig, clock: Clock) -> None:
        self._membership = membership
        self._config = config
        self._clock = clock
        self.brokers = Brokers(config.node_id)
        self._secret: bytes | None = None
        self._cluster: SharedClusterCoordinator | None = None
        self._lifecycle: Lifecycle | None = None
        self._group_shards: GroupShardsAnywhere | None = None

    def coordinator(self, store: LogStore, entropy: Entropy) -> SharedClusterCoordinator:
        """The cluster's coordinator."""
        self._cluster = SharedClusterCoordinator(
            store, self._config, self._clock, entropy, brokers=lambda: self.brokers.node_ids
        )
        return self._cluster

    async def end_in_group_shard(self, partition: int, end: EndOfTransaction) -> None:
        """Append a marker to a partition of `__consumer_offsets`, on whichever broker. Raises KafkaError."""
        assert self._group_shards is not None, "no transaction ends before the coordinators share"
        await self._group_shards.end_transaction(partition, end)

    def share(self, groups: GroupCoordinator, transactions: TransactionCoordinator, ask: Ask) -> TransactionsAnywhere:
        """Let these coordinators own the shards that this broker is given. Before they are started. Returns the
        coordinator of transactions on whichever broker."""
        shards: dict[str, Shards[Any]] = {CONSUMER_OFFSETS: groups.shards, TRANSACTION_STATE: transactions.shards}
        self._lifecycle = lifecycle = Lifecycle(self._membership, self.brokers, shards, self._draining)
        for each in shards.values():
            each.share(self._fence, lifecycle.nudge)
        self._group_shards = GroupShardsAnywhere(groups, self.brokers, ask)
        assert self._cluster is not None, "the coordinator stands before others share"
        self._cluster.tell_by(partial(make_catch_up, ask))
        return TransactionsAnywhere(transactions, self.brokers, ask)

    def share_upkeep(self, store: LogStore) -> None:
        """Let the store look after this broker's part of the logs; none before the broker has joined."""
        if isinstance(store, SharesUpkeep):
            store.share_upkeep(self._keeps, self.brokers.tidies)

    def _keeps(self, topic_id: bytes, partition: int) -> bool:
        topic = None if self._cluster is None else self._cluster.image.topic_by_id(topic_id)
        if topic is None:
            return self.brokers.keeps(topic_id, partition)
        return self.brokers.keeps(topic_id, partition, topic.partition_count)

    @property
    def listener(self) -> str:
        """The name of the listener over which brokers ask each other."""
        named = self._config.get("inter.broker.listener.name")
        return str(named).upper() if named else self._config.listeners[0].name

    async def secret(self) -> bytes:
        """What only brokers of this cluster know."""
        if self._secret is None:
            self._secret = await self._membership.secret()
        return self._secret

    def _fence(self) -> Batch:
        return fencing_batch(self._config.node_id, self._clock.wall_millis())

    def _draining(self) -> set[int]:
        """The brokers that are to be left, as the cluster's log says."""
        assert self._cluster is not None
        brokers = (name for kind, name in self._cluster.image.configs if kind == ResourceType.BROKER and name)
        return {int(name) for name in brokers if self._cluster.image.broker_configs(name).get(DRAIN) == "true"}

    async def join(
        self, services: Services, endpoints: Mapping[str, Endpoint], version: str, nursery: trio.Nursery
    ) -> None:
        """Join the other brokers, and live among them in `nursery`. Raises ConfigError."""
        assert self._lifecycle is not None and self._cluster is not None
        if self._config.node_id in self._draining():  # an earlier life of this broker was to end
            whose = Alteration(int(ResourceType.BROKER), str(self._config.node_id), _without_drain)
            await self._cluster.alter_configs([whose])
        try:
            services.authentication.let_brokers_in(await self.secret())
            await self._lifecycle.join(endpoints, self._config.broker_rack, version)
        except (StoreError, Unavailable, OutcomeUnknown) as error:
            raise ConfigError(f"this broker cannot join its cluster: {error}") from error
        services.brokers = self.brokers
        services.lifecycle = self._lifecycle
        self._cluster.subscribe(self._follow)
        nursery.start_soon(self._lifecycle.run)

    def _follow(self, change: ClusterChange) -> None:
        new_shards = any(topic.name in (CONSUMER_OFFSETS, TRANSACTION_STATE) for topic in change.created)
        if self._lifecycle is not None and (new_shards or change.broker_configs_changed):
            self._lifecycle.nudge()


def endpoints_of(config: BrokerConfig) -> dict[str, Endpoint]:
    """Where clients reach this broker's listeners, for the other brokers to tell them. Raises ConfigError where that is
    not known: a client that asks another broker has not come by any address of this one."""
    found: dict[str, Endpoint] = {}
    for listener in config.listeners:
        host, port = config.advertised_listeners.get(listener.name, (listener.host, listener.port))
        if not host:
            raise ConfigError(
                f"advertised.listeners has no address for {listener}, which listens on all: the other brokers of the "
                "cluster have to tell clients where this one is"
            )
        found[listener.name] = Endpoint(host, port or listener.port)
    return found


def _without_drain(configs: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in configs.items() if name != DRAIN}
