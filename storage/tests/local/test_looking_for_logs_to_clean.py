"""How the cleaner finds what is due, among all the logs of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from storage.seams import slices
from storage.testing.log_builder import spec
from storage.tests.local.local_lab import Place


async def test_the_search_for_logs_to_clean_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster may have a hundred thousand logs, of which every one is looked at: clients are served in between."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)
    specs = [spec("t", number) for number in range(20)]
    turns = 0

    async def client() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with Place(tmp_path / "data").open() as store, trio.open_nursery() as nursery:
        nursery.start_soon(client)
        assert await store.cleaner.clean_due(lambda: specs) == 0
        nursery.cancel_scope.cancel()
    assert turns >= len(specs)
