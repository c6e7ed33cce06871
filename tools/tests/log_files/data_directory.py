"""A small sound data directory with a bit of everything, written by the local engine and stopped cleanly."""

from __future__ import annotations

from pathlib import Path

import trio

from kproto.batches.compression import Codec
from kproto.batches.records import RecordData, build_batch
from kproto.formats import cluster_metadata, consumer_offsets
from kproto.formats.cluster_metadata import ConfigRecord, TopicRecord
from kproto.formats.consumer_offsets import OffsetCommitKey, OffsetCommitValue
from kproto.ids import METADATA_TOPIC_ID
from storage.engine import LogSpec
from storage.log_config import LogConfig
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch, batch, spec
from storage.tests.local.local_lab import Place, append

SETTINGS = {"segment_bytes": 3000, "index_interval_bytes": 200}

BATCHES = 60
"""Batches in each of the two partitions of `orders`, before transactions."""


def write(path: Path) -> None:
    """Make the directory at `path`: orders-0, orders-1, deleted-0, and two internal topics."""
    trio.run(_write, Place(path))


async def _write(place: Place) -> None:
    async with place.open() as store:
        for partition in range(2):
            log = store.log(spec("orders", partition, **SETTINGS))
            producer = ScriptedProducer(100 + partition)
            for number in range(BATCHES // 2):
                await append(log, producer.batch(b"x" * 60, b"y" * number))
                await append(log, batch(b"z" * 80, timestamps=[EPOCH_MS + 10 * number], compression=number % 5))
            first, second = ScriptedProducer(7), ScriptedProducer(8)
            await append(log, first.batch(b"a", b"b", transactional=True))
            await append(log, second.batch(b"c", transactional=True))
            await append(log, first.marker(commit=False))
            await append(log, second.marker(commit=True))
            await append(log, second.batch(b"d", transactional=True))
            await append(log, second.marker(commit=False, coordinator_epoch=3))
        log = store.log(spec("deleted", **SETTINGS))
        for number in range(40):
            await append(log, batch(b"%d" % number * 40))
        await log.delete_before(33)
        offsets = store.log(LogSpec("__consumer_offsets", b"o" * 16, 0, LogConfig(compact=True)))
        key, value = consumer_offsets.encode_record(
            OffsetCommitKey(group="g", topic="orders", partition=1), OffsetCommitValue(offset=42, metadata="m")
        )
        records = [RecordData(timestamp=EPOCH_MS, key=key, value=value), RecordData(timestamp=EPOCH_MS, key=key)]
        await append(offsets, as_batch(build_batch(records, compression=Codec.GZIP)))
        metadata = store.log(LogSpec("__cluster_metadata", METADATA_TOPIC_ID, 0, LogConfig(delete=False)))
        values = [
            cluster_metadata.encode_record(record)
            for record in (
                TopicRecord(name="orders", topic_id=spec("orders").topic_id),
                TopicRecord(name="deleted", topic_id=spec("deleted").topic_id),
                TopicRecord(name="__consumer_offsets", topic_id=b"o" * 16),
                ConfigRecord(
                    resource_type=2, resource_name="__consumer_offsets", name="cleanup.policy", value="compact"
                ),
            )
        ]
        await append(metadata, batch(*values))
