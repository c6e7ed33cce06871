"""Request and response headers: which message follows, and to whom it belongs.

A request header has three versions (Kafka: RequestHeader.json): v0 without a client id (retired with its only user),
v1 with one, v2 the same plus tagged fields. A response header has two: v0 is the correlation id alone, v1 adds tagged
fields. A flexible message version takes the newer header, an inflexible one the older.

The exception: the response to **ApiVersions** always has header v0, for a client must be able to read it before it
knows which version the broker speaks (KIP-511).

The client id stays an int16 string even in header v2, so this code reads both versions in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from kproto.errors import Malformed, Truncated
from kproto.primitives import MAX_TAGGED_FIELDS, read_uvarint

API_VERSIONS = 18

_FIXED = Struct(">hhih")
_FIXED_SIZE = _FIXED.size
_unpack_fixed = _FIXED.unpack_from
_CORRELATION = Struct(">i")
_FLEXIBLE_PREFIX = Struct(">iix")


class RequestHead(NamedTuple):
    """A request's header up to and including the client id; `tags_at` is where tagged fields or the body begin."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    tags_at: int


_head: Final[Callable[[type[RequestHead], tuple[int, int, int, str | None, int]], RequestHead]] = tuple.__new__
"""A third of what calling RequestHead costs, once for each request."""


def read_request_head(frame: memoryview) -> RequestHead:
    """Decode what all header versions share. Raises ProtocolError."""
    if len(frame) < _FIXED_SIZE:
        raise Truncated(f"a request of {len(frame)} bytes has no room for its header")
    api_key, api_version, correlation_id, length = _unpack_fixed(frame)
    if length < 0:
        if length != -1:
            raise Malformed(f"a client id of length {length}")
        return _head(RequestHead, (api_key, api_version, correlation_id, None, _FIXED_SIZE))
    end = _FIXED_SIZE + length
    if end > len(frame):
        raise Truncated("the client id ends beyond the request")
    # A name for people: bytes that are no text become marks, as in Kafka, and the request is answered.
    client_id = str(frame[_FIXED_SIZE:end], "utf-8", "replace")
    return _head(RequestHead, (api_key, api_version, correlation_id, client_id, end))


def skip_tagged_fields(frame: memoryview, at: int) -> int:
    """Where the body begins after the tagged fields of a flexible header. Raises ProtocolError."""
    count, at = read_uvarint(frame, at)
    if count > MAX_TAGGED_FIELDS:
        raise Malformed(f"{count} tagged fields in a header")
    for _ in range(count):
        _tag, at = read_uvarint(frame, at)
        size, at = read_uvarint(frame, at)
        at += size
        if at > len(frame):
            raise Truncated("a tagged field of the header ends beyond the request")
    return at


def write_request_header(
    api_key: int, api_version: int, correlation_id: int, client_id: str | None, flexible: bool
) -> bytes:
    """Header v1, or v2 if `flexible`."""
    encoded = b"" if client_id is None else client_id.encode()
    length = -1 if client_id is None else len(encoded)
    head = _FIXED.pack(api_key, api_version, correlation_id, length) + encoded
    return head + b"\0" if flexible else head


def write_response_header(correlation_id: int, flexible: bool) -> bytes:
    """Header v0, or v1 if `flexible` (never for ApiVersions)."""
    head = _CORRELATION.pack(correlation_id)
    return head + b"\0" if flexible else head


def flexible_reply_prefix(body_size: int, correlation_id: int) -> bytes:
    """The length of a frame and response header v1: what precedes a body of so many bytes."""
    return _FLEXIBLE_PREFIX.pack(body_size + 5, correlation_id)


def read_response_header(frame: memoryview, flexible: bool) -> tuple[int, int]:
    """(correlation id, where the body begins). Raises ProtocolError."""
    if len(frame) < 4:
        raise Truncated(f"a response of {len(frame)} bytes has no room for its header")
    correlation_id: int = _CORRELATION.unpack_from(frame)[0]
    return correlation_id, skip_tagged_fields(frame, 4) if flexible else 4
