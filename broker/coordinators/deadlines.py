"""Many named deadlines, the nearest of which is always known.

A machine returns deadlines and is asked to decide when one has passed (`machine.py`). Sessions make most of them, and
nearly every one is moved further away by a heartbeat long before it is due. So moving one away must cost nothing: the
heap keeps the old, too early entry, and only when that comes to the top is it put back at its new place. Each name has
at most one live entry plus one stale entry for every time its deadline came *nearer*, which is rare.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

SLACK: Final = 64
"""Stale entries that are not worth a rebuild."""

NameT = TypeVar("NameT", bound=Hashable)


class Deadlines(Generic[NameT]):
    """A priority queue of names by monotonic milliseconds. Names due at the same time come in the order they were
    set."""

    def __init__(self) -> None:
        self._due: dict[NameT, int] = {}
        self._heap: list[tuple[int, int, NameT]] = []
        self._queued: dict[NameT, int] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, name: NameT) -> bool:
        return name in self._due

    def get(self, name: NameT) -> int | None:
        """When `name` is due; None if it is not set."""
        return self._due.get(name)

    def set(self, name: NameT, at: int) -> None:
        """Let `name` be due at `at`, whatever was set before."""
        self._due[name] = at
        queued = self._queued.get(name)
        if queued is None or at < queued:
            self._push(name, at)

    def cancel(self, name: NameT) -> None:
        """Forget `name`, if it is set."""
        self._due.pop(name, None)
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._rebuild()

    def names(self) -> Iterator[NameT]:
        """Everything that is set."""
        return iter(self._due)

    def nearest(self) -> int | None:
        """The earliest time at which something is due."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> NameT | None:
        """Take out the first name whose time has come; None when there is none."""
        self._settle()
        if not self._heap or self._heap[0][0] > now:
            return None
        name = heapq.heappop(self._heap)[2]
        del self._queued[name]
        del self._due[name]
        return name

    def _push(self, name: NameT, at: int) -> None:
        self._sequence += 1
        self._queued[name] = at
        heapq.heappush(self._heap, (at, self._sequence, name))

    def _rebuild(self) -> None:
        """Drop what is stale: names come and go faster than their entries reach the top."""
        self._heap.clear()
        self._queued.clear()
        for name, at in self._due.items():
            self._push(name, at)

    def _settle(self) -> None:
        """Bring a true entry to the top of the heap."""
        while self._heap:
            at, _, name = self._heap[0]
            if self._queued.get(name) != at:
                heapq.heappop(self._heap)  # superseded by an earlier entry of the same name
                continue
            due = self._due.get(name)
            if due == at:
                return
            heapq.heappop(self._heap)
            del self._queued[name]
            if due is not None:
                self._push(name, due)

    def check(self) -> None:
        """Every name set is queued, no later than it is due."""
        for name, due in self._due.items():
            assert self._queued[name] <= due, f"{name!r} is due at {due} and queued for {self._queued[name]}"
        assert len(self._heap) <= 4 * len(self._due) + 4 * SLACK + 4, "stale entries pile up"
        entries = {(at, name) for at, _, name in self._heap}
        for name, at in self._queued.items():
            assert (at, name) in entries, f"{name!r} has lost its entry"
