"""What the runtime promises to every coordinator machine. The machine here is a counter, to keep eyes on the
runtime."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from broker.coordinators.machine import Decision, Promise
from broker.coordinators.runtime import Runtime
from broker.testing.faulty_log import FaultyLog, FaultyStore
from broker.tests.coordinators.sums import SPEC, Sum, SumRuntime, add, read, wait_for
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, LogStore, WrongEnd
from storage.memory.engine import MemoryStore
from storage.seams import slices
from storage.seams.clock import Instant, SystemClock
from storage.seams.entropy import SeededEntropy


class Hosted:
    """A runtime and the log under it."""

    def __init__(self, store: FaultyStore | None = None) -> None:
        self.clock = SystemClock()
        self.store = store or FaultyStore(MemoryStore(self.clock, SeededEntropy(1)))
        self.runtime = self.another()

    @property
    def log(self) -> FaultyLog:
        return self.store.faulty(SPEC)

    def another(self, **options: int) -> SumRuntime:
        store = cast(LogStore, self.store)
        return Runtime(store.log(SPEC), store, Sum, self.clock, **options)  # type: ignore[arg-type]

    def write(self, *values: bytes, control: bool = False) -> None:
        """Append behind the runtime's back."""
        data = build_batch([RecordData(0, 0, None, value, ()) for value in values], control=control)
        self.log.inner.begin_append([Batch(read_header(data), memoryview(data))])


@asynccontextmanager
async def hosted(store: FaultyStore | None = None) -> AsyncIterator[Hosted]:
    async with trio.open_nursery() as nursery:
        host = Hosted(store)
        await nursery.start(host.runtime.run)
        yield host
        nursery.cancel_scope.cancel()


async def fails(code: ErrorCode, call: Callable[[], object]) -> None:
    with pytest.raises(KafkaError) as caught:
        result = call()
        if hasattr(result, "__await__"):
            await result
    assert caught.value.code is code


# --- deciding


async def test_a_decision_is_seen_by_the_next_one_before_anything_is_durable() -> None:
    """Decisions are taken at the call: two begun without waiting build on each other."""
    async with hosted() as host:
        host.log.hold()
        first, second = host.runtime.begin(add(1)), host.runtime.begin(add(2))
        host.log.release()
        assert await host.runtime.wait(second) == 3
        assert await host.runtime.wait(first) == 1


async def test_a_decision_is_one_batch() -> None:
    """M2: a crash keeps a decision whole or not at all, so its records share one batch."""
    async with hosted() as host:
        promise: Promise[None] = host.runtime.begin(lambda machine, now, own: Decision([1, 2, 3], [(own, None)]))
        await host.runtime.wait(promise)
        assert len(host.log.appended) == 1
        assert host.log.inner.log_end_offset == 3


async def test_a_log_is_loaded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records a batch has, other tasks run in between, and so they do while members get their sessions."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)
    host = Hosted()
    host.write(*[b"1"] * 50)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await host.runtime.load()
        nursery.cancel_scope.cancel()
    assert host.runtime.machine is not None and host.runtime.machine.total == 50
    assert turns >= 50


async def test_a_refused_decision_changes_nothing() -> None:
    """A KafkaError out of decide goes to the caller; nothing is appended."""
    async with hosted() as host:
        await fails(ErrorCode.INVALID_REQUEST, lambda: host.runtime.decide(add(-1)))
        assert await host.runtime.decide(read) == 0
        assert host.log.inner.log_end_offset == 0


async def test_a_decision_too_large_for_a_batch_is_refused_and_the_machine_stays() -> None:
    """RECORD_LIST_TOO_LARGE comes before anything is written."""
    host = Hosted()
    runtime = host.another(max_decision_bytes=500)
    await runtime.load()
    for decisions in (1, 2):
        await fails(
            ErrorCode.RECORD_LIST_TOO_LARGE,
            lambda: runtime.begin(lambda machine, now, promise: Decision([1] * 1000, [(promise, None)])),
        )
        assert runtime.machine is not None
        assert runtime.machine.total == decisions - 1
        host.log.hold()
        runtime.begin(add(1))  # from now on decisions are gathered


# --- releasing


