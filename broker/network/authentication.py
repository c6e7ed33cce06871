"""A connection of a SASL listener until its client has proved who it is.

This comes before `Connection` has anything to do with the peer, and is as little as it can be: one request at a time,
read to its last byte and no further, answered before the next one is read. What is allowed when is known by
`Conversation`; requests that are go to their handlers like any other.

**Bounds.** All of it has `SECONDS`, and a client that sends or reads too slowly is cut off by that. A request has
`LARGEST_REQUEST` bytes, a mechanism's message `sasl.server.max.receive.size`. What is not expected is not decoded, but
in the midst of an exchange, where Kafka answers ILLEGAL_SASL_STATE: then only what decodes at once is.

**Refusals** are held back for `connection.failed.authentication.delay.ms`, answer and all, and end the connection.

After a SaslHandshake v0 the mechanism's messages come bare, a length and the bytes, and so do the answers; a refusal is
then only the end of the connection (KIP-152 says why that was changed).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

import trio

from broker.context import FirstPhase
from broker.handlers import SERVED_VERSIONS, handler
from broker.security.sasl.conversation import API_VERSIONS, SASL_AUTHENTICATE, Step
from broker.security.sasl.exchange import Refusal
from kproto.connection import ReceivedRequest, ServerConnection
from kproto.errors import ErrorCode, FrameTooLarge, ProtocolError
from kproto.framing import BufferPool, frame_prefix
from kproto.headers import read_request_head

if TYPE_CHECKING:
    from broker.context import Peer, Services
    from broker.network.dispatch import Dispatcher
    from broker.network.listener import Transport

SECONDS: Final = 10.0
LARGEST_REQUEST: Final = 64 * 1024
PIECE: Final = 16 * 1024
"""Bytes by which the buffer of a message grows, as they arrive."""


class NotAuthenticated(Exception):
    """The connection is over; the message says why, for the log. `said` is true where the audit log has it already."""

    def __init__(self, reason: str, said: bool = False) -> None:
        super().__init__(reason)
        self.said = said


async def authenticate(
    transport: Transport, peer: Peer, services: Services, dispatcher: Dispatcher, pool: BufferPool
) -> None:
    """Return when the client has proved who it is, which `peer` then says. Raises NotAuthenticated, ProtocolError,
    OSError: the connection is to be closed."""
    with trio.move_on_after(SECONDS):
        await _Newcomer(transport, peer, services, dispatcher, pool).run()
        return
    raise NotAuthenticated("the client has not authenticated itself in time")


class _Newcomer:
    """One client, on its way in."""

    def __init__(
        self, transport: Transport, peer: Peer, services: Services, dispatcher: Dispatcher, pool: BufferPool
    ) -> None:
        assert peer.conversation is not None
        self._transport = transport
        self._peer = peer
        self._conversation = peer.conversation
        self._authentication = services.authentication
        self._dispatcher = dispatcher
        self._largest = max(peer.conversation.offer.largest_message, LARGEST_REQUEST)
        served = SERVED_VERSIONS if services.emulation is None else services.emulation.served
        self._protocol = ServerConnection(served, max_frame=self._largest, pool=pool)

    async def run(self) -> None:
        """Until the client has proved who it is. Raises NotAuthenticated."""
        while not self._conversation.authenticated:
            frame = await self._frame()
            if self._conversation.step is Step.RAW_TOKEN:
                await self._raw_token(frame)
            else:
                await self._request(frame)

    async def _request(self, frame: bytes) -> None:
        conversation = self._conversation
        api_key = read_request_head(memoryview(frame)).api_key
        if not conversation.admits(api_key):
            raise ProtocolError(f"API key {api_key} from a client that has not authenticated itself")
        request = self._decoded(frame)
        if conversation.step is Step.TOKEN and api_key != SASL_AUTHENTICATE:
            await self._refuse(request)
        reply = await self._answer(request)
        await self._send(self._protocol.encode_reply(request, reply))
        if api_key == API_VERSIONS and reply.error_code == ErrorCode.NONE:
            conversation.versions_told()
        if conversation.step is Step.REFUSED:
            raise NotAuthenticated("the client was refused", said=True)

    def _decoded(self, frame: bytes) -> ReceivedRequest:
        protocol = self._protocol
        data = memoryview(frame_prefix(len(frame)) + frame)
        while len(data):
            window = protocol.window()
            count = min(len(window), len(data))
            window[:count] = data[:count]
            protocol.received(count)
            data = data[count:]
        request = protocol.next_request()
        assert request is not None, "the frame is whole"
        if request.undecoded:
            raise ProtocolError("very many elements from a client that has not authenticated itself")
        return request

    async def _answer(self, request: ReceivedRequest) -> Any:
        found, reply = self._dispatcher.begin(request, self._peer)
        if isinstance(reply, FirstPhase):
            reply = reply.coroutine
        if isinstance(reply, CoroutineType):
            assert found is not None
            reply = await self._dispatcher.finish(request, found, reply, self._peer)
        self._protocol.rest()
        return reply

    async def _refuse(self, request: ReceivedRequest) -> None:
        """Something else where a message of the mechanism is expected."""
        self._authentication.refused("a request in the midst of an exchange", **self._peer.shown())
        found = handler(request.api_key)
        reply = found.refuse(request.message, ErrorCode.ILLEGAL_SASL_STATE, request.api_version)
        await trio.sleep(self._conversation.offer.refusal_delay_ms / 1000)
        await self._send(self._protocol.encode_reply(request, reply))
        raise NotAuthenticated("a request in the midst of an exchange", said=True)

    async def _raw_token(self, message: bytes) -> None:
        try:
            proof = await self._authentication.evaluate(self._conversation, message, **self._peer.shown())
        except Refusal:
            await trio.sleep(self._conversation.offer.refusal_delay_ms / 1000)
            raise NotAuthenticated("the client was refused", said=True) from None
        if self._conversation.authenticated:
            self._peer.prove(self._conversation)
        await self._send([frame_prefix(len(proof.answer)) + proof.answer])

    async def _send(self, buffers: Sequence[Any] | None) -> None:
        if buffers is None:
            raise ProtocolError("a long reply to a client that has not authenticated itself")
        if left := self._transport.send_now(buffers):
            await self._transport.send(left)

    async def _frame(self) -> bytes:
        """The next frame without its length; nothing behind it is read."""
        size = int.from_bytes(await self._exactly(4), "big", signed=True)
        exchanging = self._conversation.step in (Step.TOKEN, Step.RAW_TOKEN)
        largest = self._conversation.offer.largest_message if exchanging else LARGEST_REQUEST
        if not 0 <= size <= largest:
            self._authentication.refused("a message of a size that is not allowed", **self._peer.shown())
            await trio.sleep(self._conversation.offer.refusal_delay_ms / 1000)
            raise FrameTooLarge(f"a frame of {size} bytes from a client that has not authenticated itself", size)
        return await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = bytearray(min(size - len(data), PIECE))
            count = self._transport.receive_now(memoryview(piece))
            if count is None:
                await self._transport.wait_readable()
                continue
            if count == 0:
                raise NotAuthenticated("the client left")
            data += memoryview(piece)[:count]
        return bytes(data)
