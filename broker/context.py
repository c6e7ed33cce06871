"""What a handler sees of the world: who asks, how, when, and the services that know the answers.

`Services` is one per broker, filled by `server.py` in the order of starting. `Peer` is one per connection. A
`RequestContext` joins both for one request; it is made for every request, so it holds references and computes nothing
until asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.observe.journal import Journal
from broker.security.operations import CLUSTER_NAME, REFUSAL, SUPPORTED_BITS, Operation, Resource
from broker.security.principals import ANONYMOUS, Principal
from kproto.errors import ErrorCode, KafkaError
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from broker.authentication import Authentication
    from broker.brokers.brokers import Brokers
    from broker.brokers.lifecycle import Lifecycle
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterCoordinator, ClusterImage, Topic
    from broker.coordinators.groups import GroupCoordinator
    from broker.coordinators.transactions import TransactionCoordinator
    from broker.delegation_tokens import DelegationTokens
    from broker.emulation import Emulation
    from broker.fetching.fetches import Fetches
    from broker.observe.turns import Turns
    from broker.on_demand import OnDemand
    from broker.partitions import Partitions
    from broker.quotas.quotas import MutationQuota, Quotas
    from broker.request_memory import RequestMemory
    from broker.security.authorizer import Authorizer
    from broker.security.sasl.conversation import Conversation
    from broker.security.tls.contexts import Contexts
    from broker.telemetry.instances import Telemetry
    from broker.transaction_entry import Transactions
    from kproto.ids import Uuid
    from kproto.schema.declare import Response
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


class Later(ABC):
    """What an eager handler returns for a reply that waits for something which can be asked whether it has come.

    As long as what is waited for `is_at_hand`, the connection sends the reply with those before it: a producer's five
    batches are durable together, and so their acknowledgements are one system call.
    """

    __slots__ = ()

    @abstractmethod
    def is_at_hand(self) -> bool:
        """Whether `reply` may be called: `wait` would not wait."""

    @abstractmethod
    def reply(self) -> Response:
        """The reply, when it is at hand."""

    @abstractmethod
    async def wait(self) -> Response:
        """The reply, once it is there."""

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.wait().__await__()


@dataclass(slots=True)
class Services:
    """The broker's parts, as handlers use them."""

    config: BrokerConfig
    clock: Clock
    entropy: Entropy
    offload: Offload
    store: LogStore
    cluster: ClusterCoordinator
    partitions: Partitions
    on_demand: OnDemand
    """What is made when it is first asked for; the properties below ask for it."""
    request_memory: RequestMemory
    turns: Turns
    telemetry: Telemetry | None = None
    """Made when the first client asks for it."""
    quotas: Quotas | None = None
    """None: nothing is limited, and nothing is counted."""
    journal: Journal = field(default_factory=Journal)
    authorizer: Authorizer | None = None
    """None: every client may do everything, and nothing is asked."""
    tls: Contexts | None = None
    """None without a listener that has TLS."""
    brokers: Brokers | None = None
    """None: this broker is alone."""
    lifecycle: Lifecycle | None = None
    """How this broker lives among others; None if it is alone."""
    transaction_entry: Transactions | None = None
    """The coordinator of transactions on whichever broker; None: all of them are this one's."""
    emulation: Emulation | None = None
    """The older release that is played; None for Ottla itself."""

    @property
    def groups(self) -> GroupCoordinator:
        return self.on_demand.groups

    @property
    def transactions(self) -> TransactionCoordinator:
        return self.on_demand.transactions

    @property
    def fetches(self) -> Fetches:
        return self.on_demand.fetches

    @property
    def authentication(self) -> Authentication:
        return self.on_demand.authentication

    @property
    def tokens(self) -> DelegationTokens:
        return self.on_demand.tokens


