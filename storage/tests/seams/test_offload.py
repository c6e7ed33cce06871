"""What the door to threads promises, kept by real threads and by their simulated twin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
import trio
import trio.testing

from storage.seams.offload import InlineOffload, Lane, Offload, Pause, ThreadOffload

both = pytest.mark.parametrize("make", [ThreadOffload, InlineOffload, lambda: InlineOffload(lambda: 0.001)])


@both
async def test_the_result_comes_back(make: Callable[[], Offload]) -> None:
    """What the work returns is what `run` returns."""
    assert await make().run(divmod, 17, 5) == (3, 2)


@both
async def test_the_error_comes_back(make: Callable[[], Offload]) -> None:
    """What the work raises is what `run` raises."""
    with pytest.raises(ZeroDivisionError):
        await make().run(divmod, 17, 0)


@both
async def test_other_tasks_run_meanwhile(make: Callable[[], Offload]) -> None:
    """The event loop is free while the work is under way: `run` is always a checkpoint."""
    order: list[str] = []

    async def other() -> None:
        order.append("other task")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(2):
            # Who is first within one scheduling round is left to chance; after a second round every task has run.
            await make().run(lambda: None)
        order.append("work done")
    assert order == ["other task", "work done"]


@both
async def test_cancelled_before_the_start_nothing_is_done(make: Callable[[], Offload]) -> None:
    """A task cancelled already does not begin the work."""
    done: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await make().run(done.append, 1)
    assert scope.cancelled_caught
    assert done == []


async def test_work_with_an_effect_is_waited_for() -> None:
    """A cancelled task learns the outcome of work that has begun: nothing goes on behind its back."""
    release, outcome = threading.Event(), []

    def write() -> str:
        assert release.wait(10)
        return "written"

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def cancel_then_release() -> None:
                scope.cancel()
                release.set()

            nursery.start_soon(cancel_then_release)
            outcome.append(await ThreadOffload().run(write))
    assert outcome == ["written"]


async def test_work_that_only_looks_can_be_left() -> None:
    """A cancelled task need not wait for an abandonable reader."""
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def cancel() -> None:
                scope.cancel()

            nursery.start_soon(cancel)
            await ThreadOffload().run(release.wait, 10, abandonable=True)
        assert scope.cancelled_caught
        release.set()


async def test_the_simulated_twin_waits_like_the_real_one(autojump_clock: trio.testing.MockClock) -> None:
    """With a delay, work with an effect outlasts its cancellation and an abandonable one does not."""
    offload = InlineOffload(lambda: 5.0)
    done: list[str] = []
    with trio.move_on_after(1):
        await offload.run(done.append, "effect")
    assert (done, trio.current_time()) == (["effect"], 5.0)
    with trio.move_on_after(1) as scope:
        await offload.run(done.append, "look", abandonable=True)
    assert (done, trio.current_time(), scope.cancelled_caught) == (["effect"], 6.0, True)


async def test_no_more_threads_than_allowed() -> None:
    """The limit holds however many ask."""
    lock, running, most = threading.Lock(), 0, 0
    gate = threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1

    offload = ThreadOffload({Lane.DISK: 2, Lane.BATCHES: 1})
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(offload.run, work)
    assert most == 2


async def test_a_lane_does_not_wait_for_another() -> None:
    """While every thread for batches is busy for as long as it likes, work for the disk is done."""
    offload = ThreadOffload({Lane.DISK: 1, Lane.BATCHES: 2})
    release = threading.Event()

    async def busy() -> None:
        await offload.run(release.wait, lane=Lane.BATCHES)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(busy)
        await trio.testing.wait_all_tasks_blocked()
        assert await offload.run(divmod, 17, 5) == (3, 2)
        release.set()


@both
async def test_work_that_computes_is_given_a_pause(make: Callable[[], Offload]) -> None:
    """It may call that as often as it likes; what it returns or raises is the caller's."""

    def work(pause: Pause) -> int:
        for _ in range(100):
            pause()
        return 7

    def fails(pause: Pause) -> int:
        pause()
        return 1 // 0

    assert await make().compute(work, lane=Lane.BATCHES) == 7
    with pytest.raises(ZeroDivisionError):
        await make().compute(fails, lane=Lane.LOOK_UPS)


@pytest.mark.parametrize("abandonable", [False, True])
async def test_work_that_computes_ends_with_its_task(abandonable: bool) -> None:
    """When the task that waits is cancelled the thread ends at its next pause, and computes no more."""
    begun, ended = threading.Event(), threading.Event()

    def endless(pause: Pause) -> None:
        begun.set()
        try:
            while True:
                pause()
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(ThreadOffload().compute, endless, lane=Lane.LOOK_UPS, abandonable=abandonable))
        await trio.to_thread.run_sync(begun.wait, 10)
        nursery.cancel_scope.cancel()
    assert await trio.to_thread.run_sync(ended.wait, 10)


async def test_short_work_does_not_wait_for_long_work() -> None:
    """Ten clients ask for work without end; an eleventh has its answer all the same, and others when they are gone."""
    offload = ThreadOffload({Lane.LOOK_UPS: 2}, express_seconds=0.05)  # a pause is far shorter, on a busy machine too
    begun: list[int] = []

    def endless(pause: Pause) -> None:
        begun.append(1)
        while True:
            pause()

    def answered(answer: int, pause: Pause) -> int:
        pause()
        return answer

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(partial(offload.compute, endless, lane=Lane.LOOK_UPS))
        for answer in range(20):
            assert await offload.compute(partial(answered, answer), lane=Lane.LOOK_UPS) == answer
        while len(begun) < 12:  # ten short attempts, and two that last
            assert await offload.compute(lambda pause: 1, lane=Lane.LOOK_UPS)
        nursery.cancel_scope.cancel()
    assert len(begun) == 12, "of those that last two run, the others wait"
    assert await offload.compute(lambda pause: 2, lane=Lane.LOOK_UPS) == 2


async def test_work_that_lasts_can_be_alone() -> None:
    """Of work with the same lock one piece lasts at a time; what is short does not wait for it."""
    offload = ThreadOffload({Lane.LOOK_UPS: 2}, express_seconds=0.001)
    alone, release = trio.Lock(), threading.Event()
    lasting: list[int] = []

    def work(pause: Pause) -> None:
        while not release.is_set():
            pause()
            if alone.locked() and not lasting:
                lasting.append(1)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(partial(offload.compute, work, lane=Lane.LOOK_UPS, alone=alone))
        while not lasting:
            await trio.lowlevel.checkpoint()
        while not alone.statistics().tasks_waiting:
            await trio.lowlevel.checkpoint()
        assert await offload.compute(lambda pause: 7, lane=Lane.LOOK_UPS, alone=alone) == 7
        release.set()
