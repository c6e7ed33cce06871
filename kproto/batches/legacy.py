"""Message sets, the form that records had before Kafka 0.11: recognised, so that they are refused by name.

A message set is a row of entries, each with an offset and a size of its own in front::

    offset   int64
    size     int32      bytes that follow
    crc      uint32     CRC-32 (the zip kind) of what follows
    magic    int8       0, or 1 with a timestamp
    ...

The magic byte stands at position 16 of an entry, where a record batch v2 has its own: it distinguishes the three.
Kafka 4 neither writes nor accepts magic 0 and 1 (KIP-724): Produce answers INVALID_RECORD, and the request versions
that could carry nothing else are gone. Logs written by a broker before 4.0 may still hold them; a reader of such a log
finds out here.
"""

from typing import Final

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import LOG_OVERHEAD, MAGIC_OFFSET

__all__ = ["MIN_ENTRY_LENGTH", "UP_TO_MAGIC", "legacy_magic"]

MIN_ENTRY_LENGTH: Final = 14
"""The least that an entry's size field can say: crc, magic, attributes and the lengths of no key and no value."""

UP_TO_MAGIC: Final = MAGIC_OFFSET + 1
"""Bytes one has to see of an entry or a batch to know its magic."""


def legacy_magic(buf: ReadableBuffer, pos: int = 0) -> int | None:
    """0 or 1 if an entry of an old message set starts at ``buf[pos:]``, judged by its size and magic, else None.

    The rest of the entry need not be there and is not looked at.
    """
    head = bytes(memoryview(buf)[pos : pos + UP_TO_MAGIC])
    if len(head) < UP_TO_MAGIC or head[MAGIC_OFFSET] > 1:
        return None
    size = int.from_bytes(head[8:LOG_OVERHEAD], "big", signed=True)
    return head[MAGIC_OFFSET] if size >= MIN_ENTRY_LENGTH else None
