"""A deleted `leader-epoch-checkpoint` is there again after the next opening: found by deleting every file in turn."""

from __future__ import annotations

from pathlib import Path

from storage.testing.log_builder import batch
from storage.tests.local.local_lab import Place, append, log_of


async def test_a_deleted_epoch_file_is_rebuilt(tmp_path: Path) -> None:
    """It was read from the batches, and not written down again: with each start all of the log was looked through."""
    place = Place(tmp_path / "data")
    async with place.open() as store:
        await append(log_of(store), batch(b"a"))
    path = place.path / "orders-0" / "leader-epoch-checkpoint"
    written = path.read_bytes()
    path.unlink()
    async with place.open() as store:
        assert log_of(store).log_end_offset == 1
    assert path.read_bytes() == written
