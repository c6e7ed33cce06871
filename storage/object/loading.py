"""Runs brought into memory: from their row, or from the bucket; each once, however many readers want it.

What a control plane's row says is trusted for the place of a run, and for nothing else: its bytes have to be sound
batches with valid checksums that take exactly the offsets which the row says. If they are not, they are read once more,
since a wire may err where a store does not; then the run is corrupt, and so is every read of it.

Runs of one object that are wanted at the same time are one request. What two readers want at the same time is read once
(a *flight*). An object that has gone was merged or compacted away after the plan was made: `Vanished`, and the reader
plans again.

A **long segment** is not read whole. Its footer has an index, and `SegmentIndexes` cuts from its row the rows of those
pieces that a reader wants.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from kproto.batches.buffers import WritableBuffer
from kproto.errors import ErrorCode, KafkaError
from storage.object.bucket import Bucket, BucketError, ByteRange, ObjectMissing, Unavailable
from storage.object.cache import CachedRun, run_of
from storage.object.control_plane import ControlPlane, RunKind, StoredRun
from storage.object.limits import Limits
from storage.object.object_format import (
    INDEXED_FROM,
    TRAILER_SIZE,
    IndexEntry,
    decode_footer,
    decode_trailer,
)
from storage.object.object_format import StoredRun as FooterRun
from storage.seams.offload import Lane, Offload

T = TypeVar("T")

LEADER_EPOCH: Final = "leader_epoch"
"""The cluster's setting that says it."""
ATTEMPTS: Final = 3
INDEXES: Final = 200
"""Indexes of segments that are remembered; one of 64 MiB has a thousand entries."""
AT_ONCE: Final = 64 << 10
"""Bytes that are checked in the event loop; more in a thread."""
FOOTER_GUESS: Final = 64 << 10


class Vanished(Exception):
    """The object is not there any more."""


class _Flight:
    """A run that is being read."""

    __slots__ = ("error", "landed", "run")

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.run: CachedRun | None = None
        self.error: KafkaError | Vanished | None = None


def identity_of(stored: StoredRun) -> tuple[str, int, int]:
    """What a run in memory is recognised by."""
    return stored.key, stored.position, stored.length


class Loading:
    """Reads runs, checks them, makes them servable."""

    def __init__(self, bucket: Bucket, offload: Offload, limits: Limits) -> None:
        self._bucket = bucket
        self._offload = offload
        self.leader_epoch = 0
        """Of batches that have none yet: 0, or what the cluster's data was imported with (`learn_epoch`)."""
        self._flights: dict[tuple[str, int, int], _Flight] = {}
        self.indexes = SegmentIndexes(bucket, limits)

    async def learn_epoch(self, control: ControlPlane) -> None:
        """Ask what the cluster's leader epoch is. Raises ControlPlaneError."""
        epoch = await control.setting(LEADER_EPOCH)
        self.leader_epoch = 0 if epoch is None else int(epoch)

    async def load(
        self, wanted: Sequence[StoredRun], *, background: bool = False
    ) -> list[CachedRun | KafkaError | Vanished]:
        """Each of these, or why it cannot be had."""
        found: dict[int, CachedRun | KafkaError | Vanished] = {}
        mine: dict[int, _Flight] = {}
        others: dict[int, _Flight] = {}
        for number, stored in enumerate(wanted):
            if stored.inline is not None:
                try:
                    found[number] = _run(bytearray(stored.inline), stored, self.leader_epoch)
                except KafkaError as error:
                    found[number] = error
                continue
            flight = self._flights.get(identity_of(stored))
            if flight is not None:
                others[number] = flight
            else:
                mine[number] = self._flights[identity_of(stored)] = _Flight()
        try:
            by_key: defaultdict[str, list[tuple[StoredRun, _Flight]]] = defaultdict(list)
            for number, flight in mine.items():
                by_key[wanted[number].key].append((wanted[number], flight))
            if len(by_key) == 1:
                [(key, flights)] = by_key.items()
                await self._read(key, flights, background)
            else:
                async with trio.open_nursery() as nursery:
                    for key, flights in by_key.items():
                        nursery.start_soon(self._read, key, flights, background)
        finally:
            for number, flight in mine.items():
                del self._flights[identity_of(wanted[number])]
                flight.landed.set()
        for number, flight in (mine | others).items():
            await flight.landed.wait()
            outcome = flight.run or flight.error
            if outcome is None:  # its reader has gone away
                [outcome] = await self.load([wanted[number]])
            found[number] = outcome
        return [found[number] for number in range(len(wanted))]

    async def _read(self, key: str, flights: Sequence[tuple[StoredRun, _Flight]], background: bool) -> None:
        ranges = [ByteRange(stored.position, stored.position + stored.length) for stored, _ in flights]
        try:
            pieces = await persistently(partial(self._bucket.get_ranges, key, ranges, background=background))
            for (stored, flight), piece in zip(flights, pieces, strict=True):
                try:
                    flight.run = await self._made(piece, stored)
                except KafkaError:
                    again = await persistently(partial(self._bucket.get, key, *_range(stored), background=background))
                    try:
                        flight.run = await self._made(again, stored)
                    except KafkaError as error:
                        flight.error = error
        except ObjectMissing:
            for _, flight in flights:
                if flight.run is None:
                    flight.error = Vanished(key)
        except BucketError as error:
            for _, flight in flights:
                if flight.run is None:
                    flight.error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error))

    async def _made(self, piece: memoryview, stored: StoredRun) -> CachedRun:
        data = bytearray(piece) if stored.kind is RunKind.RELATIVE else piece
        if len(data) <= AT_ONCE:
            return _run(data, stored, self.leader_epoch)
        return await self._offload.run(_run, data, stored, self.leader_epoch, abandonable=True, lane=Lane.READS)


