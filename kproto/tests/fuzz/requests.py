"""Requests as a broker receives them: header, then the body that API key and version call for.

Input: a frame without its length, any API in any version that is declared.

- Nothing but ProtocolError escapes; memory is bounded by 576 bytes for each byte, the cost of the dearest element.
- The header, read on the hot path by hand, says what the declared RequestHeader says.
- :func:`kproto.schema.explain.dump`, which reads by the declaration and shares no code with the compiled decoder,
  accepts the same bodies (a connection passes over what lies behind one, as Kafka does).
- That reader shows the same values for what was read and written again.
- What was decoded can be encoded, and decodes to the same message; encoding that gives the same bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

from kproto.connection import ServerConnection
from kproto.errors import ProtocolError
from kproto.framing import frame_prefix
from kproto.headers import API_VERSIONS, read_request_head, skip_tagged_fields, write_request_header
from kproto.messages import APIS, request_type
from kproto.messages.header import RequestHeader
from kproto.schema.compile import decode, decoder
from kproto.schema.declare import Message
from kproto.schema.explain import dump
from kproto.tests.arbitrary_messages import filled, joined
from kproto.tests.fuzz.bounds import measured

SERVED = {key: (request_type(key).min_version, request_type(key).max_version) for key in APIS}


def fuzz_requests(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    received = None
    refused = False
    try:
        received = measured(lambda: receive(data), len(data), bytes_per_byte=576, beside=192 * 1024)
    except ProtocolError:
        refused = True
    try:
        head = read_request_head(memoryview(data))
    except ProtocolError:
        assert refused
        return
    low, high = SERVED.get(head.api_key, (0, -1))
    if not low <= head.api_version <= high:
        assert refused or (head.api_key == API_VERSIONS and received is not None and received.message is None)
        return
    cls, version = request_type(head.api_key), head.api_version
    flexible = version >= cls.flexible_version
    at = body_begins(data, head.tags_at, flexible)
    check_header(data, head, at, flexible)
    if at is None:
        assert refused
        return
    body = data[at:]
    assert accepted_by_dump(cls, version, body, more=True) is not refused, "the two readers disagree"
    if received is not None:
        assert received.client_id == head.client_id and received.correlation_id == head.correlation_id
        check_round_trip(received.message, version)
        check_values(received.message, version, body)


def receive(frame: bytes) -> Any:
    """The request in a frame, as the broker's end of a connection reads it. Raises ProtocolError."""
    connection = ServerConnection(SERVED)
    stream = frame_prefix(len(frame)) + frame
    at = 0
    while at < len(stream):
        window = connection.window()
        taken = min(len(window), len(stream) - at)
        window[:taken] = stream[at : at + taken]
        connection.received(taken)
        at += taken
    return connection.next_request()


def body_begins(data: bytes, at: int, flexible: bool) -> int | None:
    """The position behind the header; None when its tagged fields are broken."""
    if not flexible:
        return at
    try:
        return skip_tagged_fields(memoryview(data), at)
    except ProtocolError:
        return None


def check_header(data: bytes, head: Any, at: int | None, flexible: bool) -> None:
    """The declared header says the same about these bytes."""
    try:
        declared, end = decoder(RequestHeader, 2 if flexible else 1)(memoryview(data), 0, 1000)
    except ProtocolError:
        assert at is None, "the declared header refuses what is taken"
        return
    if at is None:
        raise AssertionError("the declared header takes what is refused")
    assert end == at
    assert (declared.request_api_key, declared.request_api_version) == (head.api_key, head.api_version)
    assert (declared.correlation_id, declared.client_id) == (head.correlation_id, head.client_id)


def accepted_by_dump(cls: type[Message], version: int, body: bytes, *, more: bool = False) -> bool:
    """Whether the slow reader gets to the end of the body, behind which there may be `more`, without complaint."""
    end = dump(cls, version, body).rpartition("\n")[2]
    return "  !! " not in end or (more and end.endswith(" bytes left over"))


def check_round_trip(message: Any, version: int) -> None:
    """Encode, decode: the same message; encode again: the same bytes."""
    encoded = joined(message, version)
    again = decode(type(message), version, encoded)
    assert joined(again, version) == encoded
    # Not a number equals nothing, but is shown alike.
    assert again == message or repr(again) == repr(message)


def check_values(message: Any, version: int, body: bytes) -> None:
    """The slow reader shows the same values in the body and in what the message is encoded to."""
    original = values_in(dump(type(message), version, body))
    # A tagged field that is unknown, or has its default, is not written again.
    if not any(text.startswith("tag ") for text in original):
        assert values_in(dump(type(message), version, joined(message, version))) == original


def values_in(dumped: str) -> list[str]:
    """Names and values, without positions and bytes, without a complaint about bytes that are left over."""
    return [line[8 + 39 :].strip() for line in dumped.split("\n")[1:] if "  !! " not in line]


def seeds() -> Iterator[bytes]:
    """Every version of every request, default and filled, and what kafka-python sends."""
    for key in APIS:
        cls = request_type(key)
        for version in range(cls.min_version, cls.max_version + 1):
            random = Random(f"{cls.__name__} {version}")
            head = write_request_header(key, version, 7, "client", version >= cls.flexible_version)
            yield head + bytes(joined(cls(), version))
            yield head + bytes(joined(filled(cls, version, random), version))
    yield write_request_header(API_VERSIONS, 99, 1, None, True)
    yield write_request_header(0, 9, 1, "x", False) + b"\x02\x00\x01a\x05\x00"
    yield from clients_requests()


def clients_requests() -> Iterator[bytes]:
    """Frames as kafka-python writes them, if it is there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from kafka.protocol.consumer import FetchRequest, ListOffsetsRequest
            from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
    except ImportError:
        return
    topics = [{"name": "orders"}]
    for request, versions in (
        (ApiVersionsRequest(client_software_name="kafka-python", client_software_version="3"), (0, 3)),
        (MetadataRequest(topics=topics, allow_auto_topic_creation=True), (4, 9)),
        (FetchRequest(max_wait_ms=500, min_bytes=1, max_bytes=1 << 20, topics=[]), (4, 11)),
        (ListOffsetsRequest(replica_id=-1, isolation_level=0, topics=[]), (1, 5)),
    ):
        for version in versions:
            request.with_header(correlation_id=3, client_id="kafka-python")
            yield bytes(request.encode(version=version, header=True, framed=False))
