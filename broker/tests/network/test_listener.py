"""The network's seam, on this machine: whatever is sent arrives, and nothing that a peer does ends accepting."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from broker.network import listener
from broker.network.listener import CutShort, Listener, ListenError, PeerSide, SocketTransport
from storage.engine import RecordParts


class Slice:
    """A part of a file, as an engine gives it out."""

    def __init__(self, path: Path, position: int, length: int) -> None:
        self._file = path.open("rb")
        self.position = position
        self._length = length

    def __len__(self) -> int:
        return self._length

    def fileno(self) -> int | None:
        return self._file.fileno()

    def read(self) -> bytes:
        return os.pread(self._file.fileno(), self._length, self.position)

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Slice]:
    """Three megabytes in the middle of a file."""
    path = tmp_path / "records"
    path.write_bytes(bytes(range(256)) * (4 << 12))
    found = Slice(path, 100, 3 << 20)
    yield found
    found.close()


@asynccontextmanager
async def connected(host: str = "127.0.0.1") -> AsyncIterator[tuple[SocketTransport, trio.SocketStream]]:
    """Both ends of one connection: ours, and the peer's."""
    listening = Listener("PLAINTEXT", host, 0)
    accepted: list[SocketTransport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.accept, accepted.append, print)
        peer = await trio.open_tcp_stream("127.0.0.1", listening.port)
        while not accepted:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    listening.close()
    async with peer:
        yield accepted[0], peer
        accepted[0].close()


@pytest.mark.parametrize("portable", [False, True], ids=["sendfile", "portable"])
async def test_everything_arrives_in_order(records: Slice, portable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and large buffers, slices of files and parts of both, to a slow peer, with sendfile and without."""
    monkeypatch.setattr(listener, "PORTABLE", portable)
    large = memoryview(b"L" * (1 << 20))
    parts = RecordParts([large, records, memoryview(b"part")])
    buffers: list[Any] = [b"header", b"more", large, bytearray(b"between"), records, b"parts", parts, b"last", parts]
    expected = (
        b"headermore" + bytes(large) + b"between" + records.read() + b"parts" + parts.read() + b"last" + parts.read()
    )
    async with connected() as (transport, peer), trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, buffers)
        received = bytearray()
        while len(received) < len(expected):
            received += await peer.receive_some(100_000)
        assert received == expected
        assert transport.sent == len(expected)


@pytest.mark.parametrize("portable", [False, True], ids=["sendfile", "portable"])
async def test_a_slice_longer_than_its_file(records: Slice, portable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply has begun, so the connection must end; and the log must say so."""
    monkeypatch.setattr(listener, "PORTABLE", portable)
    records.position = 4 << 20
    async with connected() as (transport, _):
        with pytest.raises(CutShort, match="has only 0"):
            await transport.send([records])


async def test_bytes_come_in_as_they_are_there() -> None:
    """Some now, None when there are none yet, zero at the end."""
    window = memoryview(bytearray(100))
    async with connected() as (transport, peer):
        assert transport.receive_now(window) is None
        await peer.send_all(b"abc")
        await transport.wait_readable()
        assert transport.receive_now(window) == 3 and bytes(window[:3]) == b"abc"
        await peer.aclose()
        await transport.wait_readable()
        assert transport.receive_now(window) == 0


async def test_closing_wakes_waiting_tasks() -> None:
    """No task waits for a socket that is no more."""
    async with connected() as (transport, _):
        with pytest.RaisesGroup(trio.ClosedResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.wait_readable)
                await trio.testing.wait_all_tasks_blocked()
                transport.close()


@pytest.mark.parametrize("portable", [False, True], ids=["poll", "portable"])
async def test_how_the_peers_side_stands(portable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open, ended (also when it may still read), or reset; found without reading anything."""
    monkeypatch.setattr(listener, "PORTABLE", portable)
    async with connected() as (transport, peer):
        assert transport.peer_side() is PeerSide.OPEN
        await peer.send_eof()
        await transport.wait_readable()
        assert transport.peer_side() is PeerSide.ENDED
        assert not transport.send_now([b"still read"])
        assert await peer.receive_some() == b"still read"
    async with connected() as (transport, peer):
        reset(peer)
        await transport.wait_readable()
        assert transport.peer_side() is PeerSide.GONE


def reset(peer: trio.SocketStream) -> None:
    """Close it as a killed machine's system does."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


@pytest.mark.skipif(not listener._PEER_ENDED, reason="the platform has no POLLRDHUP")
async def test_a_peer_that_resets_after_its_end_is_gone() -> None:
    """While its last request waits, it may yet go for good."""
    async with connected() as (transport, peer):
        await peer.send_eof()
        await transport.wait_readable()
        assert transport.peer_side() is PeerSide.ENDED
        reset(peer)
        with trio.fail_after(10):
            while transport.peer_side() is not PeerSide.GONE:
                await trio.lowlevel.checkpoint()


@pytest.mark.skipif(not listener._PEER_ENDED, reason="the platform has no POLLRDHUP")
async def test_an_end_is_seen_behind_bytes_that_were_not_read() -> None:
    """A connection that does not read because it has enough to do sees its peer go all the same."""
    async with connected() as (transport, peer):
        await peer.send_all(b"requests that wait for their turn")
        await transport.wait_readable()
        assert transport.peer_side() is PeerSide.OPEN
        await peer.send_eof()
        with trio.fail_after(10):
            while transport.peer_side() is not PeerSide.ENDED:
                await trio.lowlevel.checkpoint()
        assert transport.received == 0


async def test_a_peer_that_lost_its_power_is_asked_for() -> None:
    """As on Kafka: TCP's own keepalive is on."""
    async with connected() as (transport, _):
        assert transport._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_an_ipv4_peer_keeps_its_address_on_a_listener_for_all() -> None:
    """Clients get the address where they found us, and a listener on every address sees them through IPv6."""
    async with connected(host="") as (transport, _):
        assert transport.peer[0] == "127.0.0.1"
        assert transport.local[0] == "127.0.0.1"


async def test_a_crowd_that_comes_at_once_waits_to_be_accepted() -> None:
    """However many the system lets wait: one that finds no place is dropped, and tries again after seconds."""
    opened = Listener("PLAINTEXT", "127.0.0.1", 0)
    crowd = [trio.socket.socket() for _ in range(min(200, socket.SOMAXCONN))]
    try:
        with trio.fail_after(30):
            for peer in crowd:
                await peer.connect(("127.0.0.1", opened.port))
    finally:
        for peer in crowd:
            peer.close()
        opened.close()


async def test_a_port_in_use_is_one_sentence() -> None:
    """It stops the start, and names the listener."""
    first = Listener("OUTSIDE", "127.0.0.1", 0)
    try:
        with pytest.raises(ListenError, match=rf"^listener OUTSIDE: 127.0.0.1:{first.port} is in use"):
            Listener("OUTSIDE", "127.0.0.1", first.port)
    finally:
        first.close()


class Troubled:
    """A listening socket on which every accept fails."""

    def __init__(self, real: socket.socket, *errors: int) -> None:
        self._real = real
        self.errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def accept(self) -> Any:
        if self._real.fileno() >= 0 and self.errors:
            error = self.errors.pop(0)
            raise OSError(error, os.strerror(error))
        return self._real.accept()


async def test_accepting_goes_on_after_any_error(autojump_clock: trio.testing.MockClock) -> None:
    """Descriptors run out, the network reports what became of a connection: the next one is served."""
    listening = Listener("PLAINTEXT", "127.0.0.1", 0)
    listening._sockets[0] = Troubled(listening._sockets[0], errno.EMFILE, errno.EPROTO)  # type: ignore[call-overload]
    refused: list[str] = []
    accepted: list[SocketTransport] = []
    peer = socket.create_connection(("127.0.0.1", listening.port))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.accept, accepted.append, refused.append)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert refused == [os.strerror(errno.EMFILE), os.strerror(errno.EPROTO)]
    assert len(accepted) == 1
    accepted[0].close()
    peer.close()
    listening.close()


async def test_a_stop_while_accepting_pauses_is_a_stop(autojump_clock: trio.testing.MockClock) -> None:
    """A listener that is closed while there are no descriptors ends like any other."""
    listening = Listener("PLAINTEXT", "127.0.0.1", 0)
    listening._sockets[0] = Troubled(listening._sockets[0], errno.EMFILE)  # type: ignore[call-overload]
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listening.accept, print, lambda reason: listening.close())


