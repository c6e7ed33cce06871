"""Varints: their bytes, their ends, and what is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.errors import Malformed, Truncated
from kproto.primitives import read_uvarint, read_varint, read_varlong, uvarint, varint, varlong

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "80 01"),
        (300, "ac 02"),
        (16_383, "ff 7f"),
        (16_384, "80 80 01"),
        (2**21 - 1, "ff ff 7f"),
        (2**21, "80 80 80 01"),
        (2**32 - 1, "ff ff ff ff 0f"),
    ],
)
def test_unsigned_varints(value: int, encoded: str) -> None:
    """Seven bits a byte, the least significant first."""
    assert uvarint(value) == bytes.fromhex(encoded)
    assert read_uvarint(bytes.fromhex(encoded), 0) == (value, len(uvarint(value)))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (63, "7e"), (-64, "7f"), (64, "80 01"), (-65, "81 01")],
)
def test_signed_varints_are_folded(value: int, encoded: str) -> None:
    """Zigzag keeps small negative numbers short, in 32 and in 64 bits alike."""
    assert varint(value) == varlong(value) == bytes.fromhex(encoded)
    assert read_varint(bytes.fromhex(encoded), 0)[0] == read_varlong(bytes.fromhex(encoded), 0)[0] == value


def test_the_ends_of_the_ranges() -> None:
    """Five bytes for 32 bits, ten for 64."""
    assert varint(2**31 - 1) == bytes.fromhex("fe ff ff ff 0f")
    assert varint(-(2**31)) == bytes.fromhex("ff ff ff ff 0f")
    assert varlong(2**63 - 1) == bytes.fromhex("fe" + "ff" * 8 + "01")
    assert varlong(-(2**63)) == bytes.fromhex("ff" * 9 + "01")


@given(INT32, INT64, st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(small: int, large: int, unsigned: int) -> None:
    """From any position, and up to the next value."""
    written = b"\xff" + varint(small) + varlong(large) + uvarint(unsigned) + b"\xff"
    first, pos = read_varint(memoryview(written), 1)
    second, pos = read_varlong(written, pos)
    third, pos = read_uvarint(bytearray(written), pos)
    assert (first, second, third, pos) == (small, large, unsigned, len(written) - 1)


def test_numbers_that_do_not_fit_are_refused() -> None:
    """ValueError, not a longer varint."""
    for encode, value in ((uvarint, -1), (uvarint, 2**32), (varint, 2**31), (varint, -(2**31) - 1), (varlong, 2**63)):
        with pytest.raises(ValueError, match="does not fit"):
            encode(value)


def test_varints_that_do_not_end_are_refused() -> None:
    """At the end of the buffer, after five or ten bytes, or above the largest value."""
    for data in ("", "80", "ff ff ff ff"):
        with pytest.raises(Truncated):
            read_uvarint(bytes.fromhex(data), 0)
    for data in ("80 80 80 80 80 00", "ff ff ff ff 1f"):
        with pytest.raises(Malformed):
            read_uvarint(bytes.fromhex(data), 0)
        with pytest.raises(Malformed):
            read_varint(bytes.fromhex(data), 0)
    for data in ("80 80 80 80 80 80 80 80 80 80 00", "ff ff ff ff ff ff ff ff ff 02"):
        with pytest.raises(Malformed):
            read_varlong(bytes.fromhex(data), 0)


def test_padding_is_accepted() -> None:
    """Kafka reads ``80 00`` as zero; so do we."""
    assert read_uvarint(b"\x80\x00", 0) == (0, 2)
    assert read_uvarint(b"\x80\x80\x80\x80\x00", 0) == (0, 5)
