"""Frames and request headers that no client sends, and what becomes of the connection.

Heartbeats carry the headers that are in order: their answer is small and says nothing about the broker.
"""

from __future__ import annotations

from struct import pack

from kproto.framing import frame_prefix
from kproto.messages.heartbeat import HeartbeatRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, encoded

HEARTBEAT = 12


def frame(head: bytes, body: bytes = b"") -> bytes:
    """A frame of this header and this body."""
    return frame_prefix(len(head) + len(body)) + head + body


@scenario(HeartbeatRequest, since=4)
def frames(stage: Stage) -> None:
    """Sizes that cannot be, and bytes of another protocol."""
    for name, data in {
        "size zero": pack(">i", 0),
        "size negative": pack(">i", -1),
        "size most negative": pack(">i", -(1 << 31)),
        "size beyond the limit": pack(">i", 104_857_601),
        "size largest": pack(">i", 0x7FFF_FFFF),
        "one byte": frame(b"\0"),
        "seven bytes": frame(bytes(7)),
        "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "unknown api key": frame(pack(">hhih", 999, 0, 1, -1)),
        "negative api key": frame(pack(">hhih", -1, 0, 1, -1)),
        "an api of brokers": frame(pack(">hhih", 4, 7, 1, -1), b"\0" * 20),
        "an api of controllers": frame(pack(">hhih", 52, 0, 1, -1), b"\0" * 20),
        "a retired version": frame(pack(">hhih", 0, 2, 1, -1), b"\0" * 20),
    }.items():
        stage.send_bytes(name, data)


@scenario(HeartbeatRequest)
def headers(stage: Stage) -> None:
    """Client ids, and tagged fields where the header has them."""
    version = stage.version
    body = encoded(HeartbeatRequest(group_id=stage.name("g"), member_id="m"), version)
    tags = b"\0" if version >= 4 else b""

    def head(client_id: bytes, length: int | None = None, correlation_id: int = 1) -> bytes:
        length = len(client_id) if length is None else length
        return pack(">hhih", HEARTBEAT, version, correlation_id, length) + client_id

    for name, data in {
        "no client id": head(b"", -1) + tags,
        "an empty client id": head(b"") + tags,
        "a long client id": head(b"c" * 1000) + tags,
        "a client id of another alphabet": head("\u00e4\u4e16".encode()) + tags,
        "a client id that is no text": head(b"\xff\xfe") + tags,
        "a client id of length -2": head(b"", -2) + tags,
        "a client id longer than the request": head(b"", 30_000) + tags,
        "a negative correlation id": head(b"c", correlation_id=-5) + tags,
    }.items():
        stage.send_bytes(name, frame(data, body))
    if version >= 4:
        for name, section in {
            "an unknown tagged field": b"\1\x63\3abc",
            "a tagged field that is too long": b"\1\x63\x7fabc",
            "too many tagged fields": b"\xff\xff\xff\xff\x0f",
            "no end of the number": b"\xff" * 8,
        }.items():
            stage.send_bytes(name, frame(head(b"c") + section, body))
