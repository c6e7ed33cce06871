"""Bytes of keys, values and headers as people read them.

    JSON       an object or array, with an indent of two
    text       UTF-8 without control characters
    schema     Confluent's framing (0, then the schema's number in four bytes): the number, and the rest in hex
    bytes      in hex, sixteen to a line

What is shown of one value is bounded; a link leads to all of it.
"""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Final, NamedTuple

SHOWN_CHARACTERS: Final = 20_000
SHOWN_BYTES: Final = 1024
LINE_CHARACTERS: Final = 160
JSON_BYTES: Final = 256 * 1024


class Shown(NamedTuple):
    """What bytes are taken for (`null`, `empty`, `JSON`, `text`, `schema N`, `bytes`), a line of them, and all of them
    as far as they are shown."""

    kind: str
    line: str
    full: str
    size: int
    is_cut: bool = False


def shown(data: bytes | None) -> Shown:
    """Bytes as a person reads them."""
    if data is None:
        return Shown("null", "null", "null", 0)
    if not data:
        return Shown("empty", "", "", 0)
    if data[0] == 0 and len(data) > 5:
        number = struct.unpack(">I", data[1:5])[0]
        rest = hexadecimal(data[5:])
        return Shown(f"schema {number}", _line(rest), rest, len(data), len(data) > SHOWN_BYTES)
    text = as_text(data)
    if text is None:
        dump = hexadecimal(data)
        return Shown("bytes", _line(dump), dump, len(data), len(data) > SHOWN_BYTES)
    kind, full = "text", text
    if len(data) <= JSON_BYTES and text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):  # text that only looks like it
            full, kind = json.dumps(json.loads(text), indent=2, ensure_ascii=False), "JSON"
    return Shown(kind, _line(text), full[:SHOWN_CHARACTERS], len(data), len(full) > SHOWN_CHARACTERS)


def as_text(data: bytes) -> str | None:
    """The text that bytes are, or None where they are none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\n\r\t" for character in text) else None


def hexadecimal(data: bytes) -> str:
    """The first bytes in hex, sixteen to a line."""
    lines = (data[start : start + 16] for start in range(0, min(len(data), SHOWN_BYTES), 16))
    return "\n".join(line.hex(" ") for line in lines)


def _line(text: str) -> str:
    line = " ".join(text[: 2 * LINE_CHARACTERS].split())
    return line if len(line) <= LINE_CHARACTERS and len(text) <= 2 * LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}…"
