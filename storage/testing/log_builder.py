"""Builders of batches, producers and logs, so that a test says in one line what the log under test has gone through.

    producer = ScriptedProducer(7)
    log.begin_append([producer.batch(b"a", b"b"), producer.batch(b"c")])
    log.begin_append([producer.repeat()])

A `Batch` from here is a buffer of its own each time: engines patch batches in place, and a producer that repeats itself
sends the original bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.compression import Codec
from kproto.batches.header import (
    ATTRIBUTES_OFFSET,
    CRC_OFFSET,
    LOG_OVERHEAD,
    BatchHeader,
    compute_crc,
    next_sequence,
    read_header,
)
from kproto.batches.records import RecordData, build_batch, build_end_txn_marker, iter_records
from kproto.errors import KafkaError
from storage.engine import Batch, FetchedRecords, LogSpec, RecordSlice
from storage.log_config import LogConfig

EPOCH_MS: Final = 1_700_000_000_000
"""The time at which built records happen, unless they say otherwise (milliseconds)."""


def spec(topic: str = "orders", partition: int = 0, generation: int = 1, **settings: Any) -> LogSpec:
    """A log's spec. A topic made again after its deletion has another `generation`, and so another id; one whose name
    begins as Kafka's internal topics do is internal."""
    topic_id = generation.to_bytes(4, "big") + topic.encode()[:12].ljust(12, b"\0")
    return LogSpec(topic, topic_id, partition, replace(LogConfig(), **settings), topic.startswith("__"))


def as_batch(data: ReadableBuffer) -> Batch:
    """Bytes of one batch as an engine takes them, in a buffer of their own."""
    buffer = memoryview(bytearray(data))
    return Batch(read_header(buffer), buffer)


def batch(*values: bytes, timestamps: Sequence[int] | None = None, **fields: Any) -> Batch:
    """One batch of these values, all at EPOCH_MS unless `timestamps` says when each; `fields` as in `build_batch`."""
    if timestamps is None:
        timestamps = [EPOCH_MS] * len(values)
    records = [RecordData(timestamp=at, value=value) for at, value in zip(timestamps, values, strict=True)]
    return as_batch(build_batch(records, **fields))


def unreadable_batch(timestamp: int = EPOCH_MS) -> Batch:
    """A batch that says its records are compressed when they are not; header and checksum are in order."""
    data = build_batch([RecordData(timestamp=timestamp, value=b"not gzip")])
    data[ATTRIBUTES_OFFSET + 1] |= Codec.GZIP
    data[CRC_OFFSET:ATTRIBUTES_OFFSET] = compute_crc(data, 0, len(data)).to_bytes(4, "big")
    return as_batch(data)


def batches(count: int, size: int = 100, records: int = 1) -> list[Batch]:
    """`count` different batches, each of `records` records of `size` bytes."""
    return [
        batch(*(f"{number}.{record}:".encode().ljust(size, b".") for record in range(records)))
        for number in range(count)
    ]


class ScriptedProducer:
    """An idempotent or transactional producer that numbers its batches as a real one does."""

    def __init__(self, producer_id: int, epoch: int = 0, sequence: int = 0) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.sequence = sequence
        self._sent: list[bytes] = []

    def batch(self, *values: bytes, transactional: bool = False, sequence: int | None = None) -> Batch:
        """The next batch; `sequence` sends it with a number of its own, right or wrong."""
        made = batch(
            *values or (b"record",),
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=self.sequence if sequence is None else sequence,
            transactional=transactional,
        )
        self.sequence = next_sequence(made.header.last_sequence)
        self._sent.append(bytes(made.data))
        return made

    def repeat(self, back: int = 0) -> Batch:
        """The last batch again, or one `back` batches earlier, byte for byte as it was sent first."""
        return as_batch(self._sent[-1 - back])

    def bump(self) -> ScriptedProducer:
        """The next epoch, whose sequences start at 0."""
        self.epoch += 1
        self.sequence = 0
        return self

    def marker(self, *, commit: bool, coordinator_epoch: int = 0, epoch: int | None = None) -> Batch:
        """The control batch that its coordinator ends the open transaction with."""
        return as_batch(
            build_end_txn_marker(
                commit=commit,
                producer_id=self.producer_id,
                producer_epoch=self.epoch if epoch is None else epoch,
                coordinator_epoch=coordinator_epoch,
                timestamp=EPOCH_MS,
            )
        )


def content(fetched: FetchedRecords | KafkaError) -> bytes:
    """The bytes that a read found. Raises the error if it found that."""
    if isinstance(fetched, KafkaError):
        raise fetched
    records = fetched.records
    data = records.read() if isinstance(records, RecordSlice) else bytes(records)
    assert len(data) == len(records), "a slice has the length it says"
    return data


def whole_batches(data: bytes) -> list[tuple[BatchHeader, bytes]]:
    """The batches in what a read found. What is left of one that was cut off at the end is left out."""
    found = []
    position = 0
    while position + LOG_OVERHEAD <= len(data):
        end = position + LOG_OVERHEAD + int.from_bytes(data[position + 8 : position + 12], "big")
        if end > len(data):
            break
        found.append((read_header(data, position), data[position:end]))
        position = end
    return found


def values(data: bytes) -> list[bytes | None]:
    """The values of the records in what a read found, control records left out as consumers do."""
    return [
        record.value for header, whole in whole_batches(data) if not header.is_control for record in iter_records(whole)
    ]


def joined(parts: Iterable[Batch], base_offset: int = 0, leader_epoch: int = 0) -> bytes:
    """These batches as the log holds them once they have been appended at `base_offset`."""
    placed = []
    for part in parts:
        data = bytearray(part.data)
        data[0:8] = base_offset.to_bytes(8, "big", signed=True)
        data[12:16] = leader_epoch.to_bytes(4, "big", signed=True)
        base_offset += part.header.last_offset_delta + 1
        placed.append(bytes(data))
    return b"".join(placed)
