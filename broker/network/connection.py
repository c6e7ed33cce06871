"""One client: frames in, replies out, in order.

Two tasks serve a connection. The **reader** receives, decodes and dispatches; most requests are answered before it
reads again, and their replies leave together in one system call. A reply that must wait is a coroutine: it goes into a
queue, and the **writer** (started when first needed) awaits and sends it, one after the other, and with it those behind
it that are at hand (`Later`). While the queue is not empty every later reply passes through it, so replies leave in the
order of the requests.

What may overlap: eager handlers (Produce, Fetch, OffsetCommit, Heartbeat) do their first phase when the request is
read, so five Produce requests in flight are appended one after the other and share one fsync. Where that phase itself
must wait (`FirstPhase`), the reader waits with it. Any other handler runs alone, in the reader, when everything before
it has been answered: Kafka's own rule, which it keeps by muting the channel. Where quotas have muted the peer, the
reader waits before the next request, wherever that is by then.

Bounds: at most `MAX_QUEUED` replies wait, or `SENT_TOGETHER` bytes of them and the one that went beyond; then the
reader stops reading, and TCP slows the peer. A frame grows only as its bytes arrive (kproto/framing.py), and a large
one only when what all connections hold leaves room for it (request_memory.py): its receive buffer and the replies that
its peer has not read are counted there. A connection that waits for its peer holds no buffer, only what has arrived of
a request, and a buffer that has grown only as long as no other has use for the room.

How a connection ends (`Ending`):

* **The peer ends the stream.** What it has sent before that is answered, as Kafka does: it may have closed its sending
  side only. Most have gone, so an answer that is not there after `ENDED_SECONDS` is not waited for.
* **The peer goes while the reader does not read**, because a JoinGroup waits or MAX_QUEUED Fetches do. `look` asks the
  transport, so a parked connection gives its place back as soon as another.
* **Too long.** `look` is called when the connection is due (watch.py) and finds what has taken too long: a request that
  does not finish arriving, a reply that is not read, and `connections.max.idle.ms` without a byte in either direction.
  A parked request does not make a connection busy; Kafka closes it in the midst of its wait, too.
* **Others wait for memory that it holds**, and its peer sends or reads less than FRAME_BYTES_PER_SECOND over
  FRAME_GRACE_SECONDS.
* It breaks the protocol, the handler refuses to go on with it, or the broker stops.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any

import trio

from broker.context import CloseConnection, FirstPhase, Later, Peer, Services
from broker.handlers import HANDLERS, SERVED_VERSIONS, Handler
from broker.network.dispatch import Dispatcher
from broker.network.freeing import free_in_slices
from broker.network.kinds import Kinds
from broker.network.listener import THE_NETWORKS, PeerSide, Transport
from broker.network.rounds import Rounds
from broker.network.strangers import HTTP, TLS, Complaints, by_length
from broker.network.watch import LOOK_SECONDS, Ending, Watch
from kproto.connection import ReceivedRequest, ReplyTooLarge, ServerConnection
from kproto.errors import FrameTooLarge, ProtocolError
from kproto.framing import SMALL_WINDOW, BufferPool
from kproto.schema.declare import Response
from storage.seams.logging import RateLimitedLogger
from storage.seams.offload import Lane
from storage.seams.slices import Slices

FETCH = 1
MAX_QUEUED = 64
MAX_PARKED = 8
"""Fetches among them: what waits there for half an hour takes two kilobytes each, and a consumer has one or two."""
READS_BEFORE_YIELD = 8
"""Reads that are answered before other tasks run; they run sooner when the round is used up (rounds.py)."""
REQUESTS_BEFORE_YIELD = 64
"""Requests that are answered before other tasks run; sooner likewise."""
FRAME_GRACE_SECONDS = 30
FRAME_BYTES_PER_SECOND = 64 * 1024
WRITE_STALL_SECONDS = 60
BUFFER_KEPT_SECONDS = 5
SENT_TOGETHER = 64 * 1024
"""Bytes of replies that are encoded before they are sent: more leave on their way, and the peer is waited for."""
COUNTED_ABOVE = SMALL_WINDOW
"""Unsent replies of fewer bytes are not counted in the memory that all connections share."""
ENDED_SECONDS = 10
"""How long a peer that has ended its stream is still answered; longer than a client lets a Fetch wait by default."""


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """One connection at one moment. Bytes are those of the stream; `still` is seconds without any."""

    peer: Peer
    requests: int
    received_bytes: int
    sent_bytes: int
    replies_waiting: int
    buffer_bytes: int
    still: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the connections of a broker share."""

    watch: Watch[Connection]
    buffers: BufferPool
    log: RateLimitedLogger
    rounds: Rounds
    complaints: Complaints = field(default_factory=Complaints)
    kinds: Kinds = field(default_factory=Kinds)


