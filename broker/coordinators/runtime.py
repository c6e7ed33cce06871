"""The one runtime that hosts every coordinator machine: load, decide, append, release, expire, reload.

A machine (see `machine.py`) is pure. What is impure about a coordinator happens here, once for all of them:

**Load.** The log is replayed from its start to its end into a new machine, whose `loaded` is called then, both
in slices: others are served meanwhile, however long the log is and however large a batch. A
log whose beginning is in a snapshot is replayed from there, into the machine that `restore` has made of the snapshot.

**Decide.** `begin` takes a decision at once, synchronously: the machine says which records and replies, and replays the
records. The next decision, a microsecond later, already sees that state. Hence decisions are taken in the order of
their calls, and each costs no waiting.

**Append.** The records of a decision stand in *one* batch (so that a crash keeps a decision whole or not at all), given
to the log with `expected_end`. A decision that comes alone, while nothing is on its way to the disk, is appended at
once. One that comes while an append is on its way is *gathered*: all that are decided until that is durable are
appended as one batch, cut at `GATHERED_BYTES`. The disk is synced in rounds, and what comes while one runs is for the
next, so a reply waits no longer for that, and the price of an append (a header, a checksum, a write, a flush to wait
for) is shared. Where appends of one log become durable beside each other (`LogStore.overlaps_appends`), what has been
gathered is appended when the event loop has turned. (Kafka: group.coordinator.append.linger.ms of -1, which gathers as
long as further events are queued, KIP-1196.) A decision that is part of a producer's transaction, or ends one, is a
batch of its own, for the batch names the producer. The log may refuse it, as it does a client's (PRODUCER_ERRORS); the
caller gets that code.

**Release.** Replies leave when the append they belong to, *and everything before it*, is durable. Many appends wait
for one flush of the disk: group commit comes from the engine. A decision without records may have looked at state that
is not durable yet, so its reply waits behind the last decision that was written down; if nothing is on its way it
leaves at once and costs neither a task switch nor an event. (Kafka: CoordinatorRuntime with its deferred event queue.)

**Expire.** One task sleeps until `next_deadline`, then lets the machine `decide_expired`. It is woken only when a
deadline comes *nearer*; when one moves away, as with each heartbeat, it sleeps on and finds out when it wakes. A
machine that has decided nothing and still wants to be asked at once would keep the loop busy forever: it is named in
the log and asked again `STALLED_SECONDS` later.

**Refuse.** An append that the engine refuses has written nothing. If nothing else has come of the decision either, the
caller gets `lost_error` and the state stays as it is: a full disk costs a refusal, not a shard.

**Several brokers.** An engine that brokers share may say only when the append is waited for that the log ends elsewhere
(`WrongEnd`): another broker has written. Of a log that has one owner at a time, the former owner finds out so, and
gives its machine up (`begin_behind`); for one that all brokers write to there is `following.py`.

**Lose and reload.** When an append fails otherwise, or the log turns out to end elsewhere, the state in memory is ahead
of the log or behind it. So it is when an append is refused whose decision has changed volatile state, or whose records
have been replayed because they were gathered. No attempt is made to repair it: the machine is dropped, every waiting
task gets `lost_error`, the log is replayed into a new machine in the background, and decisions meanwhile are refused
with `loading_error`. Loading that fails is tried again, ever more slowly, and never by throwing anything away. A
machine that fails (an assertion, a bug) is treated alike and said with its trace: one shard is lost for a moment, not
the broker.

    decide ─┬─ alone ────> begin_append ──> replay ──────────────────┬──> pending ──wait_durable──> replies
            └─ not alone ─> replay ──> gathered ──turn──> begin_append ─┘
                   any failure after a replay ──> drop machine ──> load ──> decide …
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import trio
from trio import TASK_STATUS_IGNORED

from broker.coordinators.machine import Decision, EndOfTransaction, InTransaction, Machine, Promise
from broker.coordinators.replaying import LogReplay
from kproto.batches.header import HEADER_SIZE, BatchHeader, read_header
from kproto.batches.records import RecordData, build_batch, build_end_txn_marker
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from storage.engine import Append, Batch, LogStore, PartitionLog, WrongEnd
from storage.seams.clock import Clock, Instant
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

MachineT = TypeVar("MachineT", bound=Machine[Any])
ReplyT = TypeVar("ReplyT")

MAX_DECISION_BYTES: Final = 32 << 20
"""One decision is one batch; a larger one is refused with RECORD_LIST_TOO_LARGE before anything is written."""

GATHERED_BYTES: Final = 256 << 10
"""Decisions are gathered up to so many bytes; a larger one is appended on its own."""

RECORD_OVERHEAD: Final = 40
"""More than a record takes in a batch beside its key and its value."""

PRODUCER_ERRORS: Final = frozenset(
    {
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.INVALID_TXN_STATE,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.TRANSACTION_COORDINATOR_FENCED,
    }
)
"""Why a log refuses a batch of a producer's transaction: a fault of the producer's, and not of the log."""

STALLED_SECONDS: Final = 1.0

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
    refusals: int
    """Decisions that were refused because their append was, and that changed nothing."""
    losses: int
    """How often the machine was dropped."""
    pending: int
    """Appends that are not durable yet."""
    waiting: int
    """Requests that have not been answered yet."""


class _Batch:
    """Decisions that are written with one append, and what happens once it is durable."""

    __slots__ = ("actions", "append", "records", "replies", "size", "timestamp")

    def __init__(self) -> None:
        self.records: list[RecordData] = []
        self.size = 0  # bytes that the records take at most
        self.timestamp = -1  # of the newest record
        self.replies: list[tuple[Promise[Any], Any]] = []
        self.actions: list[Callable[[], None]] = []
        self.append: Append | None = None  # None while decisions are gathered


class Runtime(Generic[MachineT]):
    """Hosts one machine on one log.

    Use: `await nursery.start(runtime.run)`, then `reply = await runtime.decide(lambda machine, now, promise: ...)`.
    A caller that must know at start that the log is sound calls `await runtime.load()` before `run`.
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
        replay_control: Callable[[MachineT, BatchHeader, RecordData], None] | None = None,
        replay_in_transaction: Callable[[MachineT, BatchHeader, RecordData], None] | None = None,
    ) -> None:
        """`loading_error` is what decisions get while there is no machine, `lost_error` what waiting tasks get when it
        is dropped; `on_loaded` is called with each newly loaded machine, before its first decision.

        `restore` gives a machine to replay into and the offset from which on, instead of a new one and the start of the
        log; `replay_control` is given the control records of the log, which are passed over otherwise, and
        `replay_in_transaction` the records of producers' transactions, which count like any other otherwise.
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
        self._replay_in_transaction = replay_in_transaction
        self._fence: Callable[[], Batch] | None = None
        self._on_overtaken: Callable[[], None] | None = None
        self._logger = get_logger(__name__).bind(topic=log.spec.topic, partition=log.spec.partition)

        self._machine: MachineT | None = None
        self._end = 0
        self._replayed_bytes = 0
        self._last_timestamp = -1
        self._gathered: _Batch | None = None
        self._pending: deque[_Batch] = deque()
        self._outstanding: dict[Promise[Any], None] = {}  # a set that keeps its order
        self._nursery: trio.Nursery | None = None
        self._stopped = False
        self._decisions = self._appends = self._refusals = self._losses = 0
        self._refusing = False
        self._gathering = trio.Event()
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
        return self._end if self._gathered is None else self._end + len(self._gathered.records)

    @property
    def replayed_bytes(self) -> int:
        """Bytes of the batches that were loaded or appended since the last load began."""
        return self._replayed_bytes

    @property
    def last_timestamp(self) -> int:
        """Of the last batch loaded, appended or gathered; -1 if there was none."""
        return self._last_timestamp

    def statistics(self) -> RuntimeStatistics:
        """What the runtime is doing, and how much it has done since it was made."""
        return RuntimeStatistics(
            topic=self._log.spec.topic,
            partition=self._log.spec.partition,
            state="stopped" if self._stopped else "loading" if self._machine is None else "active",
            end_offset=self.end_offset,
            decisions=self._decisions,
            appends=self._appends,
            refusals=self._refusals,
            losses=self._losses,
            pending=len(self._pending) + (self._gathered is not None),
            waiting=len(self._outstanding),
        )

    # --- deciding

    def begin(self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> Promise[ReplyT]:
        """Take a decision now. Returns the promise that was passed to `decide`, to be given to `wait` or `forget`.

        Raises KafkaError: `loading_error` while there is no machine, `lost_error` when the append is refused at once or
        the runtime was stopped, RECORD_LIST_TOO_LARGE for a decision above `max_decision_bytes`; and what `decide`
        raises. What goes wrong later, `wait` raises.
        """
        promise: Promise[ReplyT] = Promise()
        self._take_decision(decide, promise)
        return promise

    def _take_decision(
        self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]], promise: Promise[ReplyT]
    ) -> None:
        machine = self.check_loaded()
        now = self._clock.now()
        self._carry_out(machine, decide(machine, now, promise), now)
        if not promise.resolved:
            self._outstanding[promise] = None
        self._watch_deadline(machine)

    def check_loaded(self) -> MachineT:
        """The machine. Raises KafkaError, `loading_error` or `lost_error`, while there is none."""
        if self._machine is None:
            raise KafkaError(self._lost_error if self._stopped else self._loading_error)
        return self._machine

    async def wait(self, promise: Promise[ReplyT]) -> ReplyT:
        """The reply to a decision begun. Raises the KafkaError that was decided on, or `lost_error`.

        If the waiting task is cancelled (its client has gone) the decision stands and its reply is thrown away.
        """
        try:
            return await promise.wait()
        finally:
            self._outstanding.pop(promise, None)

    async def outcome(self, promise: Promise[Any]) -> Any:
        """The same as `wait`, but a KafkaError is returned: for tasks that wait for thousands."""
        try:
            return await promise.outcome()
        finally:
            self._outstanding.pop(promise, None)

    def forget(self, promise: Promise[Any]) -> None:
        """No task will wait for this promise."""
        self._outstanding.pop(promise, None)

    async def decide(self, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> ReplyT:
        """`begin` at the first step of this coroutine, then `wait`."""
        return await self.wait(self.begin(decide))

    def when_durable(self, action: Callable[[], None]) -> None:
        """Call `action` once everything appended so far is durable: at once if it is, never if it is lost.

        Actions run before the replies of the same append are released, in order; they must not decide.
        """
        last = self._last_batch()
        if last is not None:
            last.actions.append(action)
        else:
            action()

    def _last_batch(self) -> _Batch | None:
        """What everything decided so far is durable with; None if it is durable already."""
        if self._gathered is not None:
            return self._gathered
        return self._pending[-1] if self._pending else None

    def _carry_out(self, machine: MachineT, decision: Decision[Any], now: Instant) -> None:
        if decision.transaction is not None:
            self._write_in_transaction(machine, decision, decision.transaction, now)
        elif decision.records:
            self._write(machine, decision, now)
        elif (last := self._last_batch()) is not None:
            last.replies.extend(decision.replies)
        else:
            self._answer(decision.replies)

    # --- appending

    def _write(self, machine: MachineT, decision: Decision[Any], now: Instant) -> None:
        """Replay the decision's records, and append them: now, or with what is decided until the loop turns."""
        try:
            plain, encoded = decision.records, decision.encoded
            if encoded is not None:  # one of the records stands for them
                plain = plain[:-1] if encoded.first else plain[1:]
            records = [machine.encode(record, now) for record in plain]
        except BaseException:
            self._cannot_be_written(decision, "a record cannot be encoded")
            raise
        if (self._gathered is not None or self._pending) and self._gather(machine, decision, records, now):
            return
        try:
            append = self._append(build_batch(records, encoded=encoded))
        except KafkaError as error:
            self._cannot_be_written(decision, str(error))
            raise
        self._take(machine, decision, append)

    def _write_in_transaction(
        self, machine: MachineT, decision: Decision[Any], transaction: InTransaction | EndOfTransaction, now: Instant
    ) -> None:
        """Append a batch that names a producer, behind what has been gathered, and replay its records."""
        self._append_gathered()
        if self._machine is not machine:
            raise KafkaError(self._lost_error)
        producer_id, producer_epoch = transaction.producer_id, transaction.producer_epoch
        if isinstance(transaction, EndOfTransaction):
            data = build_end_txn_marker(
                commit=transaction.commit,
                producer_id=producer_id,
                producer_epoch=producer_epoch,
                coordinator_epoch=transaction.coordinator_epoch,
                timestamp=now.wall,
            )
            options: dict[str, Any] = {"transaction_version": transaction.transaction_version}
        else:
            records = [machine.encode(record, now) for record in decision.records]
            data = build_batch(records, producer_id=producer_id, producer_epoch=producer_epoch, transactional=True)
            options = {"guard": transaction.guard}
        try:
            append = self._append(data, **options)
        except KafkaError as error:
            if error.code not in PRODUCER_ERRORS:
                self._cannot_be_written(decision, str(error))
            raise
        self._take(machine, decision, append)

    def _take(self, machine: MachineT, decision: Decision[Any], append: Append) -> None:
        """The decision stands in the log: replay it, and answer once it is durable."""
        self._decisions += 1
        self._replay(machine, decision)
        if append.durable and not self._pending:
            self._answer(decision.replies)
        else:
            batch = _Batch()
            batch.append = append
            batch.replies.extend(decision.replies)
            self._pending.append(batch)
            self._appended.set()

    def _gather(self, machine: MachineT, decision: Decision[Any], records: list[RecordData], now: Instant) -> bool:
        """Let the records share an append with others; False if they are too many bytes for that.

        Raises KafkaError if what was gathered before cannot be appended, and the machine is lost with it.
        """
        size = 0 if decision.encoded is None else self._max_decision_bytes  # encoded for a batch of its own
        for _, _, key, value, _ in records:
            size += RECORD_OVERHEAD + len(key or b"") + len(value or b"")
        room = min(GATHERED_BYTES, self._max_decision_bytes) - HEADER_SIZE
        batch = self._gathered
        if batch is not None and batch.size + size > room:
            self._append_gathered()
            if self._machine is not machine:
                raise KafkaError(self._lost_error)
            batch = None
        if size > room:
            return False
        self._decisions += 1
        self._replay(machine, decision)
        if batch is None:
            batch = self._gathered = _Batch()
            self._gathering.set()
        batch.records += records
        batch.size += size
        batch.replies.extend(decision.replies)
        batch.timestamp = max(batch.timestamp, now.wall)
        self._last_timestamp = batch.timestamp
        return True

    def _replay(self, machine: MachineT, decision: Decision[Any]) -> None:
        try:
            for record in decision.records:
                machine.replay(record)
        except BaseException:
            # The log has, or would have, a record that the state could not follow: state and log have parted.
            self._lose("replay failed")
            raise

    def _append_gathered(self) -> None:
        """Append what has been gathered. If that is refused the machine is lost, for it has replayed the records."""
        batch, self._gathered = self._gathered, None
        if batch is None:
            return
        try:
            batch.append = self._append(build_batch(batch.records))
        except KafkaError as error:
            if self._machine is not None:
                self._lose(str(error))
            return
        if batch.append.durable and not self._pending:
            self._release_batch(batch)
        else:
            self._pending.append(batch)
            self._appended.set()

    def _append(self, data: bytearray, **options: Any) -> Append:
        """Begin an append. Raises KafkaError when nothing was written; a log that ends elsewhere loses the machine."""
        if len(data) > self._max_decision_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"the change takes {len(data)} bytes, more than {self._max_decision_bytes} at once",
            )
        header = read_header(data)
        try:
            append = self._log.begin_append([Batch(header, memoryview(data))], expected_end=self._end, **options)
        except WrongEnd as error:
            self._overtaken(error)
            raise KafkaError(self._lost_error) from error
        except KafkaError as error:
            code = error.code if header.is_transactional and error.code in PRODUCER_ERRORS else self._lost_error
            raise KafkaError(code, error.message) from error
        self._refusing = False
        self._appends += 1
        self._replayed_bytes += len(data)
        self._last_timestamp = header.max_timestamp
        self._end = append.last_offset + 1
        return append

    def _cannot_be_written(self, decision: Decision[Any], reason: str) -> None:
        """Nothing of a decision was written: it has not been taken, unless the machine has changed or forgotten
        something volatile with it, the promises of earlier requests for example."""
        if self._machine is None:
            return  # lost already
        if decision.volatile or any(promise in self._outstanding for promise, _ in decision.replies):
            self._lose(reason)
            return
        self._refusals += 1
        if not self._refusing:
            self._refusing = True
            self._logger.warning("coordinator cannot write, decisions are refused", reason=reason)

    def _release_batch(self, batch: _Batch) -> None:
        for action in batch.actions:
            action()
        self._answer(batch.replies)

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
                    if self._store.overlaps_appends:
                        nursery.start_soon(self._close_turns)
                    nursery.start_soon(self._release)
                    self._start_more(nursery)
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

    async def _close_turns(self) -> None:
        """Append what was gathered while the event loop ran its other tasks once."""
        while True:
            await self._gathering.wait()
            self._gathering = trio.Event()
            self._append_gathered()

    async def _release(self) -> None:
        """Wait for appends in their order and let their replies go."""
        while True:
            # What was decided while the last append was on its way; and what was decided in the turn of the first,
            # which so shares its flush, and not only the next one.
            self._append_gathered()
            if not self._pending:
                self._appended = trio.Event()
                await self._appended.wait()
                continue
            # A lost machine empties the queue and a new one may fill it again while this task waits.
            first = self._pending[0]
            assert first.append is not None
            failure: KafkaError | WrongEnd | None = None
            try:
                await first.append.wait_durable()
            except (KafkaError, WrongEnd) as error:
                failure = error
            if not self._pending or self._pending[0] is not first:
                continue
            if isinstance(failure, WrongEnd):
                self._overtaken(failure)
                continue
            if failure is not None:
                if failure.code in PRODUCER_ERRORS:  # the producer's fault, said late: its caller learns which
                    self._answer([(promise, failure) for promise, _ in first.replies if not promise.resolved])
                self._lose(str(failure))
                continue
            self._pending.popleft()
            self._release_batch(first)

    async def _keep_deadlines(self) -> None:
        while True:
            stalled = await self._expire()
            machine = self._machine
            deadline = None if machine is None else machine.next_deadline()
            self._sleeping_until = deadline
            self._deadline_moved = trio.Event()
            if stalled:
                await trio.sleep(STALLED_SECONDS)
            elif deadline is None:
                await self._deadline_moved.wait()
            else:
                with trio.move_on_after(max(0, deadline - self._clock.monotonic_millis()) / 1000):
                    await self._deadline_moved.wait()

    async def _expire(self) -> bool:
        """Let the machine decide on what is due, giving way to other tasks after each decision.

        Returns True if that is no use now: the machine wants to be asked again at once and has nothing to say, or what
        it has decided cannot be written.
        """
        while (machine := self._machine) is not None:
            now = self._clock.now()
            deadline = machine.next_deadline()
            if deadline is None or deadline > now.monotonic:
                return False
            try:
                decision = machine.decide_expired(now)
                self._carry_out(machine, decision, now)
            except KafkaError:
                if self._machine is machine:
                    return True  # refused: the disk is full, for example
                continue
            except Exception as error:  # a fault of ours, which no request is to be blamed for
                self._logger.error("a deadline could not be decided on", exc_info=error)
                if self._machine is machine:
                    self._lose(str(error))
                continue
            if not decision.records and not decision.replies:
                again = machine.next_deadline()
                if again is not None and again <= now.monotonic:
                    self._logger.error("a deadline does not move", deadline=again, now=now.monotonic)
                    return True
            await trio.lowlevel.checkpoint()
        return False

    @property
    def next_deadline(self) -> int | None:
        """When the machine wants to be asked, in monotonic milliseconds; None for never, and while there is none."""
        return None if self._machine is None else self._machine.next_deadline()

    async def catch_up(self) -> None:
        """The clock has been moved: let the machine decide on what is due now. Returns when all that it has decided is
        durable, or lost."""
        self._deadline_moved.set()  # what the task of deadlines sleeps for is nearer now
        await self._expire()
        try:
            await self.decide(_nothing)
        except KafkaError:
            return  # there is no machine to wait for

    def _watch_deadline(self, machine: MachineT) -> None:
        deadline = machine.next_deadline()
        if deadline is not None and (self._sleeping_until is None or deadline < self._sleeping_until):
            self._sleeping_until = deadline
            self._deadline_moved.set()

    def _start_more(self, nursery: trio.Nursery) -> None:
        """For a runtime that has further tasks."""

    # --- losing and loading

    def begin_behind(self, fence: Callable[[], Batch], on_overtaken: Callable[[], None]) -> None:
        """Of a log that has had other owners: before each load, append the batch that `fence` makes, behind which no
        conditional append of theirs succeeds; and once another owner has done the same, call `on_overtaken`, and load
        no more."""
        self._fence, self._on_overtaken = fence, on_overtaken

    def _overtaken(self, error: WrongEnd) -> None:
        """The log has grown by another broker's hand."""
        if self._on_overtaken is None:
            self._lose(str(error))
            return
        self._logger.warning("another broker coordinates this partition", reason=str(error))
        self._losses += 1
        self.stop()
        self._on_overtaken()

    def _lose(self, reason: str) -> None:
        """Drop the machine; its log is the truth."""
        self._logger.warning("coordinator state dropped, replaying its log", reason=reason)
        self._losses += 1
        self._drop()
        if self._nursery is not None:
            self._nursery.start_soon(self._load_until_it_works)

    def _drop(self) -> None:
        self._machine = None
        self._gathered = None
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
        replay = LogReplay[MachineT](
            self._log, self._store, self._logger, self._replay_control, self._replay_in_transaction
        )
        if self._fence is not None:
            await self._log.begin_append([self._fence()]).wait_durable()
        if self._restore is None:
            machine, position = self._new_machine(), self._log.log_start_offset
        else:
            machine, position = await self._restore()
        self._end = await replay.to_the_end(machine, position)
        self._replayed_bytes, self._last_timestamp = replay.replayed_bytes, replay.last_timestamp
        async for _ in Slices().over(machine.loaded(self._clock.now())):
            pass
        if self._stopped:
            return
        self._machine = machine
        if self._on_loaded is not None:
            self._on_loaded(machine)
        self._sleeping_until = None
        self._deadline_moved.set()


def _nothing(machine: Any, now: Instant, promise: Promise[None]) -> Decision[Any]:
    """A decision that is answered once all before it are durable."""
    return Decision(replies=[(promise, None)])
