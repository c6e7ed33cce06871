"""The one runtime that hosts every coordinator machine: load, decide, append, release, expire, reload.

A machine (see `machine.py`) is pure. What is impure about a coordinator happens here, once for all of them:

**Load.** The log is replayed from its start to its end into a new machine, which is then told that it is `loaded`. A
log whose beginning is in a snapshot is replayed from there, into the machine that `restore` has made of the snapshot.

**Decide.** `begin` takes a decision at once, synchronously: the machine says which records and replies, the records
are encoded as *one* batch (so that a crash keeps a decision whole or not at all) and given to the log with
`expected_end`, and the machine replays them. The next decision, a microsecond later, already sees that state. Hence
decisions are taken in the order of their calls, and each costs no waiting.

**Release.** Replies leave when the append they belong to, *and everything before it*, is durable. Many decisions wait
for one flush of the disk: group commit comes from the engine. A decision without records may have looked at state that
is not durable yet, so its reply waits behind the last pending append; if nothing is pending it leaves at once and costs
neither a task switch nor an event. (Kafka: CoordinatorRuntime with its deferred event queue.)

**Expire.** One task sleeps until `next_deadline`, then lets the machine `decide_expired`. It is woken only when a
deadline comes *nearer*; when one moves away, as with each heartbeat, it sleeps on and finds out when it wakes.

**Lose and reload.** When an append fails, or the log turns out to end elsewhere (`WrongEnd`: somebody else has
written), the state in memory is ahead of the log or behind it. No attempt is made to repair it: the machine is dropped,
every waiter gets `lost_error`, the log is replayed into a new machine in the background, and decisions meanwhile are
refused with `loading_error`. Loading that fails is tried again, ever more slowly, and never by throwing anything away.
A machine that fails (an assertion, a bug) is treated alike and said with its trace: one shard is lost for a moment, not
the broker.

    decide ──> begin_append ──> replay ──> pending ──wait_durable──> replies
                    │                         │
                    └──────── failure ────────┴──> drop machine ──> load ──> decide …
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import trio
from trio import TASK_STATUS_IGNORED

from broker.coordinators.machine import Decision, Machine, Promise
from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, has_valid_crc, read_header
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from storage.engine import Append, Batch, LogStore, PartitionLog, Read, WrongEnd
from storage.seams.clock import Clock, Instant
from storage.seams.logging import get_logger

MachineT = TypeVar("MachineT", bound=Machine[Any])
ReplyT = TypeVar("ReplyT")

MAX_DECISION_BYTES: Final = 32 << 20
"""One decision is one batch; a larger one is refused with RECORD_LIST_TOO_LARGE before anything is written."""

LOAD_CHUNK: Final = 1 << 20
FIRST_RETRY: Final = 0.1  # seconds
LAST_RETRY: Final = 10.0


@dataclass(frozen=True, slots=True)
class RuntimeStatistics:
    """A runtime at a glance. Counts are since it was made."""

    topic: str
    partition: int
    state: Literal["loading", "active", "stopped"]
    end_offset: int
    decisions: int
    """Decisions that had something to write down."""
    appends: int
    """Appends that these were written with."""
    losses: int
    """How often the machine was dropped."""
    pending: int
    """Appends that are not durable yet."""
    waiting: int
    """Requests that have not been answered yet."""


class _Pending:
    """An append on its way to the disk, and what happens once it is there."""

    __slots__ = ("actions", "append", "replies")

    def __init__(self, append: Append, replies: list[tuple[Promise[Any], Any]]) -> None:
        self.append = append
        self.replies = replies
        self.actions: list[Callable[[], None]] = []


class Runtime(Generic[MachineT]):
    """Hosts one machine on one log.

    Use: `await nursery.start(runtime.run)`, then `reply = await runtime.decide(lambda machine, now, promise: ...)`.
    Whoever must know at start that the log is sound calls `await runtime.load()` before `run`.
    """

    def __init__(
        self,
        log: PartitionLog,
        store: LogStore,
        new_machine: Callable[[], MachineT],
        clock: Clock,
        *,
        loading_error: ErrorCode = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        lost_error: ErrorCode = ErrorCode.NOT_COORDINATOR,
        max_decision_bytes: int = MAX_DECISION_BYTES,
        on_loaded: Callable[[MachineT], None] | None = None,
        restore: Callable[[], Awaitable[tuple[MachineT, int]]] | None = None,
        replay_control: Callable[[MachineT, RecordData], None] | None = None,
    ) -> None:
        """`loading_error` is what decisions get while there is no machine, `lost_error` what waiters get when it is
        dropped; `on_loaded` is called with each newly loaded machine, before its first decision.

        `restore` gives a machine to replay into and the offset from which on, instead of a new one and the start of the
        log; `replay_control` is told the control records of the log, which otherwise nobody looks at.
        """
        self._log = log
        self._store = store
        self._new_machine = new_machine
        self._clock = clock
        self._loading_error = loading_error
        self._lost_error = lost_error
        self._max_decision_bytes = max_decision_bytes
        self._on_loaded = on_loaded
        self._restore = restore
        self._replay_control = replay_control
        self._logger = get_logger(__name__).bind(topic=log.spec.topic, partition=log.spec.partition)

        self._machine: MachineT | None = None
        self._end = 0
        self._replayed_bytes = 0
        self._last_timestamp = -1
        self._pending: deque[_Pending] = deque()
        self._outstanding: dict[Promise[Any], None] = {}  # a set that keeps its order
        self._nursery: trio.Nursery | None = None
        self._stopped = False
        self._decisions = self._appends = self._losses = 0
        self._appended = trio.Event()
        self._deadline_moved = trio.Event()
        self._sleeping_until: int | None = None

    @property
    def machine(self) -> MachineT | None:
        """The state, to look at and never to change; None while it is being loaded."""
        return self._machine

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get: every record below it is part of the state."""
        return self._end

    @property
    def replayed_bytes(self) -> int:
        """Bytes of the batches that were loaded or appended since the last load began."""
        return self._replayed_bytes

    @property
    def last_timestamp(self) -> int:
        """Of the last batch loaded or appended; -1 if there was none."""
        return self._last_timestamp

    def statistics(self) -> RuntimeStatistics:
        """What the runtime is doing, and how much it has done since it was made."""
        return RuntimeStatistics(
            topic=self._log.spec.topic,
            partition=self._log.spec.partition,
            state="stopped" if self._stopped else "loading" if self._machine is None else "active",
            end_offset=self._end,
            decisions=self._decisions,
            appends=self._appends,
            losses=self._losses,
            pending=len(self._pending),
            waiting=len(self._outstanding),
        )

    # --- deciding

    def begin(self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> Promise[ReplyT]:
        """Take a decision now. Returns the promise that was passed to `decide`, to be given to `wait` or `forget`.

        Raises KafkaError: `loading_error` while there is no machine, `lost_error` when the append cannot even begin,
        RECORD_LIST_TOO_LARGE for a decision above `max_decision_bytes`, and whatever `decide` raises.
        """
        machine = self._machine
        if machine is None:
            raise KafkaError(self._lost_error if self._stopped else self._loading_error)
        now = self._clock.now()
        promise: Promise[ReplyT] = Promise()
        self._carry_out(machine, decide(machine, now, promise), now)
        if not promise.resolved:
            self._outstanding[promise] = None
        self._watch_deadline(machine)
        return promise

    async def wait(self, promise: Promise[ReplyT]) -> ReplyT:
        """The reply to a decision begun. Raises the KafkaError that was decided on, or `lost_error`.

        If the waiting task is cancelled (its client has gone) the decision stands and its reply is thrown away.
        """
        try:
            return await promise.wait()
        finally:
            self._outstanding.pop(promise, None)

    def forget(self, promise: Promise[Any]) -> None:
        """Nobody will wait for this promise."""
        self._outstanding.pop(promise, None)

    async def decide(self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> ReplyT:
        """`begin` at the first step of this coroutine, then `wait`."""
        return await self.wait(self.begin(decide))

    def when_durable(self, action: Callable[[], None]) -> None:
        """Call `action` once everything appended so far is durable: at once if it is, never if it is lost.

        Actions run before the replies of the same append are released, in order; they must not decide.
        """
        if self._pending:
            self._pending[-1].actions.append(action)
        else:
            action()

    def expire(self) -> None:
        """Let the machine decide on whatever deadline has passed. The deadline task calls this; tests may."""
        machine = self._machine
        while machine is not None:
            now = self._clock.now()
            deadline = machine.next_deadline()
            if deadline is None or deadline > now.monotonic:
                break
            try:
                decision = machine.decide_expired(now)
                self._carry_out(machine, decision, now)
                assert decision.records or decision.replies or machine.next_deadline() != deadline, (
                    "an expired deadline that changes nothing would be asked for ever"
                )
            except Exception as error:
                if not isinstance(error, KafkaError):  # a fault of ours, and nobody's request to be blamed for it
                    self._logger.error("a deadline could not be decided on", exc_info=error)
                if self._machine is machine:
                    self._lose(str(error))
                return
            machine = self._machine

    def _carry_out(self, machine: MachineT, decision: Decision[Any], now: Instant) -> None:
        if decision.records:
            self._decisions += 1
            append = self._append([machine.encode(record, now) for record in decision.records])
            try:
                for record in decision.records:
                    machine.replay(record)
            except BaseException:
                # The log has a record that the state could not follow: state and log have parted.
                self._lose("replay failed")
                raise
            self._end = append.last_offset + 1
            if append.durable and not self._pending:
                self._answer(decision.replies)
            else:
                self._pending.append(_Pending(append, list(decision.replies)))
                self._appended.set()
        elif self._pending:
            self._pending[-1].replies.extend(decision.replies)
        else:
            self._answer(decision.replies)

    def _append(self, records: list[RecordData]) -> Append:
        data = build_batch(records)
        if len(data) > self._max_decision_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"the change takes {len(data)} bytes, more than {self._max_decision_bytes} at once",
            )
        header = read_header(data)
        try:
            append = self._log.begin_append([Batch(header, memoryview(data))], expected_end=self._end)
            self._appends += 1
            self._replayed_bytes += len(data)
            self._last_timestamp = header.max_timestamp
            return append
        except WrongEnd as error:
            self._lose(str(error))
        except KafkaError as error:
            self._lose(str(error))
        raise KafkaError(self._lost_error)

    def _answer(self, replies: Sequence[tuple[Promise[Any], Any]]) -> None:
        for promise, value in replies:
            self._outstanding.pop(promise, None)
            promise.resolve(value)

    # --- tasks

    async def run(self, *, task_status: Any = TASK_STATUS_IGNORED) -> None:
        """Host the machine until cancelled, or until `stop`. Started once the first attempt to load has ended, well or
        badly.

        In the end every waiting task gets `lost_error`, and there is no machine any more.
        """
        if not self._stopped:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    nursery.start_soon(self._release)
                    if self._machine is None:
                        await nursery.start(self._load_until_it_works)
                    task_status.started()
                    task_status = TASK_STATUS_IGNORED
                    await self._keep_deadlines()
                finally:
                    self._nursery = None
                    self._drop()
        task_status.started()

    def stop(self) -> None:
        """Give the machine up for good: waiting tasks get `lost_error` now, later decisions too, and `run` returns."""
        self._stopped = True
        self._drop()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _release(self) -> None:
        """Wait for appends in their order and let their replies go."""
        while True:
            if not self._pending:
                self._appended = trio.Event()
                await self._appended.wait()
            # A lost machine empties the queue and a new one may fill it again while this task waits.
            first = self._pending[0] if self._pending else None
            if first is None:
                continue
            failure: KafkaError | None = None
            try:
                await first.append.wait_durable()
            except KafkaError as error:
                failure = error
            if not self._pending or self._pending[0] is not first:
                continue
            if failure is not None:
                self._lose(str(failure))
                continue
            self._pending.popleft()
            for action in first.actions:
                action()
            self._answer(first.replies)

    async def _keep_deadlines(self) -> None:
        while True:
            self.expire()
            machine = self._machine
            deadline = None if machine is None else machine.next_deadline()
            self._sleeping_until = deadline
            self._deadline_moved = trio.Event()
            if deadline is None:
                await self._deadline_moved.wait()
            else:
                with trio.move_on_after(max(0, deadline - self._clock.monotonic_millis()) / 1000):
                    await self._deadline_moved.wait()

    def _watch_deadline(self, machine: MachineT) -> None:
        deadline = machine.next_deadline()
        if deadline is not None and (self._sleeping_until is None or deadline < self._sleeping_until):
            self._sleeping_until = deadline
            self._deadline_moved.set()

    # --- losing and loading

    def _lose(self, reason: str) -> None:
        """Drop the machine; its log is the truth."""
        self._logger.warning("coordinator state dropped, replaying its log", reason=reason)
        self._losses += 1
        self._drop()
        if self._nursery is not None:
            self._nursery.start_soon(self._load_until_it_works)

    def _drop(self) -> None:
        self._machine = None
        self._pending.clear()
        outstanding, self._outstanding = self._outstanding, {}
        for promise in outstanding:
            promise.resolve(KafkaError(self._lost_error))

    async def _load_until_it_works(self, *, task_status: Any = TASK_STATUS_IGNORED) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                await self.load()
            except (KafkaError, ProtocolError) as error:
                self._logger.error("coordinator log cannot be loaded", reason=str(error), retry_seconds=delay)
                task_status.started()
                task_status = TASK_STATUS_IGNORED
                await trio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                task_status.started()
                return

    async def load(self) -> None:
        """Replay the log into a new machine and put it in charge.

        Raises KafkaError when the log cannot be read or replayed, ProtocolError when what it holds is damaged; nothing
        is changed.
        """
        assert self._machine is None, "there is a machine in charge already"
        self._replayed_bytes, self._last_timestamp = 0, -1
        if self._restore is None:
            machine, position = self._new_machine(), self._log.log_start_offset
        else:
            machine, position = await self._restore()
        while position < self._log.log_end_offset:
            question = Read(self._log, position, LOAD_CHUNK, self._log.log_end_offset)
            [found] = await self._store.read_many([question], LOAD_CHUNK)
            if isinstance(found, KafkaError):
                raise found
            records = found.records
            data = records if isinstance(records, bytes | memoryview) else records.read()
            try:
                reached = self._replay_batches(machine, memoryview(data), position)
            except (KafkaError, ProtocolError):
                raise
            except Exception as error:
                self._logger.error("a record cannot be replayed", offset=position, exc_info=error)
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR, f"a record at or after offset {position} cannot be replayed"
                ) from error
            if not data:
                # Offsets without records may end a log: after a power cut, the name of a segment may have outlived the
                # records before it, which nobody was told were durable. What is missing further down, reads step over.
                reached = self._log.log_end_offset
            if reached == position:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"nothing can be read at offset {position}")
            position = reached
            await trio.lowlevel.checkpoint()
        self._end = position
        machine.loaded(self._clock.now())
        if self._stopped:
            return
        self._machine = machine
        if self._on_loaded is not None:
            self._on_loaded(machine)
        self._sleeping_until = None
        self._deadline_moved.set()

    def _replay_batches(self, machine: MachineT, data: memoryview, position: int) -> int:
        """Replay the whole batches in `data` from offset `position` on; returns the offset after them.

        Raises KafkaError(CORRUPT_MESSAGE) for a batch that does not match its CRC: state is not built on damage.
        """
        cursor = 0
        while len(data) - cursor >= HEADER_SIZE:
            header = read_header(data, cursor)
            size = LOG_OVERHEAD + header.batch_length
            if len(data) - cursor < size:
                break
            if header.last_offset >= position:
                if not has_valid_crc(header, data, cursor):
                    raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the batch at offset {header.base_offset} is damaged")
                if not header.is_control:
                    for record in iter_records(data[cursor : cursor + size]):
                        if record.offset >= position and (decoded := machine.decode(record)) is not None:
                            machine.replay(decoded)
                elif self._replay_control is not None:
                    for record in iter_records(data[cursor : cursor + size]):
                        if record.offset >= position:
                            self._replay_control(machine, record)
                position = header.last_offset + 1
                self._replayed_bytes += size
                self._last_timestamp = header.max_timestamp
            cursor += size
        return position