# --- addresses


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        (("127.0.0.1", 9092), ("127.0.0.1", 9092)),
        (("::ffff:10.0.0.7", 9092, 0, 0), ("10.0.0.7", 9092)),
        (("::1", 9092, 0, 0), ("::1", 9092)),
        (("fe80::1", 9092, 0, 7), ("fe80::1%eth7", 9092)),
        (("fe80::1", 9092, 0, 8), ("fe80::1%8", 9092)),
        (("fe80::1%en0", 9092, 0, 7), ("fe80::1%en0", 9092)),
    ],
)
def test_an_address_to_come_back_to_says_its_zone(
    name: tuple[Any, ...], reported: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link-local address is one of many without its interface: no client can connect to it. An interface that is gone
    has a number left. (Real clients were tried in a network namespace with a link-local address.)"""

    def interface(index: int) -> str:
        if index != 7:
            raise OSError(6, "No such device or address")
        return "eth7"

    monkeypatch.setattr(socket, "if_indextoname", interface)

    class Accepted(socket.socket):
        def getsockname(self) -> Any:
            return name

    ours, theirs = socket.socketpair()
    with Accepted(fileno=ours.detach()) as accepted, theirs:
        monkeypatch.setattr(accepted, "getpeername", lambda: ("fe80::2", 5, 0, 7), raising=False)
        transport = SocketTransport(accepted)
        assert transport.local == reported
        assert transport.peer == ("fe80::2", 5), "limits count a host once, whatever interface it comes by"


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "\xe4" * 70], ids=ascii)
def test_a_host_that_none_can_be_is_a_sentence(host: str) -> None:
    """Whichever part of the resolver finds it out."""
    with pytest.raises(ListenError, match=r"^listener PLAINTEXT: cannot resolve the host "):
        Listener("PLAINTEXT", host, 0)
