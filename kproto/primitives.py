"""The atoms of Kafka's wire format that the :mod:`struct` module does not know.

**Unsigned varint**: seven bits a byte, least significant group first, the top bit set on all but the last byte. Lengths
and counts of flexible messages (KIP-482) travel as this, plus one, so that zero can mean null; tags travel plainly.
Five bytes at most and never above 2**32 - 1.

**Varint and varlong** inside records: the same after zigzag, which folds the sign into the lowest bit (0, -1, 1, -2 ...
become 0, 1, 2, 3 ...). Five bytes at most for 32 bits, ten for 64.

Readers take a buffer and a position and return the value and the position behind it. They raise
:class:`~kproto.errors.Truncated` at the end of the buffer and :class:`~kproto.errors.Malformed` for a number that is
too long; they accept the padded forms that Kafka accepts (``80 00`` is zero).
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from kproto.errors import Malformed, Truncated

__all__ = [
    "MAX_STRING",
    "MAX_TAGGED_FIELDS",
    "Readable",
    "read_uvarint",
    "read_varint",
    "read_varlong",
    "uvarint",
    "varint",
    "varlong",
]

Readable: TypeAlias = bytes | bytearray | memoryview

MAX_STRING: Final = 0x7FFF
"""The greatest length of a string in bytes, in compact form too, where a varint could say more."""

MAX_TAGGED_FIELDS: Final = 10_000
"""The greatest number of tagged fields in one section, that is in a header or in one struct, as in Kafka."""

_MAX_UINT32: Final = 0xFFFF_FFFF
_MAX_UINT64: Final = 0xFFFF_FFFF_FFFF_FFFF

ONE_BYTE: Final[Sequence[bytes]] = tuple(bytes((n,)) for n in range(0x80))


def uvarint(value: int) -> bytes:
    """Encode ``0 <= value < 2**32``. Raises ValueError."""
    if 0 <= value < 0x80:
        return ONE_BYTE[value]
    if 0 <= value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if 0 <= value < 0x20_0000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    if not 0 <= value <= _MAX_UINT32:
        raise ValueError(f"{value} does not fit an unsigned varint")
    return _groups(value)


def varint(value: int) -> bytes:
    """Encode a signed 32-bit number. Raises ValueError."""
    if not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        raise ValueError(f"{value} does not fit a varint")
    return _groups(value << 1 if value >= 0 else (~value << 1) | 1)


def varlong(value: int) -> bytes:
    """Encode a signed 64-bit number. Raises ValueError."""
    if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        raise ValueError(f"{value} does not fit a varlong")
    return _groups(value << 1 if value >= 0 else (~value << 1) | 1)


def read_uvarint(buf: Readable, pos: int) -> tuple[int, int]:
    """Decode an unsigned varint; (value, position behind it)."""
    return _read_groups(buf, pos, 5, _MAX_UINT32)


def read_varint(buf: Readable, pos: int) -> tuple[int, int]:
    """Decode a signed 32-bit number; (value, position behind it)."""
    value, pos = _read_groups(buf, pos, 5, _MAX_UINT32)
    return (value >> 1) ^ -(value & 1), pos


def read_varlong(buf: Readable, pos: int) -> tuple[int, int]:
    """Decode a signed 64-bit number; (value, position behind it)."""
    value, pos = _read_groups(buf, pos, 10, _MAX_UINT64)
    return (value >> 1) ^ -(value & 1), pos


def _groups(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _read_groups(buf: Readable, pos: int, most: int, largest: int) -> tuple[int, int]:
    value = 0
    try:
        for shift in range(0, 7 * most, 7):
            byte = buf[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > largest:
                    break
                return value, pos
    except IndexError:
        raise Truncated("the bytes end inside a varint") from None
    raise Malformed(f"a varint of more than {largest.bit_length()} bits")
