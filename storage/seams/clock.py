"""The door to time.

Two clocks, because they answer two questions. *Wall* time (milliseconds since 1970) is what records, retention and log
lines carry; it may jump, so nothing that must not break is measured with it. *Monotonic* time (milliseconds since some
start) is for deadlines: sessions, long polls, time-outs. An `Instant` is both, read together: pure code takes one as an
argument and never asks for the time itself.

`SystemClock` reads trio's clock for monotonic time, so that a test under `trio.testing.MockClock` moves the deadlines
of the broker together with its sleeps.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple, Protocol

import trio


class Instant(NamedTuple):
    """One reading of both clocks, in milliseconds."""

    wall: int
    monotonic: int


class Clock(Protocol):
    """What the broker asks for the time."""

    def wall_millis(self) -> int:
        """Milliseconds since 1970-01-01 UTC. May jump."""
        ...

    def monotonic_millis(self) -> int:
        """Milliseconds since an arbitrary start. Never goes back."""
        ...

    def now(self) -> Instant:
        """Both, read together."""
        ...


class SystemClock:
    """The machine's time. Must be used inside `trio.run` (monotonic time is trio's)."""

    def wall_millis(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_millis(self) -> int:
        return int(trio.current_time() * 1000)

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000, int(trio.current_time() * 1000))


AHEAD_FILE: Final = "ottla-clock"
"""Beside the data: the milliseconds by which an `AdvancingClock` is ahead, in decimal digits."""


class AdvancingClock:
    """Another clock, and ahead of it by as much as it was advanced: the time of a broker's state, on command.

    Both times go forward together, so nothing that compares them sees a clock that was set. Tasks that sleep by trio's
    clock are not woken: what advances this one says so to what waits for it (`broker/control/passing_time.py`).
    """

    def __init__(self, world: Clock, ahead: int = 0) -> None:
        self._world = world
        self.ahead = ahead
        """Milliseconds."""

    def wall_millis(self) -> int:
        return self._world.wall_millis() + self.ahead

    def monotonic_millis(self) -> int:
        return self._world.monotonic_millis() + self.ahead

    def now(self) -> Instant:
        wall, monotonic = self._world.now()
        return Instant(wall + self.ahead, monotonic + self.ahead)

    def advance(self, millis: int) -> None:
        """Move forward; never back."""
        assert millis >= 0, "time does not go back"
        self.ahead += millis

    def begin_again(self) -> None:
        """Show the world's time: for a state in which nothing has happened yet, whose parts are all new."""
        self.ahead = 0


class VirtualClock:
    """A clock that only `advance` and `jump` move; `jump` alone tears wall and monotonic time apart."""

    def __init__(self, wall: int = 1_700_000_000_000, monotonic: int = 0) -> None:
        self._wall = wall
        self._monotonic = monotonic

    def wall_millis(self) -> int:
        return self._wall

    def monotonic_millis(self) -> int:
        return self._monotonic

    def now(self) -> Instant:
        return Instant(self._wall, self._monotonic)

    def advance(self, millis: int) -> None:
        """Let `millis` pass."""
        assert millis >= 0, "time does not go back; use jump() for a wall clock that does"
        self._wall += millis
        self._monotonic += millis

    def jump(self, millis: int) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; deadlines do not move."""
        self._wall += millis
