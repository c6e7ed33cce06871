"""What a runtime promises that shares its log with those of other brokers. The machines are counters; the brokers'
views of the log are late, and what they append is judged later still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from broker.coordinators.following import FollowingRuntime
from broker.tests.coordinators.sums import SPEC, Sum, add, read
from kproto.batches.header import HEADER_SIZE, read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.testing.memory_membership import MemoryCluster
from storage.testing.shared_memory import SharedMemory, SharedView


class Broker:
    """One broker's runtime on the shared log, and what it heard of the moves of its machine."""

    def __init__(self, view: SharedView) -> None:
        self.view = view
        self.moves: list[tuple[int, bool]] = []
        store = cast(LogStore, view)
        self.runtime: FollowingRuntime[Sum] = FollowingRuntime(
            store.log(SPEC),
            store,
            Sum,
            SystemClock(),
            on_moved=lambda machine, by_others: self.moves.append((machine.total, by_others)),
            loading_error=ErrorCode.NOT_CONTROLLER,
            lost_error=ErrorCode.NOT_CONTROLLER,
            on_loaded=lambda machine: None,
        )

    @property
    def total(self) -> int:
        assert self.runtime.machine is not None
        return self.runtime.machine.total


@asynccontextmanager
async def brokers(count: int = 2) -> AsyncIterator[list[Broker]]:
    clock, entropy = SystemClock(), SeededEntropy(1)
    shared = SharedMemory(MemoryStore(clock, entropy), MemoryCluster(clock, entropy))
    async with trio.open_nursery() as nursery:
        hosted = [Broker(shared.view(number)) for number in range(count)]
        for broker in hosted:
            await broker.view.open()
            await nursery.start(broker.runtime.run)
        yield hosted
        for broker in hosted:
            await broker.view.close()
        nursery.cancel_scope.cancel()


async def test_what_one_has_decided_the_others_learn(autojump_clock: trio.testing.MockClock) -> None:
    async with brokers(3) as (one, *others):
        assert await one.runtime.decide(add(5)) == 5
        await trio.sleep(1)
        assert [(other.total, other.moves) for other in others] == [(5, [(5, True)])] * 2
        assert one.moves == []


async def test_a_decision_on_what_is_no_longer_true_is_taken_again(autojump_clock: trio.testing.MockClock) -> None:
    """Both decide at the same moment: one append is refused, and its client learns the sum of both."""
    async with brokers() as (one, two):
        first = one.runtime.begin(add(1))
        await trio.sleep(0.001)
        second = two.runtime.begin(add(10))
        assert (await one.runtime.wait(first), await two.runtime.wait(second)) == (1, 11)
        await trio.sleep(1)
        assert (one.total, two.total) == (11, 11)


async def test_all_that_was_decided_behind_a_refused_decision_is_taken_again_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with brokers() as (one, two):
        first = one.runtime.begin(add(1))
        await trio.sleep(0.001)
        later = [two.runtime.begin(add(10)) for _ in range(3)]
        looked = two.runtime.begin(read)
        assert await one.runtime.wait(first) == 1
        assert [await two.runtime.wait(promise) for promise in (*later, looked)] == [11, 21, 31, 31]


async def test_a_refused_decision_takes_those_behind_it_along_wherever_the_log_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The other broker has written just as much as the refused append would have: the next one must not fit there."""
    async with brokers() as (one, two):
        promises = [two.runtime.begin(add(10))]
        log = one.view.log(SPEC)
        data = build_batch([RecordData(0, 0, None, b"1", ())])
        log.inner.begin_append([Batch(read_header(data), memoryview(data))])
        promises.append(two.runtime.begin(add(100)))
        assert [await two.runtime.wait(promise) for promise in promises] == [11, 111]
        await trio.sleep(1)
        assert one.total == 111


async def test_many_decisions_of_all_brokers_add_up(autojump_clock: trio.testing.MockClock) -> None:
    async with brokers(3) as hosted:

        async def decide(broker: Broker, amount: int) -> None:
            for _ in range(20):
                await broker.runtime.decide(add(amount))
                await trio.sleep(0.003)

        async with trio.open_nursery() as nursery:
            for broker, amount in zip(hosted, (1, 100, 10_000), strict=True):
                nursery.start_soon(decide, broker, amount)
        await trio.sleep(1)
        assert [broker.total for broker in hosted] == [202_020] * 3


async def test_a_broker_that_is_behind_catches_up_before_it_decides(autojump_clock: trio.testing.MockClock) -> None:
    async with brokers() as (one, two):
        await one.runtime.decide(add(1))
        two.view.log(SPEC).refresh()
        assert await two.runtime.decide(add(1)) == 2
        assert two.runtime.statistics().losses == 0


async def test_what_a_late_decision_raises_its_client_gets(autojump_clock: trio.testing.MockClock) -> None:
    async with brokers() as (one, two):
        await one.runtime.decide(add(1))
        two.view.log(SPEC).refresh()
        with pytest.raises(KafkaError) as refused:
            await two.runtime.decide(add(-1))
        assert refused.value.code is ErrorCode.INVALID_REQUEST


async def test_what_cannot_be_replayed_loses_the_machine_and_says_so(autojump_clock: trio.testing.MockClock) -> None:
    async with brokers() as (one, two):
        data = build_batch([RecordData(0, 0, None, None, ())])
        one.view.log(SPEC).inner.begin_append([Batch(read_header(data), memoryview(data))])
        await trio.sleep(1)
        with pytest.raises(KafkaError) as refused:
            await two.runtime.decide(add(1))
        assert refused.value.code is ErrorCode.NOT_CONTROLLER


async def test_one_append_at_a_time_is_on_its_way(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decided meanwhile shares the next one; what does not fit there waits, and all of it keeps its order."""
    monkeypatch.setattr("broker.coordinators.following.GATHERED_BYTES", HEADER_SIZE + 3 * 60)
    async with brokers(1) as [one]:
        promises = [one.runtime.begin(add(number)) for number in range(1, 11)]
        assert one.runtime.statistics().pending <= 2
        assert [await one.runtime.wait(promise) for promise in promises] == [1, 3, 6, 10, 15, 21, 28, 36, 45, 55]
        assert one.runtime.statistics().appends < 10
