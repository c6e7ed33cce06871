"""The time by which things may be deleted: the clock on the wall, unless it has just jumped ahead.

What is deleted because it is old (segments, tombstones, committed offsets) is gone for good, and how old it is is a
difference to a clock that may be set. A clock that is days ahead for some seconds, because a server of time erred or a
person did, would delete in these seconds what was to be kept for days. So the wall clock is compared with monotonic
time, which goes on evenly: as long as the two agree to `TOLERANCE_MS`, the wall clock is right. If it has jumped ahead,
that is logged as an error, and time goes on as it did before the jump for `HELD_MS`. In that hour a person may put the
clock right, as if nothing had been. After it the new time is believed, and that is logged too.

A clock that goes back deletes nothing; it is believed at once. So is the first one seen: a broker that is started with
a wrong clock has nothing to compare it with.
"""

from __future__ import annotations

from typing import Final

from storage.seams.clock import Instant
from storage.seams.logging import get_logger

TOLERANCE_MS: Final = 5 * 60 * 1000
"""What a clock may be put right by, between two looks, without a word."""

HELD_MS: Final = 60 * 60 * 1000


class ElapsedTime:
    """Judges readings of a clock. `reports`: whether it logs what it finds; one does, of several with one clock."""

    __slots__ = ("_held_since", "_known", "_reports", "latest")

    def __init__(self, *, reports: bool = True) -> None:
        self._reports = reports
        self._known: Instant | None = None
        self._held_since: int | None = None  # monotonic
        self.latest = 0
        """What `at` has returned last: for threads."""

    def at(self, now: Instant) -> int:
        """Milliseconds since 1970: the time by which things may be deleted."""
        self.latest = self._judge(now)
        return self.latest

    def _judge(self, now: Instant) -> int:
        known = self._known
        if known is None:
            self._known = now
            return now.wall
        expected = known.wall + now.monotonic - known.monotonic
        ahead = now.wall - expected
        if ahead <= TOLERANCE_MS:
            if self._held_since is not None:
                self._report("the clock has been put right: nothing was deleted meanwhile", -ahead)
            elif ahead < -TOLERANCE_MS:
                self._report("the clock has gone back", ahead)
        elif self._held_since is None:
            self._held_since = now.monotonic
            self._report("the clock has jumped ahead: nothing is deleted by the new time for an hour", ahead)
            return expected
        elif now.monotonic - self._held_since < HELD_MS:
            return expected
        else:
            self._report("the clock's new time is believed: what is too old by it is deleted", ahead)
        self._held_since = None
        self._known = now
        return now.wall

    def _report(self, event: str, millis: int) -> None:
        if self._reports:
            get_logger("storage").error(event, seconds=abs(millis) // 1000)
