"""Files are counted as long as they are open, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.local.descriptors import Descriptors
from storage.testing.log_builder import batch
from storage.tests.local.local_lab import Place, append, log_of


class Held:
    """A file that is given up when it may be."""

    def __init__(self, needed: bool = False) -> None:
        self.used = False
        self.needed = needed
        self.released = 0

    def was_used(self) -> bool:
        used, self.used = self.used, False
        return used

    def release(self) -> bool:
        self.released += not self.needed
        return not self.needed


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


def test_a_file_that_is_opened_again_counts_once() -> None:
    """A holder that gave up its file and opens it again is not two."""
    descriptors, first, second = Descriptors(1), Held(), Held(needed=True)
    for holder in (first, second, second, first, second):
        descriptors.opened(holder)
    assert len(descriptors) == 2
    descriptors.trim()
    assert (len(descriptors), first.released, second.released) == (1, 1, 0)
    descriptors.forget(second)
    descriptors.forget(second)
    assert len(descriptors) == 0


async def test_a_recovery_leaves_no_file_open(place: Place) -> None:
    """The segments that a start has read through are not among those that hold a file, nor are they kept in memory."""
    async with place.open() as store:
        for partition in range(20):
            await append(log_of(store, partition=partition), batch(b"a record"))
        killed = place.as_killed()
    async with killed.open() as store:
        assert len(store.descriptors) == 0
        log = log_of(store, partition=3)
        await append(log, batch(b"another"))
        assert len(store.descriptors) == 1
