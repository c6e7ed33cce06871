"""A proxy before an HTTP server, above all an object store, that answers as bad stores and bad networks do.

    async with http_proxy(("127.0.0.1", store_port)) as proxy:
        bucket = open_bucket(f"s3://logs?endpoint={proxy.address}", ...)
        proxy.plan("PUT", Fault.LOST)                        # the next upload is done, and its answer lost
        proxy.plan("GET", Fault.CORRUPT, path="/segments/")  # one bit of the next read there is another
        proxy.chance = lambda method, path: ...              # or drawn, for each request that has none planned

One request of a client is one request to the server, whole: a body is received, then sent on, then the answer is
received. So what a fault does is exact: LOST has been done, BUSY has not. Nothing is repeated here. The `Host` that the
client has signed is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

import h11
import trio

PIECE: Final = 1 << 16


class Fault(Enum):
    """What can happen to one request."""

    BUSY = "busy"  # 503 SlowDown, and nothing is done
    ERROR = "error"  # done, and then 500: what a gateway says whose store was slower than its patience
    LOST = "lost"  # done, and the connection is closed without an answer
    CUT_UPLOAD = "cut upload"  # the server gets half of the body, and its connection is closed
    CUT = "cut"  # half of the answer's body, and the connection is closed
    CORRUPT = "corrupt"  # one bit of the answer's body is another
    WHOLE = "whole"  # a range is asked for, and the whole object given, as if the store knew no ranges
    SHORT = "short"  # the answer's body lacks its last byte, and its length says so
    GONE = "gone"  # 404 NoSuchKey, and nothing is asked
    DENIED = "denied"  # 403 AccessDenied, and nothing is asked
    HANG = "hang"  # done, and never answered, with the connection open
    LIE = "lie"  # 200, and nothing is done


_ANSWERS: Final = {
    Fault.BUSY: (503, "SlowDown"),
    Fault.GONE: (404, "NoSuchKey"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.ERROR: (500, "InternalError"),
}


class Planned(NamedTuple):
    """A fault that waits for its request."""

    method: str
    path: str  # what the request's path has in it
    fault: Fault


@dataclass(slots=True)
class _Exchange:
    """One request with what was answered."""

    request: h11.Request
    body: bytes
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    answer: bytes = b""


class HttpProxy:
    """See above. `seen` counts requests by method, `met` faults; `delay` is seconds before each request goes on."""

    def __init__(self, target: tuple[str, int], port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.delay = 0.0
        self._refusing = False
        self._clients: set[trio.SocketStream] = set()
        self.chance: Callable[[str, str], Fault | None] | None = None
        self.seen: dict[str, int] = {}
        self.met: dict[Fault, int] = {}
        self._target = target
        self._planned: list[Planned] = []
        self._going = trio.Event()
        self._going.set()

    def plan(self, method: str, *faults: Fault, path: str = "") -> None:
        """The next requests of this method, whose path has `path` in it, meet these, one each."""
        self._planned += [Planned(method, path, fault) for fault in faults]

    def forget(self) -> None:
        """No fault is planned any more."""
        self._planned.clear()

    def refuse(self, refusing: bool) -> None:
        """Close all connections and each new one at once, or let them in again."""
        self._refusing = refusing
        for client in list(self._clients) if refusing else []:
            client.socket.close()

    def pause(self) -> None:
        """Let requests wait."""
        if self._going.is_set():
            self._going = trio.Event()

    def resume(self) -> None:
        """Let them go on."""
        self._going.set()

    async def serve(self, client: trio.SocketStream) -> None:
        """Handle one client's connection, request after request, until either side ends it."""
        connection = h11.Connection(h11.SERVER)
        try:
            self._clients.add(client)
            while not self._refusing and (exchange := await _receive(connection, client)) is not None:
                await self._handle(exchange, connection, client)
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError, OSError):
            pass  # the client sees a closed connection
        finally:
            self._clients.discard(client)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(client)

    async def _handle(self, exchange: _Exchange, connection: h11.Connection, client: trio.SocketStream) -> None:
        """Answer one request. Raises h11.ProtocolError where the connection is to be closed instead."""
        method, path = exchange.request.method.decode(), exchange.request.target.decode()
        self.seen[method] = self.seen.get(method, 0) + 1
        fault = self._due(method, path)
        if fault is not None:
            self.met[fault] = self.met.get(fault, 0) + 1
        if self.delay:
            await trio.sleep(self.delay)
        while not self._going.is_set():
            await self._going.wait()
        if fault in (Fault.BUSY, Fault.GONE, Fault.DENIED):
            _instead(exchange, *_ANSWERS[fault])
        elif fault is Fault.LIE:
            exchange.status, exchange.headers = 200, [(b"etag", b'"0"'), (b"content-length", b"0")]
        else:
            await self._ask(exchange, fault)
        if fault is Fault.ERROR:
            _instead(exchange, *_ANSWERS[fault])
        if fault in (Fault.LOST, Fault.CUT_UPLOAD):
            raise h11.LocalProtocolError("the answer is lost")
        if fault is Fault.HANG:
            await trio.sleep_forever()
        if fault is Fault.CORRUPT and exchange.answer:
            changed = bytearray(exchange.answer)
            changed[len(changed) // 2] ^= 0x04
            exchange.answer = bytes(changed)
        if fault is Fault.SHORT and exchange.answer:
            exchange.answer = exchange.answer[:-1]
        await _answer(exchange, connection, client, cut=fault is Fault.CUT)

    async def _ask(self, exchange: _Exchange, fault: Fault | None) -> None:
        """Send the request on, and take the whole answer."""
        headers = [(name, value) for name, value in exchange.request.headers if name != b"connection"]
        if fault is Fault.WHOLE:
            headers = [(name, value) for name, value in headers if name != b"range"]
        connection = h11.Connection(h11.CLIENT)
        async with await trio.open_tcp_stream(*self._target) as server:
            head = h11.Request(
                method=exchange.request.method,
                target=exchange.request.target,
                headers=[*headers, (b"connection", b"close")],
            )
            body = exchange.body
            await server.send_all(connection.send(head) or b"")
            if fault is Fault.CUT_UPLOAD:
                await server.send_all(body[: len(body) // 2])
                return
            await server.send_all((connection.send(h11.Data(data=body)) or b"") if body else b"")
            await server.send_all(connection.send(h11.EndOfMessage()) or b"")
            pieces: list[bytes] = []
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await server.receive_some(PIECE))
                elif isinstance(event, h11.Response):
                    exchange.status, exchange.headers = event.status_code, list(event.headers)
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    break
        exchange.answer = b"".join(pieces)

    def _due(self, method: str, path: str) -> Fault | None:
        for number, planned in enumerate(self._planned):
            if planned.method == method and planned.path in path:
                del self._planned[number]
                return planned.fault
        return self.chance(method, path) if self.chance is not None else None


async def _receive(connection: h11.Connection, client: trio.SocketStream) -> _Exchange | None:
    """The next request with its whole body; None if the client has ended the connection."""
    request: h11.Request | None = None
    pieces: list[bytes] = []
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await client.send_all(connection.send(go_on) or b"")
            connection.receive_data(await client.receive_some(PIECE))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            return _Exchange(request, b"".join(pieces))
        else:
            return None


async def _answer(exchange: _Exchange, connection: h11.Connection, client: trio.SocketStream, *, cut: bool) -> None:
    """Give the client its answer; half of it if it is to be cut."""
    body = exchange.answer
    is_head = exchange.request.method == b"HEAD"
    framing = (b"content-length", b"transfer-encoding", b"connection")
    headers = [(name, value) for name, value in exchange.headers if is_head or name not in framing]
    if not is_head and exchange.status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    response = h11.Response(status_code=exchange.status, headers=headers)
    data = connection.send(response) or b""
    if cut:
        await client.send_all(data + body[: len(body) // 2])
        raise h11.LocalProtocolError("the answer is cut")
    if body and not is_head:
        data += connection.send(h11.Data(data=body)) or b""
    await client.send_all(data + (connection.send(h11.EndOfMessage()) or b""))


def _instead(exchange: _Exchange, status: int, code: str) -> None:
    """Have the request answered with one of S3's errors."""
    exchange.status = status
    exchange.headers = [(b"content-type", b"application/xml")]
    exchange.answer = f"<Error><Code>{code}</Code><Message>a fault of the proxy</Message></Error>".encode()


@asynccontextmanager
async def http_proxy(target: tuple[str, int], *, port: int = 0) -> AsyncIterator[HttpProxy]:
    """A proxy on the loopback address before `target`, as long as the context lasts."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
        proxy = HttpProxy(target, listener.socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
