"""A log as files of Kafka's, from its copy: what lies in its directory after a clean stop, in a form that needs no log.

Segments' indexes are left out. They are caches, which the first opening makes again; written here, they would have to
be made from every batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from storage.aborted_transactions import AbortedTransactions
from storage.copies import BlobCopy, LogCopy, Pieces, SegmentCopy
from storage.local import leader_epochs, partition_metadata, producer_snapshot, transaction_index
from storage.local.leader_epochs import EpochStart, LeaderEpochs
from storage.seams.disk import Disk

BACKUP_MANIFEST: Final = "ottla-backup.json"
"""What a backup says of itself (`storage/portable`), in a directory that was one. The engine reads nothing of it."""

PIECE: Final = 1 << 20
"""Bytes of a file that are read at a time."""


def read_file(disk: Disk, path: str, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file, a piece at a time. Raises OSError."""
    file = disk.open_read(path)
    try:
        position = 0
        while position < size and (data := file.read(position, min(PIECE, size - position))):
            yield data
            position += len(data)
    finally:
        file.close()


def file_name(offset: int, suffix: str) -> str:
    """The name of a segment's file, or of another that has an offset for a name."""
    return f"{offset:020d}{suffix}"


class CopiedFile(NamedTuple):
    """A file of a log's directory. `is_cache`: it may be lost, and is made again."""

    name: str
    size: int  # bytes
    pieces: Pieces
    is_cache: bool = False


def files_of(log: LogCopy) -> Iterator[CopiedFile]:
    """The files that say what the copy says."""
    bases = [segment.base_offset for segment in log.segments]
    aborted = AbortedTransactions(log.aborted)
    for segment, end in zip(log.segments, [*bases[1:], log.end], strict=False):
        yield CopiedFile(file_name(segment.base_offset, ".log"), segment.size, segment.pieces)
        if mine := aborted.ending_in(segment.base_offset, end):
            yield _small(file_name(segment.base_offset, ".txnindex"), transaction_index.encode(mine))
    if log.end:
        yield _small(file_name(log.end, ".snapshot"), producer_snapshot.encode(log.producers))
    if log.epochs:
        epochs = LeaderEpochs(EpochStart(epoch, start) for epoch, start in log.epochs)
        yield _small(leader_epochs.NAME, epochs.encode(), is_cache=True)
    yield _small(partition_metadata.NAME, partition_metadata.encode(log.topic_id), is_cache=True)
    for blob in log.blobs:
        yield CopiedFile(blob.name, blob.size, blob.pieces)


def _small(name: str, data: bytes, *, is_cache: bool = False) -> CopiedFile:
    return CopiedFile(name, len(data), lambda: iter((data,)), is_cache)


class NotALog(Exception):
    """The files are not those of a log after a clean stop; the message says which is not."""


_SEGMENT: Final = ".log"
_OWN_SUFFIXES: Final = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


def log_of(topic: str, partition: int, files: dict[str, CopiedFile], end: int, start: int | None) -> LogCopy:
    """The copy that these files, by name, say. `end` is the log's recovery point, `start` where the checkpoint of log
    starts has it. Raises NotALog."""
    metadata = files.pop(partition_metadata.NAME, None)
    topic_id = None if metadata is None else partition_metadata.decode(_bytes(metadata))
    if topic_id is None:
        raise NotALog(f"{topic}-{partition}/{partition_metadata.NAME} does not say which topic it is of")
    bases = sorted(int(name[:20]) for name in files if name.endswith(_SEGMENT) and name[:20].isdecimal())
    segments = [SegmentCopy(base, *files[file_name(base, _SEGMENT)][1:3]) for base in bases]
    aborted = []
    for base in bases:
        if (index := files.get(file_name(base, ".txnindex"))) is not None:
            found = transaction_index.decode(_bytes(index), base, end)
            if found is None:
                raise NotALog(f"{topic}-{partition}/{index.name} is damaged")
            aborted += found
    states = None
    if (snapshot := files.get(file_name(end, ".snapshot"))) is not None:
        states = producer_snapshot.decode(_bytes(snapshot))
    if states is None and end:
        raise NotALog(f"{topic}-{partition} has no sound snapshot of its producers at its end, {end}")
    epochs_file = files.pop(leader_epochs.NAME, None)
    epochs = None if epochs_file is None else leader_epochs.decode(_bytes(epochs_file))
    return LogCopy(
        topic,
        topic_id,
        partition,
        max(bases[0] if bases else 0, start or 0),
        end,
        segments,
        states or (),
        aborted,
        [] if epochs is None else list(epochs.entries),
        [
            BlobCopy(name, file.size, file.pieces)
            for name, file in sorted(files.items())
            if not (name.endswith(_OWN_SUFFIXES) and name[:20].isdecimal())
        ],
    )


def _bytes(file: CopiedFile) -> bytes:
    parts: list[ReadableBuffer] = list(file.pieces())
    return b"".join(parts)
