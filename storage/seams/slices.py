"""The door to giving way: work in the event loop that may be long is done in slices, and other tasks run in between.

    slices = Slices()
    for group in groups:
        ...
        await slices.give_way()

`give_way` costs a look at the clock as long as the slice lasts, `SLICE_SECONDS`; after that it lets every task that can
run do so once. It measures time and not steps, because what a step takes is what a peer has some influence on. A slice
is a quarter of what nothing may take in one go (20 ms), since the last step may itself be long.

Virtual clocks do not count here: slices are about the processor's time. A task must be ready for others to run wherever
it gives way: what it read before may be another thing after.
"""

from __future__ import annotations

import time
from typing import Final

import trio

SLICE_SECONDS: Final = 0.005


class Slices:
    """One task's slices, from now on."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = time.perf_counter() + SLICE_SECONDS

    @property
    def used_up(self) -> bool:
        """Whether the slice is over: for loops that would rather not await each time."""
        return time.perf_counter() >= self._ends

    async def give_way(self) -> None:
        """Let others run, if this slice is over. A checkpoint only then."""
        if time.perf_counter() >= self._ends:
            await trio.lowlevel.checkpoint()
            self._ends = time.perf_counter() + SLICE_SECONDS
