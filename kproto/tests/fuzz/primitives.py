"""Varints and ids: the readers of varints in this project agree, and what is read is written the same.

Input: bytes, in which a number is read. The general readers and the one inside records were written apart for speed.

Ids: any text that is taken for a UUID is written as the same 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kproto.batches.records import _read_number as read_record_varint
from kproto.errors import KafkaError, ProtocolError
from kproto.ids import format_uuid, parse_uuid
from kproto.primitives import read_uvarint, read_varint, read_varlong, uvarint, varint, varlong


def fuzz_primitives(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    view = memoryview(data)
    for bits, read, write in ((32, read_varint, varint), (64, read_varlong, varlong)):
        general = inside_record = None
        with suppress(ProtocolError):
            general = read(view, 0)
        with suppress(KafkaError, IndexError):
            inside_record = read_record_varint(view, 0, len(view), bits)
        assert general == inside_record
        if general is not None:
            assert -(1 << bits - 1) <= general[0] < 1 << bits - 1
            assert read(write(general[0]), 0)[0] == general[0]
            assert len(write(general[0])) <= general[1]
    with suppress(ProtocolError):
        number, end = read_uvarint(view, 0)
        assert 0 <= number < 1 << 32
        assert read_uvarint(uvarint(number), 0) == (number, len(uvarint(number)))
        assert len(uvarint(number)) <= end
    with suppress(ValueError):
        uuid = parse_uuid(data.decode("latin-1"))
        assert len(uuid) == 16
        assert parse_uuid(format_uuid(uuid)) == uuid


def seeds() -> Iterator[bytes]:
    """Numbers at the edges of every length, padded and overlong ones, and an id."""
    for bits in range(0, 64, 7):
        for number in ((1 << bits) - 1, (1 << bits) % (1 << 63)):
            yield varlong(number)
            yield varlong(-number)
            if number < 1 << 32:
                yield uvarint(number)
    yield b"\x80\x00"
    yield b"\xff" * 9 + b"\x01"
    yield b"\xff" * 11
    yield format_uuid(bytes(range(16))).encode()
    yield b"____________________-A=="
