"""Which brokers of a cluster live, and which of them has which shard: leases, by the database's clock.

A broker *joins* under its node id and from then on says every half second that it lives (`heartbeat`). One that has
not said so for the time of its lease (2 s) counts as dead, whatever it thinks itself. The answer to a heartbeat is who
lives and who has what, so there is no other way in which brokers learn of each other.

**A node id is one process.** Each process has an incarnation, sixteen bytes of chance. `join` waits for the lease of an
older process of the same node id to end, and refuses if it does not: two brokers have been given one number. What the
older one still asks for fails (`Fenced`), for a broker that was stopped and goes on does not know that it was dead.

**A shard** is a partition of an internal topic whose coordinator runs on one broker. It is had under an *epoch* that
grows with every change of hands, and as long as the broker's own lease lasts: there is nothing to renew. `claim` gives
a shard to the caller if its owner is dead, has let go of it, or never was; else it stays. Which broker should have
which shard is not decided here. That an old owner writes nothing any more is not decided here either: it is the log's
conditional append that does so, after the new owner has appended to it once.

**Time.** Whether a lease is over is judged by one clock, the database's. A broker judges its *own* lease by its local
monotonic clock, from the moment at which it **sent** the last heartbeat that was answered: the answer may have been
under way for long. So it stops first (`lease_remaining_ms`). Where it does not, because its machine has slept, its
incarnation is fenced and its appends expect ends that are no longer true.

Engines that know one broker have no membership.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

HEARTBEAT_INTERVAL_MS: Final = 500
LEASE_MS: Final = 2_000


class ControlPlaneError(Exception):
    """The database has not done what it was asked for; the message is one sentence, without credentials."""


class Unavailable(ControlPlaneError):
    """It could not be asked, or has said that it did nothing (no connection, a failover, a deadlock). Ask again."""


class OutcomeUnknown(ControlPlaneError):
    """It was asked, and no answer came: it may have happened, now or a moment later. Ask the same again."""


class Fenced(ControlPlaneError):
    """Another process has taken this node id: nothing that this one asks for happens any more."""


class Endpoint(NamedTuple):
    """Where clients reach a listener of a broker."""

    host: str
    port: int


class LiveBroker(NamedTuple):
    """A broker whose lease lasts. `endpoints` by the names of listeners; `joined` in milliseconds since 1970;
    `draining`: an operator wants it to give up what it has."""

    node_id: int
    incarnation: bytes
    rack: str | None
    endpoints: Mapping[str, Endpoint]
    version: str
    joined: int
    draining: bool


class Shard(NamedTuple):
    """A partition of an internal topic."""

    topic: str
    partition: int


class ShardLease(NamedTuple):
    """Who has a shard: `owner` is the node id of a living broker, or -1. `epoch` counts its changes of hands."""

    shard: Shard
    owner: int
    incarnation: bytes
    epoch: int


class View(NamedTuple):
    """The cluster at the time of an answer: living brokers by node id, and every shard that has ever been claimed.

    `time` is the database's, in milliseconds since 1970. `change` is a number that is another when anything but the
    time has changed: one who has seen it need not look.
    """

    brokers: Sequence[LiveBroker]
    leases: Sequence[ShardLease]
    time: int
    change: int


class Membership(Protocol):
    """This broker's place in its cluster. Methods raise `Unavailable`, `OutcomeUnknown` and `Fenced`; after the first
    two, any of them may be called again."""

    @property
    def node_id(self) -> int: ...

    @property
    def incarnation(self) -> bytes: ...

    async def join(self, endpoints: Mapping[str, Endpoint], rack: str | None, version: str) -> View:
        """Live, under the store's node id and incarnation; the store is open.

        Raises StoreError when another process of this node id does not stop saying that it lives.
        """
        ...

    async def heartbeat(self) -> View:
        """Go on living."""
        ...

    async def leave(self) -> None:
        """Let go of all shards and die, so that no other broker need wait for it."""
        ...

    def lease_remaining_ms(self) -> int:
        """How long this broker may still act on what it has; zero or less: it must not."""
        ...

    async def claim(self, shards: Sequence[Shard]) -> list[ShardLease]:
        """Take those that no living broker has; each as it stands now, with its owner. One that is the caller's already
        keeps its epoch."""
        ...

    async def release(self, shards: Sequence[Shard]) -> None:
        """Let go of these, as far as the caller has them."""
        ...

    async def drain(self, node_id: int, draining: bool) -> bool:
        """Say that a broker is to give up what it has, or no longer is; False if there is none of that node id."""
        ...

    async def secret(self) -> bytes:
        """Thirty-two bytes of chance that the cluster's brokers share, made when they are first asked for: by them,
        brokers prove to each other that they are of one cluster."""
        ...


@runtime_checkable
class SharesUpkeep(Protocol):
    """A store whose upkeep brokers share."""

    def share_upkeep(self, keeps: Callable[[bytes, int], bool], tidies: Callable[[], bool]) -> None:
        """From now on look after those logs only that `keeps` names, by topic id and partition, and, while `tidies`
        says so, after what is no single log's. Both are asked again and again, as brokers come and go; nothing but work
        depends on their answers."""
        ...
