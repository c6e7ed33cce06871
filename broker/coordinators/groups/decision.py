"""What every kind of group needs to decide: a draft, the names of deadlines, who asks.

A decision of a group takes a few steps, and each may write a record or answer a waiting client: a member that leaves
ends a rebalance, which answers all who have joined. The steps share one `Draft`, which is given to the runtime when the
last of them has run. It carries what is the same for all of them: the time at which the decision is taken, and the
promise of the request that asked for it.

Deadlines of a shard lie in one queue (`deadlines.py`), whatever kind of group they belong to. A `TimerName` says which
group, which member and what for, so that the kind of the group can be asked what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

from broker.coordinators.groups.records import GroupRecord
from broker.coordinators.machine import Decision, Promise
from kproto.batches.records import EncodedRecords
from storage.seams.clock import Instant

UNKNOWN_MEMBER_ID: Final = ""
"""What a member calls itself that has not been given an id yet."""


class Caller(NamedTuple):
    """Who asks, and in which version of the API."""

    client_id: str
    client_host: str
    api_version: int
    may_describe: Callable[[str], bool] | None = None
    """Whether the client may describe the topic of a name; None where it may describe all."""


class CommittingMember(NamedTuple):
    """Who commits offsets, by its own account. Generation -1 and no id: a client outside of any membership."""

    member_id: str
    instance_id: str | None
    generation: int
    api_version: int
    transactional: bool = False
    """True for TxnOffsetCommit: during a rebalance too, and into a group with members by a client that is none."""


class Timer(Enum):
    """What a deadline is for."""

    __hash__ = object.__hash__  # of names that are looked up with each commit and each heartbeat: Enum's is Python

    SESSION = "session"
    """Of a member, or of an id that was given out and not used."""
    JOIN = "join"
    """Of a group: the first phase of a classic rebalance. Of a classic member in a consumer group: it has to join."""
    SYNC = "sync"
    """Of a group: the second phase of a classic rebalance. Of a classic member in a consumer group: it has to sync."""
    REJOIN = "rejoin"
    """Of a group that has just become a classic one: its members have to join again, now."""
    REBALANCE = "rebalance"
    """Of a member of the consumer protocol that has to give up partitions."""
    OFFSETS = "offsets"
    """Of the shard: offsets and groups that are too old."""
    PURGE = "purge"
    """Of the shard: offsets of topics that have been deleted."""


class TimerName(NamedTuple):
    """One deadline of a shard."""

    kind: Timer
    group_id: str = ""
    member_id: str = ""


class Draft:
    """A decision while it is being taken, at `now`, for the request whose promise is `promise`.

    It is `volatile` when members, or timers that do not come back by themselves, have been changed on the way.
    """

    __slots__ = ("encoded", "now", "promise", "records", "replies", "volatile")

    def __init__(self, now: Instant, promise: Promise[Any], *, volatile: bool = False) -> None:
        """A decision that no request has asked for takes a promise that no task waits for."""
        self.now = now
        self.promise = promise
        self.volatile = volatile
        self.records: list[GroupRecord] = []
        self.replies: list[tuple[Promise[Any], Any]] = []
        self.encoded: EncodedRecords | None = None
        """What the first of the records stands for (`Decision.encoded`)."""

    def write(self, record: GroupRecord) -> None:
        """This record will be in the log, and replayed."""
        self.records.append(record)

    def reply(self, value: Any) -> None:
        """The answer to the request that is decided on, once the records are durable. A KafkaError is raised there."""
        self.replies.append((self.promise, value))

    def answer(self, promise: Promise[Any], value: Any) -> None:
        """The answer to an earlier request, which has been waiting for a decision like this one."""
        self.replies.append((promise, value))

    def decision(self) -> Decision[GroupRecord]:
        """Final."""
        return Decision(self.records, self.replies, self.volatile, encoded=self.encoded)
