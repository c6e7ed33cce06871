"""Values on their way to PostgreSQL and back, without a layer that guesses types.

Parameters go as text, which C formats on one side and parses on the other faster than Python packs bytes; only bytes go
as they are. Rows come back in PostgreSQL's binary format, by the type of each column. There are as few types as the
schema has: integers, bytes, text, booleans, uuids, and arrays of integers.

Sources: PostgreSQL's `src/include/catalog/pg_type.dat` for the numbers of types, `array_send` for arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

Row = tuple[Any, ...]
"""Values of the columns, in order: int, str, bytes, bool, list of int | None, or None."""


class Parameter(NamedTuple):
    """One parameter: its bytes, and whether they are in binary format."""

    data: bytes | None
    binary: bool


NULL: Final = Parameter(None, False)


def number(value: int | None) -> Parameter:
    """An integer of any width."""
    return NULL if value is None else Parameter(b"%d" % value, False)


def numbers(values: Iterable[int]) -> Parameter:
    """An array of integers."""
    return Parameter(f"{{{','.join(map(str, values))}}}".encode(), False)


def optional_numbers(values: Iterable[int | None]) -> Parameter:
    """An array of integers, some of them null."""
    return Parameter(f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}".encode(), False)


def text(value: str | None) -> Parameter:
    """A string."""
    return NULL if value is None else Parameter(value.encode(), False)


def truth(value: bool) -> Parameter:
    """A boolean."""
    return Parameter(b"t" if value else b"f", False)


def truths(values: Iterable[bool]) -> Parameter:
    """An array of booleans."""
    return Parameter(f"{{{','.join('t' if value else 'f' for value in values)}}}".encode(), False)


def raw(value: bytes | memoryview | None) -> Parameter:
    """Bytes."""
    return NULL if value is None else Parameter(bytes(value), True)


def uuid(value: bytes) -> Parameter:
    """Sixteen bytes, as a uuid."""
    assert len(value) == 16
    return Parameter(value, True)


_ARRAY_HEADER = Struct(">iiIii")
_LENGTH = Struct(">i")
_BYTEA, _TEXT, _UUID = 17, 25, 2950


def _array(kind: int, values: Sequence[bytes | memoryview | None]) -> Parameter:
    if not values:
        return Parameter(Struct(">iiI").pack(0, 0, kind), True)
    parts: list[bytes | memoryview] = [_ARRAY_HEADER.pack(1, 1, kind, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_LENGTH.pack(-1))
        else:
            parts += (_LENGTH.pack(len(value)), value)
    return Parameter(b"".join(parts), True)


def raws(values: Sequence[bytes | memoryview | None]) -> Parameter:
    """An array of bytes, some of them null."""
    return _array(_BYTEA, values)


def texts(values: Sequence[str | None]) -> Parameter:
    """An array of strings, some of them null."""
    return _array(_TEXT, [None if value is None else value.encode() for value in values])


def uuids(values: Sequence[bytes]) -> Parameter:
    """An array of uuids."""
    return _array(_UUID, values)


# -- rows --------------------------------------------------------------------------------------------------------------

_INT2, _INT4, _INT8, _OID = Struct(">h"), Struct(">i"), Struct(">q"), Struct(">I")


def _integer(layout: Struct) -> Callable[[bytes], int]:
    unpack = layout.unpack

    def read(data: bytes) -> int:
        value: int = unpack(data)[0]
        return value

    return read


def _integers(data: bytes) -> list[int | None]:
    """An array of int2, int4 or int8 with one dimension, or none of which is there."""
    if _INT4.unpack_from(data, 0)[0] == 0:
        return []
    (has_null,) = _INT4.unpack_from(data, 4)
    (count,) = _INT4.unpack_from(data, 12)
    width = {21: 2, 23: 4, 20: 8}[_OID.unpack_from(data, 8)[0]]
    if not has_null:
        values = Struct(">" + f"4x{'hiq'[width // 4]}" * count).unpack_from(data, 20)
        return list(values)
    found: list[int | None] = []
    position = 20
    for _ in range(count):
        (length,) = _INT4.unpack_from(data, position)
        position += 4
        if length < 0:
            found.append(None)
            continue
        found.append(int.from_bytes(data[position : position + length], "big", signed=True))
        position += length
    return found


_READERS: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda data: data == b"\x01",
    17: bytes,
    20: _integer(_INT8),
    21: _integer(_INT2),
    23: _integer(_INT4),
    25: lambda data: data.decode(),
    26: _integer(_OID),
    1005: _integers,
    1007: _integers,
    1016: _integers,
    2278: lambda data: None,  # void
    2950: bytes,
}


def reader(kind: int) -> Callable[[bytes], Any]:
    """How a column of the type with this number is read."""
    return _READERS[kind]
