"""How many files may be open: a bound on descriptors, shared by all logs of a store.

A segment keeps its file open after use, because the next fetch or append wants it again; with a hundred thousand
partitions that must end somewhere. When more than `limit` segments hold a file, those not used since the last round
give theirs up (the clock algorithm: a hand goes round, a recently used one is let off once). They open it again when
asked; whoever still reads from the old descriptor keeps it alive by holding it.

Opening may happen in worker threads, closing happens in the event loop only (`trim`).
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Protocol

MOST_TURNS = 64
"""Holders asked per `trim`: it is called often, and where few can let go it must not ask everybody each time."""


class Holder(Protocol):
    """Something that holds a file open and can do without."""

    used: bool
    """Set by the holder at each use, cleared by the hand of the clock."""

    def release(self) -> bool:
        """Give up the file. False when it is needed as it is (not yet synced)."""
        ...


class Descriptors:
    """The clock over all holders."""

    __slots__ = ("_ring", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ring: deque[Holder] = deque()

    def opened(self, holder: Holder) -> None:
        """`holder` holds a file from now on. Safe in any thread."""
        self._ring.append(holder)

    def forget(self, holder: Holder) -> None:
        """`holder` is not going to be used again: its file is closed when the last one who reads it lets go."""
        with contextlib.suppress(ValueError):
            self._ring.remove(holder)

    def __len__(self) -> int:
        return len(self._ring)

    def trim(self) -> None:
        """Bring the number of open files back towards the limit, as far as their holders let them go."""
        turns = MOST_TURNS
        while len(self._ring) > self.limit and turns > 0:
            turns -= 1
            holder = self._ring.popleft()
            if holder.used:
                holder.used = False
                self._ring.append(holder)
            elif not holder.release():
                self._ring.append(holder)
