"""Segments whose first batch has no timestamp (-1): they are rolled by the time of day, as Kafka rolls them.

A Kafka was asked, with `segment.ms` of 1 s and `retention.ms` of 3 s and a record a second: of records without
timestamps the log's start follows at the same distance as of others, also if only the first one of a segment has none.
With `max.compaction.lag.ms` of 2 s a segment begins every 2 s; those without any timestamp are never overdue by that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage.local.partition_log import LocalLog
from storage.testing.log_builder import EPOCH_MS, batch
from storage.tests.local.local_lab import Place, append, log_of

SECOND = 1000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A data directory whose clock says EPOCH_MS."""
    place = Place(tmp_path / "data")
    assert place.clock.wall_millis() == EPOCH_MS
    return place


async def one_a_second(place: Place, log: LocalLog, timestamps: Sequence[int | None]) -> list[int]:
    """Append a record every second, with the clock's time where there is None; the segments' base offsets."""
    for timestamp in timestamps:
        place.clock.advance(SECOND)
        await append(log, batch(b"x", timestamps=[place.clock.wall_millis() if timestamp is None else timestamp]))
    return bases(log)


def bases(log: LocalLog) -> list[int]:
    assert log.opened is not None
    return [segment.base_offset for segment in log.opened.segments]


def last_written(place: Place, log: LocalLog, millis: int) -> None:
    """Let the file that is written have been written last at that time."""
    os.utime(place.file(".log", offset=bases(log)[-1]), (millis / SECOND,) * 2)


@pytest.mark.parametrize(
    ("timestamps", "settings", "expected"),
    [
        ([-1] * 7, {"segment_ms": 2 * SECOND}, [0, 3, 6]),
        ([-1, None, None, None, None, None, None], {"segment_ms": 2 * SECOND}, [0, 3, 6]),
        ([None] * 7, {"segment_ms": 2 * SECOND}, [0, 3, 6]),
        ([None, -1, -1, -1, -1, None], {"segment_ms": 2 * SECOND}, [0, 5]),
        ([0, None, None], {"segment_ms": 2 * SECOND}, [0, 1]),
        ([-1] * 7, {"compact": True, "max_compaction_lag_ms": 2 * SECOND}, [0, 3, 6]),
        ([-1] * 7, {"compact": False, "max_compaction_lag_ms": 2 * SECOND}, [0]),
        ([-1] * 7, {"segment_ms": 2 * SECOND, "segment_jitter_ms": 2 * SECOND}, None),
    ],
    ids=["none", "not the first", "all", "only the first", "1970", "compacted", "not compacted", "with jitter"],
)
async def test_the_time_of_day_rolls_what_has_no_time(
    place: Place, timestamps: list[int | None], settings: dict[str, Any], expected: list[int] | None
) -> None:
    """When the segment's first batch has no timestamp; else timestamps do, and one without is older than any."""
    async with place.open() as store:
        found = await one_a_second(place, log_of(store, **settings), timestamps)
        assert found == expected or (expected is None and 3 <= len(found) <= 7)


@pytest.mark.parametrize("killed", [False, True])
async def test_after_a_restart_the_file_says_how_old_it_is(place: Place, killed: bool) -> None:
    """It was made no later than it was written."""
    async with place.open() as store:
        log = log_of(store, segment_ms=10 * SECOND)
        assert await one_a_second(place, log, [-1] * 3) == [0]
        last_written(place, log, place.clock.wall_millis())
        left = place.as_killed() if killed else place
    os.utime(left.file(".log"), (place.clock.wall_millis() / SECOND,) * 2)
    left.clock.jump(place.clock.wall_millis() - left.clock.wall_millis())
    async with left.open() as store:
        log = log_of(store, segment_ms=10 * SECOND)
        left.clock.advance(8 * SECOND)
        assert log.log_end_offset == 3
        assert await one_a_second(left, log, [-1] * 4) == [0, 5]


async def test_what_has_no_time_expires(place: Place) -> None:
    """The log's start follows while records come in: it had stayed at 0 until the segment was full."""
    async with place.open() as store:
        log = log_of(store, segment_ms=SECOND, retention_ms=3 * SECOND)
        starts = []
        for _ in range(12):
            await one_a_second(place, log, [-1])
            last_written(place, log, place.clock.wall_millis())
            await store.expiry.apply()
            starts.append(log.log_start_offset)
        assert starts == [0, 0, 0, 0, 0, 2, 2, 4, 4, 6, 6, 8]


async def test_what_has_no_time_is_compacted(place: Place) -> None:
    """Once a segment is rolled it can be cleaned; only by `max.compaction.lag.ms` none is ever overdue."""
    async with place.open() as store:
        log = log_of(store, compact=True, delete=False, segment_ms=SECOND, min_cleanable_dirty_ratio=0.01)
        lagging = log_of(
            store, "lagging", compact=True, delete=False, max_compaction_lag_ms=SECOND, min_cleanable_dirty_ratio=1.0
        )
        for number in range(6):
            place.clock.advance(SECOND)
            for face in (log, lagging):
                await append(face, batch(b"%d" % number, timestamps=[-1]))
        assert bases(log) == bases(lagging) == [0, 2, 4]
        assert await store.cleaner.clean_due() == 1
        assert store.data.clean_offsets == {("orders", 0): 4}
