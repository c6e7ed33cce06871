"""Finding records by time inside one batch."""

from __future__ import annotations

from storage.testing.log_builder import batch, joined, unreadable_batch
from storage.timestamps import first_record_at, latest_record

UNORDERED = joined([batch(*[b"x"] * 4, timestamps=[20, 10, 30, 30])], base_offset=100, leader_epoch=3)


def test_the_first_record_by_offset() -> None:
    """Not the earliest in time: the first in the log that is late enough."""
    assert first_record_at(UNORDERED, 5, 0) == (20, 100, 3)
    assert first_record_at(UNORDERED, 10, 101) == (10, 101, 3)
    assert first_record_at(UNORDERED, 21, 0) == (30, 102, 3)
    assert first_record_at(UNORDERED, 31, 0) is None


def test_the_latest_record() -> None:
    """The first of those with the largest timestamp."""
    assert latest_record(UNORDERED, 0) == (30, 102, 3)
    assert latest_record(UNORDERED, 103) == (30, 103, 3)


def test_records_before_the_start_of_the_log() -> None:
    """They are gone, though their batch is still there."""
    assert first_record_at(UNORDERED, 0, 104) is None
    assert latest_record(UNORDERED, 104) is None


def test_unreadable_records() -> None:
    """The start of the batch, or of the log if that is later, stands for a record that cannot be found."""
    damaged = joined([unreadable_batch(500)], base_offset=7)
    assert first_record_at(damaged, 400, 0) == (500, 7, 0)
    assert first_record_at(damaged, 501, 0) is None
    assert latest_record(damaged, 0) == (500, 7, 0)
