"""Decompressors under a bound: bytes that say what they like, and never more output, memory or time than was allowed.

Input: a byte, modulo 6 the codec's number (5 is not assigned), a byte that chooses the bound on the output, and the
compressed bytes.

- Only KafkaError escapes: INVALID_RECORD, MESSAGE_TOO_LARGE, UNSUPPORTED_COMPRESSION_TYPE.
- The output is within the bound, and so is the memory: the bound twice (the pieces, and what they are joined to), a
  decoder, and a fixed multiple of the input.
- The same bytes under a larger bound give the same output, and under one byte less than the output are too large.
- What came out, compressed and decompressed again, is the same. What gzip gave is what Python's own zlib gives.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from random import Random
from typing import Final

from kproto.batches.compression import Codec, compress
from kproto.batches.decompression import decompress
from kproto.errors import ErrorCode, KafkaError
from kproto.tests.fuzz.bounds import measured

BOUNDS: Final = (0, 1, 100, 64 * 1024, 200 * 1024, 1 << 20)
REFUSALS: Final = {
    ErrorCode.INVALID_RECORD,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
}


def fuzz_decompressors(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 2:
        return
    codec, bound, payload = data[0] % 6, BOUNDS[data[1] % len(BOUNDS)], data[2:]
    try:
        output = measured(
            lambda: bytes(decompress(codec, payload, bound)), len(payload) + bound, bytes_per_byte=3, beside=5 << 20
        )
    except KafkaError as error:
        assert error.code in REFUSALS
        if error.code is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE:
            assert codec == 5
        return
    assert len(output) <= bound
    assert bytes(decompress(codec, payload, BOUNDS[-1] * 2)) == output
    if output:
        try:
            decompress(codec, payload, len(output) - 1)
        except KafkaError as error:
            assert error.code is ErrorCode.MESSAGE_TOO_LARGE
        else:
            raise AssertionError("one byte less is too few")
    level = None if codec in (Codec.NONE, Codec.SNAPPY) else 1
    assert bytes(decompress(codec, compress(codec, output, level), len(output))) == output
    if codec == Codec.GZIP:
        assert unzipped(payload) == output


def unzipped(payload: bytes) -> bytes:
    """The members of a gzip file one behind the other, by zlib."""
    parts = []
    while payload:
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(payload) + member.flush())
        assert member.eof, "a member that ends early was taken"
        payload = member.unused_data
        if len(payload) <= 18 or payload[:3] != b"\x1f\x8b\x08":
            break  # not another member, and ignored
    return b"".join(parts)


def seeds() -> Iterator[bytes]:
    """Small and large outputs of every codec, bombs, broken ends, several members and blocks."""
    random = Random(2)
    contents = (b"", b"a", b"records " * 30, random.randbytes(300), bytes(100_000))
    for codec in range(5):
        for content in contents:
            for bound in range(len(BOUNDS)):
                level = None if codec in (Codec.NONE, Codec.SNAPPY) else 1
                compressed = bytes(compress(codec, content, level))
                if len(compressed) < 4096:
                    yield bytes((codec, bound)) + compressed
                    yield bytes((codec, bound)) + compressed[:-2]
    yield b"\x01\x03" + bytes(compress(1, b"one ", 1)) + bytes(compress(1, b"two", 1))
    yield b"\x02\x03" + bytes(compress(2, b"one ")) * 2
    yield b"\x02\x03" + bytes(compress(2, b"one "))[20:]
    yield b"\x05\x03unassigned"
