"""Objects explain themselves: what a footer says is read back, and what is damaged is found out."""

from __future__ import annotations

import pytest

from kproto.errors import ErrorCode
from storage.object.object_format import (
    INDEX_INTERVAL,
    INDEXED_FROM,
    TRAILER_SIZE,
    UNPLACED,
    IndexBuilder,
    IndexEntry,
    StoredRun,
    decode_footer,
    decode_trailer,
    encode_footer,
)
from storage.testing.lab import refused

RUNS = [
    StoredRun("orders", bytes(range(16)), 3, 0, 700, UNPLACED, 12, 1_700_000_000_000, []),
    StoredRun("gr\u00fc\u00dfe", bytes(16), 0, 700, 1, 1 << 40, 5, -1, [IndexEntry(0, 0, -1), IndexEntry(3, 900, 77)]),
]


def test_a_footer_is_read_back() -> None:
    """From its own bytes, and from the end of a whole object."""
    footer = encode_footer(RUNS)
    assert decode_footer(footer) == RUNS
    assert decode_footer(memoryview(b"batches" + footer)) == RUNS
    trailer = decode_trailer(footer[-TRAILER_SIZE:])
    assert (trailer.runs, trailer.footer_length) == (2, len(footer) - TRAILER_SIZE)
    assert decode_footer(encode_footer([])) == []


def test_no_flipped_bit_gets_through() -> None:
    """Each byte of footer and trailer, changed, is corruption and nothing else."""
    footer = encode_footer(RUNS)
    for position in range(len(footer)):
        damaged = bytearray(footer)
        damaged[position] ^= 0x10
        with refused(ErrorCode.CORRUPT_MESSAGE):
            decode_footer(damaged)


@pytest.mark.parametrize("length", [0, 5, TRAILER_SIZE - 1, TRAILER_SIZE, TRAILER_SIZE + 60])
def test_a_part_of_a_footer_is_no_footer(length: int) -> None:
    """The end of an object without the beginning of its footer is refused."""
    with refused(ErrorCode.CORRUPT_MESSAGE):
        decode_footer(encode_footer(RUNS)[-length:] if length else b"")


def test_an_index_has_an_entry_for_every_interval() -> None:
    """Counted from the run's base, with how late it was before; a short run has none."""
    builder = IndexBuilder(100)
    for number in range(40):
        builder.add(100 + 2 * number, INDEX_INTERVAL // 2, 1000 - number if number else 5)
    assert builder.entries[:3] == [
        IndexEntry(0, 0, -1), IndexEntry(4, INDEX_INTERVAL, 999), IndexEntry(8, 2 * INDEX_INTERVAL, 999)
    ]  # fmt: skip
    assert builder.length == 20 * INDEX_INTERVAL >= INDEXED_FROM
    assert len(builder.index()) == 20
    short = IndexBuilder(0)
    short.add(0, 100, 1)
    assert list(short.index()) == []
