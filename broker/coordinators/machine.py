"""The contract of a coordinator: *decide -> records and replies*, *replay* is the only mutator, time is an argument.

Everything the broker knows (topics, configs, groups, offsets) is a fold over a log in Kafka's own record formats. A
machine is that fold plus the decisions taken on it:

- A **decision** looks at the state and at a request and says which records to append and who gets which reply. It
  changes nothing. (Kafka: CoordinatorResult.)
- **replay** applies one record to the state. Loading is replaying the log; taking a decision is replaying its records.
  State therefore is the same after a crash as before it. (Kafka: CoordinatorShard.)
- Some state is *volatile* by nature: who is connected and waiting, when a member was last heard of. A machine may keep
  it, changing it while deciding, if losing it in a crash is harmless: after a load everybody gets a fresh deadline.
- A **promise** stands for a client that waits. A reply may be decided now or by a later decision (the JoinGroup of the
  first member is answered when the last has joined): a machine keeps the promise and names it in `Decision.replies`
  when it knows the answer.
- **Deadlines** are return values: `next_deadline` says when the machine next wants to be asked, `decide_expired` is
  then one more decision.

The runtime (`runtime.py`) hosts every machine in the same way: one decision at a time, its records appended as one
batch with `expected_end`, replayed, and its replies released once the records (and all that came before) are durable.
If an append fails the machine is dropped and loaded anew from the log; clients see COORDINATOR_LOAD_IN_PROGRESS
meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import trio

from kproto.batches.records import RecordData
from kproto.errors import KafkaError
from storage.seams.clock import Instant

RecordT = TypeVar("RecordT")
ReplyT = TypeVar("ReplyT")


class Promise(Generic[ReplyT]):
    """A reply that somebody waits for. Machines treat it as an opaque token; only the runtime resolves it.

    A client may have gone when its reply is known: the promise is then resolved and nobody looks. `resolved` tells a
    machine that a promise it keeps has been answered already (by the runtime, when it had to give the machine up).
    """

    __slots__ = ("_event", "_value", "resolved")

    def __init__(self) -> None:
        self.resolved = False
        self._value: ReplyT | KafkaError | None = None
        self._event: trio.Event | None = None  # made only when somebody really has to wait

    def resolve(self, value: ReplyT | KafkaError) -> None:
        """Give the reply, once. A KafkaError is raised to the waiter. For the runtime only."""
        assert not self.resolved, "a promise is answered once"
        self.resolved = True
        self._value = value
        if self._event is not None:
            self._event.set()

    async def wait(self) -> ReplyT:
        """The reply. Returns without giving way to other tasks when it is known already."""
        if not self.resolved:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        value = self._value
        if isinstance(value, KafkaError):
            raise KafkaError(value.code, value.message)  # a new one each time: tracebacks belong to one waiter
        return cast(ReplyT, value)


@dataclass(frozen=True, slots=True)
class Decision(Generic[RecordT]):
    """What is to be appended, and who is answered once it is durable. A KafkaError is raised to its waiter."""

    records: Sequence[RecordT] = ()
    replies: Sequence[tuple[Promise[Any], Any]] = ()
    volatile: bool = False
    """True if deciding has changed volatile state in a way that means nothing without the records: should they be
    refused, the machine has to be dropped."""


class Machine(Protocol[RecordT]):
    """One shard of coordinator state: the fold of one log."""

    def replay(self, record: RecordT) -> None:
        """Apply one record. The only way state changes; must accept anything that `decide_*` ever appended."""
        ...

    def loaded(self, now: Instant) -> None:
        """The log has been replayed to its end: give everybody known a fresh deadline."""
        ...

    def next_deadline(self) -> int | None:
        """Monotonic milliseconds at which `decide_expired` wants to be called; None for never."""
        ...

    def decide_expired(self, now: Instant) -> Decision[RecordT]:
        """What follows from time having passed."""
        ...

    def encode(self, record: RecordT, now: Instant) -> RecordData:
        """A record as key and value bytes (its offset field is ignored)."""
        ...

    def decode(self, data: RecordData) -> RecordT | None:
        """The other way; None for a record to skip (of an unknown, newer kind). Raises ProtocolError if damaged."""
        ...

    def check(self) -> None:
        """Assert what the state promises. Called after every transition under test."""
        ...
