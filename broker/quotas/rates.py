"""How much there was of something lately, as Kafka measures it. Pure: the time is an argument, in milliseconds.

**Rate.** What is recorded falls into samples of `Windows.millis` each. A sample begins with the first record that comes
when the one before is full, so there are none for quiet times, and it counts until `Windows.number` times as long has
passed since its last record. The rate is the sum of all samples divided by the time since the oldest of them began, and
that time is taken as `number - 1` windows at least: what comes in the first moment is spread over the whole measure. A
client may so take `number - 1` windows' worth at once, and is then held back until the average is right again.

    too much by:   rate / limit - 1, times the time that it was measured over: so long is waited

**Token bucket** (KIP-599), for what comes in lumps. It holds `number` windows' worth, is full at first, and fills up at
the limit. A client that finds something in it may take what it wants, and leave a debt; one that finds a debt waits
until that is paid.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Windows(NamedTuple):
    """`quota.window.num` and `quota.window.size.seconds` (here in milliseconds)."""

    number: int
    millis: int


class _Sample:
    __slots__ = ("last", "start", "value")

    def __init__(self, now: int, value: float) -> None:
        self.start = self.last = now
        self.value = value


class Rate:
    """Something a second."""

    __slots__ = ("_samples", "_total", "_windows")

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._samples: deque[_Sample] = deque()
        self._total = 0.0

    def record(self, value: float, now: int) -> None:
        """Count `value`, which may be negative: something was counted that did not happen after all."""
        self._forget(now)
        samples = self._samples
        if samples and now - samples[-1].start < self._windows.millis:
            samples[-1].value += value
            samples[-1].last = now
        else:
            samples.append(_Sample(now, value))
        self._total += value

    def measure(self, now: int) -> tuple[float, int]:
        """(how much a second, over how many milliseconds)."""
        self._forget(now)
        number, millis = self._windows
        elapsed = now - self._samples[0].start if self._samples else 0
        elapsed += max(0, number - 1 - elapsed // millis) * millis
        elapsed = max(elapsed, 1)
        return self._total * 1000 / elapsed, elapsed

    def delay(self, limit: float, now: int) -> int:
        """Milliseconds to wait until the rate is no more than `limit`; 0 if it is not."""
        rate, elapsed = self.measure(now)
        return round((rate - limit) / limit * elapsed) if rate > limit else 0

    def _forget(self, now: int) -> None:
        samples, oldest = self._samples, now - self._windows.number * self._windows.millis
        while samples and samples[0].last <= oldest:
            self._total -= samples.popleft().value
        if not samples:
            self._total = 0.0  # sums of floats do not come out even


class TokenBucket:
    """What may be taken, at a limit that may change from one call to the next."""

    __slots__ = ("_filled_at", "_tokens", "_windows")

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._tokens: float | None = None  # full, whatever that is
        self._filled_at = 0

    def take(self, value: float, limit: float, now: int) -> None:
        """Take `value`, there or not."""
        self._tokens = self.tokens(limit, now) - value

    def tokens(self, limit: float, now: int) -> float:
        """What is in it; negative for a debt."""
        most = self._windows.number * self._windows.millis / 1000 * limit
        tokens = most if self._tokens is None else self._tokens + limit * (now - self._filled_at) / 1000
        self._tokens, self._filled_at = min(most, tokens), now
        return self._tokens

    def delay(self, limit: float, now: int) -> int:
        """Milliseconds until the debt is paid; 0 if there is none."""
        return max(0, round(-self.tokens(limit, now) / limit * 1000))