async def test_a_reply_waits_for_its_append() -> None:
    """No reply leaves before its records are durable."""
    async with hosted() as host:
        host.log.hold()
        promise = host.runtime.begin(add(1))
        await trio.testing.wait_all_tasks_blocked()
        assert not promise.resolved
        host.log.release()
        assert await host.runtime.wait(promise) == 1


async def test_a_reply_without_records_waits_for_what_it_has_seen() -> None:
    """M3: a read that saw a pending decision is released with it, not before."""
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        promise = host.runtime.begin(read)
        await trio.testing.wait_all_tasks_blocked()
        assert not promise.resolved
        host.log.release()
        assert await host.runtime.wait(promise) == 1


async def test_a_reply_without_records_costs_nothing_when_nothing_is_pending() -> None:
    """The promise is resolved when begin returns: no event, no task switch."""
    async with hosted() as host:
        await host.runtime.decide(add(5))
        promise = host.runtime.begin(read)
        assert promise.resolved


async def test_replies_leave_in_the_order_of_their_appends() -> None:
    """Whatever becomes durable first, replies keep the log's order."""
    store = FaultyStore(MemoryStore(SystemClock(), SeededEntropy(1)))
    store.overlaps_appends = True
    async with hosted(store) as host:
        order: list[int] = []

        async def adder(amount: int) -> None:
            order.append(await host.runtime.decide(add(amount)))

        host.log.hold()
        async with trio.open_nursery() as nursery:
            for amount in (1, 2, 3):
                nursery.start_soon(adder, amount)
                await trio.testing.wait_all_tasks_blocked()
                if amount == 2:
                    first_gate = host.log.gate
                    host.log.hold()  # the third append has a gate of its own
            host.log.release()
            await trio.testing.wait_all_tasks_blocked()
            assert order == []
            assert first_gate is not None
            first_gate.opened.set()
        assert order == [1, 3, 6]


async def test_a_promise_can_be_answered_by_a_later_decision() -> None:
    """A client waits for what another client does (as the first member of a group for the last)."""
    async with hosted() as host, trio.open_nursery() as nursery:
        got: list[int] = []

        async def waiter() -> None:
            got.append(await host.runtime.decide(wait_for(3)))

        nursery.start_soon(waiter)
        await trio.testing.wait_all_tasks_blocked()
        await host.runtime.decide(add(1))
        assert got == []
        await host.runtime.decide(add(2))
        await trio.testing.wait_all_tasks_blocked()
        assert got == [3]


async def test_a_client_that_goes_away_leaves_its_decision_standing() -> None:
    """Cancelling the waiter cancels neither the decision nor anybody else's reply."""
    async with hosted() as host:
        host.log.hold()
        with trio.move_on_after(0) as scope:
            await host.runtime.decide(add(1))
        assert scope.cancelled_caught
        host.log.release()
        assert await host.runtime.decide(add(1)) == 2


async def test_actions_run_in_order_once_durable() -> None:
    """when_durable: at once if nothing is pending, else after the append and before its replies."""
    async with hosted() as host:
        seen: list[str] = []
        host.runtime.when_durable(lambda: seen.append("at once"))
        assert seen == ["at once"]
        host.log.hold()
        promise = host.runtime.begin(add(1))
        host.runtime.when_durable(lambda: seen.append(f"replied: {promise.resolved}"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == ["at once"]
        host.log.release()
        await host.runtime.wait(promise)
        assert seen == ["at once", "replied: False"]


# --- loading


async def test_a_new_runtime_knows_what_the_old_one_appended() -> None:
    """Loading is replaying the log."""
    async with hosted() as host:
        for amount in range(200):
            await host.runtime.decide(add(amount))
    async with hosted(host.store) as again:
        assert await again.runtime.decide(read) == sum(range(200))
        assert await again.runtime.decide(add(1)) == sum(range(200)) + 1


async def test_loading_passes_over_control_batches_and_unknown_records() -> None:
    """Markers and records of a newer release are no records of the machine, but they take offsets."""
    host = Hosted()
    host.write(b"7", b"newer than us")
    host.write(b"9", control=True)
    host.write(b"1")
    await host.runtime.load()
    assert host.runtime.machine is not None
    assert host.runtime.machine.total == 8
    assert host.runtime.end_offset == 4


async def test_loading_crosses_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log larger than one read is read to its end."""
    monkeypatch.setattr("broker.coordinators.replaying.LOAD_CHUNK", 256)
    host = Hosted()
    for _ in range(100):
        host.write(b"1", b"2", b"3")
    await host.runtime.load()
    assert host.runtime.machine is not None
    assert host.runtime.machine.total == 600


async def test_an_unreadable_log_is_tried_again_and_never_thrown_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Decisions are refused with COORDINATOR_LOAD_IN_PROGRESS until the log can be read."""
    host = Hosted()
    host.write(b"7")
    host.log.unreadable = True
    async with trio.open_nursery() as nursery:
        await nursery.start(host.runtime.run)
        await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.runtime.begin(read))
        await trio.sleep(60)
        await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.runtime.begin(read))
        host.log.unreadable = False
        await trio.sleep(11)
        assert await host.runtime.decide(read) == 7
        nursery.cancel_scope.cancel()


