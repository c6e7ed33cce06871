"""Requests and answers as people read them: bytes in hexadecimal, requests decoded field by field, values in short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from kproto.errors import ErrorCode, ProtocolError
from kproto.headers import read_request_head, skip_tagged_fields
from kproto.messages import request_type
from kproto.schema.explain import dump
from tools.answers.site import KEPT_BYTES, Exchange, Plain

LONGEST: Final = 300
ERRORS: Final = "error_code"
FRAME_PREFIX: Final = 4


def value(shown: Plain, path: str = "") -> str:
    """A value in one line, at most `LONGEST` letters; an error code with its name."""
    if path.endswith(ERRORS) and isinstance(shown, int):
        try:
            return f"{shown} {ErrorCode(shown).name}"
        except ValueError:
            return str(shown)
    text = shown if isinstance(shown, str) and shown.startswith("<") else json.dumps(shown, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def numbers(versions: Sequence[int]) -> str:
    """Versions in short: `0-4, 7`."""
    parts: list[list[int]] = []
    for version in sorted(set(versions)):
        if parts and version == parts[-1][1] + 1:
            parts[-1][1] = version
        else:
            parts.append([version, version])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def hexadecimal(data: bytes) -> str:
    """All bytes that were kept."""
    return data.hex() + ("..." if len(data) >= KEPT_BYTES else "")


def decoded(exchange: Exchange) -> str:
    """The request field by field; a sentence where it was broken on purpose."""
    if exchange.api_key < 0:
        return "bytes that are no request"
    if len(exchange.sent) >= KEPT_BYTES:
        return f"a request of more than {KEPT_BYTES} bytes"
    frame = memoryview(exchange.sent)[FRAME_PREFIX:]
    try:
        api = request_type(exchange.api_key)
        at = read_request_head(frame).tags_at
        if exchange.version >= api.flexible_version:
            at = skip_tagged_fields(frame, at)
        return dump(api, exchange.version, frame[at:])
    except (ProtocolError, ValueError, KeyError, IndexError):
        return "a request that cannot be decoded: it is broken on purpose, or of a version that is not known"
