"""How many files may be open: a bound on descriptors, shared by all logs of a store.

A segment keeps its file open after use, because the next fetch or append wants it again; with a hundred thousand
partitions that must end somewhere. When more than `limit` segments hold a file, those not used since the last round
give theirs up (the clock algorithm: a hand goes round, a recently used one is let off once). They open it again when
asked; a reader of the old descriptor keeps it alive by holding it.

Opening may happen in worker threads, closing happens in the event loop only (`trim`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

MOST_TURNS = 64
"""Holders asked per `trim`: it is called often, and where few can let go it must not ask all of them each time."""


class Holder(Protocol):
    """Something that holds a file open and can do without."""

    def was_used(self) -> bool:
        """Whether it was used since the hand of the clock last asked."""
        ...

    def release(self) -> bool:
        """Give up the file. False when it is needed as it is (not yet synced)."""
        ...


class Descriptors:
    """The clock over all holders."""

    __slots__ = ("_ring", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ring: OrderedDict[Holder, None] = OrderedDict()  # each once, however often it has been opened

    def opened(self, holder: Holder) -> None:
        """`holder` holds a file from now on. Safe in any thread."""
        self._ring[holder] = None

    def forget(self, holder: Holder) -> None:
        """`holder` holds no file any more, or is not going to be used again: its file is closed when the last one who
        reads it lets go. Safe in any thread."""
        self._ring.pop(holder, None)

    def __len__(self) -> int:
        return len(self._ring)

    def trim(self) -> None:
        """Bring the number of open files back towards the limit, as far as their holders let them go."""
        turns = MOST_TURNS
        while len(self._ring) > self.limit and turns > 0:
            turns -= 1
            holder, _ = self._ring.popitem(last=False)
            if holder.was_used() or not holder.release():
                self._ring[holder] = None
