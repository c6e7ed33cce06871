"""The program between clients and a cluster: a listener for each broker, and two tasks for each connection.

A client connects to the recorder's first address, which stands for the bootstrap servers. Each broker whose address
comes in a reply gets a listener of its own, on the port after the last one or, where that is taken, on any free one;
the reply is changed accordingly (`addresses.py`). So a client never speaks to a broker directly.

**One connection.** `_requests` reads from the client and sends to the broker, `_replies` the other way round. Frames
keep their order in each direction. An event is written before its frame is sent on, so that in the recording whatever a
client does because of a reply comes after that reply.

**What is bounded:** connections (`MOST_CONNECTIONS`), brokers (`MOST_BROKERS`), frames in memory (`frames.Budget`),
unanswered requests (`conversation.py`). A peer that breaks the wire loses its connection, and so does its other end.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import trio

from broker.control.faults import Kind
from kproto.errors import ProtocolError
from tools.failures import Failed
from tools.recording.addresses import Address, rewrite
from tools.recording.conversation import (
    Answered,
    Asked,
    Conversation,
    TooManyUnanswered,
    decoded_reply,
    decoded_request,
    reply_frame,
    request_frame,
)
from tools.recording.disturbances import Disturbance, Disturbances
from tools.recording.frames import Budget, FrameStream
from tools.recording.plain import plain
from tools.recording.recording_file import RecordingWriter, packed
from tools.recording.secrets import MASK, MASKS, mask
from tools.recording.upstream import Upstream

MOST_CONNECTIONS: Final = 1000
MOST_BROKERS: Final = 1000
MOST_PORT: Final = 65535
FLUSH_SECONDS: Final = 1.0
LARGE: Final = 256 * 1024
"""Bytes of a frame whose event is packed in a thread."""

BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Proxy:
    """Listeners and connections. `run` serves until it is cancelled."""

    def __init__(
        self,
        bootstrap: Sequence[Address],
        listen: Address,
        upstream: Upstream,
        *,
        writer: RecordingWriter | None = None,
        faults: Sequence[Disturbance] = (),
        with_secrets: bool = False,
        advertise: str | None = None,
    ) -> None:
        """`advertise` is the host that replies name; that of `listen` where it is None."""
        self._bootstrap = list(bootstrap)
        self._listen = listen
        self._upstream = upstream
        self._writer = writer
        self._faults = Disturbances(faults)
        self._with_secrets = with_secrets
        self._host = advertise or listen[0]
        self._nodes: dict[Address, int] = {}
        self._ours: dict[Address, Address] = {}
        self._sockets: dict[Address, trio.SocketListener] = {}
        self._next_port = 0
        self._began = trio.current_time()
        self._numbers = itertools.count(1)
        self._writing = trio.Lock()
        self._budget = Budget()
        self._nursery: trio.Nursery | None = None
        self.open = 0
        """Connections now."""
        self.connections = 0
        """Connections so far."""

    @property
    def address(self) -> Address:
        """Where clients begin."""
        return self._ours[self._bootstrap[0]]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, and serve who comes. Raises Failed where the first address cannot be listened on, and where the
        recording cannot be written."""
        try:
            async with trio.open_nursery() as self._nursery:
                [listener] = await _listening(self._listen)
                self._serve(self._bootstrap[0], listener)
                self._next_port = self.address[1] + 1
                if self._writer is not None:
                    self._nursery.start_soon(self._flush_now_and_then)
                task_status.started()
        finally:
            with trio.CancelScope(shield=True):
                for listener in self._sockets.values():
                    await listener.aclose()

    def _serve(self, behind: Address, listener: trio.SocketListener) -> None:
        assert self._nursery is not None
        self._sockets[behind] = listener
        self._ours[behind] = (self._host, listener.socket.getsockname()[1])
        handler = partial(self._connection, behind)
        self._nursery.start_soon(partial(trio.serve_listeners, handler, [listener]))

    async def _ours_of(self, behind: Address, node: int) -> Address:
        """The recorder's address for a broker's; a listener is opened for a broker that is new."""
        if node >= 0:
            self._nodes.setdefault(behind, node)
        while behind not in self._ours:
            if len(self._ours) >= MOST_BROKERS:
                raise Failed(f"the cluster has more than {MOST_BROKERS} addresses of brokers")
            port = self._next_port if self._next_port <= MOST_PORT else 0
            self._next_port += 1
            try:
                [listener] = await _listening((self._listen[0], port))
            except Failed:
                [listener] = await _listening((self._listen[0], 0))
            if behind in self._ours:  # another connection was quicker
                await listener.aclose()
            else:
                self._serve(behind, listener)
        return self._ours[behind]

    # --- one connection

    async def _connection(self, behind: Address, stream: trio.SocketStream) -> None:
        if self.open >= MOST_CONNECTIONS:
            return
        self.open += 1
        self.connections += 1
        number = next(self._numbers)
        client = FrameStream(stream)
        try:
            host, port = stream.socket.getpeername()[:2]
            about = {
                "peer": f"{host}:{port}",
                "broker": f"{behind[0]}:{behind[1]}",
                "node": self._nodes.get(behind, -1),
            }
            await self._write({"event": "open", "connection": number, **about})
            try:
                broker = await self._upstream.connect(await self._reachable(behind))
            except Failed as failed:
                print(f"ottla: {failed}", file=sys.stderr, flush=True)
                await self._closed(number, "broker", str(failed))
                return
            try:
                await _Passage(self, number, client, broker).run()
            finally:
                with trio.CancelScope(shield=True):
                    await broker.close()
        except (*BROKEN, TypeError):  # the client left before its address could be asked
            pass
        finally:
            self.open -= 1
            with trio.CancelScope(shield=True):
                await client.close()

    async def _reachable(self, behind: Address) -> Address:
        """The address to connect to: of the bootstrap servers the first that listens."""
        if behind != self._bootstrap[0]:
            return behind
        for address in self._bootstrap[:-1]:
            try:
                with trio.fail_after(2):
                    await (await trio.open_tcp_stream(*address)).aclose()
                return address
            except (OSError, trio.TooSlowError):
                continue
        return self._bootstrap[-1]

    # --- the recording

    async def _write(self, event: dict[str, Any], size: int = 0) -> None:
        if self._writer is None:
            return
        event = {"at": round(trio.current_time() - self._began, 6), **event}
        async with self._writing:
            if size > LARGE:
                await trio.to_thread.run_sync(self._writer.write, event)
            else:
                self._writer.write(event)

    async def _closed(self, number: int, by: str, why: str = "") -> None:
        await self._write({"event": "close", "connection": number, "by": by, **({"why": why} if why else {})})

    async def _flush_now_and_then(self) -> None:
        assert self._writer is not None
        while True:
            await trio.sleep(FLUSH_SECONDS)
            async with self._writing:
                await trio.to_thread.run_sync(self._writer.flush)


