"""Compaction on disk: the newest value of each key stays at its offset, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kproto.batches.records import RecordData, build_batch, iter_records
from storage.engine import Batch
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.local.tests.local_lab import Place, append, log_of, read_all
from storage.testing.log_builder import EPOCH_MS, as_batch, whole_batches

DAY = 24 * 3600 * 1000
SETTINGS: dict[str, Any] = {"compact": True, "delete": False, "segment_bytes": 400, "min_cleanable_dirty_ratio": 0.01}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory; its clock shows EPOCH_MS."""
    return Place(tmp_path / "data")


def keyed(*records: tuple[bytes | None, bytes | None], **fields: Any) -> Batch:
    """A batch of these keys and values."""
    made = [RecordData(timestamp=EPOCH_MS, key=key, value=value) for key, value in records]
    return as_batch(build_batch(made, **fields))


async def contents(store: LocalStore, log: LocalLog) -> list[tuple[int, bytes | None, bytes | None]]:
    """(offset, key, value) of every record."""
    data = await read_all(store, log)
    return [
        (record.offset, record.key, record.value)
        for header, whole in whole_batches(data)
        if not header.is_control
        for record in iter_records(whole)
    ]


async def test_the_newest_value_of_each_key_stays(place: Place) -> None:
    """Older ones go, offsets do not change, the segment being written is not touched; so after a restart."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        for number in range(20):
            await append(log, keyed((b"%d" % (number % 3), b"value %d" % number + b"x" * 100)))
        assert len(log.open().segments) > 5
        active = log.open().segments[-1].base_offset
        assert await store.cleaner.clean_due() == 1
        found = await contents(store, log)
        expected = [
            (number, b"%d" % (number % 3), b"value %d" % number + b"x" * 100)
            for number in range(20)
            if number >= active or number + 3 >= active
        ]
        assert found == expected
        assert await store.cleaner.clean_due() == 0
        killed = place.as_killed()
    for directory in (place, killed):
        async with directory.open() as store:
            log = log_of(store, **SETTINGS)
            assert await contents(store, log) == expected
            assert store.data.clean_offsets == {("orders", 0): active}
