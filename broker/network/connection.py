"""One client: frames in, replies out, in order.

Two tasks serve a connection. The **reader** receives, decodes and dispatches; most requests are answered before it
reads again, and their replies leave together in one system call. A reply that must wait is a coroutine: it goes into a
queue, and the **writer** (started when first needed) awaits and sends it, one after the other. While the queue is not
empty every later reply passes through it, so replies leave in the order of the requests.

What may overlap: eager handlers (Produce, Fetch) do their first phase when the request is read, so five Produce
requests in flight are appended one after the other and share one fsync. Where that phase itself must wait
(`FirstPhase`), the reader waits with it. Any other handler runs alone, in the reader, when everything before it
has been answered: Kafka's own rule, which it keeps by muting the channel.

Bounds: at most `MAX_QUEUED` replies wait; then the reader stops reading, and TCP slows the peer. A frame grows only as
its bytes arrive (kproto/framing.py), and a large one only when all connections' requests together leave room for it
(request_memory.py). `overdue` is asked now and then and names what has taken too long: an idle
connection, a request that does not finish arriving, a reply that is not read.
"""

from __future__ import annotations

from collections import deque
from types import CoroutineType
from typing import Any

import trio

from broker.context import CloseConnection, FirstPhase, Peer, Services
from broker.handlers import HANDLERS, SERVED_VERSIONS, Handler
from broker.network.dispatch import Dispatcher
from broker.network.listener import Transport
from kproto.connection import ReceivedRequest, ServerConnection
from kproto.errors import ProtocolError
from kproto.schema.declare import Response
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

FETCH = 1
MAX_QUEUED = 64
READS_BEFORE_YIELD = 8
FRAME_GRACE_SECONDS = 30
FRAME_BYTES_PER_SECOND = 64 * 1024
WRITE_STALL_SECONDS = 60
BUFFER_KEPT_SECONDS = 5
SENT_TOGETHER = 256 * 1024
"""Bytes of a large reply that are encoded before they are sent."""


