"""The four codecs that a batch's records may be compressed with: their names, and how records are packed.

=====  ======  ====================================================================================================
codec  name    written
=====  ======  ====================================================================================================
0      none
1      gzip    one gzip member (RFC 1952)
2      snappy  blocks of at most 32 KiB in the framing of the snappy-java library, which every client reads
3      lz4     one LZ4 frame of independent blocks, version 1: Java clients read no other (KIP-57)
4      zstd    one zstd frame (KIP-110); clients since Kafka 2.1 only
=====  ======  ====================================================================================================

What is read, which is more, stands in :mod:`kproto.batches.decompression`.

The framing of snappy-java: 8 bytes ``82 "SNAPPY" 00``, int32 version 1, int32 lowest compatible version 1, then blocks,
each an int32 length and so many bytes of raw snappy.

A :class:`Packer` takes records piece by piece, so that a batch is recompressed without ever being in memory whole.

gzip is the standard library's zlib; zstd is the standard library's from Python 3.14 on, and the same code as a package
before; snappy and lz4 are cramjam's. Each is imported when it is first needed: a broker that never opens a compressed
batch starts without them. Why these: docs/decisions/0035-codecs-that-work-in-pieces.md.
"""

import sys
from enum import IntEnum
from struct import Struct
from types import ModuleType
from typing import Final, Protocol

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError

__all__ = ["Codec", "Packer", "Undecodable", "codec_named", "compress", "packer", "zstd_library"]


class Codec(IntEnum):
    """Attribute bits 0-2 of a batch. Numbers 5 to 7 are not assigned."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class Undecodable(KafkaError):
    """The compressed bytes are not what their codec writes."""

    def __init__(self, codec: Codec, reason: object) -> None:
        super().__init__(ErrorCode.INVALID_RECORD, f"the records are not valid {codec.name.lower()} data: {reason}")


XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER: Final = XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"
XERIAL_BLOCK_SIZE: Final = 32 * 1024

# Kafka's defaults of compression.gzip.level, compression.lz4.level and compression.zstd.level.
DEFAULT_LEVELS: Final = {Codec.GZIP: 6, Codec.LZ4: 9, Codec.ZSTD: 3}

GZIP_WINDOW_BITS: Final = 31
"""zlib's way to ask for its largest window in gzip's format."""

_int32 = Struct(">i")


def codec_named(name: str) -> Codec:
    """The codec that ``compression.type`` calls by this name. Raises ``ValueError``; ``producer`` is not a codec."""
    try:
        return {"uncompressed": Codec.NONE, **{codec.name.lower(): codec for codec in Codec}}[name]
    except KeyError:
        raise ValueError(f"no compression codec is called {name!r}") from None


def zstd_library() -> ModuleType:
    """``compression.zstd`` of Python 3.14, or its backport. The import is all the work there is."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    module: ModuleType = zstd
    return module


class Packer(Protocol):
    """One compressed stream in the making. What both methods return, joined, is the stream."""

    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        """Take more records; return what has come out so far."""
        ...

    def finish(self) -> ReadableBuffer:
        """End the stream; return the rest of it."""
        ...


def packer(codec: int, level: int | None = None) -> Packer:
    """A stream of ``codec``; ``level`` None means Kafka's default for it, and snappy has none."""
    codec = Codec(codec)
    if level is None:
        level = DEFAULT_LEVELS.get(codec, 0)
    match codec:
        case Codec.NONE:
            return _Stored()
        case Codec.GZIP:
            return _Gzip(level)
        case Codec.SNAPPY:
            return _Xerial()
        case Codec.LZ4:
            return _Lz4(level)
        case Codec.ZSTD:
            return _Zstd(level)


def compress(codec: int, data: ReadableBuffer, level: int | None = None) -> ReadableBuffer:
    """Compress ``data``, which is all there is; ``level`` as for :func:`packer`.

    With :attr:`Codec.NONE` the same object comes back.
    """
    if codec == Codec.NONE:
        return data
    if codec == Codec.ZSTD:
        # In one call the frame says how long its content is.
        return bytes(zstd_library().compress(data, DEFAULT_LEVELS[Codec.ZSTD] if level is None else level))
    stream = packer(codec, level)
    return b"".join((stream.add(data), stream.finish()))


class _Stored:
    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        return data

    def finish(self) -> ReadableBuffer:
        return b""


class _Gzip:
    def __init__(self, level: int) -> None:
        import zlib

        self._stream = zlib.compressobj(level, wbits=GZIP_WINDOW_BITS)

    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        return self._stream.compress(data)

    def finish(self) -> ReadableBuffer:
        return self._stream.flush()


class _Xerial:
    def __init__(self) -> None:
        self._waiting = bytearray()
        self._head = XERIAL_HEADER

    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        self._waiting += data
        whole = len(self._waiting) - len(self._waiting) % XERIAL_BLOCK_SIZE
        return self._blocks(whole)

    def finish(self) -> ReadableBuffer:
        return self._blocks(len(self._waiting))

    def _blocks(self, size: int) -> bytes:
        import cramjam

        parts: list[ReadableBuffer] = [self._head]
        self._head = b""
        with memoryview(self._waiting) as waiting:
            for start in range(0, size, XERIAL_BLOCK_SIZE):
                block = cramjam.snappy.compress_raw(waiting[start : min(start + XERIAL_BLOCK_SIZE, size)])
                parts.append(_int32.pack(len(block)))
                parts.append(memoryview(block))
        del self._waiting[:size]
        return b"".join(parts)


class _Lz4:
    def __init__(self, level: int) -> None:
        import cramjam

        self._stream = cramjam.lz4.Compressor(level=level, content_checksum=False, block_linked=False)

    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        self._stream.compress(bytes(data))  # it takes nothing else
        return memoryview(self._stream.flush())

    def finish(self) -> ReadableBuffer:
        return memoryview(self._stream.finish())


class _Zstd:
    def __init__(self, level: int) -> None:
        self._stream = zstd_library().ZstdCompressor(level)

    def add(self, data: ReadableBuffer) -> ReadableBuffer:
        return bytes(self._stream.compress(data))

    def finish(self) -> ReadableBuffer:
        return bytes(self._stream.flush())
