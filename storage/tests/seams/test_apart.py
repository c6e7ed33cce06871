"""Work elsewhere: in another process or in a thread, with one contract."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

import pytest
import trio

from storage.seams.apart import Apart, ProcessApart, ProcessDied, ThreadApart
from storage.seams.offload import InlineOffload, ThreadOffload


class Counter:
    """Something with a state."""

    def __init__(self, start: int) -> None:
        if start < 0:
            raise ValueError("negative")
        self.value = start
        self._stopped = threading.Event()

    def add(self, number: int) -> tuple[int, int]:
        """The sum, and the process that made it."""
        self.value += number
        return self.value, os.getpid()

    def fail(self, error: Exception) -> None:
        """Raise it."""
        raise error

    def spin(self) -> None:
        """Work that takes forever, unless it is stopped."""
        self._stopped.wait()

    def stop(self) -> None:
        """Let `spin` end."""
        self._stopped.set()

    def die(self) -> None:
        """End this process as a lack of memory does."""
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()


class Awkward(Exception):
    """An exception that cannot be pickled and come back."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def threads() -> Apart:
    """In a thread."""
    return ThreadApart(ThreadOffload())


def processes() -> Apart:
    """In a process."""
    return ProcessApart(threads())


everywhere = pytest.mark.parametrize("apart", [threads, processes, lambda: ThreadApart(InlineOffload())])


@everywhere
async def test_a_state_stays_where_it_was_made(apart: Callable[[], Apart]) -> None:
    """Each piece of work finds what the one before has left."""
    async with apart().state(Counter, 10) as counter:
        first, second = await counter.run(Counter.add, 1), await counter.run(Counter.add, 2)
    assert (first[0], second[0]) == (11, 13)
    assert (first[1] == os.getpid()) == (apart is not processes)


@everywhere
async def test_exceptions_come_back(apart: Callable[[], Apart]) -> None:
    """From the work and from the making; the state survives the former."""
    async with apart().state(Counter, 1) as counter:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            await counter.run(Counter.fail, FileNotFoundError(2, "no such file", "nowhere"))
        assert (await counter.run(Counter.add, 1))[0] == 2
    with pytest.raises(ValueError, match="negative"):
        async with apart().state(Counter, -1):
            raise AssertionError("nothing was made")


async def test_an_exception_that_does_not_survive_the_journey_is_described_in_words() -> None:
    """With its name and its text."""
    async with processes().state(Counter, 1) as counter:
        with pytest.raises(RuntimeError, match="Awkward: 1 and 2"):
            await counter.run(raise_awkward)


def raise_awkward(counter: Counter) -> None:
    """Raise what cannot be pickled."""
    raise Awkward(counter.value, 2)


@pytest.mark.parametrize("apart", [threads, processes])
async def test_work_can_be_called_off(apart: Callable[[], Apart]) -> None:
    """Cancelling the waiting task ends it soon, wherever it is."""
    with trio.fail_after(20):
        async with apart().state(Counter, 1) as counter:
            await counter.run(Counter.add, 1)
            with trio.move_on_after(0.05) as scope:
                await counter.run(Counter.spin)
        assert scope.cancelled_caught


async def test_a_process_that_dies_is_noticed() -> None:
    """Whatever killed it."""
    with trio.fail_after(20):
        async with processes().state(Counter, 1) as counter:
            with pytest.raises(ProcessDied):
                await counter.run(Counter.die)


async def test_no_process_outlives_its_owner() -> None:
    """Closing the pipe that orders come by, as the owner's death does, ends it in the middle of its work."""

    async def work_until_it_dies() -> None:
        with pytest.raises(ProcessDied):
            await counter.run(Counter.spin)

    with trio.fail_after(20):
        async with processes().state(Counter, 1) as counter, trio.open_nursery() as nursery:
            await counter.run(Counter.add, 1)
            nursery.start_soon(work_until_it_dies)
            await trio.sleep(0.05)
            await counter._orders.aclose()  # type: ignore[attr-defined]


async def test_where_no_process_can_be_started_a_thread_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done all the same."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with processes().state(Counter, 1) as counter:
        assert await counter.run(Counter.add, 1) == (2, os.getpid())