@dataclass(slots=True)
class Peer:
    """The other end of a connection, and the address by which it found us."""

    host: str
    port: int
    listener: str = "PLAINTEXT"
    advertised: tuple[str, int] = ("127.0.0.1", 9092)
    principal: Principal = ANONYMOUS
    muted_until: float = 0.0
    """Until when, by trio's clock, quotas let nothing be read of it; 0 for now."""
    security_protocol: str = "PLAINTEXT"
    """What the listener speaks: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    authenticated: bool = True
    """False on a SASL listener until the client has proved who it is."""
    conversation: Conversation | None = None
    """How far the client is with that; None where it is not asked."""
    client_software: tuple[str, str] = ("", "")  # name and version, as ApiVersions named them (KIP-511)

    gone: bool = False
    """The connection has ended."""

    def mute(self, millis: int) -> None:
        """Read nothing of this peer for so long."""
        if millis > 0:
            self.muted_until = max(self.muted_until, trio.current_time() + millis / 1000)

    @property
    def may_use_tokens(self) -> bool:
        """Whether this client may make and see delegation tokens: it must have proved who it is, by other means than a
        token, and not in plain text (Kafka: allowTokenRequests)."""
        anonymous = self.security_protocol == "SSL" and self.principal == ANONYMOUS
        return not (self.principal.token or self.security_protocol == "PLAINTEXT" or anonymous)

    def shown(self) -> dict[str, str]:
        """Where the client is, for a log line."""
        return {"peer": f"{self.host}:{self.port}", "listener": self.listener}

    def prove(self, conversation: Conversation) -> None:
        """The client is who it has proved to be."""
        assert conversation.principal is not None
        self.principal, self.authenticated = conversation.principal, True


TOPIC_REFUSED: Final = KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
UNKNOWN_TOPIC: Final = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
UNKNOWN_ID: Final = KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
"""Values, which are never raised."""


class _All:
    """A container that has everything."""

    def __contains__(self, name: object) -> bool:
        return True


ALL: Final[Container[str]] = _All()


class RequestContext:
    """One request's surroundings. `ctx.cluster`, `ctx.partitions` and so on are the services.

    **What the client may do** is asked here, each question in the form that its handler needs: `may` is a yes or no,
    `require` refuses, `permitted` is for many names, `operations` is the bit field of a describe answer. Without an
    authorizer each is answered after one attribute was read. What every request of an API needs is not asked by its
    handler: it stands in the row of HANDLERS, and the dispatch has asked before.
    """

    __slots__ = ("api_version", "client_id", "peer", "services")

    def __init__(self, services: Services, peer: Peer, api_version: int, client_id: str | None) -> None:
        self.services = services
        self.peer = peer
        self.api_version = api_version
        self.client_id = client_id

    @property
    def telemetry(self) -> Telemetry:
        """The instances of clients that push metrics."""
        found = self.services.telemetry
        if found is None:
            from broker.telemetry.instances import Telemetry

            found = self.services.telemetry = Telemetry(self.cluster, self.entropy, self.config.telemetry_max_bytes)
        return found

    @property
    def client_parameters(self) -> dict[str, str]:
        """What subscriptions to client metrics can match, but for the client instance's id (KIP-714)."""
        name, version = self.peer.client_software
        return {
            "client_id": self.client_id or "",
            "client_software_name": name,
            "client_software_version": version,
            "client_source_address": self.peer.host,
            "client_source_port": str(self.peer.port),
        }

    @property
    def user(self) -> str:
        """The client's name, as quotas know it."""
        return self.peer.principal.name

    def mutation_quota(self, strict_since: int) -> MutationQuota | None:
        """How much the client may change of topics; None for no limit. From version `strict_since` of the API on, a
        request that is too early is refused (KIP-599). Give it to `count_changes` in the end."""
        quotas = self.services.quotas
        if quotas is None:
            return None
        now = self.clock.monotonic_millis()
        return quotas.changes(self.user, self.client_id or "", now, strict=self.api_version >= strict_since)

    def count_changes(self, quota: MutationQuota | None) -> None:
        """Let the client wait for what it has changed."""
        if quota is not None and self.services.quotas is not None:
            self.peer.mute(self.services.quotas.changed(quota))

    def may(self, operation: Operation, kind: Resource, name: str = CLUSTER_NAME, *, quiet: bool = False) -> bool:
        """Whether the client may do this to the resource of this kind and name. `quiet`: a no is no refusal (a topic is
        left out of a list), and is not written into the audit log."""
        authorizer = self.services.authorizer
        peer = self.peer
        return authorizer is None or authorizer.authorized(
            peer.principal, peer.host, operation, kind, name, quiet=quiet
        )

    def may_somewhere(self, operation: Operation, kind: Resource) -> bool:
        """Whether there is a resource of this kind, existing or not, that the client may do this to."""
        authorizer = self.services.authorizer
        peer = self.peer
        return authorizer is None or authorizer.authorized_somewhere(peer.principal, peer.host, operation, kind)

    def require(self, operation: Operation, kind: Resource, name: str = CLUSTER_NAME) -> None:
        """Raise KafkaError with the code of a refusal (TOPIC_AUTHORIZATION_FAILED for a topic) if the client may not do
        this."""
        if not self.may(operation, kind, name):
            raise KafkaError(REFUSAL[kind])

    async def permitted(
        self, operation: Operation, kind: Resource, names: Iterable[str], slices: Slices, *, quiet: bool = False
    ) -> Container[str]:
        """Those of the names that the client may do this to; each name is asked about once."""
        if self.services.authorizer is None:
            return ALL
        return {
            name
            async for name in slices.over({name: None async for name in slices.over(names)})
            if self.may(operation, kind, name, quiet=quiet)
        }

    def refused(self, event: str, error: KafkaError, **fields: object) -> None:
        """Let the log say that this client was refused something, and why."""
        self.services.journal.refused(event, error, **fields, client_id=self.client_id, **self.peer.shown())

    def find_topic(
        self, image: ClusterImage, operation: Operation, name: str, topic_id: Uuid | None = None
    ) -> Topic | KafkaError:
        """The topic of this name, or where `topic_id` is given of this id, if the client may do this to it.

        Else why not: TOPIC_AUTHORIZATION_FAILED, whether it exists or not; UNKNOWN_TOPIC_OR_PARTITION; UNKNOWN_TOPIC_ID
        for an id that means nothing, which is no secret.
        """
        found = image.topics.get(name) if topic_id is None else image.topic_by_id(topic_id)
        if found is None and topic_id is not None:
            return UNKNOWN_ID
        if not self.may(operation, Resource.TOPIC, name if found is None else found.name):
            return TOPIC_REFUSED
        return UNKNOWN_TOPIC if found is None else found

    def operations(self, kind: Resource, name: str = CLUSTER_NAME) -> int:
        """All that the client may do to this resource, as the bit field of describe answers (KIP-430)."""
        authorizer = self.services.authorizer
        if authorizer is None:
            return SUPPORTED_BITS[kind]
        return authorizer.operations(self.peer.principal, self.peer.host, kind, name)

    def cluster_operations(self) -> int:
        """The bit field of the cluster, which is 0 for a client that may not describe it."""
        may_describe = self.may(Operation.DESCRIBE, Resource.CLUSTER, quiet=True)
        return self.operations(Resource.CLUSTER) if may_describe else 0

    def feature_level(self, feature: str) -> int:
        """The level of a feature that the cluster is at, as clients see it."""
        return self.cluster.features.shown(self.cluster.image.finalized_features).get(feature, 0)

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
    def authentication(self) -> Authentication:
        return self.services.authentication

    @property
    def tokens(self) -> DelegationTokens:
        return self.services.tokens

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
    def transaction_entry(self) -> Transactions:
        """The coordinator of a transaction, on whichever broker it is, for what wants to enter it."""
        return self.services.transaction_entry or self.services.transactions

    @property
    def brokers(self) -> Brokers | None:
        """The brokers of the cluster; None where this one is alone."""
        return self.services.brokers

    @property
    def partitions(self) -> Partitions:
        return self.services.partitions

    @property
    def fetches(self) -> Fetches:
        return self.services.fetches
