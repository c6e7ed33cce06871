"""A clock that jumps deletes nothing, for an hour, and is reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest

from storage.elapsed import HELD_MS, TOLERANCE_MS, ElapsedTime
from storage.seams.clock import VirtualClock
from storage.seams.logging import process_lines

DAY = 24 * 3600 * 1000
MINUTE = 60_000


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What is logged."""
    stream = StringIO()
    process_lines().configure(form="json", stream=stream)
    yield stream
    process_lines().configure()


def words(lines: StringIO) -> list[str]:
    """The beginnings of the events logged."""
    return [json.loads(line)["event"].split(":")[0] for line in lines.getvalue().splitlines()]


def test_time_that_passes_is_time(lines: StringIO) -> None:
    """However much passes between two looks; and small corrections are nothing to talk about."""
    clock = VirtualClock()
    time = ElapsedTime()
    for passed in (0, MINUTE, 30 * DAY):
        clock.advance(passed)
        assert time.at(clock.now()) == clock.wall_millis()
    clock.jump(TOLERANCE_MS)
    assert time.at(clock.now()) == clock.wall_millis()
    assert words(lines) == []


def test_a_jump_is_held_back_for_an_hour(lines: StringIO) -> None:
    """Time goes on as before, then the new one is believed."""
    clock = VirtualClock()
    time = ElapsedTime()
    before = time.at(clock.now())
    clock.jump(3 * DAY)
    assert time.at(clock.now()) == before
    assert words(lines) == ["the clock has jumped ahead"]
    clock.advance(HELD_MS - 1)
    assert time.at(clock.now()) == before + HELD_MS - 1
    clock.advance(1)
    assert time.at(clock.now()) == clock.wall_millis()
    assert words(lines) == ["the clock has jumped ahead", "the clock's new time is believed"]


def test_a_jump_that_is_taken_back_was_nothing(lines: StringIO) -> None:
    """The clock may be put right meanwhile, and jump again."""
    clock = VirtualClock()
    time = ElapsedTime()
    time.at(clock.now())
    for _ in range(2):
        clock.jump(3 * DAY)
        clock.advance(MINUTE)
        assert time.at(clock.now()) == clock.wall_millis() - 3 * DAY
        clock.jump(-3 * DAY)
        assert time.at(clock.now()) == clock.wall_millis()
    assert words(lines) == ["the clock has jumped ahead", "the clock has been put right"] * 2


def test_a_clock_that_goes_back_is_believed(lines: StringIO) -> None:
    """It deletes nothing."""
    clock = VirtualClock()
    time = ElapsedTime()
    time.at(clock.now())
    clock.jump(-DAY)
    assert time.at(clock.now()) == clock.wall_millis()
    assert words(lines) == ["the clock has gone back"]
