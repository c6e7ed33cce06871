"""All connections: how many there may be, and which address each client gets to come back to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio

from broker.network.connections import Connections
from broker.network.listener import Listener
from broker.testing.contexts import World, world
from kproto.connection import ClientConnection
from kproto.messages.metadata import MetadataRequest

TWO_LISTENERS = {
    "listeners": "INSIDE://127.0.0.1:9092,OUTSIDE://127.0.0.1:9093",
    "listener.security.protocol.map": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
}


class Site:
    """A broker that accepts on two listeners of this machine, and clients of it."""

    def __init__(self, w: World, listeners: list[Listener]) -> None:
        self.services = w.services
        self.ports = {listener.name: listener.port for listener in listeners}
        self._clients: list[trio.SocketStream] = []

    async def client(self, listener: str) -> trio.SocketStream:
        """A new connection; it lasts as long as the site, if the test does not close it."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.ports[listener])
        self._clients.append(stream)
        return stream

    async def close(self) -> None:
        """Close all clients."""
        for stream in self._clients:
            await stream.aclose()


@asynccontextmanager
async def serving(settings: Mapping[str, str]) -> AsyncIterator[Site]:
    """A site that serves as long as the block."""
    async with world({**TWO_LISTENERS, **settings}) as w, trio.open_nursery() as nursery:
        listeners = [Listener(name, "127.0.0.1", 0) for name in ("INSIDE", "OUTSIDE")]
        site = Site(w, listeners)
        Connections(w.services, listeners, nursery).start()
        try:
            yield site
        finally:
            await site.close()
            for listener in listeners:
                listener.close()
        nursery.cancel_scope.cancel()


async def advertised_address(stream: trio.SocketStream) -> tuple[str, int] | None:
    """Where Metadata says that the broker is; None if the connection is closed instead."""
    client = ClientConnection()
    _, data = client.encode_request(MetadataRequest(topics=[]), 1)
    try:
        await stream.send_all(b"".join(map(bytes, data)))
        while (reply := client.next_reply()) is None:
            received = await stream.receive_some(1 << 16)
            if not received:
                return None
            client.window()[: len(received)] = received
            client.received(len(received))
    except trio.BrokenResourceError:
        return None
    [broker] = reply[1].brokers
    return broker.host, broker.port


@pytest.mark.parametrize("layer", ["static", "dynamic"])
async def test_a_listener_has_room_for_so_many(layer: str) -> None:
    """KIP-402: in the file or by AlterConfigs, one listener's connections are bounded apart from others'; when one of
    them has gone there is room again."""
    limit = {"listener.name.inside.max.connections": "1"}
    async with serving(limit if layer == "static" else {}) as site:
        if layer == "dynamic":
            site.services.config = site.services.config.with_dynamic({}, limit)
        first = await site.client("INSIDE")
        assert await advertised_address(first) is not None
        assert await advertised_address(await site.client("INSIDE")) is None
        for _ in range(2):
            assert await advertised_address(await site.client("OUTSIDE")) is not None
        await first.aclose()
        with trio.fail_after(10):
            while await advertised_address(await site.client("INSIDE")) is None:
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("advertised", "answer"),
    [
        ("", ("127.0.0.1", None)),
        ("INSIDE://broker.example:19092", ("broker.example", 19092)),
        ("INSIDE://:19092", ("127.0.0.1", 19092)),
        ("INSIDE://:9092", ("127.0.0.1", None)),
        ("OUTSIDE://broker.example:19092", ("127.0.0.1", None)),
    ],
)
async def test_a_client_gets_an_address_to_come_back_to(advertised: str, answer: tuple[str, int | None]) -> None:
    """What is advertised for the listener by which it came; what that leaves open, as it came. None: the same port."""
    async with serving({"advertised.listeners": advertised} if advertised else {}) as site:
        host, port = answer
        assert await advertised_address(await site.client("INSIDE")) == (host, port or site.ports["INSIDE"])
