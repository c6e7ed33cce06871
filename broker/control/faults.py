"""Faults: what a broker is commanded to do wrong, to which requests, and how often.

A `Fault` is a `Target` (which requests), an `Effect` (what happens to them) and a `Rhythm` (which of those). A request
that comes suffers the first fault that is for it and whose turn it is; faults are asked in the order in which they were
made. `Faults` keeps them, counts, and says which have ended.

**Targets** combine: an API, a topic, a partition of it, a group, a transactional id, a client id; a request must fit
all that are given. **Rhythms** too: `skip` requests that fit are let through, then of those that follow each suffers,
or a `share` of them by a chance that a seed determines, until `times` have. So the n-th request is `skip=n-1, times=1`.

**Effects.**

| effect | happens |
| --- | --- |
| error | the request, or the part of it that the target names, is refused with this code, before its work or after |
| delay | the request waits, and its connection with it, before anything is done |
| drop | the connection closes, before the work or after it |
| lose reply | the work is done, and no reply ever leaves this connection |
| throttle | the reply says for how long the client is throttled, and nothing of it is read so long |
| coordinator moved | NOT_COORDINATOR from every API that asks a coordinator, except the one that says where it is |
| leader not available | the partition has no leader: LEADER_NOT_AVAILABLE in metadata, else NOT_LEADER_OR_FOLLOWER |
| disk full | appends are refused as on a full disk: of records, and of what coordinators write |
| slow disk | what was appended is durable later |

**An end.** A fault ends when it has happened `times` times, or is removed. Then requests that it delays go on, and
connections whose replies it holds close. What remains is a count: the last `REMEMBERED` that have ended are listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.control.parts import ANYTHING, Named
from kproto.errors import ErrorCode
from kproto.release.apis import APIS
from storage.misbehaving import Misbehaviour
from storage.seams.entropy import SeededEntropy
from storage.seams.logging import get_logger

if TYPE_CHECKING:
    from storage.seams.entropy import Entropy

MOST: Final = 100
"""Faults at a time: each request is compared with all of them."""
REMEMBERED: Final = 100
LONGEST_SECONDS: Final = 3600.0


class Kind(StrEnum):
    """What happens."""

    ERROR = "error"
    DELAY = "delay"
    DROP = "drop"
    LOSE_REPLY = "lose_reply"
    THROTTLE = "throttle"
    COORDINATOR_MOVED = "coordinator_moved"
    LEADER_NOT_AVAILABLE = "leader_not_available"
    DISK_FULL = "disk_full"
    SLOW_DISK = "slow_disk"


def _keys(*names: str) -> frozenset[int]:
    return frozenset(key for key, api in APIS.items() if api.name in names)


PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = _keys("Metadata", "DescribeTopicPartitions")
"""APIs that say who leads."""
OF_LEADERS: Final = _keys("Produce", "Fetch", "ListOffsets", "DeleteRecords", "OffsetForLeaderEpoch")
OF_GROUPS: Final = _keys(
    *("OffsetCommit", "OffsetFetch", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups"),
    *("DeleteGroups", "OffsetDelete", "ConsumerGroupHeartbeat", "ConsumerGroupDescribe", "TxnOffsetCommit"),
)
OF_TRANSACTIONS: Final = _keys(
    *("InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "DescribeTransactions")
)


@dataclass(frozen=True, slots=True)
class Target:
    """Which requests; None: whichever. `api` is a key."""

    api: int | None = None
    named: Named = ANYTHING
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to them. `code` is an error's, `seconds` a delay's or a throttle's; `after` the work, or before."""

    kind: Kind
    code: ErrorCode = ErrorCode.NONE
    seconds: float = 0.0
    after: bool = False

    @property
    def is_of_the_disk(self) -> bool:
        """Whether this happens to what is written, and to no request by itself."""
        return self.kind in (Kind.DISK_FULL, Kind.SLOW_DISK)

    @property
    def apis(self) -> frozenset[int] | None:
        """The APIs that this can happen to; None: all."""
        if self.is_of_the_disk:
            return frozenset()
        if self.kind is Kind.COORDINATOR_MOVED:
            return OF_GROUPS | OF_TRANSACTIONS
        return METADATA | OF_LEADERS if self.kind is Kind.LEADER_NOT_AVAILABLE else None

    def code_for(self, api_key: int) -> ErrorCode:
        """The error code that a request of this API gets; NONE if this is no error."""
        if self.kind is Kind.COORDINATOR_MOVED:
            return ErrorCode.NOT_COORDINATOR
        if self.kind is Kind.LEADER_NOT_AVAILABLE:
            return ErrorCode.LEADER_NOT_AVAILABLE if api_key in METADATA else ErrorCode.NOT_LEADER_OR_FOLLOWER
        return self.code


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often. `times` None: until the fault is removed; `share` of 1: each."""

    skip: int = 0
    times: int | None = None
    share: float = 1.0
    seed: int = 0


@dataclass(slots=True)
class Fault:
    """One command. `described` is what it was made of, as a client has said it."""

    number: int
    target: Target
    effect: Effect
    rhythm: Rhythm
    described: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    """Requests that were for it."""
    injected: int = 0
    """Those that it has happened to."""
    removed: trio.Event = field(default_factory=trio.Event)
    """Set when it was taken away: nothing that waits for its sake waits longer."""
    misbehaviour: Misbehaviour | None = None
    """The engine's, if this is one of the disk."""
    _chance: Entropy | None = None

    def is_due(self) -> bool:
        """Whether it happens to one more request that is for it. To be asked once for each."""
        self.seen += 1
        if self.seen <= self.rhythm.skip:
            return False
        if self.rhythm.share < 1.0:
            if self._chance is None:
                self._chance = SeededEntropy(self.rhythm.seed)
            if int.from_bytes(self._chance.bytes(6), "big") >= self.rhythm.share * (1 << 48):
                return False
        self.injected += 1
        return True

    @property
    def is_over(self) -> bool:
        """Whether it has happened as often as it may."""
        return self.rhythm.times is not None and self.injected >= self.rhythm.times

    def report(self) -> dict[str, Any]:
        """What it is, and how often it has happened."""
        of_the_disk = 0 if self.misbehaviour is None else self.misbehaviour.injected
        injected, seen = self.injected + of_the_disk, self.seen + of_the_disk
        return {"id": self.number, **self.described, "seen": seen, "injected": injected}