class Connection:
    """Serves one peer until it leaves, breaks the protocol or is told to go."""

    def __init__(self, transport: Transport, peer: Peer, services: Services, dispatcher: Dispatcher) -> None:
        self.peer = peer
        self.requests = 0
        self.scope = trio.CancelScope()
        self._transport = transport
        self._dispatcher = dispatcher
        self._protocol = ServerConnection(SERVED_VERSIONS, max_frame=services.config.socket_request_max_bytes)
        self._memory = services.request_memory
        self._offload = services.offload
        self._turns = services.turns
        self._current: ReceivedRequest | None = None  # what the reader works on
        self._taken = 0  # of that memory, for the large request under way
        self._idle_seconds = services.config.connections_max_idle_ms / 1000
        self._queue: deque[tuple[ReceivedRequest, Handler | None, Any]] = deque()
        self._queued = trio.Event()
        self._shorter = trio.Event()
        self._writer_runs = False
        self._sending = False
        self._handling = False
        self._watched = (-1, -1, -1)  # what `overdue` saw last: requests, bytes of the frame under way, bytes sent
        self._still_since = 0.0

    async def serve(self) -> None:
        """Run to the end. Never raises but for cancellation: a fault of ours ends this connection and is logged."""
        try:
            with self.scope:
                async with trio.open_nursery() as nursery:
                    await self._read(nursery)
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            known, faults = group.split((ProtocolError, CloseConnection, OSError, trio.ClosedResourceError))
            self._tell(known, faults)
        finally:
            self._memory.give_back(self._taken)
            for _, _, waiting in self._queue:
                if isinstance(waiting, CoroutineType):
                    waiting.close()
            self._queue.clear()
            self._sending = False
            self._shorter.set()  # whoever waits for `quiet` has waited enough
            self._transport.close()

    def _tell(self, known: BaseExceptionGroup[Any] | None, faults: BaseExceptionGroup[Any] | None) -> None:
        """One log line for how the connection ended; none if the peer has simply gone."""
        who = {"peer": f"{self.peer.host}:{self.peer.port}", "requests": self.requests}
        if faults is not None:
            if not isinstance(faults, ExceptionGroup):
                raise faults  # cancellation, KeyboardInterrupt: not ours to keep
            get_logger(__name__).error("connection closed by a fault", **who, exc_info=leaf(faults))
        elif known is not None and not isinstance(reason := leaf(known), OSError | trio.ClosedResourceError):
            get_logger(__name__).warning(f"connection closed: {reason}", **who)

    @property
    def buffered(self) -> int:
        """Bytes of memory that the receive buffer takes."""
        return self._protocol.capacity

    def doing(self) -> dict[str, Any]:
        """What this connection works on, for the watchdog's lines."""
        request = self._queue[0][0] if self._queue else self._current
        words = {"peer": f"{self.peer.host}:{self.peer.port}"}
        return words if request is None else {"api": HANDLERS[request.api_key].module, "size": request.size, **words}

    async def quiet(self) -> None:
        """Return when no reply is being sent and no acknowledgement waits for the disk; parked Fetches do not count."""
        while self._sending or any(request.api_key != FETCH for request, _, _ in self._queue):
            await self._wait_shorter()

    def overdue(self, now: float) -> str | None:
        """Why this connection should be closed, if so. `now` is monotonic seconds; to be asked every few seconds."""
        arrived = self._protocol.pending
        seen = (self.requests, arrived, self._transport.sent)
        if seen != self._watched:
            self._watched, self._still_since = seen, now
            return None
        still = now - self._still_since
        if self._sending and still > WRITE_STALL_SECONDS:
            return "the peer does not read its replies"
        if self._handling:
            return None  # what has arrived behind the request at hand waits for its turn
        if still > BUFFER_KEPT_SECONDS:
            self._protocol.shrink()
        if arrived:
            allowed = FRAME_GRACE_SECONDS + arrived / FRAME_BYTES_PER_SECOND
            return "a request did not finish arriving" if still > allowed else None
        if not self._sending and not self._queue and still > self._idle_seconds:
            return "idle"
        return None

    async def _read(self, nursery: trio.Nursery) -> None:
        """Receive and handle until the peer ends the stream."""
        self._turns.describe(self.doing)
        transport, protocol = self._transport, self._protocol
        reads = 0
        while True:
            count = transport.receive_now(protocol.window())
            if count is None:
                reads = 0
                await transport.wait_readable()
                continue
            if count == 0:
                return
            protocol.received(count)
            self._handling = True
            await self._handle_received(nursery)
            if protocol.claimed() != self._taken:
                await self._take_memory(protocol.claimed())
            self._handling = False
            reads += 1
            if reads == READS_BEFORE_YIELD:
                reads = 0
                await trio.lowlevel.checkpoint()

    async def _take_memory(self, size: int) -> None:
        """Give back what the last large request took; take what the next one claims."""
        self._memory.give_back(self._taken)
        self._taken = 0
        if size:
            await self._memory.take(size)
            self._taken = size

    async def _handle_received(self, nursery: trio.Nursery) -> None:
        """Dispatch every request that is complete; replies that are ready leave together."""
        protocol, dispatcher = self._protocol, self._dispatcher
        out: list[Any] = []
        while (request := protocol.next_request()) is not None:
            self.requests += 1
            self._current = request
            if request.undecoded:
                await self._send(out)
                out = []
                await self._offload.run(request.decode, abandonable=True)
            found, reply = dispatcher.begin(request, self.peer)
            if isinstance(reply, FirstPhase):
                assert found is not None
                await self._send(out)
                out = []
                reply = await dispatcher.finish(request, found, reply.coroutine)
            if isinstance(reply, CoroutineType):
                assert found is not None
                if found.eager:
                    await self._send(out)
                    out = []
                    await self._enqueue((request, found, reply), nursery)
                    continue
                await self._send(out)
                out = []
                try:
                    await self._drained()
                except BaseException:
                    reply.close()
                    raise
                reply = await dispatcher.finish(request, found, reply)
            if reply is None:
                continue
            if self._queue:
                await self._enqueue((request, found, reply), nursery)
            elif (buffers := protocol.encode_reply(request, reply)) is not None:
                out += buffers
            else:
                await self._send(out)
                out = []
                await self._send_in_pieces(request, reply)
        await self._send(out)

    async def _send(self, buffers: list[Any]) -> None:
        if not buffers:
            return
        left = self._transport.send_now(buffers)
        if left:
            self._sending = True
            await self._transport.send(left)
            self._sending = False
            self._shorter.set()

    async def _send_in_pieces(self, request: ReceivedRequest, reply: Response) -> None:
        """Encode a large reply as it is sent: its bytes are never all there, and others run in between."""
        slices = Slices()
        buffers: list[Any] = []
        size = 0
        for piece in self._protocol.reply_in_pieces(request, reply):
            if len(piece):
                buffers.append(piece)
                size += len(piece)
            if size >= SENT_TOGETHER:
                await self._send(buffers)
                buffers, size = [], 0
            await slices.give_way()
        await self._send(buffers)

    async def _enqueue(self, item: tuple[ReceivedRequest, Handler | None, Any], nursery: trio.Nursery) -> None:
        self._queue.append(item)
        if not self._writer_runs:
            self._writer_runs = True
            nursery.start_soon(self._write)
        self._queued.set()
        while len(self._queue) >= MAX_QUEUED:
            await self._wait_shorter()

    async def _drained(self) -> None:
        while self._queue:
            await self._wait_shorter()

    async def _wait_shorter(self) -> None:
        if self._shorter.is_set():
            self._shorter = trio.Event()
        await self._shorter.wait()

    async def _write(self) -> None:
        """Await and send queued replies, in order. A reply stays in the queue until it has been sent."""
        self._turns.describe(self.doing)
        while True:
            while self._queue:
                request, found, reply = self._queue[0]
                if isinstance(reply, CoroutineType):
                    assert found is not None
                    reply = await self._dispatcher.finish(request, found, reply)
                if reply is not None:
                    buffers = self._protocol.encode_reply(request, reply)
                    if buffers is not None:
                        await self._send(buffers)
                    else:
                        await self._send_in_pieces(request, reply)
                self._queue.popleft()
                self._shorter.set()
            self._queued = trio.Event()
            await self._queued.wait()


def leaf(group: BaseExceptionGroup[Any]) -> BaseException:
    """A leaf of the group: with several, they tell the same story."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
