"""A segment that is written no more is synced soon, waited for or not: found by power cuts between two segments."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from storage.local.upkeep import CHECKPOINT_INTERVAL
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import batches
from storage.tests.local.local_lab import Place, log_of


async def test_a_roll_is_synced_at_once(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """acks=1 data stayed unsynced over many segments; after a power cut a later one could be there without the end of
    an earlier one, and the log was damaged."""
    place = Place(tmp_path / "data")
    disk = FaultyDisk(place.store().volume.disk)
    async with place.open(disk) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store, segment_bytes=1000)
        for part in batches(3, size=200):
            log.begin_append([part])
        await trio.sleep(1)
        assert log.opened is not None
        assert (len(log.opened.segments), log.opened.synced_end) == (1, 0), "no caller has waited for it"
        log.begin_append(batches(1, size=200))
        await trio.sleep(1)
        assert (len(log.opened.segments), log.opened.synced_end) == (2, 4)
        assert trio.current_time() < CHECKPOINT_INTERVAL
        nursery.cancel_scope.cancel()
