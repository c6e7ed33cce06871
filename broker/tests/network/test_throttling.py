"""Quotas as a client feels them: the answer at once, and then a connection that is not read (KIP-219)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from broker.context import Peer
from broker.handlers import Handler, describe_cluster, loaded
from broker.network import connections as connections_module
from broker.network.connections import Connections
from broker.network.dispatch import Dispatcher
from broker.network.throttling import Steps
from broker.quotas.connections import Admission
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from broker.testing.transports import MemoryTransport
from broker.tests.handlers.quotas_of import alter, entry
from broker.tests.handlers.test_produce import batch, create
from broker.tests.handlers.test_produce import request as produce
from broker.tests.network.served import Script, connected, replies, request, settle
from kproto.connection import ReceivedRequest
from kproto.messages.api_versions import ApiVersionsResponse
from kproto.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from kproto.schema.declare import Response

ANYONE = [("client-id", None)]


class Throttled(Script):
    """Mutes the peer of these requests for a second each."""

    def __init__(self, *throttled: int, **answers: Any) -> None:
        super().__init__(**answers)
        self.throttled = throttled

    def begin(self, received: ReceivedRequest, peer: Peer) -> tuple[Handler, Any]:
        if received.correlation_id in self.throttled:
            peer.mute(1000)
        return super().begin(received, peer)


async def test_the_answer_comes_at_once_and_the_next_request_waits(autojump_clock: trio.testing.MockClock) -> None:
    """C18: it may have arrived with the one before."""
    script = Throttled(2)
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3))
        await settle()
        assert (replies(transport), script.begun) == ([1, 2], [1, 2])
        await trio.sleep(0.9)
        assert script.begun == [1, 2]
        await trio.sleep(0.2)
        assert replies(transport) == [1, 2, 3]


async def test_what_arrives_meanwhile_is_not_read(autojump_clock: trio.testing.MockClock) -> None:
    """It stays with the operating system, so a client that sends without end takes no memory."""
    script = Throttled(1)
    async with connected(script) as (transport, connection):
        transport.deliver(request(1))
        await settle()
        received = transport.received
        transport.deliver(request(2))
        await trio.sleep(0.5)
        assert (transport.received, connection.statistics().buffer_bytes) == (received, 0)
        await trio.sleep(0.6)
        assert replies(transport) == [1, 2]


async def test_an_answer_that_was_parked_mutes_too(autojump_clock: trio.testing.MockClock) -> None:
    """A Fetch is counted when it is answered."""
    go = trio.Event()

    async with connected(Script()) as (transport, connection):

        async def parked() -> ApiVersionsResponse:
            await go.wait()
            connection.peer.mute(1000)
            return ApiVersionsResponse()

        connection._dispatcher.answers[1] = parked  # type: ignore[attr-defined]
        transport.deliver(request(1))
        await settle()
        go.set()
        await settle()
        transport.deliver(request(2))
        await trio.sleep(0.9)
        assert replies(transport) == [1]
        await trio.sleep(0.2)
        assert replies(transport) == [1, 2]


async def test_a_muted_peer_that_leaves_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Its connection does not last as long as its wait."""
    script = Throttled(1)
    async with connected(script) as (transport, connection):
        connection.peer.mute(3_600_000)
        transport.deliver(request(2))
        await settle()
        transport.end()
        with trio.fail_after(60):
            await transport.has_closed.wait()


def received(message: Any, size: int = 100, client_id: str = "c") -> ReceivedRequest:
    """A request as the connection gives it to the dispatcher, of the newest version."""
    cls = type(message)
    version = min(cls.max_version, 12)  # by names
    return ReceivedRequest(cls.api_key, version, 1, client_id, message, size)


async def answered(dispatcher: Dispatcher, one: ReceivedRequest, peer: Peer) -> Any:
    found, reply = dispatcher.begin(one, peer)
    assert found is not None
    while not isinstance(reply, Response):
        reply = await dispatcher.finish(one, found, getattr(reply, "coroutine", reply), peer)
    return reply


async def with_quota(w: World, **limits: float | None) -> None:
    await w.ask(alter(entry(ANYONE, **limits)), 1)


async def test_a_produce_is_counted_by_all_its_bytes(autojump_clock: trio.testing.MockClock) -> None:
    """And the answer says how long its client waits from then on."""
    async with world() as w:
        await create(w)
        dispatcher, peer = Dispatcher(w.services), Peer("192.0.2.1", 1)
        plain = await answered(dispatcher, received(produce(batch()), size=10**9), peer)
        assert (plain.throttle_time_ms, peer.muted_until) == (0, 0.0)
        await with_quota(w, producer_byte_rate=1000)
        free = await answered(dispatcher, received(produce(batch()), size=10_000), peer)
        assert (free.throttle_time_ms, peer.muted_until) == (0, 0.0)
        late = await answered(dispatcher, received(produce(batch()), size=2_000), peer)
        assert late.throttle_time_ms == pytest.approx(2_000, abs=2)
        assert peer.muted_until == pytest.approx(trio.current_time() + 2, abs=0.002)
        await with_quota(w, producer_byte_rate=None)
        assert w.services.quotas is None


