"""The same records in another batch: under another codec, or with offsets that count up.

A change of codec goes through piece by piece: what comes out of one codec goes into the other, and what comes out of
that is kept as long as it may be stored. A batch that stands for gigabytes is so recompressed in the memory of its
compressed forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.compression import Codec, packer
from kproto.batches.header import CODEC_MASK, HEADER_SIZE, BatchHeader, assemble
from kproto.batches.record_walk import read_varint
from kproto.primitives import varint


class Repacking:
    """Records on their way into ``codec``; of what comes out, no more than ``most`` bytes are kept.

    The records are not looked at. ``size`` is how long the batch gets, header included.
    """

    def __init__(self, header: BatchHeader, codec: Codec, level: int | None, most: int) -> None:
        self._header = header._replace(attributes=header.attributes & ~CODEC_MASK | codec)
        self._packer = packer(codec, level)
        self._most = most
        self._parts: list[ReadableBuffer] = []
        self.size = HEADER_SIZE

    def passing(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """The pieces, each of which is packed as it passes."""
        for piece in pieces:
            self._keep(self._packer.add(piece))
            yield piece

    def finish(self) -> bytearray | None:
        """The batch, or None if it takes more than ``most`` bytes."""
        self._keep(self._packer.finish())
        return None if self.size > self._most else assemble(self._header, b"".join(self._parts))

    def _keep(self, part: ReadableBuffer) -> None:
        self.size += len(part)
        if self.size <= self._most:
            self._parts.append(part)
        else:
            self._parts.clear()


def renumbered(header: BatchHeader, payload: memoryview) -> bytearray:
    """The batch of ``header`` whose records, not compressed and known to be well-formed, get the offsets 0, 1, 2 ..."""
    records = bytearray()
    position = 0
    for index in range(header.record_count):
        size, position = read_varint(payload, position)
        end = position + (size >> 1)
        _, behind_time = read_varint(payload, position + 1, 64)
        _, rest = read_varint(payload, behind_time)
        delta = varint(index)
        records += varint(behind_time - position + len(delta) + end - rest)
        records += payload[position:behind_time]
        records += delta
        records += payload[rest:end]
        position = end
    return assemble(header, records)
