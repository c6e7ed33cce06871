"""One connection's frames in both directions, understood as far as the codec knows them.

A reply does not say what it is: its correlation id leads back to its request, whose API and version say how to read it.
`Conversation` keeps what is asked and not answered. Two kinds of frames have no header of Kafka's: the tokens that
follow a SaslHandshake of version 0, as many each way as the mechanism takes; and a Produce with acks=0 gets no reply.

What cannot be decoded is no error here. A frame of an API or a version that is not known, or that is broken, is passed
on as it is: the broker behind will say what it thinks of it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kproto.errors import ProtocolError
from kproto.headers import (
    API_VERSIONS,
    RequestHead,
    read_request_head,
    read_response_header,
    skip_tagged_fields,
    write_request_header,
    write_response_header,
)
from kproto.messages import api_name, request_type
from kproto.schema.compile import decoder, encode
from kproto.schema.declare import Request, Response

PRODUCE: Final = 0
SASL_HANDSHAKE: Final = 17
ELEMENTS: Final = 2_000_000
"""Array elements that one message may hold: more than Kafka's own largest."""
MOST_UNANSWERED: Final = 10_000
"""Requests of a connection that wait for their replies. Clients send a few at a time."""
UNSUPPORTED_VERSION: Final = 35
TOKENS_OF: Final = {"PLAIN": 1, "OAUTHBEARER": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}
"""How many tokens a client sends in an exchange; another mechanism's are taken to be as many as SCRAM's."""


class TooManyUnanswered(Exception):
    """A client sends and sends, and is not answered."""


class Asked(NamedTuple):
    """A request as it came. `message` is None where it cannot be decoded; `why` says why."""

    number: int
    """Of all requests of the connection, from 1 on."""
    head: RequestHead | None
    """None for a token of SASL."""
    message: Request | None = None
    why: str = ""

    @property
    def api(self) -> str:
        """Kafka's name of the API."""
        return "a token of SASL" if self.head is None else api_name(self.head.api_key)

    @property
    def version(self) -> int:
        """The version that it was asked in; -1 for a token."""
        return -1 if self.head is None else self.head.api_version

    @property
    def is_answered(self) -> bool:
        """False for a Produce that wants no reply."""
        return not (self.head is not None and self.head.api_key == PRODUCE and self._acks == 0)

    @property
    def _acks(self) -> int:
        return -1 if self.message is None else int(self.message.acks)  # type: ignore[attr-defined]  # a Produce


class Answered(NamedTuple):
    """A reply and what it answers."""

    asked: Asked
    message: Response | None = None
    version: int = -1
    """That of the reply: not its request's where ApiVersions was asked in one that the broker does not know."""
    why: str = ""


class Conversation:
    """A connection. Frames are given without their length, in the order in which they pass."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, Asked] = {}
        self._tokens_to_come = 0
        self._tokens: list[Asked] = []
        self._mechanism = ""

    def request(self, frame: memoryview) -> Asked:
        """What a client sends. Raises ProtocolError where not even a header can be read, TooManyUnanswered."""
        self._number += 1
        if self._tokens_to_come:
            self._tokens_to_come -= 1
            self._tokens.append(Asked(self._number, None))
            return self._tokens[-1]
        head = read_request_head(frame)
        message, why = decoded_request(frame, head)
        asked = Asked(self._number, head, message, why)
        if asked.is_answered:
            if len(self._waiting) >= MOST_UNANSWERED:
                raise TooManyUnanswered(f"{MOST_UNANSWERED} requests wait for their replies")
            self._waiting[head.correlation_id] = asked
        if head.api_key == SASL_HANDSHAKE and head.api_version == 0 and message is not None:
            self._mechanism = message.mechanism  # type: ignore[attr-defined]  # a SaslHandshakeRequest
        return asked

    def reply(self, frame: memoryview) -> Answered | None:
        """What the broker answers; None for a reply to nothing that was asked. Raises ProtocolError."""
        if self._tokens:
            return Answered(self._tokens.pop(0))
        correlation_id, _ = read_response_header(frame, flexible=False)
        asked = self._waiting.pop(correlation_id, None)
        if asked is None or asked.head is None:
            return None
        message, version, why = decoded_reply(frame, asked.head)
        refused = getattr(message, "error_code", 1)
        if asked.head.api_key == SASL_HANDSHAKE and asked.version == 0 and not refused:
            self._tokens_to_come = TOKENS_OF.get(self._mechanism, 2)
        return Answered(asked, message, version, why)

    @property
    def newest_waiting(self) -> int | None:
        """The number of the last request whose reply is still to come."""
        return max((asked.number for asked in self._waiting.values()), default=None)

    def forget(self, asked: Asked) -> None:
        """This request never reaches the broker."""
        if asked.head is not None:
            self._waiting.pop(asked.head.correlation_id, None)


def decoded_request(frame: memoryview, head: RequestHead) -> tuple[Request | None, str]:
    """The message, or None and why not."""
    try:
        cls = request_type(head.api_key)
    except KeyError:
        return None, f"API key {head.api_key} is not known here"
    if not cls.min_version <= head.api_version <= cls.max_version:
        return None, f"version {head.api_version} is not known here"
    try:
        at = skip_tagged_fields(frame, head.tags_at) if head.api_version >= cls.flexible_version else head.tags_at
        message, _ = decoder(cls, head.api_version)(
            frame, at, ELEMENTS
        )  # bytes behind it are passed over, as Kafka does
    except ProtocolError as error:
        return None, str(error)
    return message, ""


def decoded_reply(frame: memoryview, head: RequestHead) -> tuple[Response | None, int, str]:
    """(the message, the version that it is encoded in, ""), or None and why not."""
    version = head.api_version
    try:
        cls = request_type(head.api_key).response_type
    except KeyError:
        return None, version, f"API key {head.api_key} is not known here"
    try:
        flexible = version >= cls.flexible_version and head.api_key != API_VERSIONS
        _, at = read_response_header(frame, flexible)
        if head.api_key == API_VERSIONS and int.from_bytes(frame[at : at + 2], "big") == UNSUPPORTED_VERSION:
            version = 0
        if not cls.min_version <= version <= cls.max_version:
            return None, version, f"version {version} is not known here"
        message, end = decoder(cls, version)(frame, at, ELEMENTS)
        if end != len(frame):
            return None, version, f"{len(frame) - end} bytes are left over"
    except ProtocolError as error:
        return None, version, str(error)
    return message, version, ""


def request_frame(head: RequestHead, message: Request) -> bytes:
    """A request as a frame, without its length. Raises ValueError where the version cannot carry a value."""
    flexible = head.api_version >= message.flexible_version
    header = write_request_header(head.api_key, head.api_version, head.correlation_id, head.client_id, flexible)
    return header + _joined(encode(message, head.api_version))


def reply_frame(head: RequestHead, message: Response, version: int) -> bytes:
    """A reply as a frame, without its length. Raises ValueError where the version cannot carry a value."""
    flexible = version >= message.flexible_version and head.api_key != API_VERSIONS
    return write_response_header(head.correlation_id, flexible) + _joined(encode(message, version))


def _joined(chunks: list[Any]) -> bytes:
    return b"".join(chunks)
