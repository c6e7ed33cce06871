"""Transaction markers: the control batches that end transactions, one in each log that a transaction has written to.

A marker says which producer, under which epoch, and whether its transaction is committed or aborted; its record says
further under which epoch of the transaction coordinator that was decided. It takes an offset as any batch does, and no
client shows it to its user.

The epoch of the marker depends on the protocol (KIP-890). Of old, it is the epoch that the transaction was written
under, and a marker that comes late, when the producer's next transaction is open already, ends that one: nothing
distinguishes the two. In version 2 every transaction has an epoch of its own and the marker bears the next one, so a
late marker is found out by its epoch (`LogProducers.check_marker`).

Sources: KIP-98, KIP-890, KIP-1228; org.apache.kafka.common.record.EndTransactionMarker.
"""

from __future__ import annotations

from typing import NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import CONTROL, BatchHeader, read_header
from kproto.batches.records import EndTxnMarker, build_end_txn_marker, iter_records, read_end_txn_marker
from storage.engine import Batch


class Marker(NamedTuple):
    """What a coordinator has decided of the open transaction of a producer."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool


def marker_batch(marker: Marker, timestamp: int) -> Batch:
    """The control batch of `marker`, in a buffer of its own; `timestamp` in milliseconds since 1970."""
    data = memoryview(
        build_end_txn_marker(
            commit=marker.commit,
            producer_id=marker.producer_id,
            producer_epoch=marker.producer_epoch,
            coordinator_epoch=marker.coordinator_epoch,
            timestamp=timestamp,
        )
    )
    return Batch(read_header(data), data)


def end_marker(header: BatchHeader, data: ReadableBuffer) -> EndTxnMarker | None:
    """The marker in the batch `data` that ends a transaction; None for every other batch, control or not.

    A cleaner may have taken the record out of an old marker's batch: then its transaction is gone from the log as well.
    Raises KafkaError(INVALID_RECORD) for a control batch that cannot be read.
    """
    if not header.attributes & CONTROL or header.producer_id < 0:
        return None
    record = next(iter_records(data), None)
    return None if record is None else read_end_txn_marker(record)