# --- failing


async def test_a_lost_append_drops_the_machine_and_fails_every_waiter() -> None:
    """M5: waiters get NOT_COORDINATOR, later decisions COORDINATOR_LOAD_IN_PROGRESS until the log is replayed."""
    async with hosted() as host:
        await host.runtime.decide(add(1))
        host.log.hold()
        pending = [host.runtime.begin(add(1)), host.runtime.begin(read), host.runtime.begin(wait_for(99))]
        host.log.lose_held()
        for promise in pending:
            await fails(ErrorCode.NOT_COORDINATOR, functools.partial(host.runtime.wait, promise))
        assert host.runtime.machine is None
        await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.runtime.begin(read))
        await trio.testing.wait_all_tasks_blocked()
        # The records are in the log after all: the waiting callers learned that their fate is unknown.
        assert await host.runtime.decide(read) == 2


async def test_a_refused_append_loses_nothing() -> None:
    """M8: a full disk costs a refusal: the state stays, clients that wait go on waiting, and reads are answered."""
    async with hosted() as host:
        await host.runtime.decide(add(1))
        before = host.runtime.machine
        waiting = host.runtime.begin(wait_for(2))
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR), times=3)
        for _ in range(3):
            await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(refused))
        await trio.testing.wait_all_tasks_blocked()
        assert host.runtime.machine is before
        assert host.runtime.begin(read).resolved
        assert await host.runtime.decide(add(1)) == await host.runtime.wait(waiting) == 2
        assert (host.runtime.statistics().refusals, host.runtime.statistics().losses) == (3, 0)


def refused(machine: Sum, now: Instant, promise: Promise[int]) -> Decision[int]:
    """A decision that answers no other client than its own."""
    return Decision([1], [(promise, machine.total + 1)])


@pytest.mark.parametrize("volatile", [True, False])
async def test_a_refused_append_drops_a_machine_that_has_changed_volatile_state(volatile: bool) -> None:
    """What the decision has changed beside its records, or promises that it has answered, cannot be taken back."""
    async with hosted() as host:
        await host.runtime.decide(add(1))
        before = host.runtime.machine
        waiting = host.runtime.begin(wait_for(2))
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
        decide = (lambda machine, now, promise: Decision([1], [(promise, 2)], volatile=True)) if volatile else add(1)
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(decide))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.wait(waiting))
        await trio.testing.wait_all_tasks_blocked()
        assert host.runtime.machine is not before
        assert await host.runtime.decide(read) == 1


async def test_a_decision_that_cannot_be_encoded_is_refused() -> None:
    """The caller sees why; a machine whose volatile state went ahead is loaded again."""
    async with hosted() as host:
        await host.runtime.decide(add(1))
        for volatile, losses in ((False, 0), (True, 1)):
            with pytest.raises(UnicodeEncodeError):
                host.runtime.begin(lambda machine, now, promise, v=volatile: Decision(["\udc80"], volatile=v))  # type: ignore[misc]
            await trio.testing.wait_all_tasks_blocked()
            assert host.runtime.statistics().losses == losses
        assert await host.runtime.decide(read) == 1


