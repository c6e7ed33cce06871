"""The batch with which a new owner of a shard begins: behind it, no append of an owner before succeeds.

A coordinator appends with `expected_end`. An owner that was taken for dead and goes on (a process that was stopped, a
machine that slept) still expects the end that it knew. Once the log has grown by another batch, all that it appends is
refused, so what it answers to clients it cannot keep, and it finds out.

It is a control batch with the record by which Kafka's KRaft leaders begin their epoch (LEADER_CHANGE): readers of the
log, Kafka's coordinators among them, pass it over.
"""

from __future__ import annotations

from typing import cast

from kproto.batches.header import read_header
from kproto.batches.records import ControlRecordType, build_control_batch
from kproto.formats.control_records import LeaderChangeMessage
from kproto.schema.compile import encode
from storage.engine import Batch


def fencing_batch(node_id: int, timestamp: int) -> Batch:
    """A batch that changes nothing but where the log ends."""
    message = b"".join(cast("list[bytes]", encode(LeaderChangeMessage(leader_id=node_id), 0)))
    data = build_control_batch(ControlRecordType.LEADER_CHANGE, message, timestamp=timestamp)
    return Batch(read_header(data), memoryview(data))
