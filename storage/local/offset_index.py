"""Offset index (`.index`): where in the segment a batch begins, for about every `index.interval.bytes` of log.

======  =====  ===============  =============================================================
offset  bytes  field            meaning
======  =====  ===============  =============================================================
0       4      relative offset  last offset of the batch, minus the segment's base offset
4       4      position         where that batch begins in the `.log` file
======  =====  ===============  =============================================================

Big-endian, both columns strictly growing. The entry with the largest offset not above the one wanted says where to
start reading batch headers. An entry speaks of one batch, so it can be checked against it: an index that says
otherwise is damaged and rebuilt (`Segment.find`).

Source: org.apache.kafka.storage.internals.log.OffsetIndex.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from storage.local.index_file import IndexFile
from storage.seams.disk import Disk

LAYOUT: Final = Struct(">ii")


class Indexed(NamedTuple):
    """A batch as the index knows it: its last offset, and where it begins in the file."""

    last_offset: int
    position: int


class OffsetIndex:
    """The offset index of one segment."""

    __slots__ = ("_base_offset", "file")

    def __init__(self, disk: Disk, path: str, base_offset: int) -> None:
        self.file = IndexFile(disk, path, LAYOUT, _grows)
        self._base_offset = base_offset

    def __len__(self) -> int:
        return len(self.file)

    def append(self, last_offset: int, position: int) -> None:
        """The batch that ends with `last_offset` begins at `position`."""
        self.file.append(last_offset - self._base_offset, position)

    @property
    def last(self) -> Indexed | None:
        """The newest entry."""
        entry = self.file.last
        return None if entry is None else Indexed(self._base_offset + entry[0], entry[1])

    def lookup(self, offset: int, *, wait: bool = True) -> Indexed | None:
        """The entry of the last batch known to end at or before `offset`; None if there is none."""
        relative = offset - self._base_offset
        entry = self.file.search(lambda entry: entry[0] <= relative, wait)
        return None if entry is None else Indexed(self._base_offset + entry[0], entry[1])

    def before(self, position: int, *, wait: bool = True) -> Indexed | None:
        """The entry of the last batch known to begin at `position` or before; None if there is none."""
        entry = self.file.search(lambda entry: entry[1] <= position, wait)
        return None if entry is None else Indexed(self._base_offset + entry[0], entry[1])

    def replace(self, entries: list[tuple[int, int]]) -> None:
        """Rebuilt: make the file hold these (last offset, position)."""
        base = self._base_offset
        self.file.replace([(offset - base, position) for offset, position in entries])


def _grows(earlier: tuple[int, ...], later: tuple[int, ...]) -> bool:
    return later[0] > earlier[0] and later[1] > earlier[1]
