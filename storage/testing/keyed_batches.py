"""Batches of records with keys, and what is left of them after compaction: for tests of what survives.

left = compacted([keyed((b"k", b"1")), keyed((b"k", b"2"))])
assert contents(left) == [(1, b"k", b"2")]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import next_sequence, read_header
from kproto.batches.records import RecordData, build_batch, iter_records
from storage.compaction import Compaction
from storage.engine import Batch
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch, joined, whole_batches

Pair = tuple[bytes | None, bytes | None]


def keyed(*records: Pair, timestamp: int = EPOCH_MS, **fields: Any) -> Batch:
    """A batch of these keys and values; `fields` as in `build_batch`."""
    made = [RecordData(timestamp=timestamp, key=key, value=value) for key, value in records]
    return as_batch(build_batch(made, **fields))


def produced(producer: ScriptedProducer, *records: Pair, transactional: bool = False) -> Batch:
    """The next batch of a producer with a number."""
    made = keyed(
        *records,
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=producer.sequence,
        transactional=transactional,
    )
    producer.sequence = next_sequence(made.header.last_sequence)
    return made


def in_log(batches: Iterable[Batch], base_offset: int = 0) -> list[bytes]:
    """These batches with the offsets that they get in a log."""
    return [data for _, data in whole_batches(joined(batches, base_offset))]


def compacted(log: Sequence[Batch | bytes], **settings: Any) -> list[bytes]:
    """The batches of `log` after a cleaning; `settings` as in `Compaction`, of which none has to be given."""
    placed = [data for data in log if isinstance(data, bytes)]
    placed = placed or in_log([batch for batch in log if isinstance(batch, Batch)])
    end = read_header(placed[-1]).next_offset
    defaults: dict[str, Any] = {"first_dirty": 0, "upto": end, "now": EPOCH_MS, "delete_retention_ms": 1000}
    compaction = Compaction(**{**defaults, **settings})
    if all(compaction.learn(read_header(data), data) for data in placed):
        compaction.learned_all()
    left = [compaction.judge_batch(read_header(data), data) for data in placed]
    return [bytes(data) for data in left if data is not None]


def contents(batches: Iterable[ReadableBuffer]) -> list[tuple[int, bytes | None, bytes | None]]:
    """(offset, key, value) of every record, control records aside."""
    return [
        (record.offset, record.key, record.value)
        for data in batches
        if not read_header(data).is_control
        for record in iter_records(data)
    ]
