"""A copy of all logs of a store at one moment: what a backup is written from, and what takes a store's place.

**One moment.** The ends of all logs are taken in one step of the event loop, in which nothing is appended. A decision
of a coordinator and what follows from it lie in several logs, one behind the other in time; so what a copy holds is
what a process that was killed at that moment would have left, and a start makes of it what it makes of that. Clients
go on writing meanwhile: what they write later is not in it.

**Without a format.** A `LogCopy` says what a log *is*: its batches, where it starts, its producers, its aborted
transactions, its leader epochs, its blobs. Each engine makes and takes that, so a copy of one can become another's;
`storage/portable` writes it down, as files of Kafka's.

**Taking the place of a store** has two steps, so that what can fail fails while the old one is still in use.
`Copyable.prepare` brings everything to where it will be needed, and changes nothing that can be seen.
`Copyable.give_way`, after the last use of the store, lets go of it without making anything of it durable, and
returns the one that has its place, which is opened like any other. Cut short anywhere by a crash, the next start finds
all of the old or all of the new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD
from kproto.errors import Malformed, Truncated
from storage.aborted_transactions import CompletedTransaction
from storage.producers import ProducerState

if TYPE_CHECKING:
    from storage.engine import LogSpec, LogStore

Pieces = Callable[[], Iterator[ReadableBuffer]]
"""Gives bytes from their beginning, some at a time; each may wait for the disk. May be called more than once."""


class SegmentCopy(NamedTuple):
    """Whole batches of a log, one behind the other; none has an offset below `base_offset`."""

    base_offset: int
    size: int  # bytes
    pieces: Pieces


def whole_batches(pieces: Iterable[ReadableBuffer]) -> Iterator[bytearray]:
    """The batches of a segment, each by itself. Raises ProtocolError where the bytes are not batches, one behind the
    other to their end."""
    unread = bytearray()
    for piece in pieces:
        unread += piece
        position = 0
        while len(unread) - position >= LOG_OVERHEAD:
            size = LOG_OVERHEAD + int.from_bytes(unread[position + 8 : position + LOG_OVERHEAD], "big", signed=True)
            if size < HEADER_SIZE:
                raise Malformed(f"a batch of {size} bytes")
            if len(unread) - position < size:
                break
            yield unread[position : position + size]
            position += size
        del unread[:position]
    if unread:
        raise Truncated(f"{len(unread)} bytes behind the last whole batch")


class BlobCopy(NamedTuple):
    """What a log has beside its records, under its name."""

    name: str
    size: int  # bytes
    pieces: Pieces


class LogCopy(NamedTuple):
    """One log at the moment of the copy.

    `start` is the first offset that can be read, `end` the one that the next record gets. `epochs` are leader epochs
    with the first offset of each, `aborted` in the order of the markers. A log that was never written has no segments.
    """

    topic: str
    topic_id: bytes
    partition: int
    start: int
    end: int
    segments: Sequence[SegmentCopy]
    producers: Sequence[ProducerState]
    aborted: Sequence[CompletedTransaction]
    epochs: Sequence[tuple[int, int]]
    blobs: Sequence[BlobCopy] = ()


class StoreCopy(NamedTuple):
    """All logs, and whose they are."""

    cluster_id: str
    directory_id: str
    logs: Sequence[LogCopy]

    @property
    def size(self) -> int:
        """Bytes of batches and blobs."""
        segments = sum(segment.size for log in self.logs for segment in log.segments)
        return segments + sum(blob.size for log in self.logs for blob in log.blobs)


@runtime_checkable
class Copyable(Protocol):
    """What an engine can do besides its contract if its logs belong to one process."""

    async def copy(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> StoreCopy:
        """All logs as they are at a moment of this call; `every_log` as for `LogStore.maintain`. `let_go` ends what
        keeps the copy readable.

        Raises KafkaError(KAFKA_STORAGE_ERROR) if a log cannot be read."""
        ...

    async def let_go(self, copy: StoreCopy) -> None:
        """The copy is not read any more."""
        ...

    async def prepare(self, copy: StoreCopy | None) -> None:
        """Get ready to be replaced by a store with just these logs, which becomes what the copy says it is; by an empty
        one of the same cluster without. Replaces what was prepared before.

        Raises StoreError with a sentence if that cannot be; then nothing has changed."""
        ...

    async def give_way(self) -> LogStore:
        """After the last use: let go of everything, and return the store that takes this one's place, which is to be
        opened. Without `prepare` before, an empty one. Raises StoreError; then the old one is what a start finds."""
        ...
