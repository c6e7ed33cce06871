"""What an object in the bucket looks like: batches of many logs, and a footer that says whose they are. Pure.

An object is written whole, once, and never changed. In front are record batches v2 as producers built them, those of
one log side by side: a **run**. Behind them is the footer, and at the very end a trailer of fixed size, so that the
footer is found from there:

.. code-block:: text

    batches of run 0 | batches of run 1 | ... | footer | trailer

    footer    for each run:
                2   length of the topic's name
                n   the topic's name, UTF-8
                16  topic id
                4   partition
                8   position of the first batch in the object
                8   length in bytes
                8   base offset: of the first offset that the run stands for; -1 if the control plane has given it
                8   offsets that the run stands for, those of records that compaction has taken included
                8   largest timestamp of a record, -1 if there is none
                4   entries of the sparse index, and for each of them
                      8  offset of a batch, counted from the run's base
                      8  its position, counted from the run's
                      8  largest timestamp of the batches before it, -1 for the first
    trailer   4   number of runs
              4   length of the footer in bytes
              4   CRC-32C of the footer and of the eight bytes above
              8   magic, b"OTTLAOB1"

All numbers are big-endian, and signed where -1 may stand there. The batches have checksums of their own.

**Two kinds** of runs are told apart by their base offset. A broker's *window* is uploaded before its offsets exist, so
its runs have none, and their reader patches what the control plane says into each batch (base offset and leader
epoch lie outside a batch's CRC). A *segment* has been made from such runs, merged or compacted; its offsets are known,
its bytes are those of a segment file of Kafka's, and its index lets a reader begin in the middle of it.

**Who reads the footer.** No Produce and no Fetch of fresh records: the control plane has each run's place. It is there
so that a bucket explains itself, if the database is lost or an object belongs to none of its rows, and for the index of
long runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.crc32c import crc32c
from kproto.errors import ErrorCode, KafkaError

MAGIC: Final = b"OTTLAOB1"

INDEX_INTERVAL: Final = 64 << 10
"""Bytes of a run that one entry of its index stands for, about."""

INDEXED_FROM: Final = 1 << 20
"""Runs of fewer bytes have no index: they are read whole."""

UNPLACED: Final = -1
"""The base offset of a run that was uploaded before it had one."""

_TRAILER: Final = Struct(">III8s")
_COUNTS: Final = Struct(">II")
_NAME: Final = Struct(">H")
_RUN: Final = Struct(">16siqqqqqI")
_ENTRY: Final = Struct(">qqq")

TRAILER_SIZE: Final = _TRAILER.size


class IndexEntry(NamedTuple):
    """A batch of a run: its offset and position, counted from the run's, and how late the batches before it get."""

    offset: int
    position: int
    max_timestamp: int


class StoredRun(NamedTuple):
    """One log's batches in an object, as the footer describes them. Positions and lengths in bytes."""

    topic: str
    topic_id: bytes
    partition: int
    position: int
    length: int
    base_offset: int
    offsets: int
    max_timestamp: int
    entries: Sequence[IndexEntry] = ()
    """Of the sparse index."""


class Trailer(NamedTuple):
    """The end of an object: how much of what is before it is the footer."""

    runs: int
    footer_length: int
    crc: int


def encode_footer(runs: Sequence[StoredRun]) -> bytes:
    """Footer and trailer: what follows the batches."""
    parts: list[bytes] = []
    for run in runs:
        name = run.topic.encode()
        parts.append(_NAME.pack(len(name)))
        parts.append(name)
        parts.append(_RUN.pack(*run[1:8], len(run.entries)))
        parts.extend(_ENTRY.pack(*entry) for entry in run.entries)
    footer = b"".join(parts)
    counts = _COUNTS.pack(len(runs), len(footer))
    return b"".join((footer, _TRAILER.pack(len(runs), len(footer), crc32c(counts, crc32c(footer)), MAGIC)))


def decode_trailer(tail: ReadableBuffer) -> Trailer:
    """The trailer at the end of `tail`, which are the last bytes of an object, `TRAILER_SIZE` of them or more.

    Raises KafkaError(CORRUPT_MESSAGE) if none is there.
    """
    if len(tail) < TRAILER_SIZE:
        raise _corrupt(f"has {len(tail)} bytes, fewer than its trailer takes")
    runs, length, crc, magic = _TRAILER.unpack_from(tail, len(tail) - TRAILER_SIZE)
    if magic != MAGIC:
        raise _corrupt(f"ends in {magic!r} instead of {MAGIC!r}")
    return Trailer(runs, length, crc)


def decode_footer(tail: ReadableBuffer) -> list[StoredRun]:
    """The runs of an object, of which `tail` has the end: footer and trailer at least.

    Raises KafkaError(CORRUPT_MESSAGE) if the footer is not what was written, or not whole.
    """
    trailer = decode_trailer(tail)
    end = len(tail) - TRAILER_SIZE
    position = end - trailer.footer_length
    if position < 0:
        raise _corrupt(f"has a footer of {trailer.footer_length} bytes, of which {end} are there")
    footer = memoryview(tail)[position:end]
    if crc32c(_COUNTS.pack(*trailer[:2]), crc32c(footer)) != trailer.crc:
        raise _corrupt("has a footer whose checksum is another")
    runs = []
    at = 0
    for _ in range(trailer.runs):
        (name_length,) = _NAME.unpack_from(footer, at)
        at += _NAME.size
        name = str(footer[at : at + name_length], "utf-8")
        at += name_length
        topic_id, partition, first, length, base_offset, offsets, latest, count = _RUN.unpack_from(footer, at)
        at += _RUN.size
        entries = [IndexEntry(*_ENTRY.unpack_from(footer, at + number * _ENTRY.size)) for number in range(count)]
        at += count * _ENTRY.size
        runs.append(StoredRun(name, topic_id, partition, first, length, base_offset, offsets, latest, entries))
    return runs


class IndexBuilder:
    """Makes the sparse index of a run, batch by batch."""

    __slots__ = ("_base", "_max_timestamp", "_next", "entries", "length")

    def __init__(self, base_offset: int) -> None:
        self._base = base_offset
        self._max_timestamp = -1
        self._next = 0
        self.entries: list[IndexEntry] = []
        self.length = 0
        """Bytes of the batches so far."""

    def add(self, base_offset: int, size: int, max_timestamp: int) -> None:
        """The next batch begins at this offset, and is as long, and as late, as that."""
        if self.length >= self._next:
            self.entries.append(IndexEntry(base_offset - self._base, self.length, self._max_timestamp))
            self._next = self.length + INDEX_INTERVAL
        self.length += size
        self._max_timestamp = max(self._max_timestamp, max_timestamp)

    def index(self) -> Sequence[IndexEntry]:
        """The entries, none for a run that is short."""
        return self.entries if self.length >= INDEXED_FROM else ()


def _corrupt(what: str) -> KafkaError:
    return KafkaError(ErrorCode.CORRUPT_MESSAGE, f"an object in the bucket {what}")
