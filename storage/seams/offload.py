"""The door to threads: what would hold up the event loop (fdatasync, cold reads, decompression) is handed over here.

One rule decides what happens when the task that waits is cancelled:

* work with an **effect** (a write, a sync, a rename) is never left alone: `run` returns only when it is over: no task
  closes, deletes or appends under a thread that is still at it, and after a cancellation the state is known;
* work that only **looks** may be abandoned (`abandonable=True`): the task goes on at once, the thread ends in its own
  time and its result is thrown away. Such work must own, or keep alive, everything it touches.

**Lanes.** Work of a lane waits for work of its own lane only. A batch that takes seconds to unpack is given up to
`Lane.BATCHES`, and the sync that an acks=all waits for goes past it in `Lane.DISK`. In each lane a number of
threads run at once; later work waits its turn in order, so a thousand cold readers take neither a thousand threads nor
all of the disk. A hop costs 60 to 100 microseconds: it is for what takes longer or may block.

Work that computes in Python holds the interpreter's lock, and would give it up only every five milliseconds, each time
that the event loop comes back from a system call. Such work calls `give_way` often: a short sleep, in which the loop
takes the lock.

`InlineOffload` is the simulated twin. It runs the work in the event loop, after a moment in which other tasks run, as
they would meanwhile: no threads, so the same seed gives the same run.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Protocol, TypeVar, TypeVarTuple

import trio

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


GIVE_WAY_SECONDS: Final = 50e-6


class Lane(Enum):
    """What shares threads."""

    DISK = "disk"
    """What waits for the disk: syncs, cold reads, look-ups, recovery."""
    BATCHES = "batches"
    """What computes for long on behalf of one client: batches that unpack to much, or hold very many records."""


THREADS: Final = {Lane.DISK: 8, Lane.BATCHES: 2}


class Offload(Protocol):
    """Where blocking work goes."""

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        """Call `work(*arguments)` outside the event loop and return, or raise, what it does.

        Cancellation is noticed before the work starts, and after that only if it is `abandonable`.
        """
        ...

    def give_way(self) -> None:
        """For work that computes: let the event loop have the interpreter for a moment."""
        ...


class ThreadOffload:
    """Real threads, reused; as many of each lane at once as `threads` says."""

    def __init__(self, threads: Mapping[Lane, int] = THREADS) -> None:
        self._limiters = {lane: trio.CapacityLimiter(threads[lane]) for lane in Lane}

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        return await trio.to_thread.run_sync(
            functools.partial(work, *arguments), abandon_on_cancel=abandonable, limiter=self._limiters[lane]
        )

    def give_way(self) -> None:
        time.sleep(GIVE_WAY_SECONDS)


class InlineOffload:
    """No threads: the calling task does the work, after `delay()` seconds of virtual time or one scheduling round.

    `delay` stands for what the work would have taken; a simulation draws it from its seed.
    """

    def __init__(self, delay: Callable[[], float] | None = None) -> None:
        self._delay = delay

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        await trio.lowlevel.checkpoint()
        if self._delay is not None:
            # Work with an effect cannot be called back once it has begun, which here is before the delay.
            with trio.CancelScope(shield=not abandonable):
                await trio.sleep(self._delay())
        return work(*arguments)

    def give_way(self) -> None:
        """No other task waits beside the calling one."""
