"""The protocol without the network: bytes in, messages out, and the other way round.

A `ServerConnection` is fed what a socket received and gives requests; a reply goes in and comes out as buffers to send.
A `ClientConnection` is the same thing seen from the other end. Neither knows sockets, tasks or time; the owner of the
connection does the I/O:

    connection = ServerConnection(served_versions)
    count = sock.recv_into(connection.window())
    connection.received(count)
    while (request := connection.next_request()) is not None:
        ...
        buffers = connection.encode_reply(request, reply)

Any ProtocolError means that the peer broke the wire: nothing after it can be trusted, and the connection is to be
closed. Kafka does the same for an API key or a version that it does not serve; the one exception is ApiVersions, where
a client of the future must learn what we speak (KIP-511): such a request is given out with `message` None.

Bytes behind the last field of a request are passed over, because Kafka does so and clients rely on it without knowing:
librdkafka 2.16 asks for all topics (Metadata v13) with three bytes too many.

Buffers of a reply are bytes-like, except that a Records field may be any object with a length (a slice of a file): it
comes out of `encode_reply` untouched, for the owner to send as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from kproto.errors import OverBudget, ProtocolError, UnsupportedVersion
from kproto.framing import DEFAULT_MAX_FRAME, BufferPool, FrameReader
from kproto.headers import (
    API_VERSIONS,
    flexible_reply_prefix,
    read_request_head,
    read_response_header,
    skip_tagged_fields,
    write_request_header,
    write_response_header,
)
from kproto.messages import request_type
from kproto.schema.compile import (
    DEFAULT_ELEMENT_BUDGET,
    Buffer,
    decoder,
    encode,
    encode_in_pieces,
    encode_within,
    encoder,
)
from kproto.schema.declare import Request, Response

AT_ONCE = 4096
"""Array elements that are decoded, or encoded, in one go: more would take longer than 5 ms of the event loop."""

MAX_FRAME = (1 << 31) - 1
"""Bytes: what the length of a frame can say."""

Decoder = Callable[[memoryview, int, int], tuple[Any, int]]


class ReplyTooLarge(ValueError):
    """A reply is larger than a frame can say. Nothing of it has been given out."""


class ReceivedRequest:
    """A request as it came: header fields, and the decoded body (None: ApiVersions in a version we do not know).

    A body with more than `AT_ONCE` elements is not decoded yet, for that takes long: `undecoded` is true, and `decode`
    is to be called, where it holds nothing up, before the receive buffer is used again; `many` stays true. So it is
    with the first request of an API and version, whose codecs have to be compiled: `load_codecs` does that, and
    `ServerConnection.again` then gives the request as if it came now. `size` is that of the frame, in bytes.
    """

    __slots__ = (
        "_rest", "api_key", "api_version", "client_id", "correlation_id", "many", "message", "size", "undecoded"
    )  # fmt: skip

    def __init__(
        self,
        api_key: int,
        api_version: int,
        correlation_id: int,
        client_id: str | None,
        message: Request | None,
        size: int = 0,
        rest: Callable[[], Request] | None = None,
    ) -> None:
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.message = message
        self.size = size
        self.many = self.undecoded = rest is not None
        self._rest = rest

    @property
    def first(self) -> _First | None:
        """What is left to do if the codecs of its kind were not there yet when it came."""
        return self._rest if isinstance(self._rest, _First) else None

    def decode(self) -> None:
        """Decode the body. Raises ProtocolError. May be called in a thread."""
        if self._rest is not None:
            self.message = self._rest()
            self._rest = None
            self.undecoded = False


_decoders: dict[int, tuple[Decoder, bool, bool]] = {}
"""key << 16 | version -> decoder, whether the request header is flexible, whether the reply's is."""


def _load_decoder(api_key: int, api_version: int) -> tuple[Decoder, bool, bool]:
    request = request_type(api_key)
    flexible = api_version >= request.flexible_version
    flexible_reply = flexible and api_key != API_VERSIONS
    entry: tuple[Decoder, bool, bool] = (decoder(request, api_version), flexible, flexible_reply)
    _decoders[api_key << 16 | api_version] = entry
    return entry


