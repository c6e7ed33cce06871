"""Producers' snapshots at rolls: no more bytes of them than of batches, and no producer forgotten for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import ScriptedProducer, batch
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of

PRODUCERS = 300


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


def snapshot_bytes(place: Place) -> int:
    """Bytes of all snapshots of the log."""
    return sum(path.stat().st_size for path in place.path.glob("orders-0/*.snapshot"))


async def test_snapshots_take_no_more_room_than_batches(place: Place) -> None:
    """Hundreds of producers, then hundreds of segments of one record: a handful of snapshots. After a kill every
    producer is known."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=100_000)
        producers = [ScriptedProducer(number + 1) for number in range(PRODUCERS)]
        for producer in producers:
            await append(log, producer.batch(b"x"))
        log.configure(log_of(store, "other", segment_bytes=80).spec.config)
        for _ in range(400):
            await append(log, batch(b"x"))
        assert len(log.open().segments) > 390
        assert snapshot_bytes(place) < 2 * log.statistics().size + 50 * PRODUCERS
        killed = place.as_killed()
    async with killed.open() as store:
        log = log_of(store)
        known = {each.producer_id for each in await log.producers()}
        assert known == {producer.producer_id for producer in producers}
        assert log.begin_append([producers[7].repeat()]).duplicate


async def test_few_producers_have_a_snapshot_at_each_roll(place: Place) -> None:
    """As in Kafka, where a segment holds more than the snapshot takes."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=700)
        producer = ScriptedProducer(1)
        for _ in range(40):
            await append(log, producer.batch(b"x" * 100))
        assert len(place.names()) > 10
        rolled = log.open().layout[0][1:]
        assert {int(path.stem) for path in place.path.glob("orders-0/*.snapshot")} == set(rolled)


async def test_a_producer_outlives_its_segments(place: Place) -> None:
    """Its batches are deleted, with nothing behind them that was worth a snapshot: it is known after a kill."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=100_000)
        producers = [ScriptedProducer(number + 1) for number in range(PRODUCERS)]
        for producer in producers:
            await append(log, producer.batch(b"x"))
        log.configure(log_of(store, "other", segment_bytes=80).spec.config)
        for _ in range(3):
            await append(log, batch(b"x"))
        await log.delete_before(log.log_end_offset - 1)
        killed = place.as_killed()
    async with killed.open() as store:
        log = log_of(store)
        assert {each.producer_id for each in await log.producers()} == {producer.producer_id for producer in producers}


async def test_a_roll_writes_no_snapshot_that_is_larger_than_the_log(place: Place) -> None:
    """What the event loop writes at rolls is in proportion to what is appended."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, segment_bytes=80)
        for number in range(PRODUCERS):
            await append(log, ScriptedProducer(number + 1).batch(b"x"))
        written = [path for what, path in disk.trace if what == "write_file" and path.endswith(".snapshot")]
        assert len(written) < 20