class _Passage:
    """What passes between one client and one broker."""

    def __init__(self, proxy: Proxy, number: int, client: FrameStream, broker: FrameStream) -> None:
        self._proxy = proxy
        self._number = number
        self._client = client
        self._broker = broker
        self._said = Conversation()
        self._suffering: dict[int, Disturbance] = {}
        """Number of a request -> the fault that awaits its reply."""
        self._mute = False
        self._behind: dict[int, list[bytes]] = {}
        """Number of a request -> the proxy's own replies, which leave after its reply: clients expect them in order."""
        self._sending = trio.Lock()

    async def run(self) -> None:
        """Until one end, or a fault, closes."""
        async with trio.open_nursery() as nursery:

            async def until_the_end(direction: Callable[[], Any], by: str) -> None:
                ended, why = by, ""
                try:
                    ended = await direction() or by
                except BROKEN:
                    pass
                except (ProtocolError, TooManyUnanswered) as error:
                    ended, why = "recorder", str(error)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await self._proxy._closed(self._number, ended, why)

            nursery.start_soon(until_the_end, self._requests, "client")
            nursery.start_soon(until_the_end, self._replies, "broker")

    async def _requests(self) -> str | None:
        while (size := await self._client.next_size()) is not None:
            async with self._proxy._budget.held(size):
                frame = await self._client.take(size)
                if frame is None:
                    return None
                asked = self._said.request(memoryview(frame))
                await self._record(asked, frame)
                disturbed = self._proxy._faults.suffered(asked)
                if disturbed is not None:
                    await self._note(asked, disturbed)
                    effect = disturbed.fault.effect
                    if effect.kind is Kind.DROP and not effect.after:
                        return "fault"
                    if effect.kind is Kind.DELAY:
                        await trio.sleep(effect.seconds)
                    elif disturbed.refuses and not effect.after:
                        self._said.forget(asked)
                        await self._refuse(asked, disturbed)
                        continue
                    else:
                        self._suffering[asked.number] = disturbed
                        if not asked.is_answered:
                            self._suffering.pop(asked.number)
                await self._broker.send(frame)
        return None

    async def _replies(self) -> str | None:
        while (size := await self._broker.next_size()) is not None:
            async with self._proxy._budget.held(size):
                frame = await self._broker.take(size)
                if frame is None:
                    return None
                answered = self._said.reply(memoryview(frame))
                if answered is None:
                    raise ProtocolError("the broker answers what was not asked")
                await self._record_reply(answered, frame)
                disturbed = self._suffering.pop(answered.asked.number, None)
                kind = None if disturbed is None else disturbed.fault.effect.kind
                if kind is Kind.DROP:
                    return "fault"
                if kind is Kind.LOSE_REPLY:
                    self._mute = True
                if disturbed is not None and disturbed.refuses:
                    await self._send(_refusal(answered.asked, disturbed))
                else:
                    await self._send(await self._changed(answered, frame, disturbed))
                for own in self._behind.pop(answered.asked.number, ()):
                    await self._send(own)
        return None

    async def _send(self, frame: bytes) -> None:
        if not self._mute:
            async with self._sending:
                await self._client.send(frame)

    async def _changed(self, answered: Answered, frame: bytes, disturbed: Disturbance | None) -> bytes:
        """The reply as the client gets it."""
        head, reply = answered.asked.head, answered.message
        if head is None or reply is None:
            return frame
        self._proxy._faults.learn(head.api_key, reply)
        found: dict[Address, Address] = {}
        wanted: list[tuple[Address, int]] = []

        def collect(node: int, behind: Address) -> Address:
            wanted.append((behind, node))
            return found.get(behind, behind)

        changed = rewrite(head.api_key, reply, collect)
        if wanted:
            for behind, node in wanted:
                found[behind] = await self._proxy._ours_of(behind, node)
            rewrite(head.api_key, reply, lambda node, behind: found[behind])
        effect = None if disturbed is None else disturbed.fault.effect
        if effect is not None and effect.kind is Kind.THROTTLE and hasattr(reply, "throttle_time_ms"):
            reply.throttle_time_ms = int(effect.seconds * 1000)
            changed = True
        return reply_frame(head, reply, answered.version) if changed else frame

    async def _refuse(self, asked: Asked, disturbed: Disturbance) -> None:
        """Answer a request that does not reach the broker, when what was asked before it has been answered."""
        if not asked.is_answered:
            return
        if (before := self._said.newest_waiting) is not None:
            self._behind.setdefault(before, []).append(_refusal(asked, disturbed))
        else:
            await self._send(_refusal(asked, disturbed))

    # --- events

    async def _record(self, asked: Asked, frame: bytes) -> None:
        if self._proxy._writer is None:
            return
        place = {"connection": self._number, "number": asked.number}
        if asked.head is None:
            shown = frame if self._proxy._with_secrets else MASK
            await self._proxy._write({"event": "token", **place, "from": "client", "frame": packed(shown)})
            return
        head = asked.head
        event: dict[str, Any] = {
            "event": "request", **place, "api": asked.api, "key": head.api_key, "version": head.api_version,
            "correlation": head.correlation_id, "client": head.client_id,
        }  # fmt: skip
        message, shown = asked.message, frame
        if message is not None and not self._proxy._with_secrets:
            # The fault, and the broker, still need what it says.
            copy = self._copy_of_request(frame, asked)
            if copy is not None:
                message, shown = copy
        await self._proxy._write({**event, **_content(message, asked.version, asked.why, shown)}, len(shown))

    def _copy_of_request(self, frame: bytes, asked: Asked) -> tuple[Any, bytes] | None:
        """The request with its secrets masked; None where it has none."""
        assert asked.head is not None
        if type(asked.message).__name__ not in MASKS:
            return None
        copy, _ = decoded_request(memoryview(frame), asked.head)
        if copy is None or not mask(copy):
            return None
        return copy, request_frame(asked.head, copy)

    async def _record_reply(self, answered: Answered, frame: bytes) -> None:
        if self._proxy._writer is None:
            return
        place = {"connection": self._number, "number": answered.asked.number}
        if answered.asked.head is None:
            shown = frame if self._proxy._with_secrets else MASK
            await self._proxy._write({"event": "token", **place, "from": "broker", "frame": packed(shown)})
            return
        message, shown = answered.message, frame
        if message is not None and not self._proxy._with_secrets and type(message).__name__ in MASKS:
            copy, _, _ = decoded_reply(memoryview(frame), answered.asked.head)
            if copy is not None and mask(copy):
                message, shown = copy, reply_frame(answered.asked.head, copy, answered.version)
        event = {"event": "reply", **place, "api": answered.asked.api, "version": answered.version}
        await self._proxy._write({**event, **_content(message, answered.version, answered.why, shown)}, len(shown))

    async def _note(self, asked: Asked, disturbed: Disturbance) -> None:
        print(f"ottla: {asked.api} on connection {self._number}: {disturbed.words}", file=sys.stderr, flush=True)
        event = {"event": "fault", "connection": self._number, "number": asked.number, "fault": disturbed.words}
        await self._proxy._write(event)


def _refusal(asked: Asked, disturbed: Disturbance) -> bytes:
    """The answer with an error, where Kafka would put it."""
    from broker.handlers import handler

    assert asked.head is not None and asked.message is not None
    code = disturbed.fault.effect.code_for(asked.head.api_key)
    reply = handler(asked.head.api_key).refuse(asked.message, code, asked.version)
    return reply_frame(asked.head, reply, asked.version)


def _content(message: Any, version: int, why: str, frame: bytes) -> dict[str, Any]:
    said = {"undecoded": why} if message is None else {"message": plain(message, version)}
    return {"frame": packed(frame), **said}


async def _listening(address: Address) -> list[trio.SocketListener]:
    """A listener of one socket. Raises Failed."""
    host, port = address
    try:
        listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise Failed(f"{host}:{port} cannot be listened on: {error.strerror or error}") from None
    for extra in listeners[1:]:
        await extra.aclose()
    return listeners[:1]
