"""A listener with TLS over real sockets: crowds that say nothing, storms, and peers that speak something else."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.network import newcomers
from broker.network.connections import Connections
from broker.network.listener import Listener
from broker.network.newcomers import MOST
from broker.network.watch import Ending
from broker.security.tls.contexts import Contexts
from broker.testing.certificates import Authority
from broker.testing.contexts import world
from kproto.connection import ClientConnection
from kproto.messages.metadata import MetadataRequest
from storage.seams import logging
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload

AUTHORITY = Authority()
STORE = AUTHORITY.issue("CN=localhost").combined


class Site:
    """A broker that accepts on a listener with TLS, and clients of it."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self._clients: list[trio.abc.AsyncResource] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(cadata=AUTHORITY.certificate)

    async def dial(self, host: str = "127.0.0.1") -> trio.SocketStream:
        """A connection from an address of this machine, on which nothing is said yet."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port, local_address=host)
        self._clients.append(stream)
        return stream

    async def client(self, host: str = "127.0.0.1") -> trio.SSLStream[trio.SocketStream]:
        """A connection that is secured. Raises trio.BrokenResourceError."""
        secured = trio.SSLStream(await self.dial(host), self._context, server_hostname="localhost")
        await secured.do_handshake()
        return secured

    async def close(self) -> None:
        """Close all clients."""
        for stream in self._clients:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Site]:
    """A site that serves as long as the block."""
    store = tmp_path / "broker.pem"
    store.write_text(STORE)
    settings = {
        "listeners": "SSL://127.0.0.1:9093",
        "ssl.keystore.location": str(store),
        "ssl.keystore.type": "PEM",
    }
    offload = ThreadOffload()
    async with world(settings) as w, trio.open_nursery() as nursery:
        w.services.offload = offload
        w.services.tls = Contexts(w.services.config.tls_settings(), SystemDisk(), offload, SystemClock())
        listener = Listener("SSL", "127.0.0.1", 0, protocol="SSL", backlog=1000)
        connections = Connections(w.services, [listener], nursery)
        connections.start()
        site = Site(listener.port, connections)
        try:
            yield site
        finally:
            listener.close()
            with trio.CancelScope(shield=True):
                await site.close()
        nursery.cancel_scope.cancel()


async def is_served(stream: trio.SSLStream[trio.SocketStream]) -> bool:
    """Whether a question is answered."""
    client = ClientConnection()
    _, data = client.encode_request(MetadataRequest(topics=[]), 1)
    await stream.send_all(b"".join(map(bytes, data)))
    while client.next_reply() is None:
        received = await stream.receive_some(1 << 16)
        if not received:
            return False
        client.window()[: len(received)] = received
        client.received(len(received))
    return True


async def test_a_crowd_that_says_nothing_keeps_no_other_client_out(tmp_path: Path) -> None:
    """More silent connections than there are places, from one address; a client from another is served, and the crowd
    holds a bounded number of places."""
    async with serving(tmp_path) as site:
        silent = [await site.dial() for _ in range(MOST + 50)]
        with trio.fail_after(20):
            client = await site.client("127.0.0.2")
            assert await is_served(client)
            statistics = site.connections.statistics()
            assert statistics.unknown <= MOST
            assert statistics.turned_away >= 50
            assert await silent[0].receive_some(1) == b""  # it made room
        await client.aclose()


async def test_a_peer_that_does_not_finish_its_handshake_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a hello, byte by byte or not at all: the time is for all of it."""
    monkeypatch.setattr(newcomers, "LIMIT_SECONDS", 0.3)
    async with serving(tmp_path) as site:
        slow = await site.dial()
        await slow.send_all(b"\x16\x03\x01\x02\x00\x01")
        with trio.fail_after(20):
            assert await slow.receive_some(1) == b""
        while len(site.connections._newcomers):
            await trio.testing.wait_all_tasks_blocked()
        assert not site.connections.each()


async def test_a_storm_of_handshakes_is_served_one_after_the_other(tmp_path: Path) -> None:
    """All of them, and a client that is there already meanwhile."""
    async with serving(tmp_path) as site:
        there = await site.client()
        served: list[bool] = []

        async def come() -> None:
            client = await site.client()
            served.append(await is_served(client))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(come)
                assert await is_served(there)
        assert served == [True] * 100


@pytest.mark.parametrize(
    ("first", "what"), [(b"GET / HTTP/1.1\r\n\r\n", "HTTP"), (b"\0\0\0\x1f\0\x12\0\x04", "Kafka's protocol")]
)
async def test_peers_without_tls_are_named_once_a_minute(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], first: bytes, what: str
) -> None:
    """And closed at once, without a byte."""
    logging.configure(level="info", form="text")
    async with serving(tmp_path) as site:
        for _ in range(5):
            stranger = await site.dial()
            await stranger.send_all(first)
            with trio.fail_after(20):
                try:
                    assert await stranger.receive_some(1) == b""
                except trio.BrokenResourceError:
                    continue  # reset, for there were bytes that were not read
        statistics = site.connections.statistics()
        assert not statistics.ended[Ending.FAULT]
        assert (statistics.not_secured, statistics.unknown) == (5, 0)
    assert capfd.readouterr().err.count(f"the peer speaks {what}, and this listener TLS") == 1


async def test_a_stop_closes_what_is_not_secured_yet(tmp_path: Path) -> None:
    """A connection in the midst of its handshake ends with the broker."""
    async with serving(tmp_path) as site:
        silent = await site.dial()
        while not len(site.connections._newcomers):
            await trio.testing.wait_all_tasks_blocked()
        site.connections._nursery.cancel_scope.cancel()
        with trio.fail_after(20), trio.CancelScope(shield=True):
            assert await silent.receive_some(1) == b""


async def test_a_fault_in_a_handshake_ends_one_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the broker."""
    async with serving(tmp_path) as site:
        with monkeypatch.context() as patch:
            patch.setattr("broker.network.tls._shake_hands", None)
            stream = await site.dial()
            with trio.fail_after(20):
                assert await stream.receive_some(1) == b""
        client = await site.client()
        assert await is_served(client)
