"""A chunk: a buffer of fixed size that batches are copied into, one behind the other (see `engine.py`)."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Chunk:
    """Batches one behind the other: where each begins, in offsets and in bytes."""

    __slots__ = ("bytes", "capacity", "end_offset", "max_timestamp", "offsets", "positions", "readable", "used")

    def __init__(self, capacity: int, base_offset: int) -> None:
        self.capacity = capacity
        self.bytes = memoryview(bytearray(capacity))
        self.readable = self.bytes.toreadonly()
        self.used = 0
        self.offsets = array("q")
        self.positions = array("q")
        self.end_offset = base_offset
        self.max_timestamp = -1

    def add(self, data: memoryview, base_offset: int, end_offset: int, max_timestamp: int) -> None:
        position = self.used
        self.used = position + len(data)
        self.bytes[position : self.used] = data
        self.offsets.append(base_offset)
        self.positions.append(position)
        self.end_offset = end_offset
        if max_timestamp > self.max_timestamp:
            self.max_timestamp = max_timestamp

    def slice(self, start: int, limit: int, upto: int, whole_batch: bool) -> memoryview:
        """Batches from the one that holds offset `start`, all below `upto`, as much as `limit` bytes hold.

        The last may be cut off by the limit, but not the first: that is given whole, even beyond the limit if
        `whole_batch`, or not at all.
        """
        positions = self.positions
        first = bisect_right(self.offsets, start) - 1
        begin, stop = positions[first], self._position_of(upto)
        if stop - begin > max(0, limit):
            following = positions[first + 1] if first + 1 < len(positions) else self.used
            if following - begin <= limit:
                stop = begin + limit
            elif whole_batch:
                stop = following
            else:
                stop = begin
        return self.readable[begin:stop]

    def head(self, limit: int, upto: int) -> memoryview:
        """Batches from the first one, all below `upto`, the last cut off where `limit` bytes end."""
        return self.readable[: min(limit, self._position_of(upto))]

    def offset_beyond(self, position: int) -> int:
        """The first offset of which no byte lies before `position`."""
        index = bisect_left(self.positions, position)
        return self.offsets[index] if index < len(self.offsets) else self.end_offset

    def _position_of(self, upto: int) -> int:
        """Where the batches below `upto` end: a batch that holds it, or reaches beyond it, is not below."""
        return self.used if upto >= self.end_offset else self.positions[bisect_right(self.offsets, upto) - 1]

    def batches(self) -> Iterator[memoryview]:
        for index, position in enumerate(self.positions):
            following = index + 1
            end = self.positions[following] if following < len(self.positions) else self.used
            yield self.readable[position:end]