# --- gathering


async def test_a_decision_that_comes_alone_is_appended_at_once() -> None:
    """Its append has begun when begin returns: it waits for no turn of the event loop."""
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        assert host.log.inner.log_end_offset == 1


async def test_decisions_that_come_during_an_append_share_the_next_one() -> None:
    """Each is seen by those after it at once; together they are one batch, with what else is decided in their turn."""
    async with hosted() as host:
        host.log.hold()
        first = host.runtime.begin(add(1))
        others = [host.runtime.begin(add(1)) for _ in range(9)]
        looking = host.runtime.begin(read)
        assert host.log.inner.log_end_offset == 1
        assert host.runtime.end_offset == 10
        await trio.testing.wait_all_tasks_blocked()
        assert len(host.log.appended) == 2
        assert host.log.inner.log_end_offset == 10
        assert not any(promise.resolved for promise in (first, *others, looking))
        host.log.release()
        assert [await host.runtime.wait(promise) for promise in (first, *others)] == list(range(1, 11))
        assert await host.runtime.wait(looking) == 10
        assert (host.runtime.statistics().decisions, host.runtime.statistics().appends) == (10, 2)


@pytest.mark.parametrize("overlaps", [False, True])
async def test_how_long_decisions_are_gathered(overlaps: bool) -> None:
    """Until what is on its way is durable, for the disk has no use for them before; where appends of one log become
    durable beside each other, until the event loop has turned."""
    store = FaultyStore(MemoryStore(SystemClock(), SeededEntropy(1)))
    store.overlaps_appends = overlaps
    async with hosted(store) as host:
        host.log.hold()
        begun = [host.runtime.begin(add(1))]
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            begun.append(host.runtime.begin(add(1)))
        assert len(host.log.appended) == (3 if overlaps else 1)
        host.log.release()
        assert [await host.runtime.wait(promise) for promise in begun] == [1, 2, 3, 4]
        assert len(host.log.appended) == (4 if overlaps else 2)


async def test_gathered_decisions_are_cut_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many within one turn are several batches; one that is large by itself has a batch of its own, in its place."""
    monkeypatch.setattr("broker.coordinators.runtime.GATHERED_BYTES", 300)
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        small = [host.runtime.begin(add(1)) for _ in range(20)]
        assert host.runtime.end_offset == 21 > host.log.inner.log_end_offset > 10
        large: Promise[int] = host.runtime.begin(lambda machine, now, own: Decision([1] * 10, [(own, machine.total)]))
        assert host.log.inner.log_end_offset == host.runtime.end_offset == 31
        last = host.runtime.begin(add(1))
        await trio.testing.wait_all_tasks_blocked()
        assert max(host.log.appended) < 700
        host.log.release()
        assert await host.runtime.wait(last) == 32
        assert await host.runtime.wait(large) == 21
        assert [await host.runtime.wait(promise) for promise in small] == list(range(2, 22))


@pytest.mark.parametrize("error", [KafkaError(ErrorCode.KAFKA_STORAGE_ERROR), WrongEnd(1, 2)])
async def test_a_gathered_append_that_fails_is_heard_by_each_caller(error: Exception) -> None:
    """M5: the state is ahead of the log, so it is dropped; nothing of the batch is in the log, nothing was answered."""
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        pending = [host.runtime.begin(add(1)), host.runtime.begin(add(1)), host.runtime.begin(read)]
        seen: list[str] = []
        host.runtime.when_durable(lambda: seen.append("durable"))
        host.log.refuse_next(error)
        for promise in pending:
            await fails(ErrorCode.NOT_COORDINATOR, functools.partial(host.runtime.wait, promise))
        host.log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(add(10)) == 11
        assert seen == []


async def test_another_owner_is_found_out_by_what_was_gathered() -> None:
    """M4: `expected_end` guards a batch of many decisions as it guards that of one."""
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        promise = host.runtime.begin(add(1))
        host.write(b"100")
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.wait(promise))
        host.log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(read) == 101


async def test_a_batch_that_is_cut_and_refused_refuses_the_decision_that_cut_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine that it was decided on is gone; its records are not appended behind those that are missing."""
    monkeypatch.setattr("broker.coordinators.runtime.GATHERED_BYTES", 160)
    async with hosted() as host:
        host.log.hold()
        host.runtime.begin(add(1))
        host.runtime.begin(add(1))
        host.runtime.begin(add(1))
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(add(1)))
        host.log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(read) == 1


