"""One blocking connection that speaks the protocol: for benchmarks, and for tests that send what no client sends."""

from __future__ import annotations

import socket
from typing import Any

from kproto.connection import ClientConnection
from kproto.schema.declare import Request


class WireClient:
    """One blocking connection that speaks the protocol: just enough of a client to set a stage."""

    def __init__(self, port: int, *, timeout: float = 30.0, client_id: str | None = "trials") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = ClientConnection(client_id)

    def encode(self, request: Request, version: int, *, expect_reply: bool = True) -> bytes:
        """The request as bytes."""
        _, buffers = self.connection.encode_request(request, version, expect_reply=expect_reply)
        return b"".join(bytes(buffer) for buffer in buffers)

    def call(self, request: Request, version: int) -> Any:
        """Send a request, wait for its reply. Raises OSError or ProtocolError."""
        self.socket.sendall(self.encode(request, version))
        return self.reply()

    def reply(self) -> Any:
        """The next reply."""
        while (found := self.connection.next_reply()) is None:
            count = self.socket.recv_into(self.connection.window())
            if count == 0:
                raise ConnectionError("the broker closed the connection")
            self.connection.received(count)
        return found[1]

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
