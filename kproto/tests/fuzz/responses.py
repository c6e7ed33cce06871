"""Responses as a client receives them: a broker's own tools read them, and so does a broker that asks another.

Input: int16 API key, int16 version, then a response frame behind its correlation id. The oracles are those of requests:
only ProtocolError escapes, memory in proportion, the slow reader accepts and shows the same, and a round trip changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from kproto.connection import ClientConnection
from kproto.errors import ProtocolError
from kproto.framing import frame_prefix
from kproto.headers import API_VERSIONS, read_response_header, write_response_header
from kproto.messages import APIS, request_type
from kproto.tests.arbitrary_messages import filled, joined
from kproto.tests.fuzz.bounds import measured
from kproto.tests.fuzz.requests import SERVED, accepted_by_dump, check_round_trip, check_values


def fuzz_responses(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 4:
        return
    key, version = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    low, high = SERVED.get(key, (0, -1))
    if not low <= version <= high:
        return
    cls = request_type(key).response_type
    frame = bytes(4) + data[4:]
    message = None
    with suppress(ProtocolError):
        message = measured(lambda: receive(key, version, frame), len(data), bytes_per_byte=1024, beside=192 * 1024)
    try:
        _, at = read_response_header(memoryview(frame), version >= cls.flexible_version and key != API_VERSIONS)
    except ProtocolError:
        assert message is None
        return
    if key == API_VERSIONS and frame[at : at + 2] == b"\0\x23":
        version = 0  # a refusal is written in the oldest version
    assert accepted_by_dump(cls, version, frame[at:]) is (message is not None), "the two readers disagree"
    if message is not None:
        check_round_trip(message, version)
        check_values(message, version, frame[at:])


def receive(key: int, version: int, frame: bytes) -> Any:
    """The reply in a frame to a request that asked for this version. Raises ProtocolError."""
    connection = ClientConnection()
    connection.encode_request(request_type(key)(), version)
    stream = frame_prefix(len(frame)) + frame
    at = 0
    while at < len(stream):
        window = connection.window()
        taken = min(len(window), len(stream) - at)
        window[:taken] = stream[at : at + taken]
        connection.received(taken)
        at += taken
    reply = connection.next_reply()
    assert reply is not None and reply[0] == 0
    return reply[1]


def seeds() -> Iterator[bytes]:
    """Every version of every response, default and filled."""
    for key in APIS:
        cls = request_type(key).response_type
        for version in range(cls.min_version, cls.max_version + 1):
            random = Random(f"{cls.__name__} {version}")
            flexible = version >= cls.flexible_version and key != API_VERSIONS
            head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + write_response_header(0, flexible)[4:]
            yield head + bytes(joined(cls(), version))
            yield head + bytes(joined(filled(cls, version, random), version))
