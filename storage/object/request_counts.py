"""Requests to a server that brokers share, counted by kind: how often, how much, how fast.

The bucket and the database count with this. Times are of trio's clock, so a simulated server measures virtual time.
The median and the slowest are those of the latest `REMEMBERED` requests of a kind, failed ones too: what an operator
sees is how the server is now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from storage.statistics import RequestStatistics

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


class RequestCounts:
    """The requests to one server, of these `kinds`. `failures` are the errors that count; of these, `answers` do not:
    that there is no such object is an answer."""

    __slots__ = ("_answers", "_failures", "_kinds", "last_error")

    def __init__(
        self, *kinds: str, failures: type[Exception], answers: type[Exception] | tuple[type[Exception], ...] = ()
    ) -> None:
        self.last_error = ""
        self._kinds = {kind: _Kind() for kind in kinds}
        self._failures = failures
        self._answers = answers

    @contextmanager
    def counted(self, kind: str, size: int = 0) -> Iterator[None]:
        """Count what the block does as one request of this kind, for `size` bytes."""
        began = trio.current_time()
        counts = self._kinds[kind]
        try:
            yield
        except self._failures as error:
            if isinstance(error, self._answers):
                counts.took(trio.current_time() - began, 0)
            else:
                counts.went_wrong(trio.current_time() - began)
                self.last_error = str(error)
            raise
        counts.took(trio.current_time() - began, size)

    def of(self, kind: str) -> RequestStatistics:
        """What there was of this kind."""
        counts = self._kinds[kind]
        latest = sorted(counts.latest) or [0.0]
        return RequestStatistics(
            counts.done,
            counts.failed,
            counts.bytes,
            counts.seconds,
            latest[len(latest) // 2] * 1000,
            latest[-1] * 1000,
        )
