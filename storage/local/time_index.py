"""Time index (`.timeindex`): by when the log had seen which largest timestamp.

======  =====  ===============  ===================================================================================
offset  bytes  field            meaning
======  =====  ===============  ===================================================================================
0       8      timestamp        the largest timestamp in the segment so far, milliseconds since 1970
8       4      relative offset  last offset of the first batch that has it, minus the segment's base offset
======  =====  ===============  ===================================================================================

Big-endian, both columns strictly growing. An entry is added with an entry of the offset index, if the largest timestamp
has grown since, and once more when the segment is closed. Everything before an entry's batch is older than its
timestamp: that is where a search for this or a later time may begin.

Source: org.apache.kafka.storage.internals.log.TimeIndex; KIP-33.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from storage.local.index_file import IndexFile
from storage.seams.disk import Disk

LAYOUT: Final = Struct(">qi")


class Timed(NamedTuple):
    """The largest timestamp so far, and the last offset of the first batch that has it."""

    timestamp: int
    last_offset: int


class TimeIndex:
    """The time index of one segment."""

    __slots__ = ("_base_offset", "file")

    def __init__(self, disk: Disk, path: str, base_offset: int) -> None:
        self.file = IndexFile(disk, path, LAYOUT, _grows)
        self._base_offset = base_offset

    def __len__(self) -> int:
        return len(self.file)

    def append_if_newer(self, timestamp: int, last_offset: int) -> None:
        """Note the largest timestamp so far, if it has grown since the last entry."""
        relative = last_offset - self._base_offset
        last = self.file.last
        if timestamp >= 0 and (last is None or (timestamp > last[0] and relative > last[1])):
            self.file.append(timestamp, relative)

    @property
    def last(self) -> Timed | None:
        """The newest entry."""
        entry = self.file.last
        return None if entry is None else Timed(entry[0], self._base_offset + entry[1])

    def lookup(self, timestamp: int, *, wait: bool = True) -> Timed | None:
        """The newest entry not after `timestamp`; None if there is none."""
        entry = self.file.search(lambda entry: entry[0] <= timestamp, wait)
        return None if entry is None else Timed(entry[0], self._base_offset + entry[1])

    def replace(self, entries: list[tuple[int, int]]) -> None:
        """Rebuilt: make the file hold these (timestamp, last offset)."""
        base = self._base_offset
        self.file.replace([(timestamp, offset - base) for timestamp, offset in entries])


def _grows(earlier: tuple[int, ...], later: tuple[int, ...]) -> bool:
    return later[0] > earlier[0] and later[1] > earlier[1]