class Faults:
    """All of a broker. `changed` is called when the first one comes and when the last one has gone, `misbehave` with
    what the engine is to do wrong; it raises StoreError if the engine cannot."""

    def __init__(
        self, changed: Callable[[bool], None], misbehave: Callable[[Misbehaviour | None], None] = lambda _: None
    ) -> None:
        self._changed = changed
        self._misbehave = misbehave
        self._active: dict[int, Fault] = {}
        self._ended: dict[int, Fault] = {}  # the oldest first
        self._log = get_logger(__name__)
        self._number = 0
        self.injected: Counter[str] = Counter()
        """How often each kind has happened, those of faults that have ended included."""

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._active.values()))

    def __len__(self) -> int:
        return len(self._active)

    def get(self, number: int) -> Fault | None:
        """The fault of this number, also one that has ended and is remembered."""
        return self._active.get(number) or self._ended.get(number)

    @property
    def of_the_disk(self) -> Fault | None:
        """The one that is about the disk; there is one at a time."""
        return next((fault for fault in self._active.values() if fault.effect.is_of_the_disk), None)

    def add(self, target: Target, effect: Effect, rhythm: Rhythm, described: dict[str, Any] | None = None) -> Fault:
        """One more; there may be MOST of them, and one that is about the disk. Raises StoreError if the engine's disk
        takes no commands."""
        assert len(self._active) < MOST, "the caller has looked"
        fault = Fault(self._number + 1, target, effect, rhythm, dict(described or {}))
        if effect.is_of_the_disk:
            assert self.of_the_disk is None, "the caller has looked"
            fault.misbehaviour = Misbehaviour(full=effect.kind is Kind.DISK_FULL, sync_seconds=effect.seconds)
            self._misbehave(fault.misbehaviour)
            self._log.warning(
                "the disk misbehaves from now on, as commanded", fault=fault.number, what=str(effect.kind)
            )
        self._number += 1
        self._active[fault.number] = fault
        if len(self._active) == 1:
            self._changed(True)
        return fault

    def happened(self, fault: Fault) -> None:
        """Count an injection; the fault ends if that was its last."""
        self.injected[fault.effect.kind] += 1
        if fault.is_over:
            self._end(fault)

    def remove(self, number: int) -> Fault | None:
        """Take a fault away, or let go of what one that has ended still holds; None if none of this number is known."""
        fault = self.get(number)
        if fault is not None:
            self._end(fault)
            fault.removed.set()
        return fault

    def clear(self) -> None:
        """Take all away, and let go of everything that is held."""
        for number in [*self._active, *self._ended]:
            self.remove(number)

    def report(self) -> dict[str, Any]:
        """Those that are in force, the last that have ended, and counts."""
        return {
            "faults": [fault.report() for fault in self._active.values()],
            "ended": [fault.report() for fault in self._ended.values()],
            "injected": dict(self.injected),
        }

    def _end(self, fault: Fault) -> None:
        if self._active.pop(fault.number, None) is None:
            return
        self._ended[fault.number] = fault
        if fault.misbehaviour is not None:
            self._misbehave(None)
            self.injected[fault.effect.kind] += fault.misbehaviour.injected
            self._log.warning("the disk behaves again", fault=fault.number, injected=fault.misbehaviour.injected)
        if len(self._ended) > REMEMBERED:
            forgotten = self._ended.pop(next(iter(self._ended)))
            forgotten.removed.set()
        if not self._active:
            self._changed(False)