async def test_what_is_gathered_when_a_runtime_stops_is_never_appended() -> None:
    """Its callers hear NOT_COORDINATOR, and the next owner finds nothing of it."""
    async with hosted() as host:
        host.log.hold()
        pending = [host.runtime.begin(add(1)), host.runtime.begin(add(1))]
        host.runtime.stop()
        for promise in pending:
            await fails(ErrorCode.NOT_COORDINATOR, functools.partial(host.runtime.wait, promise))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(read))
        await trio.testing.wait_all_tasks_blocked()
        assert host.log.inner.log_end_offset == 1
        assert host.runtime.statistics().state == "stopped"


async def test_two_owners_of_one_log_find_out() -> None:
    """M4: a coordinator that has been replaced fails at its next append, and then sees what the other wrote."""
    async with hosted() as host, trio.open_nursery() as nursery:
        other = host.another()
        await nursery.start(other.run)
        await other.decide(add(10))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(add(1)))
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(add(1)) == 11
        nursery.cancel_scope.cancel()


async def test_wrong_end_is_no_special_case_of_the_engine() -> None:
    """Whatever engine says WrongEnd, the machine is reloaded."""
    async with hosted() as host:
        host.log.refuse_next(WrongEnd(0, 5))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(add(1)))
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(add(1)) == 1


async def test_a_fault_in_a_deadline_costs_one_reload(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """M6: there is no request to fail: the waiting callers get the error, the state is what the log says."""

    def fail(self: Sum, now: Instant) -> Decision[int]:
        raise ValueError("a bug")

    async with hosted() as host:
        await host.runtime.decide(add(5))
        with monkeypatch.context() as patched:
            patched.setattr(Sum, "decide_expired", fail)
            await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.decide(wait_for(99, within=1000)))
        await trio.testing.wait_all_tasks_blocked()
        assert await host.runtime.decide(read) == 5


