"""Surroundings for handlers under test: real services over the in-memory engine, and requests as clients see them.

    async with world() as w:
        response = await w.ask(MetadataRequest(topics=None), version=12)

`ask` sends the request through its codec in that version, calls the handler the way dispatch does (a KafkaError becomes
the handler's refusal) and takes the response through its codec too: what comes back is what a client of that version
would read.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import trio

from broker.admin.authorization import authorizer_of
from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig
from broker.context import FirstPhase, Peer, RequestContext, Services
from broker.coordinators.cluster import ClusterChange, ClusterCoordinator
from broker.emulation import Emulation
from broker.handlers import ADVERTISED_VERSIONS, SERVED_VERSIONS, handler
from broker.network.dispatch import require_needs
from broker.observe.journal import Journal
from broker.observe.turns import Turns
from broker.on_demand import Foundations, OnDemand
from broker.partitions import Partitions
from broker.quotas import quotas_after
from broker.request_memory import RequestMemory
from broker.security.principals import Principal
from broker.security.sasl.jwks import KeySetError
from kproto.errors import KafkaError
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Request
from storage.engine import LogStore, RecordSlice
from storage.memory.engine import MemoryStore
from storage.seams.clock import Clock, SystemClock
from storage.seams.entropy import Entropy, SeededEntropy
from storage.seams.offload import InlineOffload, Offload


class World:
    """One broker's services, without sockets."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.peer = Peer("127.0.0.1", 50_000, advertised=("broker.example", 9092))

    def be(self, principal: Principal) -> None:
        """Let the client be this principal from now on, on another connection."""
        self.peer = replace(self.peer, principal=principal)

    @property
    def cluster(self) -> ClusterCoordinator:
        """The cluster coordinator."""
        return self.services.cluster

    def context(self, version: int, client_id: str | None = "test") -> RequestContext:
        """The surroundings of one request."""
        return RequestContext(self.services, self.peer, version, client_id)

    async def ask(self, request: Request, version: int) -> Any:
        """The response to `request` as a client of `version` reads it; None when there is none."""
        cls = type(request)
        request = decode(cls, version, bytearray(_wire(request, version)))  # writable, as a receive buffer is
        module = handler(cls.api_key)
        try:
            ctx = self.context(version)
            require_needs(cls.api_key, request, ctx)
            response = module.handle(request, ctx)
            if isinstance(response, FirstPhase):
                response = await response.coroutine
            if inspect.isawaitable(response):
                response = await response
        except KafkaError as error:
            response = module.refuse(request, error.code, version)
        if response is None:
            return None
        return decode(cls.response_type, version, _wire(response, version), budget=10_000_000)


def versions_of(request: type[Request], first: int = 0, before: int | None = None) -> range:
    """The versions served of an API, for tests that hold in all of them; from `first` on, and below `before`."""
    oldest, newest = SERVED_VERSIONS[request.api_key]
    return range(max(oldest, first), newest + 1 if before is None else before)


def _wire(message: Any, version: int) -> bytes:
    chunks = encode(message, version)
    return b"".join(chunk.read() if isinstance(chunk, RecordSlice) else bytes(cast(Any, chunk)) for chunk in chunks)


def config(settings: Mapping[str, str] | None = None) -> BrokerConfig:
    """A broker's settings for tests: node 1, everything in memory, and `settings` over that."""
    return parse_config("", "", {"node.id": "1", "ottla.storage": "memory", **(settings or {})})


def _no_keys(url: str) -> bytes:
    raise KeySetError(f"{url} is not there")


@asynccontextmanager
async def world(
    settings: Mapping[str, str] | None = None,
    *,
    store: LogStore | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    offload: Offload | None = None,
    groups: bool = False,
    transactions: bool = False,
    key_sets: Callable[[str], bytes] | None = None,
) -> AsyncIterator[World]:
    """A World that lives as long as the block. `groups=True` starts the group coordinator too, `transactions=True` both
    coordinators."""
    clock = clock or SystemClock()
    entropy = entropy or SeededEntropy(1)
    store = store or cast(LogStore, MemoryStore(clock, entropy))
    broker_config = config(settings)
    release = broker_config.ottla_emulate
    async with trio.open_nursery() as nursery:
        cluster = ClusterCoordinator(store, broker_config, clock, entropy)
        await cluster.start(nursery)
        partitions = Partitions(store, cluster, cluster.config)
        offload = offload or InlineOffload()
        journal = Journal()
        foundations = Foundations(
            store=store,
            cluster=cluster,
            partitions=partitions,
            config=cluster.config,
            clock=clock,
            world=clock,
            entropy=entropy,
            offload=offload,
            journal=journal,
            secret=b"of tests",
            load_keys=key_sets or _no_keys,
        )
        services = Services(
            config=cluster.config,
            clock=clock,
            entropy=entropy,
            offload=offload,
            store=store,
            cluster=cluster,
            partitions=partitions,
            on_demand=OnDemand(foundations, nursery),
            journal=journal,
            request_memory=RequestMemory(-1),
            turns=Turns(),
            authorizer=authorizer_of(cluster, cluster.config),
            emulation=Emulation(release, SERVED_VERSIONS, ADVERTISED_VERSIONS) if release else None,
        )

        def follow(change: ClusterChange) -> None:
            services.quotas = quotas_after(services.quotas, cluster.config, cluster.image, change)
            if change.broker_configs_changed:
                services.config = cluster.config
                services.partitions.reconfigure(cluster.config)

        nursery.start_soon(services.partitions.run)

        services.quotas = quotas_after(None, cluster.config, cluster.image, ClusterChange())
        cluster.subscribe(follow)
        if groups or transactions:
            await services.groups.loaded()
        if transactions:
            await services.transactions.loaded()
        yield World(services)
        nursery.cancel_scope.cancel()
