"""The door to waiting on purpose: work in a thread or process of its own that must not take all of the disk.

    pace = Pace(50e6)
    ... pace.spend(len(data)) after each piece of work

`spend` returns when so many bytes are due at the rate given. What was not used is not saved up: a pause is followed by
no burst. The event loop must not wait like this; there the rate has to be infinite.
"""

from __future__ import annotations

import time
from typing import Final

LEAST_WAIT: Final = 0.005
"""Seconds: shorter waits are put together, as sleeping takes longer than that anyway."""


class Pace:
    """So many bytes per second, and no more."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._due: float | None = None

    def spend(self, count: int) -> None:
        """Wait until `count` bytes more are due."""
        if count / self._rate < 1e-12:
            return
        now = time.monotonic()
        self._due = max(self._due or now, now) + count / self._rate
        if self._due - now >= LEAST_WAIT:
            time.sleep(self._due - now)