class ServerConnection:
    """The broker's end. `served` maps each API key to its (lowest, highest) version."""

    __slots__ = ("_budget", "_frames", "_load_at_once", "_served", "grown", "received", "rest", "shrink", "window")

    def __init__(
        self,
        served: Mapping[int, tuple[int, int]],
        *,
        max_frame: int = DEFAULT_MAX_FRAME,
        element_budget: int = DEFAULT_ELEMENT_BUDGET,
        pool: BufferPool | None = None,
        load_at_once: bool = True,
    ) -> None:
        """`pool` is shared by connections that are read by turns; without it this one has its own. `load_at_once`:
        compile codecs when they are first needed; otherwise by `ReceivedRequest.decode`."""
        self._served = served
        self._load_at_once = load_at_once
        self._budget = element_budget
        self._frames = frames = FrameReader(max_frame, pool)
        self.rest = frames.rest
        self.window = frames.window
        self.received = frames.received
        self.grown = frames.grown
        self.shrink = frames.shrink

    @property
    def pending(self) -> int:
        """Bytes received of a request that is not complete yet."""
        return self._frames.pending

    @property
    def capacity(self) -> int:
        """Bytes of buffer held now."""
        return self._frames.capacity

    def next_request(self) -> ReceivedRequest | None:
        """The next complete request, or None until more bytes are received. Raises ProtocolError.

        Records in it are views of the receive buffer: valid until `window` is called again.
        """
        frame = self._frames.next_frame()
        if frame is None:
            return None
        api_key, api_version, correlation_id, client_id, at = read_request_head(frame)
        versions = self._served.get(api_key)
        if versions is None:
            raise UnsupportedVersion(f"API key {api_key} is not served")
        if not versions[0] <= api_version <= versions[1]:
            if api_key == API_VERSIONS:
                return ReceivedRequest(api_key, api_version, correlation_id, client_id, None)
            raise UnsupportedVersion(f"version {api_version} of API key {api_key} is not served")
        loaded = _decoders.get(api_key << 16 | api_version)
        if loaded is None:
            if not self._load_at_once:
                first = _First(frame, at, api_key, api_version, self._budget)
                return ReceivedRequest(api_key, api_version, correlation_id, client_id, None, len(frame), first)
            loaded = _load_decoder(api_key, api_version)
        return self._request(api_key, api_version, correlation_id, client_id, frame, at, loaded)

    def again(self, request: ReceivedRequest) -> ReceivedRequest:
        """A request as it is when the codecs of its kind are loaded. Raises ProtocolError."""
        first, loaded = request.first, _decoders.get(request.api_key << 16 | request.api_version)
        if first is None or loaded is None:
            return request
        return self._request(
            request.api_key,
            request.api_version,
            request.correlation_id,
            request.client_id,
            first.frame,
            first.at,
            loaded,
        )

    def _request(
        self,
        api_key: int,
        api_version: int,
        correlation_id: int,
        client_id: str | None,
        frame: memoryview,
        at: int,
        loaded: tuple[Decoder, bool, bool],
    ) -> ReceivedRequest:
        decode, flexible, _ = loaded
        if flexible:
            if at < len(frame) and frame[at] == 0:
                at += 1
            else:
                at = skip_tagged_fields(frame, at)
        try:
            message, _ = decode(frame, at, AT_ONCE)
        except OverBudget:
            rest = partial(_decode_whole, decode, frame, at, self._budget)
            return ReceivedRequest(api_key, api_version, correlation_id, client_id, None, len(frame), rest)
        return ReceivedRequest(api_key, api_version, correlation_id, client_id, message, len(frame))

    def encode_reply(self, request: ReceivedRequest, reply: Response) -> list[Any] | None:
        """The framed reply as buffers to send in order; None if it has more than `AT_ONCE` elements: such a one is
        for `reply_in_pieces`."""
        version = request.api_version
        if request.message is None:
            version = 0  # the answer to an unknown version of ApiVersions
            flexible = False
        else:
            flexible = _decoders[request.api_key << 16 | version][2]
        chunks = encode_within(reply, version, AT_ONCE)
        if chunks is None:
            return None
        if len(chunks) == 1 and flexible:  # most replies, and those that come in great number
            body: Any = chunks[0]
            return [flexible_reply_prefix(len(body), request.correlation_id) + body]
        return frame_buffers(write_response_header(request.correlation_id, flexible), chunks)

    def reply_in_pieces(self, request: ReceivedRequest, reply: Response) -> Iterator[Buffer]:
        """The same for a reply that is large: its pieces, each made when it is asked for, so that neither the work nor
        the memory comes at once. Raises ValueError on the way, ReplyTooLarge before the first piece that is not empty.

        The frame's length comes first, so all is encoded twice: the first round measures, and gives empty pieces.
        """
        version = request.api_version
        header = write_response_header(request.correlation_id, _decoders[request.api_key << 16 | version][2])
        size = len(header)
        for piece in encode_in_pieces(reply, version):
            size += len(piece)
            if size > MAX_FRAME:
                raise ReplyTooLarge(f"a reply of more than {MAX_FRAME} bytes does not fit into a frame")
            yield b""
        yield size.to_bytes(4, "big") + header
        yield from encode_in_pieces(reply, version)


