"""Two records, compressed in every dialect there is, and in what is none: for the tests of the decoders, and for asking
brokers about each.

`TAKEN` are those that Apache Kafka was seen to store. `REFUSED` it answered with UNKNOWN_SERVER_ERROR or
INVALID_RECORD. `DEPARTURES` it stores; they are refused here, since other clients could not read them.
"""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from struct import pack

import cramjam

from kproto.batches.compression import XERIAL_HEADER, Codec, compress
from kproto.batches.header import HEADER_SIZE
from kproto.batches.lz4_frames import _header_checksum
from kproto.batches.records import RecordData, build_batch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECORDS = bytes(build_batch([RecordData(value=b"value one"), RecordData(value=b"value two")])[HEADER_SIZE:])
HALF = len(RECORDS) // 2
FIRST, SECOND = RECORDS[:HALF], RECORDS[HALF:]


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def with_gzip_flags(flags: int, extra: bytes = b"") -> bytes:
    whole = bytearray(gz(RECORDS))
    whole[3] = flags
    return bytes(whole[:10]) + extra + bytes(whole[10:])


def header_crc() -> bytes:
    return pack("<H", zlib.crc32(with_gzip_flags(2)[:10]) & 0xFFFF)


def raw(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def block(data: bytes) -> bytes:
    return pack(">i", len(raw(data))) + raw(data)


def xerial(*blocks: bytes, version: int = 1, compatible: int = 1) -> bytes:
    return XERIAL_HEADER[:8] + pack(">ii", version, compatible) + b"".join(blocks)


def lz4(
    data: bytes, *, flags: int = 0x60, sizes: int = 0x40, content_size: int | None = None, stored: bool = False,
    block_checksum: bytes = b"", end: bytes = bytes(4), checksum: int = 0,
) -> bytes:  # fmt: skip
    """One frame of one block, with anything in it."""
    body = data if stored else bytes(cramjam.lz4.compress_block(data, store_size=False))
    length = pack("<I", len(body) | (1 << 31 if stored else 0))
    descriptor = bytes((flags, sizes)) + (b"" if content_size is None else pack("<Q", content_size))
    head = b"\x04\x22\x4d\x18" + descriptor + bytes((_header_checksum(descriptor) ^ checksum,))
    return head + length + body + block_checksum + end


def zst(data: bytes, **options: int) -> bytes:
    names = {int(zstd.CompressionParameter[name]): value for name, value in options.items()}
    return bytes(zstd.compress(data, options=names)) if names else bytes(zstd.compress(data, 3))


def zstd_window(log: int) -> bytes:
    """A frame that names its window, with one block that is not compressed."""
    stored = struct.pack("<I", len(RECORDS) << 3 | 1)[:3] + RECORDS
    return b"\x28\xb5\x2f\xfd\x00" + bytes((log - 10 << 3,)) + stored


def changed(data: bytes, at: int, by: int = 1) -> bytes:
    found = bytearray(data)
    found[at] = found[at] + by & 0xFF
    return bytes(found)


SKIPPABLE = b"\x50\x2a\x4d\x18\4\0\0\0abcd"
OWN_LZ4 = bytes(compress(Codec.LZ4, RECORDS))  # with block checksums

TAKEN = {
    Codec.GZIP: {
        "one member": gz(RECORDS),
        "a byte behind it": gz(RECORDS) + b"\0",
        "zeros behind it": gz(RECORDS) + bytes(20),
        "garbage behind it": gz(RECORDS) + b"garbage that is longer than a header",
        "half a member behind it": gz(RECORDS) + gz(RECORDS)[:12],
        "an empty member behind it": gz(RECORDS) + gz(b""),
        "an empty member in front": gz(b"") + gz(RECORDS),
        "two members": gz(FIRST) + gz(SECOND),
        "two members and garbage": gz(FIRST) + gz(SECOND) + b"garbage that is longer than a header",
        "a header with its own checksum": with_gzip_flags(2, header_crc()),
        "a name": with_gzip_flags(8, b"name\0"),
    },
    Codec.SNAPPY: {
        "one raw block": raw(RECORDS),
        "one block": xerial(block(RECORDS)),
        "two blocks": xerial(block(FIRST), block(SECOND)),
        "two streams": xerial(block(FIRST)) + xerial(block(SECOND)),
        "an empty block between": xerial(block(FIRST), block(b""), block(SECOND)),
        "an empty block at the end": xerial(block(RECORDS), block(b"")),
        "a byte behind it": xerial(block(RECORDS)) + b"\0",
        "three bytes behind it": xerial(block(RECORDS)) + b"\0\0\0",
        "version 2": xerial(block(RECORDS), version=2),
        "version 0": xerial(block(RECORDS), version=0),
        "version -1": xerial(block(RECORDS), version=-1),
        "compatible with 2 only": xerial(block(RECORDS), compatible=2),
    },
    Codec.LZ4: {
        "one frame": lz4(RECORDS),
        "written here": OWN_LZ4,
        "a stored block": lz4(RECORDS, stored=True),
        "a byte behind it": lz4(RECORDS) + b"\0",
        "garbage behind it": lz4(RECORDS) + b"garbage that is more",
        "the same frame again": lz4(RECORDS) + lz4(RECORDS),
        "its content's size": lz4(RECORDS, flags=0x68, content_size=len(RECORDS)),
        "a content's size that is too large": lz4(RECORDS, flags=0x68, content_size=len(RECORDS) + 1),
        "a content's size that is too small": lz4(RECORDS, flags=0x68, content_size=len(RECORDS) - 5),
        "a wrong checksum of its content": lz4(RECORDS, flags=0x64) + b"\1\2\3\4",
        "blocks of up to 4 MiB": lz4(RECORDS, sizes=0x70),
    },
    Codec.ZSTD: {
        "one frame": zst(RECORDS),
        "with a checksum": zst(RECORDS, checksum_flag=1),
        "without its content's size": zst(RECORDS, content_size_flag=0),
        "two frames": zst(FIRST) + zst(SECOND),
        "an empty frame behind it": zst(RECORDS) + zst(b""),
        "an empty frame in front": zst(b"") + zst(RECORDS),
        "a skippable frame in front": SKIPPABLE + zst(RECORDS),
        "a skippable frame behind it": zst(RECORDS) + SKIPPABLE,
        "a window of 128 MiB": zstd_window(27),
    },
}

REFUSED = {
    Codec.GZIP: {
        "nothing": b"",
        "of nothing": gz(b""),
        **{f"{cut} bytes cut off": gz(RECORDS)[:-cut] for cut in (1, 4, 8, 9, 12)},
        "a wrong checksum": changed(gz(RECORDS), -8),
        "a wrong size": changed(gz(RECORDS), -4),
        "the second of two cut off": gz(FIRST) + gz(SECOND)[:-9],
        "the same member again": gz(RECORDS) + gz(RECORDS),
        "zlib's format": zlib.compress(RECORDS),
        "a header's checksum that is not there": with_gzip_flags(2),
        "a wrong checksum of its header": with_gzip_flags(2, b"\1\2"),
        "method 9": changed(gz(RECORDS), 2),
        "a byte behind the records": gz(RECORDS + b"\0"),
    },
    Codec.SNAPPY: {
        "nothing": b"",
        "of nothing": xerial(),
        **{f"{cut} bytes cut off": xerial(block(RECORDS))[:-cut] for cut in (1, 3, 5)},
        **{f"{cut} bytes cut off, raw": raw(RECORDS)[:-cut] for cut in (1, 3)},
        "four zeros behind it": xerial(block(RECORDS)) + bytes(4),
        "garbage behind it": xerial(block(RECORDS)) + b"garbage that is more",
        "length -1 behind it": xerial(block(RECORDS)) + b"\xff" * 4,
        "a byte behind it, raw": raw(RECORDS) + b"\0",
        "length 0 between": xerial(block(FIRST), bytes(4), block(SECOND)),
        "a size that is too large, raw": changed(raw(RECORDS), 0),
        "a size that is too small, raw": changed(raw(RECORDS), 0, -1),
        "a size of 2 GiB, raw": b"\xff\xff\xff\xff\x07" + raw(RECORDS)[1:],
        "a byte behind the records": xerial(block(RECORDS + b"\0")),
    },
    Codec.LZ4: {
        "nothing": b"",
        "of nothing": lz4(b""),
        **{f"{cut} bytes cut off": lz4(RECORDS)[:-cut] for cut in (1, 4, 5, 8)},
        "two frames": lz4(FIRST) + lz4(SECOND),
        "an empty frame in front": lz4(b"") + lz4(RECORDS),
        "a skippable frame in front": SKIPPABLE + lz4(RECORDS),
        "a checksum of its content that is missing": lz4(RECORDS, flags=0x64),
        "a wrong checksum of a block": changed(OWN_LZ4, -5),
        "a wrong checksum of its header": lz4(RECORDS, checksum=1),
        "linked blocks": bytes(cramjam.lz4.compress(RECORDS)),
        "the reserved bit": lz4(RECORDS, flags=0x62),
        "version 2": lz4(RECORDS, flags=0xA0),
        "a dictionary": lz4(RECORDS, flags=0x61),
        "blocks of no known size": lz4(RECORDS, sizes=0x30),
        "a reserved bit of the block size": lz4(RECORDS, sizes=0x41),
        "the legacy frame": b"\x02\x21\x4c\x18" + pack("<I", len(RECORDS)) + RECORDS,
        "a block longer than it may be": lz4(bytes(0x10001), stored=True),
        "no end": lz4(RECORDS, end=b""),
        "a byte behind the records": lz4(RECORDS + b"\0"),
    },
    Codec.ZSTD: {
        "nothing": b"",
        "of nothing": zst(b""),
        **{f"{cut} bytes cut off": zst(RECORDS)[:-cut] for cut in (1, 2, 4)},
        "a byte behind it": zst(RECORDS) + b"\0",
        "zeros behind it": zst(RECORDS) + bytes(20),
        "garbage behind it": zst(RECORDS) + b"garbage that is more",
        "two frames and garbage": zst(FIRST) + zst(SECOND) + b"garbage",
        "the same frame again": zst(RECORDS) + zst(RECORDS),
        "a content's size that is too large": changed(zst(RECORDS), 5),
        "a content's size that is too small": changed(zst(RECORDS), 5, -1),
        "a wrong checksum": changed(zst(RECORDS, checksum_flag=1), -1),
        "a window of 256 MiB": zstd_window(28),
        "a byte behind the records": zst(RECORDS + b"\0"),
    },
}

DEPARTURES = {
    Codec.GZIP: {"a reserved flag": with_gzip_flags(0x20)},
    Codec.ZSTD: {"half a frame behind it": zst(RECORDS) + zst(RECORDS)[:6]},
}
