"""What look-ups have found out about the times in a segment, where the headers of its batches do not say it.

A batch's header says how late its records get, and plain batches are not opened when they come: some headers promise
later records than there are. A look-up that follows such a promise walks through the batch in vain. So that this
happens once, and not with each look-up, each segment remembers

* **steps**: no record in the batches before `position` is as late as `bound`. A look-up for `bound` or anything later
  begins at `position`. Of two steps, one that reaches less far and has the higher bound says nothing new; what remains
  is a staircase, of `MOST_STEPS` at most.
* **the latest record** in the batches before a position.

All of it is a cache: it is empty when a log has been opened, and what it says is never more than was seen. It is
replaced whole, so any thread may read and write it; of two that write at once one is forgotten.
"""

from __future__ import annotations

from typing import Final

from storage.engine import TimestampOffset

MOST_STEPS: Final = 16

Step = tuple[int, int]  # position in bytes, bound in milliseconds


class SeenTimes:
    """What is known of one segment."""

    __slots__ = ("_latest", "_steps")

    def __init__(self) -> None:
        self._steps: tuple[Step, ...] = ()  # both numbers grow from one to the next
        self._latest: tuple[int, TimestampOffset] | None = None

    def first_position(self, timestamp: int) -> Step:
        """Where a look-up for `timestamp` begins, at a batch or the segment's end, and the bound of what lies before;
        (0, 0) if nothing is known."""
        return max([step for step in self._steps if step[1] <= timestamp], default=(0, 0))

    def note_none(self, position: int, bound: int) -> None:
        """No record in the batches before `position` is at or after `bound`."""
        steps = [step for step in self._steps if step[0] > position or step[1] < bound]
        if any(step[0] >= position and step[1] <= bound for step in steps):
            return
        steps = sorted([*steps, (position, bound)])
        if len(steps) > MOST_STEPS:
            del steps[-2::-2]  # the last one stays
        self._steps = tuple(steps)

    @property
    def latest(self) -> tuple[int, TimestampOffset] | None:
        """A position, and the latest record in the batches before it, the first of equals."""
        return self._latest

    def note_latest(self, position: int, record: TimestampOffset) -> None:
        """`record` is the latest before `position`, among those that were not before the log's start."""
        if self._latest is None or position >= self._latest[0]:
            self._latest = position, record
