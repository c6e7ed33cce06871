"""One blocking connection to a broker, for commands that ask it a few questions and end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from kproto.connection import ClientConnection
from kproto.schema.declare import Request

if TYPE_CHECKING:
    import ssl


class WireConnection:
    """A connection that speaks the protocol: one request, one reply."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str | None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect, in TLS if there is a context for it. `timeout` is in seconds, for this and for each wait that
        follows. Raises OSError."""
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            plain = self.socket
            try:
                self.socket = tls.wrap_socket(plain, server_hostname=host)
            except BaseException:
                plain.close()
                raise
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
        """The next reply. Raises OSError or ProtocolError."""
        while (found := self.connection.next_reply()) is None:
            count = self.socket.recv_into(self.connection.window())
            if count == 0:
                raise ConnectionError("the broker closed the connection")
            self.connection.received(count)
        return found[1]

    def close(self) -> None:
        """End the connection."""
        self.socket.close()
