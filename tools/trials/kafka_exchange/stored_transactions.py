"""Transactions written by the storage itself, into the directory of a broker that is stopped and offers none.

A log can hold transactions whether or not the broker above it has a coordinator for them: batches of several producers
in turns, markers that commit and abort, an epoch that grows, one transaction that spans all others. So what the storage
makes of them (transaction index, producer snapshots, what readers of committed data are given) can be shown to Kafka.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import trio

from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch, build_end_txn_marker
from storage.engine import Batch, LogSpec
from storage.local import checkpoints, partition_metadata
from storage.local.engine import LocalStore
from storage.log_config import LogConfig
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import ThreadOffload
from tools.trials.kafka_exchange.load import BEGIN_MS, CODECS

TOPIC: Final = "transactions"
SEGMENT_BYTES: Final = 20_000
LONG: Final = 9000
FIRST: Final = 9001
PRODUCERS: Final = 3


def are_in(data: Path) -> bool:
    """Whether the topic has something in it already."""
    return any(path.stat().st_size for path in (data / f"{TOPIC}-0").glob("*.log"))


def write(data: Path, rounds: int) -> None:
    """Write `rounds` transactions of each producer. Raises StoreError, KafkaError."""
    trio.run(_write, data, rounds)


async def _write(data: Path, rounds: int) -> None:
    topic_id = partition_metadata.decode((data / f"{TOPIC}-0" / partition_metadata.NAME).read_bytes())
    assert topic_id is not None, "the broker has made the topic"
    identity = checkpoints.decode_meta_properties((data / checkpoints.META_PROPERTIES).read_bytes())
    store = LocalStore(
        str(data), node_id=identity.node_id, disk=SystemDisk(), clock=SystemClock(), entropy=SystemEntropy(),
        offload=ThreadOffload(),
    )  # fmt: skip
    await store.open()
    try:
        config = LogConfig(retention_ms=-1, segment_bytes=SEGMENT_BYTES, index_interval_bytes=1000)
        log = store.log(LogSpec(TOPIC, topic_id, 0, config))
        for batch in batches(rounds):
            append = log.begin_append([batch])
        await append.wait_durable()
    finally:
        await store.close()


def batches(rounds: int) -> list[Batch]:
    """Everything that goes into the log."""
    chance = random.Random(5)
    numbered: dict[tuple[int, int], int] = {}
    made: list[Batch] = []

    def data(producer_id: int, epoch: int, codec: int) -> None:
        sequence = numbered.get((producer_id, epoch), 0)
        records = [
            RecordData(
                timestamp=BEGIN_MS + 40 * (len(made) * 4 + number), key=b"key-%d" % number,
                value=chance.randbytes(chance.randrange(1, 120)), headers=[("n", b"%d" % number)],
            )
            for number in range(chance.randrange(1, 4))
        ]  # fmt: skip
        numbered[producer_id, epoch] = sequence + len(records)
        _add(
            made,
            build_batch(
                records, compression=codec, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence,
                transactional=True,
            ),
        )  # fmt: skip

    def marker(producer_id: int, epoch: int, commit: bool) -> None:
        timestamp = BEGIN_MS + 40 * len(made) * 4
        _add(
            made,
            build_end_txn_marker(
                commit=commit, producer_id=producer_id, producer_epoch=epoch, coordinator_epoch=0, timestamp=timestamp
            ),
        )

    data(LONG, 0, 0)
    for number in range(rounds):
        epoch = number // 5  # since KIP-890 each transaction may have its own
        for part in range(3):
            for index in range(PRODUCERS):
                data(FIRST + index, epoch, (number + part) % len(CODECS))
        for index in range(PRODUCERS):
            marker(FIRST + index, epoch, commit=(number + index) % 2 == 0)
        if number == rounds // 2:
            data(LONG, 0, 4)
    marker(LONG, 0, commit=False)
    return made


def _add(made: list[Batch], data: bytearray) -> None:
    made.append(Batch(read_header(data), memoryview(data)))
