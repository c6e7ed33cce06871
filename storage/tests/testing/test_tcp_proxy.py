"""What the TCP proxy does to the connections that pass it, before a server that answers each line with itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from storage.testing.tcp_proxy import TcpProxy, tcp_proxy


class Echo:
    """Answers what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # as when the proxy breaks a connection off
            async for piece in stream:
                self.got.append(bytes(piece))
                await stream.send_all(piece)


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[TcpProxy, Echo]]:
    """A proxy before a server."""
    echo = Echo()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo.serve, [listener])
        async with tcp_proxy(("127.0.0.1", listener.socket.getsockname()[1])) as proxy:
            yield proxy, echo
        nursery.cancel_scope.cancel()


async def say(stream: trio.SocketStream, words: bytes) -> bytes:
    """The answer to these words; nothing if the connection has ended."""
    await stream.send_all(words)
    return bytes(await stream.receive_some(100))


async def connect(proxy: TcpProxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def test_bytes_pass() -> None:
    """Both ways, and the end of either."""
    async with proxied() as (proxy, echo), await connect(proxy) as stream:
        assert await say(stream, b"one") == b"one"
        await stream.send_eof()
        assert await stream.receive_some() == b""
        assert (echo.got, proxy.connected) == ([b"one"], 1)


async def test_an_answer_is_lost_after_the_work() -> None:
    """The server has done what was asked; the client knows nothing. Others are not harmed."""
    async with proxied() as (proxy, echo), await connect(proxy) as stream, await connect(proxy) as other:
        proxy.lose_reply(to=b"COMMIT")
        assert await say(stream, b"BEGIN") == b"BEGIN"
        with pytest.raises(trio.BrokenResourceError):
            await say(stream, b"COMMIT")
        assert echo.got[-1] == b"COMMIT"
        assert await say(other, b"COMMIT") == b"COMMIT"
        assert (proxy.lost_replies, proxy.pending) == (1, 0)


async def test_a_request_is_lost_before_the_work() -> None:
    """The server has not seen it."""
    async with proxied() as (proxy, echo), await connect(proxy) as stream:
        proxy.lose_request(to=b"COMMIT")
        with pytest.raises(trio.BrokenResourceError):
            await say(stream, b"COMMIT")
        assert echo.got == []


async def test_a_bit_of_an_answer_is_another() -> None:
    """Once."""
    async with proxied() as (proxy, _), await connect(proxy) as stream:
        proxy.corrupt_reply()
        assert await say(stream, b"000") == b"040"
        assert await say(stream, b"000") == b"000"


async def test_connections_are_cut_refused_and_moved() -> None:
    """What is cut is reset; what is refused, too; a new connection goes where the proxy points."""
    async with proxied() as (proxy, echo), proxied() as (_, elsewhere):
        async with await connect(proxy) as stream:
            assert await say(stream, b"x") == b"x"
            assert proxy.cut() == 1
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        proxy.refusing = True
        async with await connect(proxy) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert (echo.got, elsewhere.got) == ([b"x"], [])


async def test_what_is_paused_stands_still() -> None:
    """No byte passes, no connection ends; then all goes on."""
    async with proxied() as (proxy, echo), await connect(proxy) as stream:
        proxy.pause()
        with trio.move_on_after(0.05):
            await say(stream, b"x")
        assert echo.got == []
        proxy.resume()
        assert await stream.receive_some() == b"x"
