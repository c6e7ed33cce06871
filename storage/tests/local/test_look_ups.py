"""Look-ups by time: a header that promises later records than its batch has costs one walk, and no wrong answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec
from kproto.batches.header import ATTRIBUTES_OFFSET, CRC_OFFSET, MAX_TIMESTAMP_OFFSET, compute_crc
from storage.engine import Batch, TimestampOffset
from storage.local.partition_log import LocalLog
from storage.local.seen_times import MOST_STEPS, SeenTimes
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import as_batch, batch
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of

MAX_TIMESTAMP = slice(MAX_TIMESTAMP_OFFSET, MAX_TIMESTAMP_OFFSET + 8)
DATA = "/data"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


def promising(timestamps: Sequence[int], promise: int, compression: Codec = Codec.NONE) -> Batch:
    """A batch whose header promises a record as late as `promise`."""
    data = bytearray(batch(*[b"x"] * len(timestamps), timestamps=timestamps, compression=compression).data)
    data[MAX_TIMESTAMP] = promise.to_bytes(8, "big")
    data[CRC_OFFSET:ATTRIBUTES_OFFSET] = compute_crc(data, 0, len(data)).to_bytes(4, "big")
    return as_batch(data)


@pytest.mark.parametrize("compression", [Codec.NONE, Codec.ZSTD])
async def test_a_promise_is_followed_once(place: Place, compression: Codec) -> None:
    """The first look-up reads every batch that promises what is asked for; the second knows better."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        for number in range(50):
            await append(log, promising([number] * 10, 10_000, compression))
        read = []
        for timestamp in (5000, 5000, 9999, 50):
            before = disk.calls["read"]
            assert await log.offset_for_time(timestamp) is None
            read.append(disk.calls["read"] - before)
        assert read[0] >= 50
        assert max(read[1:]) <= 3
        await append(log, promising([7000] * 10, 10_000, compression))
        before = disk.calls["read"]
        assert await log.offset_for_time(5000) == TimestampOffset(7000, 500, 0)
        assert disk.calls["read"] - before <= 5, "only what has been appended since is looked at"


async def test_the_promise_of_the_latest_record_is_followed_once(place: Place) -> None:
    """So it is with the record that has the largest timestamp."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store)
        for number in range(50):
            await append(log, promising([number] * 10, 10_000 + number))
        read = []
        for _ in range(3):
            before = disk.calls["read"]
            assert await log.offset_of_max_timestamp() == TimestampOffset(49, 490, 0)
            read.append(disk.calls["read"] - before)
        assert read[0] >= 50
        assert max(read[1:]) <= 3


async def test_a_plain_batch_is_read_in_pieces(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large it is, a look-up holds a piece of it."""
    async with place.open() as store:
        log = log_of(store)
        await append(log, batch(*[b"x" * 10_000] * 100, timestamps=range(100)))
        assert log.opened is not None
        monkeypatch.setattr(type(log.opened.segments[0]), "read_batch", None)
        assert await log.offset_for_time(99) == TimestampOffset(99, 99, 0)
        assert await log.offset_of_max_timestamp() == TimestampOffset(99, 99, 0)


@st.composite
def written(draw: st.DrawFn) -> list[tuple[list[int], int]]:
    """Batches: the times of their records, and what their headers promise."""
    times = st.lists(st.integers(0, 20), min_size=1, max_size=6)
    return [(chosen, max(chosen) + draw(st.integers(0, 10))) for chosen in draw(st.lists(times, max_size=12))]


@settings(max_examples=60, deadline=None)
@given(written(), st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 10))
async def test_whatever_headers_promise_the_answer_is_that_of_the_records(
    batches: list[tuple[list[int], int]], asked: list[int], deleted: int
) -> None:
    """In any order of appends and look-ups, with segments that end anywhere and a start that moves."""
    disk = MemoryDisk()
    disk.make_directory(DATA)
    async with Place(Path(DATA)).open(disk) as store:
        log = log_of(store, segment_bytes=400)
        records: list[int] = []
        start = 0
        for number, (times, promise) in enumerate(batches):
            await append(log, promising(times, promise))
            records += times
            if number == len(batches) // 2:
                start = await log.delete_before(min(deleted, len(records)))
            await _asked(log, records, start, asked[number % len(asked)])
        for timestamp in asked:
            await _asked(log, records, start, timestamp)


async def _asked(log: LocalLog, records: list[int], start: int, timestamp: int) -> None:
    there = list(enumerate(records))[start:]
    first = next(((time, offset) for offset, time in there if time >= timestamp), None)
    found = await log.offset_for_time(timestamp)
    assert (found and found[:2]) == first
    latest = await log.offset_of_max_timestamp()
    best = max(there, key=lambda each: (each[1], -each[0]), default=None)
    assert (latest and latest[:2]) == (best and (best[1], best[0]))


def test_what_is_remembered_is_little() -> None:
    """A staircase of a few steps, each of which says something new; the farthest is kept."""
    seen = SeenTimes()
    for step in range(1000):
        seen.note_none(step * 100, step)
    assert seen.first_position(999) == (99_900, 999)
    assert seen.first_position(998)[1] <= 998
    assert len(seen._steps) <= MOST_STEPS
    seen.note_none(99_900, 5)  # as far, with a lower bound: all steps but the lowest are of no use
    assert seen.first_position(5) == (99_900, 5)
    assert len(seen._steps) <= 2
    seen.note_none(50_000, 7)
    assert seen.first_position(7) == (99_900, 5)