class Connection:
    """Serves one peer until it leaves, breaks the protocol or is to go."""

    def __init__(
        self, transport: Transport, peer: Peer, services: Services, dispatcher: Dispatcher, around: Surroundings
    ) -> None:
        config = services.config
        self.peer = peer
        self.requests = 0
        self.ending = Ending.STOPPED
        self._scope = trio.CancelScope()
        self._transport = transport
        self._dispatcher = dispatcher
        self._around = around
        self._protocol = ServerConnection(
            SERVED_VERSIONS if services.emulation is None else services.emulation.served,
            max_frame=config.socket_request_max_bytes,
            pool=around.buffers,
            load_at_once=False,
        )
        self._share = services.request_memory.share(peer.host)
        self._offload = services.offload
        self._turns = services.turns
        self._current: ReceivedRequest | None = None  # what the reader works on
        self._idle_seconds = config.connections_max_idle_ms / 1000 if config.connections_max_idle_ms > 0 else math.inf
        self._queue: deque[tuple[ReceivedRequest, Handler | None, Any]] = deque()
        self._encoded = 0  # bytes of the replies in it that are encoded already
        self._unsent = 0  # bytes of what is being sent
        self._in_pieces = 0  # bytes of the reply that is encoded as it is sent: what it is made from takes as much
        self._queued = trio.Event()
        self._shorter = trio.Event()
        self._writer_runs = False
        self._sending = False
        self._handling = False
        self._rounds = around.rounds
        self._may_go_on = True  # one request is answered in any case, once the peer has been waited for
        self._parked = 0  # Fetches in the queue
        self._resting = False  # the next look may be far away
        self._moved = trio.current_time()  # when bytes came or went
        self._sent_before = 0  # what `look` saw last
        self._pressed: tuple[float, int] | None = None  # since when others wait for what it holds; bytes moved by then
        self._ended_at = math.inf  # when the end of the peer's stream was seen

    async def serve(self) -> None:
        """Run to the end. Never raises but for cancellation: a fault of ours ends this connection and is logged."""
        self._around.watch.soon(self, self._moved)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await self._read(nursery)
                    self.ending = Ending.LEFT
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            known, faults = group.split(_is_known)
            self._log_end(known, faults)
        finally:
            self._around.watch.forget(self)
            self.peer.gone = True
            self._share.close()
            for _, _, waiting in self._queue:
                if isinstance(waiting, CoroutineType):
                    waiting.close()
            self._queue.clear()
            self._sending = False
            self._shorter.set()  # a task in `quiet` has waited enough
            self._transport.close()

    def dispatch_through(self, dispatcher: Dispatcher) -> None:
        """Let requests that are read from now on go through this dispatcher."""
        self._dispatcher = dispatcher

    def close(self, ending: Ending) -> None:
        """End now, without waiting for anything under way."""
        self.ending = ending
        self._scope.cancel()

    def _log_end(self, known: BaseExceptionGroup[Any] | None, faults: BaseExceptionGroup[Any] | None) -> None:
        """One log line for how the connection ended; none if the peer has simply gone."""
        who: dict[str, Any] = {"peer": f"{self.peer.host}:{self.peer.port}", "requests": self.requests}
        if faults is not None:
            if not isinstance(faults, ExceptionGroup):
                raise faults  # cancellation, KeyboardInterrupt: not ours to keep
            self.ending = Ending.FAULT
            self._around.log.error("connection closed by a fault", **who, exc_info=leaf(faults))
        elif known is not None and not isinstance(reason := leaf(known), OSError | trio.ClosedResourceError):
            self.ending = Ending.PROTOCOL
            words = str(reason)
            size = reason.size if isinstance(reason, FrameTooLarge) and not self.requests else 0
            if (spoken := by_length(size)) in (TLS, HTTP):
                if not self._around.complaints.due(self.peer.host, trio.current_time()):
                    return
                words = f"the peer speaks {spoken}, and this listener {self.peer.security_protocol}"
            self._around.log.warning("connection closed", kind=type(reason).__name__, reason=words, **who)
        else:
            self.ending = Ending.BROKEN

    def statistics(self) -> ConnectionStatistics:
        """This connection now."""
        transport = self._transport
        return ConnectionStatistics(
            peer=self.peer,
            requests=self.requests,
            received_bytes=transport.received,
            sent_bytes=transport.sent,
            replies_waiting=len(self._queue),
            buffer_bytes=self._protocol.capacity,
            still=trio.current_time() - self._moved,
        )

    def doing(self) -> dict[str, Any]:
        """What this connection works on, for the watchdog's lines."""
        request = self._queue[0][0] if self._queue else self._current
        words = {"peer": f"{self.peer.host}:{self.peer.port}"}
        return words if request is None else {"api": HANDLERS[request.api_key].module, "size": request.size, **words}

    async def quiet(self) -> None:
        """Return when no reply is being sent and no acknowledgement waits for the disk; parked Fetches do not count."""
        while self._sending or any(request.api_key != FETCH for request, _, _ in self._queue):
            await self._wait_shorter()

    def look(self, now: float) -> Ending | float:
        """Why this connection is to be closed, or when to look again. `now` is monotonic seconds (watch.py)."""
        if self._transport.sent != self._sent_before:  # `_send` may be at it for long
            self._sent_before = self._transport.sent
            self._moved = now if self._sending else self._moved
        still = now - self._moved
        if self._withholds(now):
            return Ending.WITHHOLDING
        idle_at = self._moved + self._idle_seconds
        if now >= idle_at:
            return Ending.IDLE
        if self._sending and still > WRITE_STALL_SECONDS:
            return Ending.NOT_READING
        arrived = self._protocol.pending
        if self._handling or self._ended_at < now:  # the reader does not read, so it does not see its peer go
            side = self._transport.peer_side()
            if side is not PeerSide.OPEN:
                self._ended_at = min(self._ended_at, now)
            if side is PeerSide.GONE or now - self._ended_at >= ENDED_SECONDS:
                return Ending.GONE
        else:
            if arrived and still > FRAME_GRACE_SECONDS + arrived / FRAME_BYTES_PER_SECOND:
                return Ending.UNFINISHED
            if still > BUFFER_KEPT_SECONDS:
                self._protocol.shrink()
                if self._share.requests and self._protocol.capacity <= SMALL_WINDOW:
                    self._share.hold(0)
            if not arrived and not self._sending and not self._queue and not self._protocol.capacity:
                self._resting = True
                return idle_at
        return min(now + LOOK_SECONDS, idle_at)

    def _withholds(self, now: float) -> bool:
        """Whether others wait for memory that this connection holds, and have waited long enough for its peer."""
        if not self._share.pressed or (self._handling and not self._sending):  # or for the broker, with its peer
            self._pressed = None
            return False
        moved = self._transport.received + self._transport.sent
        if self._pressed is None or moved - self._pressed[1] >= FRAME_GRACE_SECONDS * FRAME_BYTES_PER_SECOND:
            self._pressed = now, moved
        return now - self._pressed[0] >= FRAME_GRACE_SECONDS

    async def _read(self, nursery: trio.Nursery) -> None:
        """Receive and handle until the peer ends the stream, and what it has sent is answered."""
        self._turns.describe(self.doing)
        transport, protocol, share = self._transport, self._protocol, self._share
        current_time = trio.lowlevel.current_clock().current_time
        reads = 0
        while True:
            if reads and (reads >= READS_BEFORE_YIELD or self._rounds.used_up) and transport.has_more():
                reads = 0
                await trio.lowlevel.checkpoint()  # its next question may be an answer to ours: it stands in no queue
                self._may_go_on = True
            count = transport.receive_now(protocol.window())
            if count is None:
                reads = 0
                protocol.rest()
                if share.requests and not protocol.pending and not self._queue:
                    share.lend(self._let_go)
                    await transport.wait_readable()
                    share.take_back()
                else:
                    await transport.wait_readable()
                self._may_go_on = True
                continue
            self._moved = now = current_time()
            if self._resting:
                self._resting = False
                self._around.watch.soon(self, now)
            if count == 0:
                break
            protocol.received(count)
            self._handling = True
            await self._handle_received(nursery)
            if ((wanted := protocol.grown()) or share.requests) and not self._counts(wanted):
                await self._wait_for_memory(wanted)
            self._handling = False
            reads += 1
        self._ended_at = now
        protocol.rest()
        await self._drained()

    def _counts(self, wanted: int) -> bool:
        """Whether this connection may have a receive buffer of `wanted` bytes (0: a small one) at once."""
        share = self._share
        if wanted and share.scarce and not self._protocol.pending:
            wanted = 0  # nothing is kept for the next request
        if wanted == share.requests:
            return True
        if not wanted:
            if self._queue:
                return False  # requests that wait for the disk still hold the buffer
            self._let_go()
            return True
        return share.hold(wanted)

    async def _wait_for_memory(self, wanted: int) -> None:
        if self._protocol.pending:
            await self._share.wait_to_hold(wanted)
        else:
            await self._drained()
            self._let_go()
        self._moved = trio.current_time()  # the wait was not the peer's

    def _let_go(self) -> None:
        """Give up a buffer that has grown."""
        self._protocol.shrink()
        self._share.hold(0)

    async def _handle_received(self, nursery: trio.Nursery) -> None:
        """Dispatch every request that is complete; replies that are ready leave together."""
        protocol, dispatcher, peer, rounds = self._protocol, self._dispatcher, self.peer, self._rounds
        out: list[Any] = []
        size = 0
        turn_ends = self.requests + REQUESTS_BEFORE_YIELD
        while True:
            if not self._may_go_on and protocol.pending and (rounds.used_up or self.requests >= turn_ends):
                await self._send(out)
                out, size = [], 0
                await rounds.turn(protocol.shrink)
                turn_ends = self.requests + REQUESTS_BEFORE_YIELD
            while peer.muted_until:
                await self._send(out)
                out, size = [], 0
                request = reply = None
                await self._muted()
            if (request := protocol.next_request()) is None:
                break
            self._may_go_on = False
            self.requests += 1
            self._current = request
            if request.undecoded:
                await self._send(out)
                out = []
                if request.first is not None:
                    await self._around.kinds.load(request.api_key, request.api_version, self._offload)
                    request = self._current = protocol.again(request)
                if request.undecoded:
                    await self._offload.run(request.decode, abandonable=True, lane=Lane.REQUESTS)
            conversation = peer.conversation
            if conversation is not None and conversation.overdue(request.api_key, trio.current_time()):
                raise CloseConnection("its session is over, or being renewed, and it sends something else")
            found, reply = dispatcher.begin(request, peer)
            if not isinstance(reply, Response):
                if reply is None:
                    continue
                assert found is not None
                try:
                    await self._send(out)
                except BaseException:
                    _give_up(reply)
                    raise
                out, size = [], 0
                if isinstance(reply, FirstPhase):
                    reply = await dispatcher.finish(request, found, reply.coroutine, peer)
                    self._moved = trio.current_time()  # nearly: the reply is about to leave
                if isinstance(reply, Later):
                    await self._enqueue((request, found, reply), nursery)
                    continue
                if isinstance(reply, CoroutineType):
                    if found.eager:
                        await self._enqueue((request, found, reply), nursery)
                        continue
                    try:
                        await self._drained()
                    except BaseException:
                        _give_up(reply)
                        raise
                    protocol.rest()  # its handler may wait for long, and needs nothing of the buffer
                    reply = await dispatcher.finish(request, found, reply, peer)
                    self._moved = trio.current_time()
                    if conversation is not None and conversation.refused:
                        await self._send(protocol.encode_reply(request, reply) or [])
                        raise CloseConnection("the client has not proved again who it is")
                if reply is None:
                    continue
            if self._queue:
                await self._answer_behind(request, reply, nursery)
            elif (buffers := protocol.encode_reply(request, reply)) is not None:
                out += buffers
                for buffer in buffers:
                    size += len(buffer)
                if size >= SENT_TOGETHER:
                    await self._send(out)
                    out, size = [], 0
            else:
                await self._send(out)
                out = []
                await self._send_in_pieces(request, reply)
                await free_in_slices(reply)
            if request.many and request.message is not None and not self._queue:
                self._current = None
                await free_in_slices(request.message)
        if out:
            await self._send(out)
        self._current = None  # its records lie in a buffer that a connection at rest must not hold

    async def _muted(self) -> None:
        """Wait as long as quotas want, and read nothing meanwhile (broker/quotas)."""
        peer, share = self.peer, self._share
        self._current = None  # its records lie in a buffer that this wait must not hold
        self._protocol.rest()
        lends = share.requests > 0 and not self._protocol.pending and not self._queue
        if lends:
            share.lend(self._let_go)
        await trio.sleep_until(peer.muted_until)
        if lends:
            share.take_back()
        self._moved = now = trio.current_time()
        if now >= peer.muted_until:  # else an answer that was parked has made it longer
            peer.muted_until = 0.0

    async def _answer_behind(self, request: ReceivedRequest, reply: Response, nursery: trio.Nursery) -> None:
        """Answer after the replies that wait: in the queue, unless the reply is too large to be encoded for that."""
        if (buffers := self._protocol.encode_reply(request, reply)) is not None:
            self._encoded += in_memory(buffers)
            self._owe()
            await self._enqueue((request, None, buffers), nursery)
        else:
            await self._drained()
            await self._send_in_pieces(request, reply)

    async def _send(self, buffers: list[Any]) -> None:
        if not buffers:
            return
        left = self._transport.send_now(buffers)
        if left:
            self._sending = True
            self._unsent = in_memory(left)
            self._owe()
            await self._transport.send(left)
            self._sending = False
            self._unsent = 0
            self._owe()
            self._shorter.set()
            self._moved = trio.current_time()

    def _owe(self) -> None:
        """Count what the peer has not read: what is being sent, what waits behind it, and a reply sent in pieces."""
        owed = self._unsent + self._encoded + self._in_pieces
        self._share.owe(owed if owed > COUNTED_ABOVE else 0)

    async def _send_in_pieces(self, request: ReceivedRequest, reply: Response) -> None:
        """Encode a large reply as it is sent: its bytes are never all there, and others run in between."""
        try:
            await self._send_pieces(request, reply)
        except ReplyTooLarge:
            refusal = await self._dispatcher.too_large(request)
            await self._send_pieces(request, refusal)

    async def _send_pieces(self, request: ReceivedRequest, reply: Response) -> None:
        slices = Slices()
        buffers: list[Any] = []
        size = 0
        for piece in self._protocol.reply_in_pieces(request, reply):
            if len(piece):
                if not self._in_pieces and isinstance(piece, bytes):
                    self._in_pieces = int.from_bytes(piece[:4], "big")  # the length of all comes first
                buffers.append(piece)
                size += len(piece)
            if size >= SENT_TOGETHER:
                await self._send(buffers)
                buffers, size = [], 0
            await slices.give_way()
        await self._send(buffers)
        self._in_pieces = 0
        self._owe()

    async def _enqueue(self, item: tuple[ReceivedRequest, Handler | None, Any], nursery: trio.Nursery) -> None:
        self._queue.append(item)
        self._parked += item[0].api_key == FETCH
        if not self._writer_runs:
            self._writer_runs = True
            nursery.start_soon(self._write)
        self._queued.set()
        while len(self._queue) >= MAX_QUEUED or self._parked >= MAX_PARKED or self._encoded >= SENT_TOGETHER:
            await self._wait_shorter()

    async def _drained(self) -> None:
        while self._queue:
            await self._wait_shorter()

    async def _wait_shorter(self) -> None:
        if self._shorter.is_set():
            self._shorter = trio.Event()
        await self._shorter.wait()

    async def _write(self) -> None:
        """Await and send queued replies, in order; those that are at hand with the one before. A reply stays in the
        queue until it has been sent."""
        self._turns.describe(self.doing)
        queue = self._queue
        while True:
            out: list[Any] = []  # of the first `ready` in the queue
            ready = size = 0
            while ready < len(queue):
                request, found, reply = queue[ready]
                if ready and (size >= SENT_TOGETHER or not _is_at_hand(reply)):
                    await self._send(out)
                    await self._replied(ready)
                    out, ready, size = [], 0, 0
                    continue
                if isinstance(reply, CoroutineType | Later):
                    assert found is not None
                    reply = await self._dispatcher.finish(request, found, reply, self.peer)
                ready += 1
                if reply is None:
                    continue
                # A list is of a reply that was ready before those in front of it, and is encoded.
                buffers = reply if type(reply) is list else self._protocol.encode_reply(request, reply)
                if buffers is not None:
                    out += buffers
                    size += sum(map(len, buffers))
                else:
                    await self._send(out)
                    out = []
                    await self._send_in_pieces(request, reply)
            await self._send(out)
            await self._replied(ready)
            if not queue:
                self._queued = trio.Event()
                await self._queued.wait()

    async def _replied(self, count: int) -> None:
        """The first replies of the queue have been sent."""
        self._moved = trio.current_time()
        for _ in range(count):
            request, _, reply = self._queue[0]
            if type(reply) is list:
                self._encoded -= in_memory(reply)
                self._owe()
            if request.many and request.message is not None:
                await free_in_slices(request.message)
            self._queue.popleft()
            self._parked -= request.api_key == FETCH
        self._shorter.set()


def _is_at_hand(reply: Any) -> bool:
    """Whether a queued reply can be sent without waiting for anything."""
    return reply.is_at_hand() if isinstance(reply, Later) else not isinstance(reply, CoroutineType)


def _give_up(reply: Any) -> None:
    """The client has gone before its request was worked on."""
    waiting = reply.coroutine if isinstance(reply, FirstPhase) else reply
    if isinstance(waiting, CoroutineType):
        waiting.close()


def _is_known(error: BaseException) -> bool:
    """Whether a connection may end so without a fault of ours."""
    if isinstance(error, OSError):
        return error.errno in THE_NETWORKS or isinstance(error, ConnectionError)
    return isinstance(error, ProtocolError | CloseConnection | trio.ClosedResourceError)


def in_memory(buffers: Sequence[Any]) -> int:
    """Bytes of buffers that the broker holds for the sake of a reply: not slices of files, nor records that an engine
    has in memory anyway."""
    return sum(
        len(buffer)
        for buffer in buffers
        if isinstance(buffer, bytes | bytearray) or (isinstance(buffer, memoryview) and type(buffer.obj) is bytes)
    )


def leaf(group: BaseExceptionGroup[Any]) -> BaseException:
    """A leaf of the group: where there are several, one is the cause of the others."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
