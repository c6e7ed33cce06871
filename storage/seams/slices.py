"""The door to giving way: work in the event loop that may be long is done in slices, and other tasks run in between.

    slices = Slices()
    async for group in slices.over(groups):
        ...

`over` gives way before each element where that is due, also inside a comprehension; `give_way` is for loops of another
shape. Either costs a look at the clock as long as the slice lasts, `SLICE_SECONDS`; after that it lets every task that
can run do so once. It measures time and not steps, because what a step takes is what a peer has some influence on. A
slice is a quarter of what nothing may take in one go (20 ms), since the last step may itself be long.

Virtual clocks do not count here: slices are about the processor's time. A task must be ready for others to run wherever
it gives way: what it read before may be another thing after.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

import trio

T = TypeVar("T")

SLICE_SECONDS: Final = 0.005


class Slices:
    """One task's slices, from now on, of `seconds` each, `SLICE_SECONDS` unless given; or those of a thread that looks
    at `used_up`."""

    __slots__ = ("_ends", "_seconds")

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = SLICE_SECONDS if seconds is None else seconds
        self._ends = time.perf_counter() + self._seconds

    def begin(self) -> None:
        """A slice begins now: for a task that has been waiting."""
        self._ends = time.perf_counter() + self._seconds

    @property
    def used_up(self) -> bool:
        """Whether the slice is over: for a loop on the hot path, which awaits nothing as long as it is not."""
        return time.perf_counter() >= self._ends

    async def give_way(self) -> None:
        """Let others run, if this slice is over. A checkpoint only then."""
        if time.perf_counter() >= self._ends:
            await trio.lowlevel.checkpoint()
            self._ends = time.perf_counter() + self._seconds

    def over(self, elements: Iterable[T]) -> Sliced[T]:
        """The elements, for `async for`. Lists of any length may so be gone through, and also nested in each other with
        the same slices."""
        return Sliced(iter(elements), self)


class Sliced(Generic[T]):
    """An asynchronous iterator that gives way. No generator, so one that is left early needs no closing."""

    __slots__ = ("_elements", "_slices")

    def __init__(self, elements: Iterator[T], slices: Slices) -> None:
        self._elements = elements
        self._slices = slices

    def __aiter__(self) -> Sliced[T]:
        return self

    async def __anext__(self) -> T:
        if time.perf_counter() >= self._slices._ends:
            await self._slices.give_way()
        for element in self._elements:
            return element
        raise StopAsyncIteration
