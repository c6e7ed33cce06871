"""What a bucket has been asked for, counted: how often, how much, how fast. Every implementation counts with this.

Times are of trio's clock, so a simulated bucket measures virtual time. The median and the slowest are those of the
latest `REMEMBERED` requests of a kind, done or not: what an operator sees is how the store is now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from storage.object.bucket import BucketError, BucketStatistics, ObjectMissing, RequestStatistics

REMEMBERED: Final = 256
"""Requests of each kind whose times are kept."""


class _Kind:
    """One kind of request."""

    __slots__ = ("bytes", "done", "failed", "latest", "seconds")

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.bytes = 0
        self.seconds = 0.0
        self.latest: deque[float] = deque(maxlen=REMEMBERED)

    def took(self, seconds: float, size: int) -> None:
        self.done += 1
        self.bytes += size
        self.seconds += seconds
        self.latest.append(seconds)

    def went_wrong(self, seconds: float) -> None:
        self.failed += 1
        self.latest.append(seconds)

    def statistics(self) -> RequestStatistics:
        latest = sorted(self.latest) or [0.0]
        return RequestStatistics(
            self.done, self.failed, self.bytes, self.seconds, latest[len(latest) // 2] * 1000, latest[-1] * 1000
        )


class RequestCounts:
    """The requests of one bucket."""

    __slots__ = ("_kinds", "_last_error")

    def __init__(self) -> None:
        self._kinds = {kind: _Kind() for kind in ("put", "get", "list", "delete")}
        self._last_error = ""

    @contextmanager
    def counted(self, kind: str, size: int = 0) -> Iterator[None]:
        """Count what the block does as one request of this kind ("put", "get", "list", "delete") for `size` bytes.

        That there is no such object is an answer, and no failure.
        """
        began = trio.current_time()
        counts = self._kinds[kind]
        try:
            yield
        except ObjectMissing:
            counts.took(trio.current_time() - began, 0)
            raise
        except BucketError as error:
            counts.went_wrong(trio.current_time() - began)
            self._last_error = str(error)
            raise
        counts.took(trio.current_time() - began, size)

    def statistics(self) -> BucketStatistics:
        """All so far."""
        puts, gets, lists, deletes = (kind.statistics() for kind in self._kinds.values())
        return BucketStatistics(puts, gets, lists, deletes, self._last_error)
