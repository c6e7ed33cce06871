"""Messages as JSON, for the people who read a recording.

Fields have the names of the declarations and only those that the version carries. Ids are UUIDs as they are commonly
written, bytes are hexadecimal (the first `SHOWN` of them), records are how many bytes and batches there are: the frame
beside has them whole.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD
from kproto.schema.declare import FieldType, Struct, fields_of

SHOWN: Final = 64
MOST: Final = 1000
"""Elements of an array that are shown."""


def plain(message: Struct, version: int) -> dict[str, Any]:
    """A message as values that JSON has."""
    return {
        declared.name: _value(getattr(message, declared.name), declared.type, version)
        for declared in fields_of(type(message))
        if version in declared.versions
    }


def _value(value: Any, kind: FieldType, version: int) -> Any:
    if value is None:
        return None
    if kind.element is not None:
        shown = [_value(each, kind.element, version) for each in value[:MOST]]
        return [*shown, f"... {len(value) - MOST} more"] if len(value) > MOST else shown
    if kind.struct is not None:
        return plain(value, version)
    if kind.name == "uuid":
        return str(UUID(bytes=bytes(value)))
    if kind.name == "bytes":
        return bytes(value[:SHOWN]).hex() + (f"... {len(value)} bytes" if len(value) > SHOWN else "")
    if kind.name == "records":
        return f"{len(value)} bytes, {len(batches(value))} batches"
    return value


def batches(records: Any) -> list[memoryview]:
    """The whole batches that there are in records; a cut one at the end is left out."""
    data, at, found = memoryview(records), 0, []
    while len(data) - at >= HEADER_SIZE:
        size = LOG_OVERHEAD + int.from_bytes(data[at + 8 : at + 12], "big")
        if size < HEADER_SIZE or size > len(data) - at:
            break
        found.append(data[at : at + size])
        at += size
    return found
