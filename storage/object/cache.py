"""Runs in memory: what this broker has just written, and what it has read from the bucket.

A `CachedRun` is a range of a log, ready to be served: its batches have their offsets patched in, and two arrays say
where each begins, in offsets and in bytes. Its bytes never change, so a read is a slice that stays valid whatever is
evicted meanwhile.

**Covering.** A run covers the offsets from `start` up to `end`. Compaction leaves gaps; a gap belongs to the run behind
it. So two runs are neighbours where one starts at the other's end, and a reader that finds no neighbour knows that
something is missing here, and not in the log.

**Bounded** by bytes, least recently used first. What is evicted together is what came together: the runs of one object,
or of one load. Objects that this broker has written are in the cache from their commit on, which is why a consumer that
keeps up needs neither the database nor the bucket.

**Aborted transactions** are known of a run after it was planned for a reader of committed data: from `aborted_from` on,
and up to `aborted_upto`, the last stable offset of that moment at the most. A run without transactional batches needs
none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from struct import Struct
from typing import Final, Protocol

from kproto.batches.buffers import WritableBuffer
from kproto.batches.crc32c import crc32c
from kproto.batches.header import ATTRIBUTES_OFFSET, HEADER_SIZE, LOG_OVERHEAD, MAGIC, TRANSACTIONAL, patch_base_offset
from kproto.errors import ErrorCode, KafkaError
from storage.object.control_plane import AbortedSpan

RUN_OVERHEAD: Final = 600
"""Bytes of memory that a run takes beside its batches, about."""

_start = attrgetter("start")
_NO_BYTES: Final = memoryview(b"")

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, base timestamp, max timestamp
_DELTA: Final = Struct(">i")
DELTA_OFFSET: Final = 23
_FRONT: Final = Struct(">qiibIhiqq")


class CachedRun:
    """Batches of one log, side by side. The module's docstring says what its fields mean."""

    __slots__ = (
        "aborted", "aborted_from", "aborted_upto", "data", "end", "identity", "load", "offsets", "positions", "start",
        "transactional",
    )  # fmt: skip

    def __init__(
        self,
        start: int,
        end: int,
        data: memoryview,
        offsets: array[int],
        positions: array[int],
        transactional: bool,
        identity: tuple[str, int, int],
    ) -> None:
        self.start = start
        self.end = end
        self.data = data
        self.offsets = offsets
        self.positions = positions
        self.transactional = transactional
        self.identity = identity
        self.aborted: Sequence[AbortedSpan] = ()
        self.aborted_from = self.aborted_upto = -1
        self.load: Load | None = None

    def knows_aborted(self, start: int, upto: int) -> bool:
        """Whether all aborted transactions are known in what a read from `start` up to `upto` finds here."""
        if not self.transactional:
            return True
        return self.aborted_from <= max(start, self.start) and min(upto, self.end) <= self.aborted_upto

    def from_offset(self, start: int) -> CachedRun:
        """The same batches, said to be the first from `start` on."""
        if start == self.start:
            return self
        twin = CachedRun(start, self.end, self.data, self.offsets, self.positions, self.transactional, self.identity)
        twin.aborted, twin.aborted_from, twin.aborted_upto = self.aborted, self.aborted_from, self.aborted_upto
        return twin

    def slice(self, start: int, limit: int, upto: int, whole_batch: bool) -> memoryview:
        """Batches from the one that holds offset `start`, or the first behind it, all below `upto`, as much as `limit`
        bytes hold. The last may be cut off, but not the first: that is given whole, even beyond the limit if
        `whole_batch`, or not at all."""
        positions = self.positions
        first = self._first(start)
        if first == len(positions):
            return _NO_BYTES
        begin, stop = positions[first], self._position_of(upto)
        if stop - begin > max(0, limit):
            following = positions[first + 1] if first + 1 < len(positions) else len(self.data)
            if following - begin <= limit:
                stop = begin + limit
            elif whole_batch:
                stop = following
            else:
                stop = begin
        return self.data[begin:stop] if stop > begin else _NO_BYTES

    def head(self, limit: int, upto: int) -> memoryview:
        """Batches from the first one, all below `upto`, the last cut off where `limit` bytes end."""
        return self.data[: min(limit, self._position_of(upto))]

    def offset_beyond(self, position: int) -> int:
        """The first offset of which no byte lies before `position`."""
        index = bisect_left(self.positions, position)
        return self.offsets[index] if index < len(self.offsets) else self.end

    def position_of(self, offset: int) -> int:
        """Where the batch begins that holds `offset`, or the first one behind."""
        first = self._first(offset)
        return self.positions[first] if first < len(self.positions) else len(self.data)

    def _first(self, offset: int) -> int:
        """The number of that batch."""
        index = bisect_right(self.offsets, offset) - 1
        if index < 0:
            return 0
        (delta,) = _DELTA.unpack_from(self.data, self.positions[index] + DELTA_OFFSET)
        return index if offset <= self.offsets[index] + delta else index + 1

    def _position_of(self, upto: int) -> int:
        """Where the batches below `upto` end: a batch that holds it, or reaches beyond it, is not below."""
        if upto >= self.end:
            return len(self.data)
        index = bisect_right(self.offsets, upto) - 1
        return self.positions[index] if index >= 0 else 0

    def batches(self) -> Iterator[memoryview]:
        """One after the other."""
        positions = self.positions
        for index, position in enumerate(positions):
            yield self.data[position : positions[index + 1] if index + 1 < len(positions) else len(self.data)]


