"""Retention by time and by size: whole segments, oldest first, and no more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.log_config import NEVER, LogConfig
from storage.retention import SegmentAge, Verdict, judge

NOW = 1_000_000


def judged(segments: list[tuple[int, int]], **settings: int | bool) -> Verdict:
    """The verdict on segments of (size, age in ms)."""
    ages = [SegmentAge(size, NOW - age) for size, age in segments]
    config = replace(LogConfig(retention_ms=-1), **settings)  # type: ignore[arg-type]
    return judge(ages, sum(size for size, _ in segments), config, NOW)


def test_without_limits_everything_stays() -> None:
    """-1 for both, or a policy without delete."""
    assert judged([(10, 9999), (10, 0)]) == (0, NEVER)
    assert judged([(10, 9999), (10, 0)], retention_ms=1, retention_bytes=1, delete=False) == (0, NEVER)


def test_by_time() -> None:
    """A segment goes when its newest record is older than the limit; the next question is due when another may be."""
    assert judged([(10, 300), (10, 201), (10, 200), (10, 0)], retention_ms=200) == (2, NOW + 1)
    assert judged([(10, 100), (10, 0)], retention_ms=200) == (0, NOW + 101)
    assert judged([(10, 300)], retention_ms=200) == (1, NEVER)


def test_a_younger_segment_protects_older_ones_behind_it() -> None:
    """A log loses its beginning, never its middle."""
    assert judged([(10, 300), (10, 50), (10, 300)], retention_ms=200) == (1, NOW + 151)


def test_timestamps_ahead_of_the_clock() -> None:
    """They keep their segment."""
    assert judged([(10, -500), (10, 300)], retention_ms=200).expired == 0


def test_by_size() -> None:
    """A segment goes if what remains without it is still at least the limit."""
    assert judged([(10, 0), (10, 0), (10, 0)], retention_bytes=20).expired == 1
    assert judged([(10, 0), (10, 0), (10, 0)], retention_bytes=21).expired == 0
    assert judged([(10, 0), (10, 0), (10, 0)], retention_bytes=0).expired == 3
    assert judged([(30, 0), (1, 0)], retention_bytes=20).expired == 0


def test_either_limit_is_enough() -> None:
    """By size first, then by age: both work from the old end."""
    assert judged([(10, 50), (10, 300), (10, 0)], retention_bytes=20, retention_ms=200).expired == 2


def test_an_empty_last_segment_stays() -> None:
    """A log always has a segment to write."""
    assert judged([(10, 300), (0, 300)], retention_ms=200) == (1, NEVER)
    assert judged([(0, 300)], retention_ms=0, retention_bytes=0) == (0, NEVER)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(-100, 1000)), max_size=8),
    st.integers(-1, 1000),
    st.integers(-1, 300),
)
def test_what_goes_may_go(segments: list[tuple[int, int]], retention_ms: int, retention_bytes: int) -> None:
    """Every expired segment breaks a limit, the first that stays breaks none."""
    expired = judged(segments, retention_ms=retention_ms, retention_bytes=retention_bytes).expired
    for index, (size, age) in enumerate(segments[: expired + 1]):
        rest = sum(size for size, _ in segments[index:]) - size
        breaks = 0 <= retention_ms < age or 0 <= retention_bytes <= rest
        assert breaks == (index < expired)


@pytest.mark.parametrize("retention_ms", [0, 1, 1000])
def test_asking_again_in_time(retention_ms: int) -> None:
    """At the moment named, and not before, the verdict is another."""
    config = LogConfig(retention_ms=retention_ms)
    segments = [SegmentAge(10, NOW)]
    again = judge(segments, 10, config, NOW).ask_again
    assert judge(segments, 10, config, again - 1).expired == 0
    assert judge(segments, 10, config, again).expired == 1
