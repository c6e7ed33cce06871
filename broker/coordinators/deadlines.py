"""Many named deadlines, the nearest of which is always known.

A machine returns deadlines and is asked to decide when one has passed (`machine.py`). Sessions make most of them, and
nearly every one is moved further away by a heartbeat long before it is due. So moving one away must cost nothing: the
heap keeps the old, too early entry, and only when that comes to the top is it put back at its new place.

Each name has one live entry at most. An entry that is superseded, because its deadline came *nearer* or was cancelled,
stays in the heap until it comes to the top, or until such entries are more than the live ones: then the heap is built
again without them. So the heap takes memory for what is set, whatever has been set before.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

SLACK: Final = 64
"""Superseded entries that are not worth building the heap again."""

NameT = TypeVar("NameT", bound=Hashable)


class Deadlines(Generic[NameT]):
    """A priority queue of names by monotonic milliseconds. Names due at the same time come in the order they were
    set."""

    def __init__(self) -> None:
        self._due: dict[NameT, int] = {}
        self._heap: list[tuple[int, int, NameT]] = []
        self._queued: dict[NameT, tuple[int, int]] = {}  # the live entry of each name: its time and number
        self._number = 0

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, name: NameT) -> bool:
        return name in self._due

    @property
    def latest(self) -> int:
        """The number of the entry that was made last, for `pop_due`."""
        return self._number

    def get(self, name: NameT) -> int | None:
        """When `name` is due; None if it is not set."""
        return self._due.get(name)

    def set(self, name: NameT, at: int) -> None:
        """Let `name` be due at `at`, whatever was set before."""
        self._due[name] = at
        queued = self._queued.get(name)
        if queued is None or at < queued[0]:
            self._number += 1
            self._push(name, at, self._number)
            self._rebuild_if_stale()

    def cancel(self, name: NameT) -> None:
        """Forget `name`, if it is set."""
        if self._due.pop(name, None) is not None:
            self._rebuild_if_stale()

    def names(self) -> Iterator[NameT]:
        """Everything that is set."""
        return iter(self._due)

    def nearest(self) -> int | None:
        """The earliest time at which something is due."""
        if not self._heap:
            return None
        at, number, name = self._heap[0]
        if self._due.get(name) != at or self._queued.get(name) != (at, number):
            self._settle()
            return self._heap[0][0] if self._heap else None
        return at

    def pop_due(self, now: int, latest: int | None = None) -> NameT | None:
        """Take out the first name whose time has come; None when there is none.

        With `latest`, as it was before a series of calls, the series ends: a name that is taken out, and set again for
        a time that has come already, is not taken out again.
        """
        self._settle()
        if not self._heap or self._heap[0][0] > now or (latest is not None and self._heap[0][1] > latest):
            return None
        name = heapq.heappop(self._heap)[2]
        del self._queued[name]
        del self._due[name]
        self._rebuild_if_stale()
        return name

    def _push(self, name: NameT, at: int, number: int) -> None:
        self._queued[name] = at, number
        heapq.heappush(self._heap, (at, number, name))

    def _rebuild_if_stale(self) -> None:
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._queued = {name: (at, self._queued[name][1]) for name, at in self._due.items()}
            self._heap = [(at, number, name) for name, (at, number) in self._queued.items()]
            heapq.heapify(self._heap)

    def _settle(self) -> None:
        """Bring a true entry to the top of the heap."""
        while self._heap:
            at, number, name = self._heap[0]
            if self._queued.get(name) != (at, number):
                heapq.heappop(self._heap)  # superseded by an earlier entry of the same name
                continue
            due = self._due.get(name)
            if due == at:
                return
            heapq.heappop(self._heap)
            del self._queued[name]
            if due is not None:
                self._push(name, due, number)

    def check(self) -> None:
        """Every name set is queued, no later than it is due, and superseded entries do not pile up."""
        entries = set(self._heap)
        for name, due in self._due.items():
            at, number = self._queued[name]
            assert at <= due, f"{name!r} is due at {due} and queued for {at}"
            assert (at, number, name) in entries, f"{name!r} has lost its entry"
        assert len(self._heap) <= 2 * len(self._due) + SLACK + 2, "superseded entries pile up"
