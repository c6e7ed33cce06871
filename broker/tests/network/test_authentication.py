"""A connection of a SASL listener: what a client may send before it has proved who it is, and what that is answered.

The answers are those of a running Kafka that was asked the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from broker.network.authentication import LARGEST_REQUEST, SECONDS, NotAuthenticated, authenticate
from broker.network.dispatch import Dispatcher
from broker.security.principals import ANONYMOUS, Principal
from broker.testing.contexts import World, world
from broker.testing.transports import MemoryTransport
from kproto.connection import ClientConnection
from kproto.errors import ErrorCode, ProtocolError
from kproto.framing import BufferPool, frame_prefix
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.declare import Request
from storage.seams.clock import SystemClock

SETTINGS = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
    'required user_alice="alice-secret" user_bob="bob-secret";',
}
ALICE = b"\0alice\0alice-secret"
HANDSHAKE = SaslHandshakeRequest(mechanism="PLAIN")
VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")


class Peer:
    """The client, and what has become of its connection."""

    def __init__(self, w: World, transport: MemoryTransport) -> None:
        self.world = w
        self.transport = transport
        self.peer = w.peer
        self._client = ClientConnection("test")
        self._read = 0
        self.ended: BaseException | None = None
        self.let_in = False
        self.done = trio.Event()

    async def serve(self) -> None:
        try:
            dispatcher = Dispatcher(self.world.services)
            await authenticate(self.transport, self.peer, self.world.services, dispatcher, BufferPool())
            self.let_in = True
        except (NotAuthenticated, ProtocolError) as error:
            self.ended = error
        self.done.set()

    async def ask(self, request: Request, version: int) -> Any:
        """The reply; None if there is none, and nothing is waited for any more."""
        _, buffers = self._client.encode_request(request, version)
        self.transport.deliver(b"".join(bytes(buffer) for buffer in buffers))
        await self.settled()
        data = self.received()
        if not data:
            return None
        self._client.window()[: len(data)] = data
        self._client.received(len(data))
        reply = self._client.next_reply()
        assert reply is not None
        return reply[1]

    def received(self) -> bytes:
        """What has been sent to the client since it was asked last."""
        data = bytes(self.transport.sent_bytes[self._read :])
        self._read += len(data)
        return data

    async def settled(self) -> None:
        """Everything that happens within a second has happened."""
        with trio.move_on_after(1):
            await self.done.wait()


@asynccontextmanager
async def newcomer(**more: str) -> AsyncIterator[Peer]:
    """A client that has just connected."""
    async with world(SETTINGS | more, clock=SystemClock()) as w, trio.open_nursery() as nursery:
        w.peer.listener = "SASL_PLAINTEXT"
        w.peer.conversation = w.services.authentication.conversation("SASL_PLAINTEXT")
        w.peer.authenticated = False
        peer = Peer(w, MemoryTransport())
        nursery.start_soon(peer.serve)
        yield peer
        nursery.cancel_scope.cancel()


def token(message: bytes) -> SaslAuthenticateRequest:
    return SaslAuthenticateRequest(auth_bytes=message)


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_right_password_lets_the_client_in(version: int, autojump_clock: trio.testing.MockClock) -> None:
    """With ApiVersions first or without; it is then who it says."""
    async with newcomer() as peer:
        assert (await peer.ask(VERSIONS, 3)).error_code == 0
        reply = await peer.ask(HANDSHAKE, 1)
        assert (reply.error_code, reply.mechanisms) == (0, ["PLAIN", "SCRAM-SHA-256"])
        assert peer.peer.principal is ANONYMOUS and not peer.peer.authenticated
        reply = await peer.ask(token(ALICE), version)
        assert (reply.error_code, reply.error_message, reply.auth_bytes) == (0, "", b"")
        assert reply.session_lifetime_ms == 0
        assert peer.let_in and peer.peer.authenticated
        assert peer.peer.principal == Principal("User", "alice")


async def test_messages_may_come_without_requests(autojump_clock: trio.testing.MockClock) -> None:
    """After a handshake in version 0, as old clients have it: a length and the bytes, both ways."""
    async with newcomer() as peer:
        assert (await peer.ask(HANDSHAKE, 0)).error_code == 0
        peer.transport.deliver(frame_prefix(len(ALICE)) + ALICE)
        await peer.settled()
        assert peer.received() == bytes(4)
        assert peer.peer.principal.name == "alice"


async def test_bytes_behind_the_last_message_are_left_for_what_follows(autojump_clock: trio.testing.MockClock) -> None:
    """A client that does not wait for the answer loses nothing."""
    async with newcomer() as peer:
        await peer.ask(HANDSHAKE, 0)
        peer.transport.deliver(frame_prefix(len(ALICE)) + ALICE + b"more")
        await peer.settled()
        window = memoryview(bytearray(9))
        assert peer.let_in and peer.transport.receive_now(window) == 4
        assert bytes(window[:4]) == b"more"


@pytest.mark.parametrize(
    "requests",
    [
        [(MetadataRequest(topics=[]), 9)],
        [(token(ALICE), 2)],
        [(VERSIONS, 3), (VERSIONS, 3)],
        [(VERSIONS, 3), (token(ALICE), 2)],
        [(VERSIONS, 3), (MetadataRequest(topics=[]), 9)],
    ],
)
async def test_anything_else_ends_the_connection(
    requests: list[tuple[Request, int]], autojump_clock: trio.testing.MockClock
) -> None:
    """T7. Without an answer, and at once."""
    async with newcomer() as peer:
        *first, last = requests
        for request, version in first:
            assert await peer.ask(request, version) is not None
        began = trio.current_time()
        assert await peer.ask(*last) is None
        assert trio.current_time() == began
        assert isinstance(peer.ended, ProtocolError) and not peer.let_in


async def test_a_body_that_is_not_expected_is_not_decoded(autojump_clock: trio.testing.MockClock) -> None:
    """What is in it may be anything."""
    async with newcomer() as peer:
        header = b"\0\3\0\x09" + b"\0\0\0\1" + b"\xff\xff\0"
        peer.transport.deliver(frame_prefix(len(header) + 5) + header + b"\xff" * 5)
        await peer.settled()
        assert "API key 3" in str(peer.ended)


async def test_versions_that_were_refused_may_be_asked_for_again(autojump_clock: trio.testing.MockClock) -> None:
    """A client of the future comes back in a version that is known here."""
    async with newcomer() as peer:
        body = b"\0\x12\0\x63" + b"\0\0\0\7" + b"\xff\xff\0"
        peer.transport.deliver(frame_prefix(len(body)) + body)
        await peer.settled()
        assert peer.received()[8:10] == b"\0\x23"
        bad = ApiVersionsRequest(client_software_name="-", client_software_version="1")
        assert (await peer.ask(bad, 3)).error_code == ErrorCode.INVALID_REQUEST
        assert (await peer.ask(VERSIONS, 3)).error_code == 0
        assert (await peer.ask(HANDSHAKE, 1)).error_code == 0


async def test_a_mechanism_that_is_not_offered_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """With those that are, after a moment; names are as they are, in capital letters."""
    for mechanism in ("OAUTHBEARER", "plain", ""):
        async with newcomer() as peer:
            began = trio.current_time()
            reply = await peer.ask(SaslHandshakeRequest(mechanism=mechanism), 1)
            assert (reply.error_code, reply.mechanisms) == (33, ["PLAIN", "SCRAM-SHA-256"])
            assert trio.current_time() - began == pytest.approx(0.1)
            assert peer.ended is not None


@pytest.mark.parametrize("message", [b"\0alice\0wrong", b"\0mallory\0x"])
async def test_a_wrong_password_is_refused_after_a_moment(
    message: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """The same whether there is such a user or not; then the connection ends."""
    async with newcomer(**{"connection.failed.authentication.delay.ms": "300"}) as peer:
        await peer.ask(HANDSHAKE, 1)
        began = trio.current_time()
        reply = await peer.ask(token(message), 2)
        assert (reply.error_code, reply.error_message) == (58, "Authentication failed: Invalid username or password")
        assert trio.current_time() - began == pytest.approx(0.3)
        assert peer.ended is not None and not peer.let_in
        assert peer.peer.principal is ANONYMOUS


async def test_a_refusal_of_a_bare_message_is_the_end(autojump_clock: trio.testing.MockClock) -> None:
    """There is nothing that could carry it."""
    async with newcomer() as peer:
        await peer.ask(HANDSHAKE, 0)
        peer.transport.deliver(frame_prefix(8) + b"\0alice\0x")
        await peer.settled()
        assert peer.received() == b"" and peer.ended is not None


async def test_a_request_in_the_midst_of_an_exchange_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    """ILLEGAL_SASL_STATE, in the form of its own reply; then the connection ends."""
    for request, version in ((VERSIONS, 3), (HANDSHAKE, 1)):
        async with newcomer() as peer:
            await peer.ask(HANDSHAKE, 1)
            assert (await peer.ask(request, version)).error_code == ErrorCode.ILLEGAL_SASL_STATE
            assert peer.ended is not None
    async with newcomer() as peer:
        await peer.ask(HANDSHAKE, 1)
        assert (await peer.ask(MetadataRequest(topics=[]), 9)).topics == []
        assert peer.ended is not None and not peer.let_in


@pytest.mark.parametrize("size", [-1, LARGEST_REQUEST + 1, 2**31 - 1])
async def test_a_large_request_is_not_taken(size: int, autojump_clock: trio.testing.MockClock) -> None:
    """Before anything of it is read."""
    async with newcomer() as peer:
        peer.transport.deliver(size.to_bytes(4, "big", signed=True))
        await peer.settled()
        assert isinstance(peer.ended, ProtocolError)


@pytest.mark.parametrize(("size", "taken"), [(200_000, True), (200_001, False)])
async def test_a_mechanisms_message_may_be_larger(
    size: int, taken: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """As `sasl.server.max.receive.size` says: a token may be long."""
    async with newcomer(**{"sasl.server.max.receive.size": "200000"}) as peer:
        await peer.ask(HANDSHAKE, 0)
        peer.transport.deliver(frame_prefix(size) + bytes(size))
        await peer.settled()
        assert isinstance(peer.ended, NotAuthenticated) is taken


async def test_a_client_has_ten_seconds(autojump_clock: trio.testing.MockClock) -> None:
    """For all of it: one that says nothing, little by little or too slowly is sent away."""
    async with newcomer() as peer:
        began = trio.current_time()
        peer.transport.deliver(frame_prefix(100))
        for _ in range(20):
            peer.transport.deliver(b"\0")
            with trio.move_on_after(0.6):
                await peer.done.wait()
        assert "in time" in str(peer.ended)
        assert trio.current_time() - began == pytest.approx(SECONDS, abs=2.1)


async def test_a_client_that_does_not_read_is_sent_away_too(autojump_clock: trio.testing.MockClock) -> None:
    """Its answers wait for it no longer than all of it may take."""
    async with newcomer() as peer:
        peer.transport._takes = 0
        assert await peer.ask(VERSIONS, 3) is None
        await trio.sleep(SECONDS)
        assert "in time" in str(peer.ended)
