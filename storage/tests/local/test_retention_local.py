"""Retention on disk: what has expired is gone from readers at once, from the disk later, and stays gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from kproto.errors import ErrorCode
from storage.seams import slices
from storage.store_settings import StoreSettings
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.lab import refused
from storage.testing.log_builder import EPOCH_MS, batch, spec
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, read_all, values_of

DAY = 24 * 3600 * 1000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory; its clock shows EPOCH_MS."""
    return Place(tmp_path / "data")


async def test_by_time(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """Segments older than `retention.ms` go when the upkeep next looks; deleted records are out of reach at once."""
    async with place.open(settings=StoreSettings(retention_check_ms=60_000)) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        log = log_of(store, segment_bytes=400, retention_ms=DAY, file_delete_delay_ms=120_000)
        for number in range(6):
            await append(log, batch(b"x" * 100, timestamps=[EPOCH_MS + number * 1000]))
        assert [segment.base_offset for segment in log.open().segments] == [0, 2, 4]
        place.clock.advance(DAY + 3001)
        await trio.sleep(61)
        assert (log.log_start_offset, log.log_end_offset) == (4, 6)
        with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
            await read_all(store, log, start=3)
        assert len(await values_of(store, log)) == 2
        assert place.file(".log.deleted", offset=2).exists()
        place.clock.advance(2000)
        await trio.sleep(200)
        assert not place.file(".log.deleted", offset=2).exists()
        assert (log.log_start_offset, log.log_end_offset) == (6, 6)
        assert await append(log, batch(b"new")) == 6
        nursery.cancel_scope.cancel()
    async with place.open() as store:
        assert (log_of(store).log_start_offset, log_of(store).log_end_offset) == (6, 7)


async def test_by_size(place: Place) -> None:
    """The oldest segments go as long as `retention.bytes` remain."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=400, retention_bytes=500)
        for _ in range(10):
            await append(log, batch(b"x" * 100))
        await store.expiry.apply()
        assert log.log_start_offset == 6
        assert 500 <= log.statistics().size < 900
        killed = place.as_killed()
    async with killed.open() as store:
        assert log_of(store).log_start_offset == 6


async def test_new_settings_count_at_once(place: Place) -> None:
    """A limit that is lowered applies to what is there; one that is lifted protects it."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=200)
        for _ in range(5):
            await append(log, batch(b"x" * 100))
        await store.expiry.apply()
        assert log.log_start_offset == 0
        log.configure(spec(retention_ms=1000).config)
        place.clock.advance(1001)
        await store.expiry.apply()
        assert log.log_start_offset == 5


async def test_a_topic_may_be_deleted_and_made_again_meanwhile(place: Place) -> None:
    """A round over many logs takes time, and a log on its list may be another topic's by then: that one is not
    opened by the old id, which would set its log aside."""
    old, new = spec("t", generation=1), spec("t", generation=2)
    async with place.open() as store:
        log = store.log(old)
        await append(log, batch(b"old"))
        await store.delete_logs([old])
        await store.create_logs([new])
        await append(store.log(new), batch(b"new"))
        logs = len(store.catalog)
        await store.expiry.apply(lambda: [old])
        assert len(store.catalog) == logs
        assert (place.path / "t-0").exists() and not list(place.path.glob("*-stray"))
        await store.delete_logs([new])
        await store.expiry.apply(lambda: [old, new])
        assert len(store.catalog) == logs - 1
        assert not (place.path / "t-0").exists()


async def test_no_log_is_opened_while_it_is_being_deleted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting many logs gives way, and retention may come to them: what it opened then would stay open for good."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)
    specs = [spec("t", number) for number in range(20)]
    async with place.open() as store, trio.open_nursery() as nursery:
        for each in specs:
            await append(store.log(each), batch(b"x"))
        nursery.start_soon(store.delete_logs, specs)
        for _ in range(30):
            store.schedule.expiry.clear()  # so that each is looked at
            await store.expiry.apply(lambda: specs)
    assert len(store.catalog) == 0
    assert not list(place.path.glob("t-*[0-9]"))


async def test_a_compacted_log_keeps_everything(place: Place) -> None:
    """Without `delete` among its policies nothing expires."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=200, retention_ms=1, retention_bytes=0, delete=False, compact=True)
        for _ in range(5):
            await append(log, batch(b"x" * 100))
        place.clock.advance(DAY)
        await store.expiry.apply()
        assert log.log_start_offset == 0


async def test_damaged_time_indexes_delete_nothing_early(place: Place) -> None:
    """Records decide what expires: a zeroed or foreign time index changes nothing."""
    for damage in (bytes(12), bytes(120), b"", b"\0" * 7 + b"\1" + b"\0" * 4):
        async with place.open() as store:
            log = log_of(store, "fresh", segment_bytes=400, retention_ms=DAY)
            while log.log_end_offset < 8:
                await append(log, batch(b"x" * 100, timestamps=[EPOCH_MS]))
        for index in (place.path / "fresh-0").glob("*.timeindex"):
            index.write_bytes(damage)
        for stop in (place, place.as_killed()):
            async with stop.open() as store:
                log = log_of(store, "fresh", segment_bytes=400, retention_ms=DAY)
                assert log.log_end_offset == 8
                await store.expiry.apply()
                assert log.log_start_offset == 0
    place.clock.advance(DAY + 1)
    async with place.open() as store:
        log = log_of(store, "fresh", segment_bytes=400, retention_ms=DAY)
        assert log.log_end_offset == 8
        await store.expiry.apply()
        assert log.log_start_offset == 8


async def test_records_without_timestamps(place: Place) -> None:
    """They are as old as their file."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=200, retention_ms=DAY)
        for _ in range(2):
            await append(log, batch(b"x" * 100, timestamps=[-1]))
        os.utime(place.file(".log"), (EPOCH_MS / 1000 - 2 * 86400,) * 2)
        os.utime(place.file(".log", offset=1), (EPOCH_MS / 1000,) * 2)
        await store.expiry.apply()
        assert log.log_start_offset == 1


async def test_logs_that_were_not_used(place: Place) -> None:
    """With the broker's list of logs, those expire too that were not touched since the start; each is asked once."""
    async with place.open() as store:
        for partition in range(3):
            await append(log_of(store, partition=partition), batch(b"x"))
    place.clock.advance(DAY)
    async with place.open() as store:
        await store.expiry.apply(lambda: [spec("orders", partition, retention_ms=1000) for partition in range(3)])
        for partition in range(3):
            assert log_of(store, partition=partition).log_start_offset == 1


async def test_unused_logs_are_not_kept_open(place: Place) -> None:
    """Retention opens a log for as long as it looks at it, and one without segments not at all."""
    async with place.open() as store:
        await store.create_logs([spec("empty", partition) for partition in range(20)])
        await append(log_of(store), batch(b"x"))
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        every = [spec("orders", 0, retention_ms=DAY), *[spec("empty", partition) for partition in range(20)]]
        await store.expiry.apply(lambda: every)
        assert [face for face in store.catalog if face.opened is not None] == []
        assert len(store.catalog) == 1
        asked = disk.calls["list_directory"]
        await store.expiry.apply(lambda: every)
        assert disk.calls["list_directory"] == asked, "nothing has changed, so nothing is asked again"
        await append(log_of(store, "empty", 3), batch(b"y"))
        place.clock.advance(DAY * 30)
        log_of(store, "empty", 3).configure(spec("empty", 3, retention_ms=DAY).config)
        await store.expiry.apply(lambda: [spec("empty", 3, retention_ms=DAY)])
        assert log_of(store, "empty", 3).log_start_offset == 1


async def test_a_clock_that_jumps_deletes_nothing(place: Place) -> None:
    """A clock that is days ahead for a while takes no segment with it; one that stays there does, an hour later."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=1, retention_ms=DAY)
        for timestamp in (0, 1, 2):
            await append(log, batch(b"x", timestamps=[EPOCH_MS + timestamp]))
        await store.expiry.apply()
        place.clock.jump(3 * DAY)
        await store.expiry.apply()
        assert log.log_start_offset == 0
        place.clock.jump(-3 * DAY)
        await store.expiry.apply()
        place.clock.jump(3 * DAY)
        await store.expiry.apply()
        assert log.log_start_offset == 0
        place.clock.advance(3_600_000)
        await store.expiry.apply()
        assert log.log_start_offset == 3
