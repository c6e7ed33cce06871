"""A runtime for a log that several brokers write to, each by decisions of its own machine.

All of them hold a machine on the same log, and none is its owner. So that all machines say the same:

**Following.** What another broker has appended is replayed as soon as the engine says that the log has grown, and
before the next decision. Meanwhile decisions are queued.

**Deciding is optimistic.** A decision is taken, replayed and appended with `expected_end`, as everywhere. If another
broker's append has come first, the log refuses this one (WrongEnd). Nothing of the decision has happened then; but
this machine has replayed it, and those that were taken behind it. So the machine is dropped, the log replayed, and all
decisions that have not been answered are taken again, in their order, on what is true now. A client sees nothing of
it but a longer wait. Of two brokers that want to create the same topic one is told that it exists.

**One append at a time** is on its way. What is decided meanwhile is gathered for the next one, or waits if it is too
large for that. So no append is ever made of a state that an append before it, not known to have been made, has led to.

This suits a log that is written to seldom and by any broker: the cluster's. A refusal costs a load, a fraction of a
second even with very many topics, and each time another broker has succeeded, so all of them together get on. Where
one broker decides nearly everything, a log is better owned by it: the shards of `shards.py` are.

What has to hold for a machine here: each decision answers the promise that it was given itself, and a decision may be
taken more than once, the last time for good.

    decide ──> replay ──> append ──durable──> replies
                  │          └──WrongEnd──> drop machine ──> load ──> decide again
                  └── behind the log: queue ──> catch up ──> decide
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import trio

from broker.coordinators.machine import Decision, Machine, Promise
from broker.coordinators.replaying import LogReplay
from broker.coordinators.runtime import GATHERED_BYTES, RECORD_OVERHEAD, Runtime
from kproto.batches.header import HEADER_SIZE, BatchHeader
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from storage.engine import LogStore, PartitionLog, Read, WrongEnd
from storage.seams.clock import Clock, Instant

MachineT = TypeVar("MachineT", bound=Machine[Any])
ReplyT = TypeVar("ReplyT")

MOST_QUEUED: Final = 100_000
"""Decisions that wait until the machine has caught up; further ones are refused as while it loads."""


class _Later(Exception):
    """A decision is too large to be gathered, and waits until nothing is on its way."""


Taken: TypeAlias = tuple[Callable[[Any, Instant, Promise[Any]], Decision[Any]], Promise[Any]]
"""A decision, to be taken as often as need be, and the promise that it answers."""


class FollowingRuntime(Runtime[MachineT]):
    """Hosts one of several machines on one log. Use it like a Runtime.

    `on_moved` is called when the machine has replayed what other brokers have appended (True), and when a decision
    that was queued has been taken (False). It must not decide.
    """

    def __init__(
        self,
        log: PartitionLog,
        store: LogStore,
        new_machine: Callable[[], MachineT],
        clock: Clock,
        *,
        on_moved: Callable[[MachineT, bool], None],
        loading_error: ErrorCode,
        lost_error: ErrorCode,
        on_loaded: Callable[[MachineT], None],
        restore: Callable[[], Awaitable[tuple[MachineT, int]]] | None = None,
        replay_control: Callable[[MachineT, BatchHeader, RecordData], None] | None = None,
    ) -> None:
        super().__init__(
            log,
            store,
            new_machine,
            clock,
            loading_error=loading_error,
            lost_error=lost_error,
            on_loaded=on_loaded,
            restore=restore,
            replay_control=replay_control,
        )
        self._on_moved = on_moved
        self._moved = trio.Event()
        self._followed = trio.Event()
        self._catching_up = False
        self._conflict = False
        self._blocked = False
        self._at_least = 0
        self._taken: deque[Taken] = deque()
        self._queue: deque[Taken] = deque()
        log.on_advance = self._wake

    @property
    def catching_up(self) -> bool:
        """True while the machine replays what others have appended: it is between two states then."""
        return self._catching_up

    # --- deciding

    def begin(self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> Promise[ReplyT]:
        """Take a decision: now if the machine is not behind its log, else as soon as it has caught up, and then what
        `decide` raises is raised by `wait`."""
        promise: Promise[ReplyT] = Promise()
        if self._stopped or not (self._queue or self._is_behind()):
            self._try(decide, promise)
        elif len(self._queue) >= MOST_QUEUED or (self._machine is None and not self._conflict):
            raise KafkaError(self._loading_error)
        else:
            self._outstanding[promise] = None
            self._queue.append((decide, promise))
            self._moved.set()
        return promise

    def _try(self, decide: Callable[[MachineT, Instant, Promise[Any]], Decision[Any]], promise: Promise[Any]) -> None:
        while self._taken and self._taken[0][1].resolved:
            self._taken.popleft()
        self._taken.append((decide, promise))
        try:
            self._take_decision(decide, promise)
        except _Later:
            self._taken.pop()
            self._queue.appendleft((decide, promise))
            self._outstanding[promise] = None
            self._blocked = True
        except KafkaError:
            if not self._conflict:
                self._taken.pop()
                raise
            self._outstanding[promise] = None  # it will be taken again

    def _is_behind(self) -> bool:
        if self._machine is None or self._catching_up or self._blocked:
            return True
        end = self._log.log_end_offset
        return end < self._at_least or (end > self._end and not self._pending and self._gathered is None)

    # --- appending

    def _gather(self, machine: MachineT, decision: Decision[Any], records: list[RecordData], now: Instant) -> bool:
        size = sum(RECORD_OVERHEAD + len(key or b"") + len(value or b"") for _, _, key, value, _ in records)
        gathered = 0 if self._gathered is None else self._gathered.size
        if decision.encoded is not None or gathered + size > GATHERED_BYTES - HEADER_SIZE:
            raise _Later
        return super()._gather(machine, decision, records, now)

    def _append_gathered(self) -> None:
        if not self._pending:
            super()._append_gathered()

    def _release_batch(self, batch: Any) -> None:
        super()._release_batch(batch)
        if not self._pending:
            self._append_gathered()
        if not self._pending:
            self._blocked = False
            self._moved.set()

    # --- following

    async def catch_up(self) -> None:
        """Return when everything that any broker had appended at the time of the call is replayed here.

        Raises KafkaError when the store cannot be asked, or the runtime has been stopped."""
        await self._store.refresh([self._log])
        end = self._log.log_end_offset
        while self._machine is None or self._end < end:
            if self._stopped:
                raise KafkaError(self._lost_error)
            self._moved.set()
            await self._followed.wait()

    def _wake(self) -> None:
        self._moved.set()

    def _start_more(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._follow)

    async def _follow(self) -> None:
        """Catch up whenever the log has grown, and take the decisions that have waited for that."""
        self._moved.set()
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            try:
                await self._catch_up()
            except (KafkaError, ProtocolError) as error:
                if self._machine is not None:
                    self._lose(str(error))
            self._take_queued()
            self._followed.set()
            self._followed = trio.Event()

    async def _catch_up(self) -> None:
        machine = self._machine
        if machine is None or self._pending or self._gathered is not None:
            return
        if self._log.log_end_offset > self._end:
            replay = LogReplay[MachineT](
                self._log, self._store, self._logger, self._replay_control, self._replay_in_transaction
            )
            self._catching_up = True
            try:
                self._end = await replay.to_the_end(machine, self._end)
            finally:
                self._catching_up = False
            self._replayed_bytes += replay.replayed_bytes
            self._last_timestamp = replay.last_timestamp
            if self._machine is machine:
                self._on_moved(machine, True)
        # A read that finds the end is what lets an engine watch a log for others' appends.
        await self._store.read_many([Read(self._log, self._end, 1, self._end)], 1)

    def _take_queued(self) -> None:
        while self._queue and not self._is_behind():
            decide, promise = self._queue.popleft()
            if promise.resolved:
                continue
            try:
                self._try(decide, promise)
            except KafkaError as error:
                self._answer([(promise, KafkaError(error.code, error.message))])
                continue
            if self._machine is not None:
                self._on_moved(self._machine, False)

    # --- losing and loading

    def _overtaken(self, error: WrongEnd) -> None:
        """Another broker was first: forget what was decided since, and decide it again."""
        again = [taken for taken in self._taken if not taken[1].resolved]
        self._logger.info("another broker was first", reason=str(error), decided_again=len(again))
        self._taken.clear()
        self._queue.extendleft(reversed(again))
        self._at_least = max(self._at_least, error.actual)
        self._conflict, self._blocked = True, False
        self._losses += 1
        self._machine = None
        self._gathered = None
        self._pending.clear()
        assert self._nursery is not None, "an append is waited for by a task of the runtime"
        self._nursery.start_soon(self._load_until_it_works)

    def _drop(self) -> None:
        self._taken.clear()
        self._queue.clear()
        self._conflict = self._blocked = False
        super()._drop()

    async def load(self) -> None:
        await super().load()
        self._conflict = False
        self._moved.set()