class _First:
    """A request that came before the codecs of its kind were there. Calling it loads them, and decodes all of it."""

    __slots__ = ("_budget", "_kind", "at", "frame")

    def __init__(self, frame: memoryview, at: int, api_key: int, api_version: int, budget: int) -> None:
        self.frame = frame
        self.at = at
        self._kind = api_key, api_version
        self._budget = budget

    def __call__(self) -> Request:
        decode, flexible, _ = load_codecs(*self._kind)
        at = skip_tagged_fields(self.frame, self.at) if flexible else self.at
        return _decode_whole(decode, self.frame, at, self._budget)


def has_codecs(api_key: int, api_version: int) -> bool:
    """Whether `load_codecs` has nothing to do."""
    return api_key << 16 | api_version in _decoders


def load_codecs(api_key: int, api_version: int) -> tuple[Decoder, bool, bool]:
    """Compile what is needed to read such requests and to answer them, if it is not there yet. May be called in a
    thread; takes milliseconds."""
    loaded = _decoders.get(api_key << 16 | api_version)
    if loaded is None:
        encoder(request_type(api_key).response_type, api_version)  # first: an entry stands for both
        loaded = _load_decoder(api_key, api_version)
    return loaded


def _decode_whole(decode: Decoder, frame: memoryview, at: int, budget: int) -> Request:
    message: Request
    message, _ = decode(frame, at, budget)
    return message


def frame_buffers(header: bytes, body: list[Any]) -> list[Any]:
    """Put length and header before the chunks of an encoded message; joins where that saves a buffer."""
    first = body[0] if body else b""
    if len(body) <= 1 and isinstance(first, bytes | bytearray):
        return [(len(header) + len(first)).to_bytes(4, "big") + header + first]
    size = len(header)
    for chunk in body:
        size += len(chunk)
    return [size.to_bytes(4, "big") + header, *body]


class ClientConnection:
    """A client's end: requests out, replies in, paired by correlation id."""

    def __init__(self, client_id: str | None = "ottla", *, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._client_id = client_id
        self._frames = FrameReader(max_frame)
        self._next_correlation_id = 0
        self._expected: dict[int, tuple[type[Response], int]] = {}

    def window(self) -> memoryview:
        """Where the next received bytes belong."""
        return self._frames.window()

    def received(self, count: int) -> None:
        """`count` bytes are in the window."""
        self._frames.received(count)

    def detach(self) -> None:
        """Keep records of the replies given out valid: go on in a new buffer."""
        self._frames.detach()

    def encode_request(self, request: Request, version: int, *, expect_reply: bool = True) -> tuple[int, list[Any]]:
        """(correlation id, buffers to send). `expect_reply` is False for Produce with acks=0."""
        correlation_id = self._next_correlation_id
        self._next_correlation_id = (correlation_id + 1) & 0x7FFFFFFF
        if expect_reply:
            self._expected[correlation_id] = (type(request).response_type, version)
        flexible = version >= request.flexible_version
        header = write_request_header(request.api_key, version, correlation_id, self._client_id, flexible)
        return correlation_id, frame_buffers(header, encode(request, version))

    def next_reply(self) -> tuple[int, Any] | None:
        """(correlation id, response), or None until more bytes are received. Raises ProtocolError."""
        frame = self._frames.next_frame()
        if frame is None:
            return None
        correlation_id, _ = read_response_header(frame, flexible=False)
        expected = self._expected.pop(correlation_id, None)
        if expected is None:
            raise ProtocolError(f"a reply to correlation id {correlation_id}, which was not asked")
        response_type, version = expected
        flexible = version >= response_type.flexible_version and response_type.api_key != API_VERSIONS
        _, at = read_response_header(frame, flexible)
        if response_type.api_key == API_VERSIONS and version > 0 and _refuses_version(frame, at):
            version = 0
        message, end = decoder(response_type, version)(frame, at, DEFAULT_ELEMENT_BUDGET)
        if end != len(frame):
            raise ProtocolError(f"{len(frame) - end} bytes after the end of a reply")
        return correlation_id, message


def _refuses_version(frame: memoryview, at: int) -> bool:
    """An ApiVersions reply with error 35 (UNSUPPORTED_VERSION) is encoded as version 0, whatever was asked."""
    return len(frame) >= at + 2 and frame[at] == 0 and frame[at + 1] == 35
