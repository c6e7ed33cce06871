"""The value of a test record: who wrote it, where to, as which of its writes, and a checksum over that.

    idempotent-0|kill-rolling|1|4711|..........|8a3fc01e

Producer, topic, partition, sequence, some filling of a length that varies from record to record, and CRC-32 in
hexadecimal of all that stands before its bar. The sequence counts a producer's records to one partition from 0, so the
number of records sent is all that must be known to tell a value that was sent from one that never was.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

MAX_FILLING = 97
"""A prime, so that sizes do not keep step with anything."""

BATCH_RECORDS = 50
"""Records in each batch of a producer that speaks the protocol itself; client libraries do as they like."""


class Origin(NamedTuple):
    """Where a value comes from, and which one it is."""

    producer: str
    topic: str
    partition: int
    sequence: int


def make_value(producer: str, topic: str, partition: int, sequence: int) -> bytes:
    """The value of that write; always the same."""
    front = b"%b|%b|%d|%d|%b" % (
        producer.encode(),
        topic.encode(),
        partition,
        sequence,
        b"." * (sequence % MAX_FILLING),
    )
    return b"%b|%08x" % (front, crc32(front))


def read_value(value: bytes | None) -> Origin | None:
    """Where `value` comes from; None when it is not a whole value of ours."""
    if value is None or len(value) < 9 or value[-9] != ord("|"):
        return None
    front = value[:-9]
    if b"%08x" % crc32(front) != value[-8:]:
        return None
    producer, topic, partition, sequence, _ = front.split(b"|")
    return Origin(producer.decode(), topic.decode(), int(partition), int(sequence))
