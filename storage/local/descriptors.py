"""How many segments hold their file open: a bound on descriptors, shared by all logs of a store.

A segment keeps its file open after use, because the next fetch or append wants it again; with a hundred thousand
partitions, or a log of ten thousand segments, that must end somewhere. Three rules keep it within `limit`:

* **Who only reads keeps nothing that there is no room for.** A file that is opened to be read at the
  limit belongs to the caller and is closed when the caller lets go of it (`Segment.file`). So a recovery, a look-up or
  a retention that goes through ten thousand segments needs one descriptor, in any thread.
* **What has not been used is closed.** The clock algorithm: a hand goes round (`trim`), a recently used holder is let
  off once. It opens its file again when asked; a reader of the old descriptor keeps it alive by holding it.
* **What has been written stays open until it is synced**, and cannot be closed: the kernel reports a lost page to the
  descriptors that were open then. When all that is left is of that kind the store is `crowded`: it is synced at once,
  and appends by clients wait until it is (`LocalStore.make_ready`). A bound that they could exceed meanwhile would be
  none: a log that begins a segment with each record would use up the process's descriptors in a second.

`limit` is the segments' share of what the process may have open; `broker/descriptors.py` divides it. Opening may happen
in worker threads, closing happens in the event loop only (`trim`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

MOST_TURNS: Final = 64
"""Holders that a trim asks: it is called often, and where few can let go it must not ask all of them each time."""

SPARE: Final = 16
"""A trim leaves one in so many descriptors free, for those who open files before the next."""


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

    @property
    def has_room(self) -> bool:
        """Whether one more holder may keep its file."""
        return len(self._ring) < self.limit

    @property
    def overdrawn(self) -> bool:
        """Whether more files are open than should be."""
        return len(self._ring) > self.limit

    def trim(self, turns: int = MOST_TURNS) -> None:
        """Bring the number of open files back below the limit, as far as their holders let them go; ask at most so many
        of them."""
        most = self.limit - self.limit // SPARE
        while len(self._ring) > most and turns > 0:
            turns -= 1
            holder, _ = self._ring.popitem(last=False)
            if holder.was_used() or not holder.release():
                self._ring[holder] = None