async def test_a_user_is_the_principal_of_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever client ids it uses; another user has its own."""
    async with world() as w:
        await create(w)
        await w.ask(alter(entry([("user", "alice")], producer_byte_rate=1000)), 1)
        dispatcher = Dispatcher(w.services)
        alice = [Peer("192.0.2.1", port, principal=Principal.parse("User:alice")) for port in (1, 2)]
        bob = Peer("192.0.2.1", 3, principal=Principal.parse("User:bob"))
        await answered(dispatcher, received(produce(batch()), size=10_000, client_id="a"), alice[0])
        late = await answered(dispatcher, received(produce(batch()), size=1_000, client_id="b"), alice[1])
        assert late.throttle_time_ms == pytest.approx(1_000, abs=2)
        free = await answered(dispatcher, received(produce(batch()), size=10**9, client_id="a"), bob)
        assert free.throttle_time_ms == 0


async def test_time_of_the_loop_is_counted_step_by_step(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """What a request waits is not its time."""
    async with world() as w:
        now = [0.0]
        w.services.turns.wall = lambda: now[0]

        async def slow(asked: object, ctx: object) -> DescribeClusterResponse:
            now[0] += 0.5
            await trio.sleep(60)
            now[0] += 0.5
            return DescribeClusterResponse()

        monkeypatch.setitem(loaded, 60, Handler(slow, describe_cluster.refuse, False))
        await with_quota(w, request_percentage=9)
        dispatcher, peer = Dispatcher(w.services), Peer("192.0.2.1", 1)
        reply = await answered(dispatcher, received(DescribeClusterRequest()), peer)
        assert reply.throttle_time_ms == 1000, "1 s of 0.9 in ten: 1.1 s, and a window at most"


async def test_steps_pass_on_what_their_coroutine_gets() -> None:
    """Values, errors and cancellation."""

    async def work() -> str:
        with trio.move_on_after(0):
            await trio.sleep_forever()
        with pytest.raises(ValueError, match="inside"):
            raise ValueError("inside")
        return "done"

    steps = Steps(work(), lambda: 0.0)
    assert await steps == "done"

    async def fails() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("out")

    with pytest.raises(KeyError):
        await Steps(fails(), lambda: 0.0)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_connection_that_comes_too_early_is_held(refused: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Then it is served, or closed without an answer (KIP-612)."""
    async with world() as w, trio.open_nursery() as nursery:
        connections = Connections(w.services, [], nursery)
        transport: Any = MemoryTransport()
        listener: Any = SimpleNamespace(name="PLAINTEXT", protocol="PLAINTEXT")
        nursery.start_soon(connections._serve_later, listener, transport, Admission(1000, refused))
        transport.deliver(request(1))
        await trio.sleep(0.9)
        assert (transport.closed, replies(transport)) == (False, [])
        await trio.sleep(0.2)
        assert (transport.closed, bool(replies(transport))) == (refused, not refused)
        found = connections.statistics()
        assert (found.accepted, found.refused) == (1, int(refused))
        nursery.cancel_scope.cancel()


async def test_only_so_many_connections_are_held_to_be_closed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Each has a descriptor, and an address that storms the broker would take all of them."""
    monkeypatch.setattr(connections_module, "MOST_HELD", 3)
    async with world() as w, trio.open_nursery() as nursery:
        connections = Connections(w.services, [], nursery)
        listener: Any = SimpleNamespace(name="PLAINTEXT", protocol="PLAINTEXT")
        transports: list[Any] = [MemoryTransport() for _ in range(10)]
        for transport in transports:
            nursery.start_soon(connections._serve_later, listener, transport, Admission(1000, True))
        await trio.testing.wait_all_tasks_blocked()
        assert sum(transport.closed for transport in transports) == 7
        await trio.sleep(1.1)
        assert all(transport.closed for transport in transports)
        nursery.cancel_scope.cancel()


async def test_what_comes_before_a_client_is_known_is_no_users(autojump_clock: trio.testing.MockClock) -> None:
    """Else strangers would have all wait who log in, and their made-up ids take the places of clients."""
    async with world() as w:
        await with_quota(w, request_percentage=0.001)
        assert w.services.quotas is not None
        dispatcher = Dispatcher(w.services)
        for authenticated in (False, True):
            peer = Peer("192.0.2.1", 1, authenticated=authenticated)
            await answered(dispatcher, received(DescribeClusterRequest(), client_id="made up"), peer)
            clients = w.services.quotas.statistics().clients["request_percentage"]
            assert (clients > 0) is authenticated
