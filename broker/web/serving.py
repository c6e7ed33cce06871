"""HTTP for an ASGI application, behind the network's door.

Hypercorn speaks HTTP under trio; what it would do with sockets is done here instead. Its own server opens sockets by
itself, has no bound on connections, and sends in a shield that a peer who does not read would hold for good. So this
module accepts through `Listener` and gives hypercorn a stream over each `SocketTransport`:

* at most `MOST_CONNECTIONS` at a time; one more is closed at once;
* a connection that has not sent a whole request in `IDLE_SECONDS` is closed, and so is one whose peer reads nothing of
  a reply for `STALL_SECONDS`;
* it speaks HTTP/1.1 and nothing else. hypercorn would let a client go over to HTTP/2 in the middle of it, and there a
  connection without a request is kept as long as its client sends anything at all;
* when the server's task is cancelled, all connections are closed first, and with them every wait.

A fault of the application costs its connection and a line in the log, never the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from storage.seams.logging import RateLimitedLogger, get_logger

if TYPE_CHECKING:
    from broker.network.listener import Listener, SocketTransport

MOST_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 10
STALL_SECONDS: Final = 30
MOST_HEADER_BYTES: Final = 16 * 1024
SENT_AT_ONCE: Final = 64 * 1024


class HttpServer:
    """Serves `app` at `listener` for as long as `run` does."""

    def __init__(self, app: Any, listener: Listener) -> None:
        self._app = wrap_app(self._logged(app), MOST_HEADER_BYTES, "asgi")
        self._listener = listener
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.accesslog = self._config.errorlog = None
        self._config.include_server_header = False
        self._config.keep_alive_timeout = IDLE_SECONDS
        self._config.h11_max_incomplete_size = MOST_HEADER_BYTES
        self._streams: dict[TransportStream, None] = {}
        self._log = RateLimitedLogger(get_logger(__name__), trio.current_time)

    async def run(self) -> None:
        """Accept and serve until cancelled, or the listener is closed."""
        async with trio.open_nursery() as nursery:

            def start(transport: SocketTransport) -> None:
                if len(self._streams) >= MOST_CONNECTIONS:
                    self._log.warning("an HTTP connection was refused: too many", peer=transport.peer[0])
                    transport.close()
                    return
                stream = TransportStream(transport)
                self._streams[stream] = None
                nursery.start_soon(self._serve, stream)

            def refused(reason: str) -> None:
                self._log.warning("cannot accept HTTP connections for a moment", reason=reason)

            try:
                await self._listener.accept(start, refused)
            except trio.ClosedResourceError:
                pass
            finally:
                nursery.cancel_scope.cancel()
                for stream in self._streams:
                    stream.close()

    def _logged(self, app: Any) -> Any:
        """`app`, whose faults hypercorn would answer and not mention."""

        async def logged(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except Exception as error:
                self._log.error("an HTTP request failed", path=scope.get("path"), exc_info=error)
                raise

        return logged

    async def _serve(self, stream: TransportStream) -> None:
        try:
            shared: Any = stream  # hypercorn asks for one of trio's, and for no more than this one has
            with stream.scope:
                await _Http1(self._app, self._config, self._context, ConnectionState({}), shared)
        except Exception as error:
            self._log.error("an HTTP request failed", exc_info=error)
        finally:
            stream.close()
            del self._streams[stream]


class _Http1(TCPServer):
    """hypercorn's server of one connection, without what it knows beside HTTP/1.1."""

    async def run(self) -> None:
        protocol: Any = _OnlyHttp1
        try:
            async with TaskGroup() as group:
                self._task_group = group
                self.protocol = protocol(
                    self.app, self.config, self.context, group, self.state, False, None, None, self.protocol_send
                )
                await self.protocol.initiate()
                await self.idle_task.restart(group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()


class _OnlyHttp1(H11Protocol):
    async def _check_protocol(self, event: Any) -> None:
        """Here hypercorn would go over to HTTP/2, if the request asks for that. A server may go on as it was."""


class TransportStream:
    """A transport as trio's streams are, as far as hypercorn uses them.

    What runs in `scope` ends when the stream is closed, at either end: hypercorn would keep its task until the time for
    a next request is over. It answers no peer that has ended its side, so nothing is lost by that.
    """

    def __init__(self, transport: SocketTransport) -> None:
        self._transport = transport
        self.scope = trio.CancelScope()
        self.socket = _NoAddress()

    async def receive_some(self, most: int) -> bytearray:
        """Bytes, none at the end of the stream. Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        buffer = bytearray(most)
        try:
            while (count := self._transport.receive_now(memoryview(buffer))) is None:
                await self._transport.wait_readable()
        except OSError as error:
            self.scope.cancel()
            raise trio.BrokenResourceError from error
        if not count:
            self.scope.cancel()
        return buffer[:count]

    async def send_all(self, data: bytes) -> None:
        """Send everything. Raises trio.BrokenResourceError, also when the peer does not read, and
        trio.ClosedResourceError."""
        try:
            for start in range(0, len(data), SENT_AT_ONCE):
                with trio.move_on_after(STALL_SECONDS) as limit:
                    await self._transport.send([data[start : start + SENT_AT_ONCE]])
                if limit.cancelled_caught:
                    raise trio.BrokenResourceError("the peer does not read")
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Close; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close, and end what runs in `scope`."""
        self._transport.close()
        self.scope.cancel()


class _NoAddress:
    """What hypercorn asks for addresses. They would be the application's to see, which has no use for them."""

    family = -1

    def getpeername(self) -> None: ...

    def getsockname(self) -> None: ...
