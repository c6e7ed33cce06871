"""Compressed records taken apart in pieces, so that no batch is ever in memory whole.

A few kilobytes of zstd can stand for gigabytes (32,700 : 1), and honest clients come near to that: a producer of
repetitive records, a batch of log lines. So nothing here returns "the decompressed records". :func:`pieces` is an
iterator over them, :data:`PIECE` bytes at a time; a walk over records (:mod:`kproto.batches.record_walk`) takes
a piece, looks at the records in it and lets it go. The memory is that of a piece and of the decoder, whatever the data
says or stands for, and the work stops where the caller stops asking.

Which dialects are read is what Apache Kafka was seen to read:

======  =============================================================  ===============================================
codec   read                                                           behind the end
======  =============================================================  ===============================================
gzip    members (RFC 1952), one or several; checksum and size of each  what begins no member, or is too short for one
        must be right                                                  (18 bytes), is ignored
snappy  one raw block (librdkafka), or blocks in the framing of        bytes too few for a length are ignored; of a raw
        snappy-java, of any version; its header may come again         block nothing may follow
        between two blocks
lz4     one frame: :mod:`kproto.batches.lz4_frames`                    everything is ignored, another frame too
zstd    frames (RFC 8878), one or several, and skippable ones, of a    nothing may follow
        window up to 128 MiB
======  =============================================================  ===============================================

Departs from Kafka where other clients could not read what it takes: gzip with one of the reserved header flags is
refused, and so is the beginning of a zstd frame behind a whole one.

**Memory.** A gzip decoder takes 40 KiB, an lz4 block up to 4 MiB. zstd keeps as much of its output as the frame's
window says, and not more than has come out; 2 MiB at the usual levels, 128 MiB at the highest ones. A raw snappy block
can only be taken out whole: it says its size in front, at most 22 times its own, and one of more than
:data:`LARGEST_SNAPPY_BLOCK` is refused. The claim is taken at its word, as it cannot be above that.

All libraries give up the interpreter's lock while they work.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.compression import (
    GZIP_WINDOW_BITS,
    XERIAL_HEADER,
    XERIAL_MAGIC,
    Codec,
    Undecodable,
    zstd_library,
)
from kproto.batches.lz4_frames import lz4_blocks
from kproto.errors import ErrorCode, KafkaError

__all__ = ["LARGEST_SNAPPY_BLOCK", "PIECE", "OutputBoundExceeded", "decompress", "pieces"]

PIECE: Final = 64 * 1024
"""Bytes of a piece at most."""

INPUT: Final = 32 * 1024
"""Bytes that a decoder is given at a time. What it has not used yet it keeps as a copy."""

LARGEST_SNAPPY_BLOCK: Final = 128 * 1024 * 1024

SHORTEST_GZIP_MEMBER: Final = 18
"""Ten bytes of header and eight of trailer, as Java counts it."""

_GZIP_MEMBER: Final = b"\x1f\x8b\x08"

_int32 = Struct(">i")


class OutputBoundExceeded(KafkaError):
    """More comes out than the caller allows.

    The code is MESSAGE_TOO_LARGE, after which a Java producer splits the batch and tries again.
    """

    def __init__(self, most: int) -> None:
        super().__init__(ErrorCode.MESSAGE_TOO_LARGE, f"the records come to more than {most} bytes")


def pieces(codec: int, data: ReadableBuffer) -> Iterator[bytes]:
    """The decompressed ``data``, which must be all of it, in pieces of 1 to :data:`PIECE` bytes.

    Raises, when it gets there, :class:`Undecodable` and :class:`OutputBoundExceeded` (a snappy block), which are
    ``KafkaError``, and ``KafkaError(UNSUPPORTED_COMPRESSION_TYPE)`` for an unassigned number.
    """
    view = memoryview(data)
    match codec:
        case Codec.NONE:
            return cut(view)
        case Codec.GZIP:
            return _gzip(view)
        case Codec.SNAPPY:
            return _xerial(view) if bytes(view[:8]) == XERIAL_MAGIC else cut(_snappy_block(view))
        case Codec.LZ4:
            return (piece for block in lz4_blocks(view) for piece in cut(block))
        case Codec.ZSTD:
            return _zstd(view)
    raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"no compression codec has the number {codec}")


def decompress(codec: int, data: ReadableBuffer, max_output: int) -> bytes:
    """All of it at once, where it is known to be small: at most ``max_output`` bytes.

    Raises :class:`OutputBoundExceeded` beyond, before that much has been taken out, and what :func:`pieces` raises.
    """
    parts, left = [], max_output
    for piece in pieces(codec, data):
        left -= len(piece)
        if left < 0:
            raise OutputBoundExceeded(max_output)
        parts.append(piece)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def cut(view: memoryview) -> Iterator[bytes]:
    """Bytes that are there already, in pieces."""
    for start in range(0, len(view), PIECE):
        yield bytes(view[start : start + PIECE])


def _gzip(view: memoryview) -> Iterator[bytes]:
    import zlib

    position, end = 0, len(view)
    while True:
        member = zlib.decompressobj(wbits=GZIP_WINDOW_BITS)
        ended = False
        try:
            while not ended:
                if position == end:
                    raise Undecodable(Codec.GZIP, "it ends in the middle")
                given: ReadableBuffer = view[position : position + INPUT]
                position += len(given)
                while True:
                    piece = member.decompress(given, PIECE)
                    if piece:
                        yield piece
                    ended = member.eof
                    given = member.unconsumed_tail
                    # A full piece may have left output behind even where all input is used.
                    if ended or (not given and len(piece) < PIECE):
                        break
        except zlib.error as error:
            raise Undecodable(Codec.GZIP, error) from None
        position -= len(member.unused_data)
        if end - position <= SHORTEST_GZIP_MEMBER or bytes(view[position : position + 3]) != _GZIP_MEMBER:
            return


def _zstd(view: memoryview) -> Iterator[bytes]:
    zstd = zstd_library()
    position, end = 0, len(view)
    try:
        while position < end:
            frame = zstd.ZstdDecompressor()
            while not frame.eof:
                if position == end:
                    raise Undecodable(Codec.ZSTD, "it ends in the middle")
                given: ReadableBuffer = view[position : position + INPUT]
                position += len(given)
                while True:
                    piece = frame.decompress(given, PIECE)
                    if piece:
                        yield piece
                    if frame.eof or frame.needs_input:
                        break
                    given = b""
            position -= len(frame.unused_data)
    except zstd.ZstdError as error:
        raise Undecodable(Codec.ZSTD, error) from None


def _snappy_block(block: memoryview) -> memoryview:
    """A raw block, taken out whole."""
    import cramjam

    try:
        size = cramjam.snappy.decompress_raw_len(block)
        # The densest element copies 64 bytes and takes 3.
        if len(block) == 0 or size > 22 * len(block):
            raise Undecodable(Codec.SNAPPY, f"{len(block)} bytes cannot stand for {size}")
        if size > LARGEST_SNAPPY_BLOCK:
            raise OutputBoundExceeded(LARGEST_SNAPPY_BLOCK)
        output = memoryview(bytearray(size))
        return output[: cramjam.snappy.decompress_raw_into(block, output)]
    except cramjam.DecompressionError as error:
        raise Undecodable(Codec.SNAPPY, error) from None


def _xerial(view: memoryview) -> Iterator[bytes]:
    position, end = 0, len(view)
    while end - position >= 4:
        if bytes(view[position : position + 8]) == XERIAL_MAGIC:
            if end - position < len(XERIAL_HEADER):
                raise Undecodable(Codec.SNAPPY, "the framing's header is cut short")
            position += len(XERIAL_HEADER)
            continue
        (length,) = _int32.unpack_from(view, position)
        position += 4
        if not 0 < length <= end - position:
            raise Undecodable(Codec.SNAPPY, "a block's length leads outside the data")
        yield from cut(_snappy_block(view[position : position + length]))
        position += length