def _run(data: WritableBuffer, stored: StoredRun, leader_epoch: int) -> CachedRun:
    place = f"{stored.length} bytes at {stored.position} of {stored.key}" if stored.key else "an inline run"
    return run_of(
        data,
        stored.base_offset,
        stored.last_offset + 1,
        identity_of(stored),
        first_offset=stored.base_offset if stored.kind is RunKind.RELATIVE else None,
        leader_epoch=leader_epoch,
        what=place,
    )


def _range(stored: StoredRun) -> ByteRange:
    return ByteRange(stored.position, stored.position + stored.length)


async def persistently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask a bucket for something that changes nothing; again, if it is busy. Raises BucketError."""
    delay = 0.05
    for _ in range(ATTEMPTS - 1):
        try:
            return await ask()
        except (ObjectMissing, KafkaError):
            raise
        except Unavailable:
            await trio.sleep(delay)
            delay *= 2
        except BucketError:
            pass
    return await ask()


class SegmentIndexes:
    """The indexes of long segments, as far as they were asked for lately."""

    def __init__(self, bucket: Bucket, limits: Limits) -> None:
        self._bucket = bucket
        self._block = limits.block_bytes
        self._indexes: OrderedDict[tuple[str, int], Sequence[IndexEntry]] = OrderedDict()

    def is_long(self, stored: StoredRun) -> bool:
        """Whether a run is rather read in pieces."""
        return stored.kind is RunKind.ABSOLUTE and stored.length >= max(INDEXED_FROM, 2 * self._block)

    async def piece(self, stored: StoredRun, start: int) -> StoredRun:
        """The row of that piece of a long run that covers `start`. Raises BucketError, KafkaError(CORRUPT_MESSAGE)."""
        index = await self._index(stored)
        if not index:
            return stored
        first = max(0, bisect_right(index, start - stored.base_offset, key=lambda entry: entry.offset) - 1)
        behind = first + 1
        while behind < len(index) and index[behind].position - index[first].position < self._block:
            behind += 1
        base = stored.base_offset + (index[first].offset if first else 0)
        last, length = stored.last_offset, stored.length - index[first].position
        if behind < len(index):
            last = stored.base_offset + index[behind].offset - 1
            length = index[behind].position - index[first].position
        return stored._replace(
            base_offset=base, last_offset=last, position=stored.position + index[first].position, length=length
        )

    async def offset_before(self, stored: StoredRun, timestamp: int) -> int:
        """An offset of a long run before which no record is as late as `timestamp`. Raises as `piece`."""
        index = await self._index(stored)
        late = next((number for number, entry in enumerate(index) if entry.max_timestamp >= timestamp), len(index))
        return stored.base_offset + (index[late - 1].offset if late > 1 else 0)

    async def _index(self, stored: StoredRun) -> Sequence[IndexEntry]:
        identity = stored.key, stored.position
        found = self._indexes.get(identity)
        if found is None:
            for run in await self._footer(stored.key):
                if run.position == stored.position:
                    found = self._indexes[identity] = run.entries
            if len(self._indexes) > INDEXES:
                self._indexes.popitem(last=False)
            return found or ()
        self._indexes.move_to_end(identity)
        return found

    async def _footer(self, key: str) -> Sequence[FooterRun]:
        size = await persistently(partial(self._bucket.size, key))
        guess = max(0, size - FOOTER_GUESS)
        tail = await persistently(partial(self._bucket.get, key, guess, size))
        missing = decode_trailer(tail).footer_length + TRAILER_SIZE - len(tail)
        if missing > 0 and guess >= missing:
            tail = await persistently(partial(self._bucket.get, key, guess - missing, size))
        return decode_footer(tail)
