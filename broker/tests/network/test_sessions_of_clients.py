"""How long a client's proof counts on its connection, and how the client renews it (KIP-368)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from broker.network.authentication import authenticate
from broker.network.connection import Connection, Surroundings
from broker.network.dispatch import Dispatcher
from broker.network.rounds import Rounds
from broker.network.watch import Watch
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from broker.testing.transports import MemoryTransport
from broker.tests.network.test_authentication import ALICE, HANDSHAKE, SETTINGS, token
from kproto.connection import ClientConnection
from kproto.errors import ErrorCode
from kproto.framing import BufferPool
from kproto.messages.metadata import MetadataRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.declare import Request
from storage.seams.logging import RateLimitedLogger, get_logger

METADATA = MetadataRequest(topics=[])
BOB = b"\0bob\0bob-secret"


class Client:
    """A client on one connection."""

    def __init__(self, w: World, transport: MemoryTransport) -> None:
        self.world = w
        self._transport = transport
        self._client = ClientConnection("test")
        self._read = 0

    async def serve(self) -> None:
        services, peer, transport = self.world.services, self.world.peer, self._transport
        dispatcher, pool = Dispatcher(services), BufferPool()
        await authenticate(transport, peer, services, dispatcher, pool)
        log = RateLimitedLogger(get_logger("connections"), trio.current_time)
        around = Surroundings(Watch(trio.current_time()), pool, log, Rounds(services.turns))
        await Connection(transport, peer, services, dispatcher, around).serve()

    async def ask(self, request: Request, version: int) -> Any:
        """The reply; None if the connection has been closed without one."""
        _, buffers = self._client.encode_request(request, version)
        self._transport.deliver(b"".join(bytes(buffer) for buffer in buffers))
        with trio.move_on_after(0.2):
            await self._transport.has_closed.wait()
        data = bytes(self._transport.sent_bytes[self._read :])
        self._read += len(data)
        if not data:
            assert self._transport.closed
            return None
        self._client.window()[: len(data)] = data
        self._client.received(len(data))
        reply = self._client.next_reply()
        assert reply is not None
        return reply[1]

    async def prove(self, message: bytes = ALICE, mechanism: str = "PLAIN") -> Any:
        """The reply to the last message of an exchange."""
        handshake = await self.ask(SaslHandshakeRequest(mechanism=mechanism), 1)
        assert handshake.error_code == 0
        return await self.ask(token(message), 2)

    @property
    def closed(self) -> bool:
        return self._transport.closed


@asynccontextmanager
async def client(**more: str) -> AsyncIterator[Client]:
    """A client that has proved that it is alice."""
    async with world(SETTINGS | more) as w, trio.open_nursery() as nursery:
        w.peer.listener = "SASL_PLAINTEXT"
        w.peer.conversation = w.services.authentication.conversation("SASL_PLAINTEXT")
        w.peer.authenticated = False
        one = Client(w, MemoryTransport())
        nursery.start_soon(one.serve)
        reply = await one.prove()
        assert reply.session_lifetime_ms == int(more.get("connections.max.reauth.ms", "0"))
        yield one
        nursery.cancel_scope.cancel()


LIMITED = {"connections.max.reauth.ms": "10000"}


async def test_without_a_limit_a_session_has_no_end(autojump_clock: trio.testing.MockClock) -> None:
    """And nothing can be renewed: a handshake, and a message of the mechanism, are errors that end nothing."""
    async with client() as one:
        await trio.sleep(80_000)
        assert (await one.ask(HANDSHAKE, 1)).error_code == ErrorCode.ILLEGAL_SASL_STATE
        reply = await one.ask(token(ALICE), 2)
        assert (reply.error_code, reply.error_message) == (
            ErrorCode.ILLEGAL_SASL_STATE,
            "SaslAuthenticate request received after successful authentication",
        )
        assert await one.ask(METADATA, 9) is not None


async def test_a_session_that_is_over_ends_with_the_next_request(autojump_clock: trio.testing.MockClock) -> None:
    """T10. Which is not answered."""
    async with client(**LIMITED) as one:
        await trio.sleep(9)
        assert await one.ask(METADATA, 9) is not None
        await trio.sleep(1)
        assert not one.closed
        assert await one.ask(METADATA, 9) is None


async def test_a_client_may_prove_again_who_it_is(autojump_clock: trio.testing.MockClock) -> None:
    """Also when its session is over; a new one begins then. In between it sends nothing else."""
    async with client(**LIMITED) as one:
        for _ in range(3):
            await trio.sleep(12)
            assert (await one.prove()).session_lifetime_ms == 10_000
            assert await one.ask(METADATA, 9) is not None
        await trio.sleep(2)
        await one.ask(HANDSHAKE, 1)
        assert await one.ask(METADATA, 9) is None


async def test_not_more_than_once_a_second(autojump_clock: trio.testing.MockClock) -> None:
    """As in Kafka; a second attempt is an error that ends nothing."""
    async with client(**LIMITED) as one:
        await one.prove()
        assert (await one.ask(HANDSHAKE, 1)).error_code == ErrorCode.ILLEGAL_SASL_STATE
        assert await one.ask(METADATA, 9) is not None


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (BOB, "Cannot change principals during re-authentication from User.alice: User.bob"),
        (b"\0alice\0wrong", "Authentication failed: Invalid username or password"),
    ],
)
async def test_another_client_or_a_wrong_password_ends_the_connection(
    message: bytes, told: str, autojump_clock: trio.testing.MockClock
) -> None:
    """After a moment, with Kafka's sentence; until then nothing is different."""
    async with client(**LIMITED) as one:
        await trio.sleep(2)
        reply = await one.prove(message)
        assert (reply.error_code, reply.error_message) == (ErrorCode.SASL_AUTHENTICATION_FAILED, told)
        assert one.closed and one.world.peer.principal == Principal("User", "alice")


async def test_another_mechanism_ends_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Also one that the listener has."""
    async with client(**LIMITED) as one:
        await trio.sleep(2)
        assert (await one.prove(b"n,,n=alice,r=x", "SCRAM-SHA-256")).error_code == 58
        assert one.closed
    async with client(**LIMITED) as one:
        await trio.sleep(2)
        assert (await one.ask(SaslHandshakeRequest(mechanism="X"), 1)).error_code == 33
        assert one.closed


async def test_a_proof_is_renewed_in_requests_only(autojump_clock: trio.testing.MockClock) -> None:
    """The bare messages that follow a handshake of version 0 could not be told from requests."""
    async with client(**LIMITED) as one:
        await trio.sleep(2)
        assert (await one.ask(HANDSHAKE, 0)).error_code == ErrorCode.ILLEGAL_SASL_STATE
