"""LZ4 frames as Kafka's own reader takes them, block by block.

A frame, little-endian::

    magic           uint32   0x184D2204
    flags           uint8    bits 6-7 version (1), 5 independent blocks, 4 block checksums, 3 content size,
                             2 content checksum, 1 reserved, 0 dictionary id
    block_size      uint8    bits 4-6: 4 (64 KiB), 5 (256 KiB), 6 (1 MiB) or 7 (4 MiB); the others reserved
    content_size    uint64   with flag 3
    header_checksum uint8    second byte of the xxHash-32 of everything between the magic and here
    blocks                   uint32 length, bit 31 says "stored, not compressed"; so many bytes; uint32 checksum
                             with flag 4
    end             uint32   0
    content_checksum uint32  with flag 2

Why not a library's frame decoder: those that exist for Python take linked blocks and several frames, which Java
consumers cannot read (KIP-57), and do not take apart as Kafka does: it looks neither at the content's size nor at its
checksum. What is done here is the framing; each block goes through liblz4.

Refused, as by Kafka: linked blocks, a dictionary, reserved bits, another version, a wrong header or block checksum, a
frame without its end. Behind the end nothing is looked at.

Source: the LZ4 frame format, version 1.6.4; ``org.apache.kafka.common.compress.Lz4BlockInputStream``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final

from kproto.batches.compression import Codec, Undecodable

MAGIC: Final = b"\x04\x22\x4d\x18"
VERSION: Final = 1
INDEPENDENT, BLOCK_CHECKSUMS, CONTENT_SIZE, CONTENT_CHECKSUM = 0x20, 0x10, 0x08, 0x04
RESERVED: Final = 0b11
BLOCK_SIZES: Final = {4: 64 * 1024, 5: 256 * 1024, 6: 1024 * 1024, 7: 4 * 1024 * 1024}
STORED: Final = 1 << 31

_uint32 = Struct("<I")


def lz4_blocks(view: memoryview) -> Iterator[memoryview]:
    """The content of the frame at the start of ``view``, block by block; each is valid until the next one is asked for.

    Raises :class:`~kproto.batches.compression.Undecodable`.
    """
    import cramjam

    position, flags, block_size = _read_header(view)
    buffer = memoryview(bytearray(block_size))
    while length := _number(view, position):
        position += 4
        size = length & ~STORED
        block = view[position : position + size]
        if size > block_size or len(block) < size:
            raise _undecodable("a block's length leads outside its bounds")
        position += size
        try:
            if flags & BLOCK_CHECKSUMS:
                frame = _frame_of(length, block, _number(view, position), block_size)
                position += 4
                yield buffer[: cramjam.lz4.decompress_into(frame, buffer)]
            elif length & STORED:
                yield block
            else:
                yield buffer[: cramjam.lz4.decompress_block_into(block, buffer)]
        except cramjam.DecompressionError as error:
            raise _undecodable(str(error)) from None
    if flags & CONTENT_CHECKSUM:
        _number(view, position + 4)


def _undecodable(reason: str) -> Undecodable:
    return Undecodable(Codec.LZ4, reason)


def _number(view: memoryview, position: int) -> int:
    if len(view) - position < 4:
        raise _undecodable("it ends in the middle")
    number: int = _uint32.unpack_from(view, position)[0]
    return number


def _read_header(view: memoryview) -> tuple[int, int, int]:
    """Where the blocks begin, the flags, and how long a block may get."""
    if len(view) < 7 or bytes(view[:4]) != MAGIC:
        raise _undecodable("no LZ4 frame starts here")
    flags, sizes = view[4], view[5]
    if flags >> 6 != VERSION or flags & RESERVED or not flags & INDEPENDENT:
        raise _undecodable(f"frame flags {flags:#04x} are not those of independent blocks, version {VERSION}")
    if sizes & 0x8F or sizes >> 4 not in BLOCK_SIZES:
        raise _undecodable(f"no block size is written {sizes:#04x}")
    end = 14 if flags & CONTENT_SIZE else 6
    if len(view) <= end or view[end] != _header_checksum(bytes(view[4:end])):
        raise _undecodable("the header does not match its checksum")
    return end + 1, flags, BLOCK_SIZES[sizes >> 4]


def _frame_of(length: int, block: memoryview, checksum: int, block_size: int) -> bytes:
    """A frame with nothing in it but this block: liblz4 holds a block to its checksum only within a frame."""
    descriptor = bytes((VERSION << 6 | INDEPENDENT | BLOCK_CHECKSUMS, block_size.bit_length() // 2 - 4 << 4))
    head = MAGIC + descriptor + bytes((_header_checksum(descriptor),)) + _uint32.pack(length)
    return b"".join((head, block, _uint32.pack(checksum), bytes(4)))


_MASK: Final = 0xFFFF_FFFF
_PRIMES: Final = (2_654_435_761, 2_246_822_519, 3_266_489_917, 668_265_263, 374_761_393)


def _rotated(number: int, bits: int) -> int:
    number &= _MASK
    return number << bits & _MASK | number >> 32 - bits


@lru_cache(maxsize=64)  # of few different headers
def _header_checksum(data: bytes) -> int:
    """Bits 8 to 15 of the xxHash-32 (seed 0) of fewer than 16 bytes: the short half of that algorithm."""
    assert len(data) < 16
    first, second, third, fourth, fifth = _PRIMES
    number = fifth + len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        number = _rotated(number + int.from_bytes(data[start : start + 4], "little") * third, 17) * fourth
    for byte in data[whole:]:
        number = _rotated(number + byte * fifth, 11) * first
    number &= _MASK
    number = (number ^ number >> 15) * second & _MASK
    number = (number ^ number >> 13) * third & _MASK
    return (number ^ number >> 16) >> 8 & 0xFF
