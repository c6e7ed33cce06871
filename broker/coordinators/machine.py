"""The contract of a coordinator: *decide -> records and replies*, *replay* is the only mutator, time is an argument.

Everything the broker knows (topics, configs, groups, offsets) is a fold over a log in Kafka's own record formats. A
machine is that fold plus the decisions taken on it:

- A **decision** looks at the state and at a request and says which records to append and which client gets which
  reply. It changes nothing. (Kafka: CoordinatorResult.)
- **replay** applies one record to the state. Loading is replaying the log; taking a decision is replaying its records.
  State therefore is the same after a crash as before it. (Kafka: CoordinatorShard.)
- Some state is *volatile* by nature: which clients are connected and waiting, when a member was last heard of. A
  machine may keep it, changing it while deciding, if losing it in a crash is harmless: after a load every member gets a
  fresh deadline. A decision that writes records and has changed such state says so (`Decision.volatile`).
- A **promise** stands for a client that waits. A reply may be decided now or by a later decision (the JoinGroup of the
  first member is answered when the last has joined): a machine keeps the promise and names it in `Decision.replies`
  when it knows the answer.
- **Deadlines** are return values: `next_deadline` says when the machine next wants to be asked, `decide_expired` is
  then one more decision. What it is asked for must go on: with nothing to write and no client to answer, it leaves no
  deadline behind that has come already.

The runtime (`runtime.py`) does what a caller of a machine has to do, in this order, once for all of them:

1. *Load.* Make a machine, `replay` every record of the log into it, tell it that it is `loaded`.
2. *Decide.* Call one `decide_*`, with a promise for the client and the time of now. One at a time: the next decision is
   taken after step 4 of this one.
3. *Encode* its records, and append them to the log as part of one batch, with `expected_end`. Step 4 may come first, as
   long as no other record comes between those of the state and those of the log.
4. *Replay* the records. The next decision sees them, durable or not.
5. *Wait* until the records, and all that were appended before them, are durable. A decision without records waits for
   those before it as well: it may have seen them.
6. *Answer:* resolve the promises that the decision names, in the order of decisions.
7. *Expire.* When `next_deadline` has passed, call `decide_expired` and go on with step 3.
8. *Drop* the machine when a step fails behind which there is no way back: an append that may or may not have
   happened, a record that was replayed and could not be appended. Every promise gets an error then, and step 1 follows.
   Nothing is undone. Only if nothing was written, replayed or changed, the decision is refused and the machine stays.

A machine that gives out numbers, and its caller, by hand (a test runs these lines):

>>> class Numbers:
...     'Gives each client a number that no other has; its log says how many were given.'
...     def __init__(self):
...         self.given = 0
...     def decide_next(self, promise):
...         return Decision([self.given + 1], [(promise, self.given + 1)])
...     def replay(self, record):
...         self.given = record
>>> log = [1, 2]                                                    # what an earlier life has left
>>> machine = Numbers()
>>> for record in log:                                              # 1
...     machine.replay(record)
>>> promise = Promise()
>>> decision = machine.decide_next(promise)                         # 2
>>> decision.records, machine.given                                 # nothing has changed yet
([3], 2)
>>> log += decision.records                                         # 3
>>> for record in decision.records:                                 # 4
...     machine.replay(record)
>>> machine.decide_next(Promise()).records, promise.resolved        # the next decision sees it, the client does not
([4], False)
>>> for waiting, reply in decision.replies:                         # 5 and 6, once the log is durable up to here
...     waiting.resolve(reply)
>>> promise.resolved
True
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

import trio

from kproto.batches.records import EncodedRecords, RecordData
from kproto.errors import KafkaError
from storage.seams.clock import Instant

if TYPE_CHECKING:
    from storage.engine import VerificationGuard

RecordT = TypeVar("RecordT")
RecordT_co = TypeVar("RecordT_co", covariant=True)
ReplyT = TypeVar("ReplyT")


class Promise(Generic[ReplyT]):
    """A reply that a client waits for. Machines treat it as an opaque token; only the runtime resolves it.

    A client may have gone when its reply is known: the promise is then resolved all the same. `resolved` says that a
    promise has been answered (by a decision, or by the runtime when it had to give the machine up).
    """

    __slots__ = ("_event", "_value", "resolved")

    def __init__(self) -> None:
        self.resolved = False
        self._value: ReplyT | KafkaError | None = None
        self._event: trio.Event | None = None  # made only when a task really has to wait

    def resolve(self, value: ReplyT | KafkaError) -> None:
        """Give the reply, once. A KafkaError is raised in the waiting task. For the runtime only."""
        assert not self.resolved, "a promise is answered once"
        self.resolved = True
        self._value = value
        if self._event is not None:
            self._event.set()

    async def wait(self) -> ReplyT:
        """The reply. Returns without giving way to other tasks when it is known already."""
        value = await self.outcome()
        if isinstance(value, KafkaError):
            raise KafkaError(value.code, value.message)  # a new one each time: a traceback belongs to one task
        return value

    def given(self) -> ReplyT | KafkaError:
        """The reply of a promise that is resolved; a KafkaError is returned."""
        assert self.resolved
        return cast("ReplyT | KafkaError", self._value)

    async def outcome(self) -> ReplyT | KafkaError:
        """The same, but a KafkaError is returned: for tasks that wait for thousands."""
        if not self.resolved:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        return cast("ReplyT | KafkaError", self._value)


class InTransaction(NamedTuple):
    """The records of a decision are part of a producer's transaction: they count once its marker comes, or never.

    `guard` is the log's, if the producer had to be verified (`PartitionLog.start_verification`).
    """

    producer_id: int
    producer_epoch: int
    guard: VerificationGuard | None = None


class EndOfTransaction(NamedTuple):
    """The decision appends a marker: the end of a producer's transaction in this log.

    Its one record is what the machine replays, and is not encoded: what stands in the log is the control record.
    """

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool
    transaction_version: int = 0


class Decision(NamedTuple, Generic[RecordT_co]):
    """What is to be appended, and who is answered once it is durable. A KafkaError is raised in the waiting task."""

    records: Sequence[RecordT_co] = ()
    replies: Sequence[tuple[Promise[Any], Any]] = ()
    volatile: bool = False
    """True if deciding has changed volatile state in a way that means nothing without the records: should they be
    refused, the machine has to be dropped."""
    transaction: InTransaction | EndOfTransaction | None = None
    """What the records are to a producer's transaction; None for records that count by themselves."""
    encoded: EncodedRecords | None = None
    """Very many records, encoded before the decision. One of `records` stands for them: the first, if they are the
    first of their batch, else the last. It is replayed like any other and leaves the state that they leave, and it is
    not given to `encode`."""


class Machine(Protocol[RecordT]):
    """One shard of coordinator state: the fold of one log."""

    def replay(self, record: RecordT) -> None:
        """Apply one record. The only way state changes; must accept anything that `decide_*` ever appended."""
        ...

    def loaded(self, now: Instant) -> Iterable[object]:
        """The log has been replayed to its end: give every known member a fresh deadline.

        What is returned is gone through to its end before the machine is asked anything, with other tasks in between:
        a machine that has much to do does it there, step by step."""
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
