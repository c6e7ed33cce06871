"""Work that may take so many bytes per second."""

from __future__ import annotations

import pytest

from storage.seams import pacing
from storage.seams.pacing import Pace


class Time:
    """A clock that moves by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """What the pace takes for the time."""
    time = Time()
    monkeypatch.setattr(pacing, "time", time)
    return time


def test_a_rate_is_kept(time: Time) -> None:
    """However the bytes are cut, small waits put together."""
    pace = Pace(1000)
    for _ in range(5000):
        pace.spend(2)
    assert time.now == pytest.approx(110, abs=0.02)
    assert min(time.slept) >= pacing.LEAST_WAIT


def test_a_pause_is_not_made_up_for(time: Time) -> None:
    """There is no burst after idle time."""
    pace = Pace(1000)
    pace.spend(100)
    time.now += 60
    pace.spend(500)
    assert time.slept[-1] == pytest.approx(0.5)


def test_without_a_limit_there_is_no_wait(time: Time) -> None:
    """Kafka's default is the largest double."""
    for rate in (float("inf"), 1.7976931348623157e308):
        Pace(rate).spend(1 << 60)
    assert time.slept == []
