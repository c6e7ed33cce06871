"""One connection, served in memory under virtual time: the test plays its peer and writes the broker's answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from broker.context import Later, Peer
from broker.emulation import Emulation
from broker.handlers import Handler
from broker.network.connection import Connection, Surroundings
from broker.network.rounds import Rounds
from broker.network.watch import Watch
from broker.observe.turns import Turns
from broker.request_memory import RequestMemory
from broker.testing.transports import MemoryTransport
from kproto.connection import ReceivedRequest
from kproto.framing import BufferPool, frame_prefix
from kproto.messages.api_versions import ApiVersionsResponse
from storage.seams.logging import RateLimitedLogger, get_logger
from storage.seams.offload import InlineOffload

IDLE_SECONDS = 600


def request(number: int, api_key: int = 18, version: int = 0) -> bytes:
    """An ApiVersions v0 request with `number` as its correlation id."""
    body = api_key.to_bytes(2, "big") + version.to_bytes(2, "big") + number.to_bytes(4, "big") + b"\xff\xff"
    return frame_prefix(len(body)) + body


def replies(transport: MemoryTransport) -> list[int]:
    """Correlation ids of the replies sent so far, in order."""
    data, found = bytes(transport.sent_bytes), []
    while len(data) >= 8:
        size = int.from_bytes(data[:4], "big")
        found.append(int.from_bytes(data[4:8], "big"))
        data = data[4 + size :]
    return found


class Script:
    """A dispatcher whose answers the test writes: correlation id -> reply, coroutine function or exception."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {int(key[1:]): answer for key, answer in answers.items()}
        self.begun: list[int] = []
        self.eager = True

    def begin(self, received: ReceivedRequest, peer: Peer) -> tuple[Handler, Any]:
        self.begun.append(received.correlation_id)
        answer = self.answers.get(received.correlation_id, ApiVersionsResponse())
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        return Handler(len, len, self.eager), answer

    async def finish(self, received: ReceivedRequest, found: Handler, waiting: Any, peer: Peer) -> Any:
        return await waiting


def connection_on(
    transport: MemoryTransport,
    script: Any,
    memory: RequestMemory | None = None,
    max_frame: int = 1000,
    emulation: Emulation | None = None,
) -> tuple[Connection, Watch[Connection]]:
    """A connection that is not served yet, and what says when it is looked at."""
    config = SimpleNamespace(socket_request_max_bytes=max_frame, connections_max_idle_ms=IDLE_SECONDS * 1000)
    services: Any = SimpleNamespace(
        config=config,
        request_memory=memory or RequestMemory(-1),
        offload=InlineOffload(),
        turns=Turns(),
        emulation=emulation,
    )
    watch: Watch[Connection] = Watch(trio.current_time())
    log = RateLimitedLogger(get_logger("connections"), trio.current_time)
    around = Surroundings(watch, BufferPool(), log, Rounds(services.turns))
    return Connection(transport, Peer("192.0.2.1", 50_000), services, script, around), watch


@asynccontextmanager
async def connected(
    script: Script, memory: RequestMemory | None = None, max_frame: int = 1000, **options: Any
) -> AsyncIterator[tuple[MemoryTransport, Connection]]:
    """A connection being served and watched; at the end the peer leaves and the connection must end too."""
    transport = MemoryTransport(**options)
    connection, watch = connection_on(transport, script, memory, max_frame)

    async def look() -> None:
        while True:
            await trio.sleep_until(watch.next_turn(trio.current_time()))
            for overdue, ending in watch.turn(trio.current_time()):
                overdue.close(ending)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        yield transport, connection
        transport.end()
        await trio.testing.wait_all_tasks_blocked()
        assert transport.closed
        assert len(watch) == 0
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def after(event: trio.Event) -> Callable[[], Any]:
    """An answer that waits for `event`."""

    async def wait() -> ApiVersionsResponse:
        await event.wait()
        return ApiVersionsResponse()

    return wait


class Awaited(Later):
    """An answer that is at hand once the event is set."""

    def __init__(self, event: trio.Event) -> None:
        self._event = event

    def is_at_hand(self) -> bool:
        return self._event.is_set()

    def reply(self) -> ApiVersionsResponse:
        return ApiVersionsResponse()

    async def wait(self) -> ApiVersionsResponse:
        await self._event.wait()
        return self.reply()


LARGE = 200_000


def large_request(number: int) -> bytes:
    """ApiVersions v0 in a frame of LARGE bytes: those behind its last field are passed over."""
    small = request(number)[4:]
    return frame_prefix(LARGE - 4) + small + bytes(LARGE - 4 - len(small))


async def ended_after(transport: MemoryTransport, begun: float) -> float:
    """How long after `begun` the connection ended."""
    await transport.has_closed.wait()
    return trio.current_time() - begun


def buffered(connection: Connection) -> int:
    return connection.statistics().buffer_bytes
