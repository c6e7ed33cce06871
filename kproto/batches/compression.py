"""The four codecs that a batch's records may be compressed with, in the dialects that clients write and read.

=====  ======  ====================================================================================================
codec  name    on the wire
=====  ======  ====================================================================================================
0      none
1      gzip    gzip members (RFC 1952), one or several
2      snappy  either one raw snappy block (librdkafka) or blocks of at most 32 KiB in the framing of the snappy-java
               library (Java, kafka-python, aiokafka); read both, write the latter, which every client reads
3      lz4     one LZ4 frame, version 1, independent blocks, a correct header checksum. Frames of linked blocks,
               with a dictionary or of the legacy kind are refused, because Java clients cannot read them (KIP-57)
4      zstd    zstd frames (KIP-110); clients since Kafka 2.1 only
=====  ======  ====================================================================================================

The framing of snappy-java: 8 bytes ``82 "SNAPPY" 00``, int32 version 1, int32 lowest compatible version 1, then blocks,
each an int32 length and so many bytes of raw snappy.

**Bombs.** A few kilobytes of zstd can stand for gigabytes of zeros (32,700 : 1). So nothing is decompressed into a
buffer that grows by itself: the output goes into one of a size chosen here, sized by what the data claims but only as
far as ordinary compression would make that claim true, and enlarged only after it has really been filled. The
caller's ``max_output`` is the end of it. Memory is bounded by ``max_output``, and time by that many bytes of output.

One library, cramjam, does the work; it gives up the interpreter's lock, so large batches can be handled in a thread.
It is imported on first use: a broker that never opens a compressed batch starts without it.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, Protocol

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError

__all__ = ["Codec", "DecompressedTooLarge", "Undecodable", "codec_named", "compress", "decompress"]


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


class DecompressedTooLarge(KafkaError):
    """More comes out than the caller allows.

    The code is MESSAGE_TOO_LARGE, after which a Java producer splits the batch and tries again.
    """

    def __init__(self, codec: Codec, max_output: int) -> None:
        super().__init__(
            ErrorCode.MESSAGE_TOO_LARGE, f"the {codec.name.lower()} records come to more than {max_output} bytes"
        )


XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER: Final = XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"
XERIAL_BLOCK_SIZE: Final = 32 * 1024

LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

FIRST_OUTPUT: Final = 64 * 1024
PLAUSIBLE_RATIO: Final = 64
"""A claimed size up to this many times the input is taken at its word; a larger one has to be filled step by step."""
GROWTH: Final = 8

# Kafka's defaults of compression.gzip.level, compression.lz4.level and compression.zstd.level.
DEFAULT_LEVELS: Final = {Codec.GZIP: 6, Codec.LZ4: 9, Codec.ZSTD: 3}

_int32 = Struct(">i")
_uint32_le = Struct("<I")
_uint64_le = Struct("<Q")


def codec_named(name: str) -> Codec:
    """The codec that ``compression.type`` calls by this name. Raises ``ValueError``; ``producer`` is not a codec."""
    try:
        return {"uncompressed": Codec.NONE, **{codec.name.lower(): codec for codec in Codec}}[name]
    except KeyError:
        raise ValueError(f"no compression codec is called {name!r}") from None


def compress(codec: int, data: ReadableBuffer, level: int | None = None) -> ReadableBuffer:
    """Compress ``data``; ``level`` None means Kafka's default for the codec, and snappy has none.

    With :attr:`Codec.NONE` the same object comes back.
    """
    import cramjam

    codec = Codec(codec)
    if level is None:
        level = DEFAULT_LEVELS.get(codec)
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return memoryview(cramjam.gzip.compress(data, level=level))
        case Codec.SNAPPY:
            return _compress_xerial(memoryview(data))
        case Codec.LZ4:
            compressor = cramjam.lz4.Compressor(level=level, content_checksum=False, block_linked=False)
            compressor.compress(bytes(data))  # it takes nothing else
            return memoryview(compressor.finish())
        case Codec.ZSTD:
            return memoryview(cramjam.zstd.compress(data, level=level))


def decompress(codec: int, data: ReadableBuffer, max_output: int) -> memoryview:
    """Decompress ``data``, which must be all of it, to at most ``max_output`` bytes.

    With :attr:`Codec.NONE` the result is a view of ``data``.

    Raises :class:`DecompressedTooLarge` or :class:`Undecodable`, which are ``KafkaError``, and
    ``KafkaError(UNSUPPORTED_COMPRESSION_TYPE)`` for an unassigned number.
    """
    if not 0 <= codec <= Codec.ZSTD:
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"no compression codec has the number {codec}")
    view = memoryview(data)
    codec = Codec(codec)
    match codec:
        case Codec.NONE:
            if len(view) > max_output:
                raise DecompressedTooLarge(codec, max_output)
            return view
        case Codec.GZIP:
            return _decompress_gzip(view, max_output)
        case Codec.SNAPPY:
            if bytes(view[:8]) == XERIAL_MAGIC:
                return _decompress_xerial(view, max_output)
            return _decompress_snappy_block(view, max_output)
        case Codec.LZ4:
            return _decompress_lz4(view, max_output)
        case Codec.ZSTD:
            return _decompress_zstd(view, max_output)


class _DecompressInto(Protocol):
    def __call__(self, input: memoryview, output: memoryview, /) -> int: ...


def _fill(codec: Codec, into: _DecompressInto, data: memoryview, claim: int | None, max_output: int) -> memoryview:
    """Decompress into a buffer of the right size, found by trying: the claimed size, then ever larger ones."""
    import cramjam

    plausible = FIRST_OUTPUT + PLAUSIBLE_RATIO * len(data)
    size = min(max_output, plausible if claim is None else min(claim, plausible))
    if claim is None:
        size = min(size, max(FIRST_OUTPUT, 4 * len(data)))
    while True:
        output = memoryview(bytearray(size))
        try:
            return output[: into(data, output)]
        except cramjam.DecompressionError as error:
            # The words of Rust's standard library for a full output; every other failure lies in the data.
            if "failed to write whole buffer" not in str(error):
                raise Undecodable(codec, error) from None
        if size >= max_output:
            raise DecompressedTooLarge(codec, max_output)
        size = min(max_output, max(FIRST_OUTPUT, size * GROWTH))


def _decompress_gzip(data: memoryview, max_output: int) -> memoryview:
    import cramjam

    if len(data) < 18:
        raise Undecodable(Codec.GZIP, "shorter than an empty gzip member")
    (claim,) = _uint32_le.unpack_from(data, len(data) - 4)
    return _fill(Codec.GZIP, cramjam.gzip.decompress_into, data, claim, max_output)


def _decompress_lz4(data: memoryview, max_output: int) -> memoryview:
    import cramjam

    if len(data) < 7 or bytes(data[:4]) != LZ4_MAGIC:
        raise Undecodable(Codec.LZ4, "no LZ4 frame starts here")
    flags = data[4]
    if flags >> 6 != 1 or flags & 0b0010_0011 != 0b0010_0000:
        raise Undecodable(Codec.LZ4, f"frame flags {flags:#04x} are not those of independent blocks, version 1")
    claim = _uint64_le.unpack_from(data, 6)[0] if flags & 0b1000 and len(data) >= 15 else None
    return _fill(Codec.LZ4, cramjam.lz4.decompress_into, data, claim, max_output)


def _decompress_zstd(data: memoryview, max_output: int) -> memoryview:
    import cramjam

    return _fill(Codec.ZSTD, cramjam.zstd.decompress_into, data, _zstd_content_size(data), max_output)


def _zstd_content_size(data: memoryview) -> int | None:
    """The size that a zstd frame header claims (RFC 8878, 3.1.1.1); streaming writers leave it out."""
    if len(data) < 6 or bytes(data[:4]) != ZSTD_MAGIC:
        return None
    descriptor = data[4]
    size_flag, single_segment = descriptor >> 6, descriptor & 0b10_0000
    if size_flag == 0 and not single_segment:
        return None
    start = 5 + (0 if single_segment else 1) + (0, 1, 2, 4)[descriptor & 0b11]
    field = bytes(data[start : start + (1, 2, 4, 8)[size_flag]])
    return int.from_bytes(field, "little") + (256 if size_flag == 1 else 0)


def _compress_xerial(data: memoryview) -> bytes:
    import cramjam

    parts: list[ReadableBuffer] = [XERIAL_HEADER]
    for start in range(0, len(data), XERIAL_BLOCK_SIZE):
        block = cramjam.snappy.compress_raw(data[start : start + XERIAL_BLOCK_SIZE])
        parts.append(_int32.pack(len(block)))
        parts.append(memoryview(block))
    return b"".join(parts)


def _snappy_length(block: memoryview) -> int:
    """The size that a raw snappy block claims; a claim that snappy's densest coding cannot reach is a lie."""
    import cramjam

    try:
        claim = cramjam.snappy.decompress_raw_len(block)
    except cramjam.DecompressionError as error:
        raise Undecodable(Codec.SNAPPY, error) from None
    # The densest element copies 64 bytes and takes 3.
    if len(block) == 0 or claim > 22 * len(block):
        raise Undecodable(Codec.SNAPPY, f"{len(block)} bytes cannot stand for {claim}")
    return claim


