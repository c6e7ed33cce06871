"""What a handler sees of the world: who asks, how, when, and the services that know the answers.

`Services` is one per broker, filled by `server.py` in the order of starting. `Peer` is one per connection. A
`RequestContext` joins both for one request; it is made for every request, so it holds references and computes nothing
until asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from broker.security.principals import ANONYMOUS, Principal

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterCoordinator
    from broker.coordinators.groups import GroupCoordinator
    from broker.coordinators.transactions import TransactionCoordinator
    from broker.fetching.fetches import Fetches
    from broker.observe.turns import Turns
    from broker.partitions import Partitions
    from broker.request_memory import RequestMemory
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload


class CloseConnection(Exception):
    """Kafka's answer to this request is to close the connection; the message says why, for the log."""


class FirstPhase:
    """What an eager handler returns when even its first phase must wait (for a thread, say).

    The connection awaits `coroutine` before it looks at another request, so the place in the order is kept and the
    request's bytes stay where they are. Its result is what `handle` would have returned: a response, None, or a
    coroutine for the rest.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine


@dataclass(slots=True)
class Services:
    """The broker's parts, as handlers use them."""

    config: BrokerConfig
    clock: Clock
    entropy: Entropy
    offload: Offload
    store: LogStore
    cluster: ClusterCoordinator
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    partitions: Partitions
    fetches: Fetches
    request_memory: RequestMemory
    turns: Turns


@dataclass(slots=True)
class Peer:
    """The other end of a connection, and the address by which it found us."""

    host: str
    port: int
    listener: str = "PLAINTEXT"
    advertised: tuple[str, int] = ("127.0.0.1", 9092)
    principal: Principal = ANONYMOUS
    security_protocol: str = "PLAINTEXT"
    """What the listener speaks: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    authenticated: bool = True
    """False on a SASL listener until the client has proved who it is."""
    client_software: tuple[str, str] = ("", "")  # name and version, as ApiVersions named them (KIP-511)


class RequestContext:
    """One request's surroundings. `ctx.cluster`, `ctx.partitions` and so on are the services."""

    __slots__ = ("api_version", "client_id", "peer", "services")

    def __init__(self, services: Services, peer: Peer, api_version: int, client_id: str | None) -> None:
        self.services = services
        self.peer = peer
        self.api_version = api_version
        self.client_id = client_id

    @property
    def client_host(self) -> str:
        """The peer's address as Kafka shows it in group descriptions: with a slash before it."""
        return "/" + self.peer.host

    @property
    def listener(self) -> str:
        """Name of the listener that accepted the connection."""
        return self.peer.listener

    @property
    def principal(self) -> Principal:
        """Who the client is, as the broker has verified it."""
        return self.peer.principal

    @property
    def advertised(self) -> tuple[str, int]:
        """(host, port) under which this peer can reach the broker again."""
        return self.peer.advertised

    @property
    def config(self) -> BrokerConfig:
        return self.services.config

    @property
    def clock(self) -> Clock:
        return self.services.clock

    @property
    def entropy(self) -> Entropy:
        return self.services.entropy

    @property
    def offload(self) -> Offload:
        return self.services.offload

    @property
    def store(self) -> LogStore:
        return self.services.store

    @property
    def cluster(self) -> ClusterCoordinator:
        return self.services.cluster

    @property
    def groups(self) -> GroupCoordinator:
        return self.services.groups

    @property
    def transactions(self) -> TransactionCoordinator:
        return self.services.transactions

    @property
    def partitions(self) -> Partitions:
        return self.services.partitions

    @property
    def fetches(self) -> Fetches:
        return self.services.fetches
