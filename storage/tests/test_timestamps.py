"""Finding records by time inside one batch."""

from __future__ import annotations

from storage.testing.log_builder import batch, joined, unreadable_batch
from storage.timestamps import first_record_at, latest_record, opened

UNORDERED = joined([batch(*[b"x"] * 4, timestamps=[20, 10, 30, 30])], base_offset=100, leader_epoch=3)


def test_the_first_record_by_offset() -> None:
    """Not the earliest in time: the first in the log that is late enough."""
    assert first_record_at(*opened(UNORDERED), 5, 0).found == (20, 100, 3)
    assert first_record_at(*opened(UNORDERED), 10, 101).found == (10, 101, 3)
    assert first_record_at(*opened(UNORDERED), 21, 0).found == (30, 102, 3)
    assert first_record_at(*opened(UNORDERED), 31, 0).found is None


def test_the_latest_record() -> None:
    """The first of those with the largest timestamp."""
    assert latest_record(*opened(UNORDERED), 0) == (30, 102, 3)
    assert latest_record(*opened(UNORDERED), 103) == (30, 103, 3)


def test_records_before_the_start_of_the_log() -> None:
    """They are gone, though their batch is still there."""
    assert first_record_at(*opened(UNORDERED), 0, 104).found is None
    assert latest_record(*opened(UNORDERED), 104) is None


def test_unreadable_records() -> None:
    """The start of the batch, or of the log if that is later, stands for a record that cannot be found."""
    damaged = joined([unreadable_batch(500)], base_offset=7)
    assert first_record_at(*opened(damaged), 400, 0).found == (500, 7, 0)
    assert first_record_at(*opened(damaged), 501, 0).found is None
    assert latest_record(*opened(damaged), 0) == (500, 7, 0)