def run_of(
    data: WritableBuffer,
    start: int,
    end: int,
    identity: tuple[str, int, int],
    *,
    first_offset: int | None,
    leader_epoch: int,
    what: str,
) -> CachedRun:
    """Make a run of bytes that were read: check every batch, and patch its offset if the bytes have none.

    `first_offset` is that of the first batch, and those behind are dense; None if the batches have their offsets and
    leader epochs. Takes time in proportion to the bytes. Raises KafkaError(CORRUPT_MESSAGE) unless the bytes are sound
    batches and nothing else; `what` names the run.
    """
    view = memoryview(data)
    size = len(view)
    offsets, positions = array("q"), array("q")
    transactional = False
    position = 0
    while position < size:
        if size - position < HEADER_SIZE:
            raise _corrupt(what, position)
        base, length, _, magic, crc, attributes, delta, _, _ = _FRONT.unpack_from(view, position)
        following = position + LOG_OVERHEAD + length
        if magic != MAGIC or length < HEADER_SIZE - LOG_OVERHEAD or following > size or delta < 0:
            raise _corrupt(what, position)
        if crc32c(view[position + ATTRIBUTES_OFFSET : following]) != crc:
            raise _corrupt(what, position)
        if first_offset is not None:
            base = first_offset
            patch_base_offset(data, position, base, leader_epoch)
            first_offset += delta + 1
        if base < start or base + delta >= end or (offsets and base <= offsets[-1]):
            raise _corrupt(what, position)
        offsets.append(base)
        positions.append(position)
        if attributes & TRANSACTIONAL:
            transactional = True
        position = following
    if first_offset is not None and first_offset != end:
        raise _corrupt(what, position)
    return CachedRun(start, end, view.toreadonly(), offsets, positions, transactional, identity)


def _corrupt(what: str, position: int) -> KafkaError:
    return KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{what} is damaged at byte {position}")


class CachedRuns:
    """The runs of one log that are in memory, in order; none overlaps another."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[CachedRun] = []

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: CachedRun) -> None:
        """Put a run in its place; those that it overlaps go."""
        runs = self._runs
        if not runs or runs[-1].end <= run.start:
            runs.append(run)
            return
        first = bisect_left(runs, run.start, key=_start)
        if first and runs[first - 1].end > run.start:
            first -= 1
        last = bisect_left(runs, run.end, key=_start)
        runs[first:last] = [run]

    def discard(self, run: CachedRun) -> None:
        """Forget a run, if it is here still."""
        index = bisect_left(self._runs, run.start, key=_start)
        if index < len(self._runs) and self._runs[index] is run:
            del self._runs[index]

    def drop(self, start: int, end: int) -> None:
        """Forget the runs that overlap [start, end)."""
        self._runs = [run for run in self._runs if run.end <= start or run.start >= end]

    def covering(self, offset: int) -> CachedRun | None:
        """The run that covers `offset`."""
        index = bisect_right(self._runs, offset, key=_start) - 1
        return self._runs[index] if index >= 0 and offset < self._runs[index].end else None

    def following(self, offset: int) -> Iterator[CachedRun]:
        """The run that covers `offset`, and its neighbours behind, as far as there are any."""
        runs = self._runs
        index = bisect_right(runs, offset, key=_start) - 1
        if index < 0 or runs[index].end <= offset:
            return
        end = runs[index].start
        while index < len(runs) and runs[index].start == end:
            yield runs[index]
            end = runs[index].end
            index += 1


class Holder(Protocol):
    """A log, as the cache knows it."""

    @property
    def runs(self) -> CachedRuns: ...


class Load:
    """Runs that came together, and go together."""

    __slots__ = ("members", "size")

    def __init__(self, members: Sequence[tuple[Holder, CachedRun]]) -> None:
        self.members = members
        self.size = sum(len(run.data) + RUN_OVERHEAD + 16 * len(run.offsets) for _, run in members)


class RunCache:
    """All runs in memory, `max_bytes` of them at the most, or the one load that is larger."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._loads: OrderedDict[int, Load] = OrderedDict()  # by identity, the least recently used first

    def __len__(self) -> int:
        return len(self._loads)

    def add(self, members: Iterable[tuple[Holder, CachedRun]]) -> None:
        """Keep these runs together; others go if they do not fit."""
        load = Load(list(members))
        if not load.members:
            return
        for holder, run in load.members:
            run.load = load
            holder.runs.add(run)
        self._loads[id(load)] = load
        self.size += load.size
        while self.size > self.max_bytes and len(self._loads) > 1:
            self._evict()

    def touch(self, run: CachedRun) -> None:
        """A run has been of use."""
        load = run.load
        if load is not None and id(load) in self._loads:
            self._loads.move_to_end(id(load))

    def clear(self) -> None:
        """Forget everything."""
        while self._loads:
            self._evict()

    def _evict(self) -> None:
        _, load = self._loads.popitem(last=False)
        self.size -= load.size
        for holder, run in load.members:
            holder.runs.discard(run)
            run.load = None


def merged(before: Sequence[AbortedSpan], behind: Sequence[AbortedSpan]) -> Sequence[AbortedSpan]:
    """What two neighbouring runs know of aborted transactions, in the order of the markers."""
    if not before or not behind:
        return before or behind
    known = set(behind)
    return [*[span for span in before if span not in known], *behind]
