"""The codecs: what clients write is read, what is written is read by all, and no input outgrows its bound."""

import gzip
import os
import struct
import subprocess
import sys
import tracemalloc
from random import Random

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec, Undecodable, codec_named, compress, packer
from kproto.batches.decompression import OutputBoundExceeded, decompress, pieces
from kproto.errors import ErrorCode, KafkaError

COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = b"".join(b"line %d of a text that compresses\n" % number for number in range(4000))
MIB = 1024 * 1024


def zstd_bomb(mebibytes: int) -> bytes:
    """A zstd frame of run-length blocks: four bytes for each 128 KiB of zeros."""
    block = struct.pack("<I", 131072 << 3 | 1 << 1)[:3] + b"\0"
    last = struct.pack("<I", 131072 << 3 | 1 << 1 | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (mebibytes * 8 - 1) + last


def gzip_bomb(mebibytes: int) -> bytes:
    """Members of 16 MiB of zeros, one behind the other."""
    return gzip.compress(bytes(16 * MIB), mtime=0) * (mebibytes // 16)


def lz4_bomb(mebibytes: int) -> bytes:
    """Frames of 16 MiB of zeros."""
    return bytes(compress(Codec.LZ4, bytes(16 * MIB))) * (mebibytes // 16)


def snappy_bomb(mebibytes: int) -> bytes:
    """Blocks of 32 KiB of zeros in the framing of snappy-java."""
    return bytes(compress(Codec.SNAPPY, bytes(mebibytes * MIB)))


BOMBS = {Codec.GZIP: gzip_bomb, Codec.SNAPPY: snappy_bomb, Codec.LZ4: lz4_bomb, Codec.ZSTD: zstd_bomb}


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("data", [b"", b"x", TEXT, os.urandom(100_000), bytes(3 * MIB)], ids=len)
def test_what_is_compressed_comes_back(codec: Codec, data: bytes) -> None:
    """At a bound of exactly its size, too."""
    packed = compress(codec, data)
    assert compress(codec, memoryview(bytearray(data))) == packed
    assert decompress(codec, packed, len(data)) == data
    assert decompress(codec, memoryview(bytes(packed)), 1 << 30) == data


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("data", [b"x", TEXT, os.urandom(100_000), bytes(3 * MIB)], ids=len)
def test_one_byte_above_the_bound_is_too_large(codec: Codec, data: bytes) -> None:
    """The bound is exact, and its refusal makes a Java producer split the batch."""
    with pytest.raises(OutputBoundExceeded) as caught:
        decompress(codec, compress(codec, data), len(data) - 1)
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(COMPRESSING), st.binary(max_size=5000), st.integers(1, 50))
def test_any_data_survives_any_codec(codec: Codec, data: bytes, times: int) -> None:
    """B5's foundation."""
    assert decompress(codec, compress(codec, data * times), len(data) * times) == data * times


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(COMPRESSING), st.binary(max_size=300), st.booleans())
def test_any_bytes_decode_or_are_refused(codec: Codec, data: bytes, with_magic: bool) -> None:
    """B3: nothing but KafkaError comes out, whatever goes in."""
    magic = bytes(compress(codec, b""))[:12] if with_magic else b""
    try:
        decompress(codec, magic + data, 100_000)
    except KafkaError as error:
        assert error.code in (ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(COMPRESSING), st.data())
def test_damage_is_noticed_or_harmless(codec: Codec, choose: st.DataObject) -> None:
    """B3: one flipped bit anywhere."""
    packed = bytearray(compress(codec, TEXT[:2000]))
    packed[choose.draw(st.integers(0, len(packed) - 1))] ^= 1 << choose.draw(st.integers(0, 7))
    try:
        decompress(codec, packed, 100_000)
    except KafkaError as error:
        assert error.code in (ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_data_that_is_cut_short_is_undecodable(codec: Codec) -> None:
    """At every length, none at all included."""
    packed = bytes(compress(codec, TEXT[:1000]))
    for length in range(len(packed)):
        if (codec is Codec.SNAPPY and 16 <= length < 20) or (codec is Codec.ZSTD and length == 0):
            continue  # the bare header of the framing stands for no blocks at all, and nothing for no frames
        with pytest.raises(Undecodable) as caught:
            decompress(codec, packed[:length], MIB)
        assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_bomb_is_stopped_at_the_bound(codec: Codec) -> None:
    """B4: 256 MiB in a few kilobytes, a bound of 1 MiB: memory stays near the bound."""
    bomb = BOMBS[codec](256 if codec is not Codec.SNAPPY else 64)
    assert len(bomb) < 4 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(OutputBoundExceeded):
            decompress(codec, bomb, MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process of its own")
def test_gibibytes_come_out_in_the_memory_of_a_piece() -> None:
    """B4, codec libraries included: a gibibyte of each codec, all of it, in a process that may take 40 MiB more."""
    program = (
        "import resource, sys, cramjam, zlib\n"
        "from kproto.batches.compression import *\n"
        "from kproto.batches.decompression import pieces\n"
        "zstd_library()\n"
        "import kproto.batches.lz4_frames\n"
        "codec, data = int(sys.argv[1]), sys.stdin.buffer.read()\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), used + (40 << 20)))\n"
        "print(sum(map(len, pieces(codec, data))) >> 20)\n"
    )
    sizes = {Codec.GZIP: 256, Codec.SNAPPY: 256, Codec.LZ4: 16, Codec.ZSTD: 1024}
    for codec, mebibytes in sizes.items():
        ran = subprocess.run(
            [sys.executable, "-c", program, str(int(codec))], input=BOMBS[codec](mebibytes), capture_output=True,
            timeout=60, check=True,
        )  # fmt: skip
        assert int(ran.stdout) == mebibytes


@pytest.mark.parametrize(
    ("codec", "lie"),
    [
        (Codec.GZIP, gzip.compress(b"x", mtime=0)[:-4] + b"\xff\xff\xff\x7f"),
        (Codec.SNAPPY, b"\xff\xff\xff\xff\x07" + b"\0x" * 20),
        (Codec.SNAPPY, b"\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\0\6\xff\xff\xff\xff\x07\0"),
        (Codec.LZ4, b"\x04\x22\x4d\x18\x68\x40\xff\xff\xff\xff\xff\x00\x00\x00\x00" + bytes(8)),
        (Codec.ZSTD, b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 6 + b"\0\0" + b"\1\0\0"),
    ],
)
def test_a_claimed_size_costs_nothing_until_it_is_filled(codec: Codec, lie: bytes) -> None:
    """B4: a few bytes that claim gigabytes do not make anybody allocate them."""
    tracemalloc.start()
    try:
        with pytest.raises(KafkaError):
            list(pieces(codec, lie))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


def test_raw_snappy_is_read() -> None:
    """librdkafka writes one raw block without any framing."""
    assert decompress(Codec.SNAPPY, bytes(cramjam.snappy.compress_raw(TEXT)), len(TEXT)) == TEXT


def test_snappy_is_written_in_the_framing_of_java() -> None:
    """Header, then blocks of at most 32 KiB with their lengths; a second stream may follow the first."""
    packed = bytes(compress(Codec.SNAPPY, TEXT))
    assert packed[:16] == bytes.fromhex("82534e41505059000000000100000001")
    (length,) = struct.unpack_from(">i", packed, 16)
    assert len(cramjam.snappy.decompress_raw(packed[20 : 20 + length])) == 32 * 1024
    assert decompress(Codec.SNAPPY, packed + packed, 2 * len(TEXT)) == TEXT + TEXT


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x82SNAPPY\0\0"])
def test_snappy_framing_that_leads_astray_is_refused(damage: bytes) -> None:
    """Block lengths of zero, below, beyond; half a header."""
    with pytest.raises(Undecodable):
        decompress(Codec.SNAPPY, bytes(compress(Codec.SNAPPY, b"abc")) + damage, MIB)


def test_lz4_is_written_as_java_reads_it() -> None:
    """Version 1, independent blocks, no content size, no dictionary (KIP-57)."""
    packed = bytes(compress(Codec.LZ4, TEXT))
    assert packed[:4] == b"\x04\x22\x4d\x18"
    assert packed[4] & 0b1110_0011 == 0b0110_0000


def test_gzip_members_and_zstd_frames_may_follow_one_another() -> None:
    """As Kafka reads them."""
    for codec in (Codec.GZIP, Codec.ZSTD):
        twice = bytes(compress(codec, b"one ")) + bytes(compress(codec, b"two"))
        assert bytes(decompress(codec, twice, 100)) == b"one two"


@pytest.mark.parametrize(("codec", "low", "high"), [(Codec.GZIP, 1, 9), (Codec.LZ4, 1, 12), (Codec.ZSTD, 1, 15)])
def test_levels_are_obeyed(codec: Codec, low: int, high: int) -> None:
    """compression.<codec>.level reaches the codec: a higher one packs at least as tight."""
    words = Random(1).choices([b"topic", b"offset", b"record", b"epoch", b"leader", b"group", b"17", b"23"], k=20_000)
    data = b" ".join(words)
    assert len(compress(codec, data, high)) < len(compress(codec, data, low))


@pytest.mark.parametrize("codec", [-1, 5, 6, 7])
def test_unassigned_numbers_are_unsupported(codec: int) -> None:
    """Three of the eight values of the attribute bits mean nothing."""
    with pytest.raises(KafkaError) as caught:
        decompress(codec, b"", 10)
    assert caught.value.code is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_codecs_have_the_names_of_compression_type() -> None:
    """compression.type says uncompressed for none; producer is no codec."""
    names = ("uncompressed", "none", "gzip", "snappy", "lz4", "zstd")
    assert [codec_named(name) for name in names] == [0, 0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="producer"):
        codec_named("producer")


def test_codec_libraries_are_imported_on_first_use_only() -> None:
    """A broker that never opens a compressed batch does not pay for them at its start."""
    program = (
        "import sys, kproto.batches.validate, kproto.batches.records\n"
        "sys.exit(any(name in sys.modules for name in ('cramjam', 'backports.zstd', 'compression.zstd')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("step", [1, 1000, 100_000])
def test_a_packer_may_be_fed_in_pieces(codec: Codec, step: int) -> None:
    """Whatever is fed at a time, the joined output is one stream of all of it."""
    data = TEXT[:3000] if step == 1 else TEXT
    stream = packer(codec)
    parts = [bytes(stream.add(data[start : start + step])) for start in range(0, len(data), step)]
    packed = b"".join([*parts, bytes(stream.finish())])
    assert decompress(codec, packed, len(data)) == data


@pytest.mark.parametrize("codec", Codec)
def test_pieces_are_small_and_never_empty(codec: Codec) -> None:
    """1 byte to 64 KiB, at every size around that of a piece and of a block."""
    for size in (0, 1, 65_535, 65_536, 65_537, 131_072, 5 << 20):
        found = list(pieces(codec, compress(codec, bytes(size))))
        assert sum(map(len, found)) == size
        assert all(1 <= len(piece) <= 64 * 1024 for piece in found)
