"""Connections to the brokers behind: plain or in TLS, and logged in where the client properties say who is to.

With credentials in the properties the recorder logs in by itself, and its clients need not; without them clients log
in through it, as they would without it.
"""

from __future__ import annotations

import itertools
import ssl
from typing import Any, Final

import trio

from kproto.errors import ErrorCode, ProtocolError
from kproto.headers import read_response_header, write_request_header
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Request
from tools.client.connection import Security
from tools.failures import Failed
from tools.recording.addresses import Address
from tools.recording.frames import FrameStream

CONNECT_SECONDS: Final = 10.0


class Upstream:
    """How brokers are reached."""

    def __init__(self, security: Security) -> None:
        self._security = security

    async def connect(self, address: Address) -> FrameStream:
        """A connection to a broker that takes requests. Raises Failed with one sentence."""
        host, port = address
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream: trio.abc.Stream = await trio.open_tcp_stream(host, port, happy_eyeballs_delay=1.0)
                if self._security.tls is not None:
                    secured = trio.SSLStream(stream, self._security.tls, server_hostname=host, https_compatible=True)
                    await secured.do_handshake()
                    stream = secured
                frames = FrameStream(stream)
                if self._security.credentials is not None:
                    await self._log_in(frames)
                return frames
        except trio.TooSlowError:
            raise Failed(f"the broker at {host}:{port} does not answer") from None
        except (OSError, trio.BrokenResourceError, ssl.SSLError, ProtocolError) as error:
            reason = error.__cause__ or error
            raise Failed(f"no connection to the broker at {host}:{port}: {reason}") from None

    async def _log_in(self, frames: FrameStream) -> None:
        from tools.client.sasl import Exchange

        credentials = self._security.credentials
        numbers = itertools.count()
        reply = await self._ask(frames, next(numbers), SaslHandshakeRequest(mechanism=credentials.mechanism), 1)
        if reply.error_code:
            raise Failed(f"the broker does not offer {credentials.mechanism}; it offers {', '.join(reply.mechanisms)}")
        exchange = Exchange(credentials)
        message: bytes | None = exchange.first()
        while message is not None:
            reply = await self._ask(frames, next(numbers), SaslAuthenticateRequest(auth_bytes=message), 1)
            if reply.error_code:
                raise Failed(f"authentication failed: {reply.error_message or ErrorCode(reply.error_code).sentence}")
            message = exchange.next(bytes(reply.auth_bytes))

    async def _ask(self, frames: FrameStream, number: int, request: Request, version: int) -> Any:
        """One request, in a version without tagged fields."""
        header = write_request_header(request.api_key, version, number, self._security.client_id, flexible=False)
        await frames.send(header + b"".join(bytes(chunk) for chunk in encode(request, version)))  # type: ignore[arg-type]  # no records in it
        frame = await frames.next()
        if frame is None:
            raise ProtocolError("it closed the connection")
        _, at = read_response_header(memoryview(frame), flexible=False)
        return decode(type(request).response_type, version, memoryview(frame)[at:])
