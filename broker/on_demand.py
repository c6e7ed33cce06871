"""The services that a plain start leaves out: each is loaded, made and started when something first asks for it.

Start-up time and idle memory are mostly imports. A broker that has just been started has no groups, no transactions, no
fetch sessions, no tokens, and asks no client who it is; many a broker never does some of these. Here, and nowhere else,
is what makes them:

* **Asked for** means that an attribute of `OnDemand` is read: `services.groups`, `ctx.groups` in a handler. What has
  been made stays.
* **What is there is loaded before the broker is ready** (`load`): groups and transactions if their topics exist, tokens
  if there are any. A topic of theirs that comes later, made by whatever, wakes its coordinator in the moment when the
  image shows it: the coordinator sees such a topic from its beginning.
* **Imports do not hold the event loop.** The row of an API in `broker/handlers` names what its handler asks for, and
  that is imported with the handler, in a thread (`broker/network/kinds.py`). A handler that asks for one thing or the
  other, as the request says, waits for `imported` first. Where anything may be asked for at any time (by metrics,
  commands, other brokers), `load_all` is called at the start.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE, ClusterChange
from storage.seams.offload import Lane

if TYPE_CHECKING:
    import trio

    from broker.authentication import Authentication
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterCoordinator
    from broker.coordinators.groups import GroupCoordinator
    from broker.coordinators.machine import EndOfTransaction
    from broker.coordinators.transactions import TransactionCoordinator
    from broker.delegation_tokens import DelegationTokens
    from broker.fetching.fetches import Fetches
    from broker.observe.journal import Journal
    from broker.partitions import Partitions
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.logging import RateLimitedLogger
    from storage.seams.offload import Offload


GROUPS: Final = ("broker.coordinators.groups.coordinator", "broker.coordinators.groups.machine",
                 "broker.coordinators.groups.consumer.work", "broker.observe.group_journal")  # fmt: skip
TRANSACTIONS: Final = ("broker.coordinators.transactions.coordinator",)
FETCHES: Final = ("broker.fetching.fetches",)
TOKENS: Final = ("broker.delegation_tokens",)
AUTHENTICATION: Final = ("broker.authentication", *TOKENS)
"""The modules of each service."""


class Foundations(NamedTuple):
    """What all of these services stand on."""

    store: LogStore
    cluster: ClusterCoordinator
    partitions: Partitions
    config: BrokerConfig
    clock: Clock
    world: Clock
    """By which issuers of signed tokens go, where `clock` may be ahead of it."""
    entropy: Entropy
    offload: Offload
    journal: Journal
    secret: bytes
    """It makes the salts of users that do not exist; the same after a restart."""
    load_keys: Callable[[str], bytes]
    """Reads the keys of an issuer of tokens, in a thread."""


def import_all(modules: Iterable[str]) -> None:
    """Import these modules, in a thread mostly."""
    for name in modules:
        import_module(name)


class OnDemand:
    """The services of one life of the broker. What they do by and by, they do in `nursery`."""

    def __init__(
        self,
        foundations: Foundations,
        nursery: trio.Nursery,
        end_in_group_shard: Callable[[int, EndOfTransaction], Awaitable[None]] | None = None,
    ) -> None:
        """`end_in_group_shard` is where markers go for groups that may be another broker's."""
        self._on = foundations
        self._nursery = nursery
        self._end_in_group_shard = end_in_group_shard
        foundations.cluster.subscribe(self._follow)

    def logs(self) -> list[RateLimitedLogger]:
        """Those of what has been made; their owner calls `flush`."""
        return [self.authentication.log] if "authentication" in self.__dict__ else []

    async def imported(self, modules: Iterable[str]) -> None:
        """Return when these modules of a service are there: at once, or when a thread has imported them."""
        if missing := [name for name in modules if name not in sys.modules]:
            await self._on.offload.run(import_all, missing, abandonable=True, lane=Lane.REQUESTS)

    async def load(self) -> None:
        """Make what has something to do already; return when it can answer."""
        topics = self._on.cluster.image.topics
        if CONSUMER_OFFSETS in topics:
            await self.groups.loaded()
        if TRANSACTION_STATE in topics:
            await self.transactions.loaded()
        if self._on.cluster.image.tokens:
            _ = self.tokens

    async def load_all(self) -> None:
        """Make everything; return when it can answer."""
        await self.groups.loaded()
        await self.transactions.loaded()
        _ = self.tokens, self.authentication, self.fetches

    def _follow(self, change: ClusterChange) -> None:
        created = {topic.name for topic in change.created}
        if CONSUMER_OFFSETS in created:
            _ = self.groups
        if TRANSACTION_STATE in created:
            _ = self.transactions

    @cached_property
    def groups(self) -> GroupCoordinator:
        """The coordinator of groups."""
        made = self.unstarted_groups
        made.host(self._nursery)
        return made

    @cached_property
    def transactions(self) -> TransactionCoordinator:
        """The coordinator of transactions; it ends them in groups too."""
        made = self.unstarted_transactions
        made.host(self._nursery)
        return made

    @cached_property
    def unstarted_groups(self) -> GroupCoordinator:
        """The coordinator of groups as it is before it knows which shards are its own."""
        from broker.coordinators.groups.coordinator import GroupCoordinator
        from broker.observe.group_journal import GroupJournal

        on = self._on
        return GroupCoordinator(
            store=on.store,
            cluster=on.cluster,
            config=on.config,
            clock=on.clock,
            entropy=on.entropy,
            offload=on.offload,
            told=GroupJournal(on.journal.log).group,
        )

    @cached_property
    def unstarted_transactions(self) -> TransactionCoordinator:
        """The coordinator of transactions as it is before it knows which shards are its own."""
        from broker.coordinators.transactions.coordinator import TransactionCoordinator

        on = self._on
        return TransactionCoordinator(
            store=on.store,
            cluster=on.cluster,
            end_in_own_group_shard=self._end_in_own_group_shard,
            log_of=on.partitions.log_of,
            config=on.config,
            clock=on.clock,
            end_in_group_shard=self._end_in_group_shard,
        )

    async def _end_in_own_group_shard(self, partition: int, end: EndOfTransaction) -> None:
        await self.groups.end_transaction(partition, end)

    @cached_property
    def fetches(self) -> Fetches:
        """Requests for records, and their sessions."""
        from broker.fetching.fetches import Fetches

        on = self._on
        slots = on.config.max_incremental_fetch_session_cache_slots
        return Fetches(on.partitions, on.store, on.clock, on.entropy, slots)

    @cached_property
    def tokens(self) -> DelegationTokens:
        """Delegation tokens; those that have expired go by and by."""
        from broker.delegation_tokens import DelegationTokens

        on = self._on
        made = DelegationTokens(on.cluster, on.clock, on.entropy, on.offload)
        self._nursery.start_soon(made.sweep)
        return made

    @cached_property
    def authentication(self) -> Authentication:
        """Who may log in, and how."""
        from broker.authentication import Authentication

        on = self._on
        return Authentication(
            on.cluster,
            self.tokens,
            on.clock,
            on.entropy,
            on.offload,
            secret=on.secret,
            load_keys=on.load_keys,
            world=on.world,
        )
