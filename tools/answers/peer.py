"""One blocking connection for requests that no client would send: bytes out, one answer back, whatever it is.

Being cut off is an answer, and so is silence: Kafka closes a connection whose request makes no sense, and answers
nothing to Produce with acks=0. Both are distinguished from a reply here and nowhere else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from kproto.framing import frame_prefix
from kproto.headers import read_response_header, write_request_header

CLIENT_ID = "differ"
PATIENCE_SECONDS = 8.0


class NoReply(Enum):
    """What came instead of a reply."""

    CLOSED = "<connection closed>"
    SILENT = "<no answer>"


class Peer:
    """A connection to a broker; opened again by itself after it was closed."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        """`connect` returns a socket on which the broker answers requests."""
        self._connect = connect
        self._socket: socket.socket | None = None
        self._correlation_id = 0
        self.sent = b""
        """The frame, or whatever it was, that was sent last."""
        self.received = b""
        """The frame that was received last."""

    def exchange(
        self,
        api_key: int,
        version: int,
        body: bytes,
        *,
        flexible: bool,
        flexible_reply: bool,
        patience: float = PATIENCE_SECONDS,
    ) -> memoryview | NoReply:
        """Send one request and return the body of its reply, without header, or what came instead of it."""
        correlation_id = self.send(api_key, version, body, flexible=flexible)
        return self.receive(correlation_id, flexible_reply=flexible_reply, patience=patience)

    def send(self, api_key: int, version: int, body: bytes, *, flexible: bool) -> int:
        """Send one request; returns its correlation id."""
        self._correlation_id += 1
        header = write_request_header(api_key, version, self._correlation_id, CLIENT_ID, flexible)
        self.send_bytes(frame_prefix(len(header) + len(body)) + header + body)
        return self._correlation_id

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. A connection that is already closed shows when the answer is read.

        Raises what connecting raises.
        """
        if self._socket is None:
            self._socket = self._connect()
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = data
        with suppress(ConnectionError):
            self._socket.sendall(data)

    def receive(
        self, correlation_id: int | None, *, flexible_reply: bool = False, patience: float = PATIENCE_SECONDS
    ) -> memoryview | NoReply:
        """The body of the next reply, or what came instead of it. Raises AssertionError for another one's reply."""
        assert self._socket is not None, "something was sent"
        self._socket.settimeout(patience)
        self.received = b""
        try:
            size = self._read(4)
            data = self._read(int.from_bytes(size, "big"))
        except TimeoutError:
            self.close()
            return NoReply.SILENT
        except ConnectionError:
            self.close()
            return NoReply.CLOSED
        self.received = size + data
        frame = memoryview(data)
        found, at = read_response_header(frame, flexible_reply)
        assert correlation_id in (None, found), f"a reply to {found}, not to {correlation_id}"
        return frame[at:]

    def _read(self, size: int) -> bytes:
        assert self._socket is not None
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionResetError("closed by the broker")
            data += part
        return bytes(data)

    def close(self) -> None:
        """Close the connection, if there is one; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
