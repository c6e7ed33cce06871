"""The door to threads: what would hold up the event loop (fdatasync, cold reads, decompression) is handed over here.

One rule decides what happens when the task that waits is cancelled:

* work with an **effect** (a write, a sync, a rename) is never left alone: `run` returns only when it is over, so nobody
  closes, deletes or appends under a thread that is still at it, and after a cancellation the state is known;
* work that only **looks** may be abandoned (`abandonable=True`): the task goes on at once, the thread ends in its own
  time and its result is thrown away. Such work must own, or keep alive, everything it touches.

At most `threads` run at once; who comes later waits its turn in order, so a thousand cold readers take neither a
thousand threads nor all of the disk. A hop costs 60 to 100 microseconds: it is for what takes longer or may block.

`InlineOffload` is the simulated twin. It runs the work in the event loop, after a moment in which other tasks run, as
they would meanwhile: no threads, so the same seed gives the same run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple

import trio

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class Offload(Protocol):
    """Where blocking work goes."""

    async def run(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments, abandonable: bool = False
    ) -> Result:
        """Call `work(*arguments)` outside the event loop and return, or raise, what it does.

        Cancellation is noticed before the work starts, and after that only if it is `abandonable`.
        """
        ...


class ThreadOffload:
    """Real threads, reused, at most `threads` at once."""

    def __init__(self, threads: int = 8) -> None:
        self._limiter = trio.CapacityLimiter(threads)

    async def run(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments, abandonable: bool = False
    ) -> Result:
        return await trio.to_thread.run_sync(
            functools.partial(work, *arguments), abandon_on_cancel=abandonable, limiter=self._limiter
        )


class InlineOffload:
    """No threads: the calling task does the work, after `delay()` seconds of virtual time or one scheduling round.

    `delay` stands for what the work would have taken; a simulation draws it from its seed.
    """

    def __init__(self, delay: Callable[[], float] | None = None) -> None:
        self._delay = delay

    async def run(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments, abandonable: bool = False
    ) -> Result:
        await trio.lowlevel.checkpoint()
        if self._delay is not None:
            # Work with an effect cannot be called back once it has begun, which here is before the delay.
            with trio.CancelScope(shield=not abandonable):
                await trio.sleep(self._delay())
        return work(*arguments)