def _decompress_snappy_block(data: memoryview, max_output: int) -> memoryview:
    import cramjam

    size = _snappy_length(data)
    if size > max_output:
        raise DecompressedTooLarge(Codec.SNAPPY, max_output)
    output = memoryview(bytearray(size))
    try:
        return output[: cramjam.snappy.decompress_raw_into(data, output)]
    except cramjam.DecompressionError as error:
        raise Undecodable(Codec.SNAPPY, error) from None


def _xerial_blocks(data: memoryview) -> list[tuple[memoryview, int]]:
    """The raw blocks and their claimed sizes. A stream may be followed by another, header and all."""
    blocks: list[tuple[memoryview, int]] = []
    pos = 0
    while pos < len(data):
        if bytes(data[pos : pos + 8]) == XERIAL_MAGIC:
            if len(data) - pos < len(XERIAL_HEADER) or _int32.unpack_from(data, pos + 8)[0] < 1:
                raise Undecodable(Codec.SNAPPY, "the framing's header is cut short or of an unknown version")
            pos += len(XERIAL_HEADER)
            continue
        length = _int32.unpack_from(data, pos)[0] if len(data) - pos >= 4 else -1
        pos += 4
        if not 0 < length <= len(data) - pos:
            raise Undecodable(Codec.SNAPPY, "a block's length leads outside the data")
        block = data[pos : pos + length]
        blocks.append((block, _snappy_length(block)))
        pos += length
    return blocks


def _decompress_xerial(data: memoryview, max_output: int) -> memoryview:
    import cramjam

    blocks = _xerial_blocks(data)
    total = sum(size for _, size in blocks)
    if total > max_output:
        raise DecompressedTooLarge(Codec.SNAPPY, max_output)
    output = memoryview(bytearray(total))
    filled = 0
    try:
        for block, size in blocks:
            filled += cramjam.snappy.decompress_raw_into(block, output[filled : filled + size])
    except cramjam.DecompressionError as error:
        raise Undecodable(Codec.SNAPPY, error) from None
    return output
