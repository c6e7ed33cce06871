"""A proxy before any server that speaks over TCP, whose connections go wrong when a test says so.

    async with tcp_proxy(("127.0.0.1", database.port)) as proxy:
        engine = ...  # connects to proxy.port
        proxy.lose_reply(to=b"commit_windows")   # the next request with these bytes is done, and its answer lost
        proxy.pause()                            # bytes stand still, connections stay open
        proxy.cut()                              # every connection is reset

It knows nothing of the protocol. A *request* is what the client has sent in one piece; a pattern is looked for in it,
with the end of the piece before. What it does with bytes:

* `delay` seconds before each piece, in either direction (virtual or real ones, as trio's clock has it);
* `refusing`: new connections are reset at once, as if nothing listened; old ones go on;
* `pause`, `resume`;
* `cut`: reset all there are;
* `lose_reply`: pass a request on, and reset the connection when its answer begins to come, which is not passed on;
* `lose_request`: reset the connection instead of passing a request on;
* `corrupt_reply`: flip one bit in the answer to a request.

`target` may be moved (`retarget`), as an address moves to a new primary.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

PIECE: Final = 1 << 16
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST and drops what was not sent."""

Planned = Callable[[bytes], bool]
"""Whether a request is the one that is waited for."""


class _Connection:
    """One client's connection and the one to the server behind it."""

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self.client = client
        self.server = server
        self.loses_reply = False
        self.corrupts_reply = False
        self.seen = b""  # the end of what the client has sent before

    def reset(self) -> None:
        """Break both off. What waits on either notices it."""
        for stream in (self.client, self.server):
            try:
                stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, _RESET)
            except OSError:
                continue  # closed already
            stream.socket.close()


class TcpProxy:
    """See above. Counters are of what has happened: `connected`, `lost_replies`, `lost_requests`, `corrupted`."""

    def __init__(self, target: tuple[str, int], port: int) -> None:
        self.port = port
        self.delay = 0.0
        self.refusing = False
        self.connected = 0
        self.lost_replies = 0
        self.lost_requests = 0
        self.corrupted = 0
        self._target = target
        self._connections: set[_Connection] = set()
        self._going = trio.Event()
        self._going.set()
        self._planned: list[tuple[str, Planned]] = []

    # --- what a test says

    def retarget(self, host: str, port: int) -> None:
        """New connections go there."""
        self._target = (host, port)

    def pause(self) -> None:
        """Let no byte pass."""
        if self._going.is_set():
            self._going = trio.Event()

    def resume(self) -> None:
        """Let bytes pass again."""
        self._going.set()

    def cut(self) -> int:
        """Reset all connections; how many there were."""
        doomed = list(self._connections)
        for connection in doomed:
            connection.reset()
        return len(doomed)

    def lose_reply(self, to: bytes = b"", times: int = 1) -> None:
        """Of the next requests that have these bytes in them, lose the answers."""
        self._planned += [("reply", lambda request: to in request)] * times

    def lose_request(self, to: bytes = b"", times: int = 1) -> None:
        """Do not pass on the next requests that have these bytes in them."""
        self._planned += [("request", lambda request: to in request)] * times

    def corrupt_reply(self, to: bytes = b"", times: int = 1) -> None:
        """Flip a bit in the answers to the next requests that have these bytes in them."""
        self._planned += [("corrupt", lambda request: to in request)] * times

    @property
    def pending(self) -> int:
        """How many planned faults have not happened yet."""
        return len(self._planned)

    # --- what happens

    async def serve(self, client: trio.SocketStream) -> None:
        """Handle one client's connection, until either side ends it."""
        if self.refusing:
            _Connection(client, client).reset()
            return
        self.connected += 1
        try:
            server = await trio.open_tcp_stream(*self._target)
        except OSError:
            _Connection(client, client).reset()
            return
        connection = _Connection(client, server)
        self._connections.add(connection)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._requests, connection)
                nursery.start_soon(self._replies, connection)
        finally:
            self._connections.discard(connection)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(client)
                await trio.aclose_forcefully(server)

    async def _requests(self, connection: _Connection) -> None:
        while piece := await _piece(connection.client):
            await self._hold()
            match self._due(connection.seen + piece):
                case "request":
                    self.lost_requests += 1
                    connection.reset()
                    return
                case "reply":
                    connection.loses_reply = True
                case "corrupt":
                    connection.corrupts_reply = True
            connection.seen = piece[-64:]
            if not await _sent(connection.server, piece):
                return
        await _end(connection.server)

    async def _replies(self, connection: _Connection) -> None:
        while piece := await _piece(connection.server):
            await self._hold()
            if connection.loses_reply:
                self.lost_replies += 1
                connection.reset()
                return
            if connection.corrupts_reply:
                connection.corrupts_reply = False
                self.corrupted += 1
                changed = bytearray(piece)
                changed[len(changed) // 2] ^= 0x04
                piece = bytes(changed)
            if not await _sent(connection.client, piece):
                return
        await _end(connection.client)

    async def _hold(self) -> None:
        if self.delay:
            await trio.sleep(self.delay)
        while not self._going.is_set():
            await self._going.wait()

    def _due(self, request: bytes) -> str | None:
        for number, (kind, matches) in enumerate(self._planned):
            if matches(request):
                del self._planned[number]
                return kind
        return None


async def _piece(stream: trio.SocketStream) -> bytes:
    """What comes next on a stream; nothing if it has ended or is broken."""
    try:
        return bytes(await stream.receive_some(PIECE))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _sent(stream: trio.SocketStream, piece: bytes) -> bool:
    try:
        await stream.send_all(piece)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True


async def _end(stream: trio.SocketStream) -> None:
    """Pass on that one side has nothing more to say."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        await stream.send_eof()


@asynccontextmanager
async def tcp_proxy(target: tuple[str, int], *, port: int = 0) -> AsyncIterator[TcpProxy]:
    """A proxy on the loopback address before `target`, as long as the context lasts."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
        proxy = TcpProxy(target, listener.socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        try:
            yield proxy
        finally:
            proxy.cut()
            nursery.cancel_scope.cancel()