async def test_a_record_that_cannot_be_replayed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A fault while loading keeps this machine away, and nothing else."""
    real = Sum.replay

    def fail(self: Sum, record: int) -> None:
        assert record != 13, "a bug"
        real(self, record)

    host = Hosted()
    host.write(b"13")
    with monkeypatch.context() as patched:
        patched.setattr(Sum, "replay", fail)
        with pytest.raises(KafkaError, match="cannot be replayed"):
            await host.another().load()
        async with trio.open_nursery() as nursery:
            await nursery.start(host.runtime.run)
            await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.runtime.begin(read))
            patched.setattr(Sum, "replay", real)
            await trio.sleep(1)
            assert await host.runtime.decide(read) == 13
            nursery.cancel_scope.cancel()


async def test_a_runtime_that_stops_lets_no_caller_wait_forever() -> None:
    """As when the topic of its log is deleted: waiting callers get NOT_COORDINATOR, later ones find no machine."""
    async with hosted() as host:
        host.log.hold()
        pending = [host.runtime.begin(add(1)), host.runtime.begin(wait_for(99))]
    for promise in pending:
        await fails(ErrorCode.NOT_COORDINATOR, functools.partial(host.runtime.wait, promise))
    await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.runtime.begin(read))


STEPS = st.sampled_from(["add", "read", "hold", "release", "lose", "refuse", "foreign", "settle"])


@given(st.lists(STEPS, max_size=40))
async def test_whatever_happens_the_state_is_what_the_log_says(steps: list[str]) -> None:
    """M1: under any mixture of held, lost and refused appends and foreign writers, acknowledged decisions are there,
    and the machine in charge is the fold of it."""
    async with hosted() as host:
        acknowledged: list[int] = []
        log = host.log

        async def client(amount: int) -> None:
            with contextlib.suppress(KafkaError):
                await host.runtime.decide(add(amount))
                acknowledged.append(amount)

        async with trio.open_nursery() as clients:
            for number, step in enumerate(steps):
                if step == "add":
                    clients.start_soon(client, 1 << number)
                elif step == "read":
                    with contextlib.suppress(KafkaError):
                        host.runtime.begin(read)
                elif step == "hold" and log.gate is None:
                    log.hold()
                elif step == "release" and log.gate is not None:
                    log.release()
                elif step == "lose" and log.gate is not None:
                    log.lose_held()
                elif step == "refuse":
                    log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
                elif step == "foreign":
                    host.write(str(1 << number).encode())
                await trio.lowlevel.checkpoint()
                if step == "settle":
                    await trio.testing.wait_all_tasks_blocked()
            if log.gate is not None:
                log.release()
        await trio.testing.wait_all_tasks_blocked()
        replayed = host.another()
        await replayed.load()
        assert replayed.machine is not None
        assert all(replayed.machine.total & amount for amount in acknowledged), "an acknowledged decision is gone"
        log.refuse_next(WrongEnd(0, 0))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.begin(add(0)))
        await trio.testing.wait_all_tasks_blocked()
        assert host.runtime.machine is not None
        assert host.runtime.machine.total == replayed.machine.total


# --- expiring


async def test_a_deadline_is_one_more_decision(autojump_clock: trio.testing.MockClock) -> None:
    """decide_expired is called when its time has come, and what it decides is appended."""
    async with hosted() as host:
        await fails(ErrorCode.REQUEST_TIMED_OUT, lambda: host.runtime.decide(wait_for(3, within=45_000)))
        assert trio.current_time() == pytest.approx(45, abs=0.1)
        assert host.log.inner.log_end_offset == 1


async def test_a_nearer_deadline_wakes_the_sleeper(autojump_clock: trio.testing.MockClock) -> None:
    """The task that sleeps until the earliest deadline notices an earlier one."""
    async with hosted() as host:
        host.runtime.begin(wait_for(3, within=100_000))
        await trio.testing.wait_all_tasks_blocked()
        await fails(ErrorCode.REQUEST_TIMED_OUT, lambda: host.runtime.decide(wait_for(3, within=10_000)))
        assert trio.current_time() == pytest.approx(10, abs=0.1)


async def test_a_deadline_that_does_not_move_stops_no_other_task(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """M9: a machine that has nothing to decide and wants to be asked again at once is named, and asked a second
    later."""
    asked: list[float] = []

    def decide_nothing(self: Sum, now: Instant) -> Decision[int]:
        asked.append(trio.current_time())
        return Decision()

    async with hosted() as host:
        with monkeypatch.context() as patched:
            patched.setattr(Sum, "decide_expired", decide_nothing)
            promise = host.runtime.begin(wait_for(3, within=0))
            await trio.sleep(10.5)
            assert 10 <= len(asked) <= 12
            assert await host.runtime.decide(add(1)) == 1
        assert "a deadline does not move" in capsys.readouterr().err
        await fails(ErrorCode.REQUEST_TIMED_OUT, lambda: host.runtime.wait(promise))


async def test_an_expiry_that_cannot_be_written_is_tried_again_later(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M8: the disk is full. The state stays, the loop is not kept busy, and the deadline is met when there is room."""

    def decide(self: Sum, now: Instant) -> Decision[int]:
        refused = host.log.refused
        return Decision([7]) if refused < 3 else real(self, now)

    real = Sum.decide_expired
    monkeypatch.setattr(Sum, "decide_expired", decide)
    async with hosted() as host:
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR), times=3)
        await fails(ErrorCode.REQUEST_TIMED_OUT, lambda: host.runtime.decide(wait_for(3, within=0)))
        assert 2 <= trio.current_time() <= 4
        assert host.runtime.statistics().losses == 0


async def test_a_failed_append_of_an_expiry_reloads(autojump_clock: trio.testing.MockClock) -> None:
    """No caller waits for the expiry itself, so its failure must not end the task that waits for deadlines."""
    async with hosted() as host:
        host.log.refuse_next(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.runtime.decide(wait_for(3, within=1000)))
        await trio.sleep(1)
        await fails(ErrorCode.REQUEST_TIMED_OUT, lambda: host.runtime.decide(wait_for(3, within=1000)))
