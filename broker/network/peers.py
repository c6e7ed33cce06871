"""Connections to the other brokers of a cluster, over which this one asks them, in Kafka's protocol.

One connection to each broker that is asked, made when it is, over the listener for brokers
(`inter.broker.listener.name`, else the first one). Both sides prove that they are of this cluster before anything else
(`broker/security/sasl/brokers.py`), whatever the listener asks of clients, and a listener with TLS is spoken to in TLS.
Requests follow each other without waiting, and replies find theirs by the correlation id.

**Bounds.** A question has `ASK_SECONDS`, connecting included. A broker is asked `AT_ONCE` questions at a time, further
ones wait; a reply has `LARGEST_REPLY` bytes. A connection that breaks ends the questions under way with
NETWORK_EXCEPTION, and the next one connects again. Nothing is tried again here: who asks knows whether that makes
sense, and a client waits behind most questions, who will.

Kafka: NodeToControllerChannelManager, AddPartitionsToTxnManager, InterBrokerSendThread.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from broker.brokers import Brokers
from broker.config.tls_settings import BadTls
from broker.security.sasl.brokers import MECHANISM, NONCE, AskingSide
from broker.security.sasl.exchange import Refusal
from kproto.connection import ClientConnection
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.declare import Request
from storage.membership import Endpoint, LiveBroker
from storage.seams.entropy import Entropy
from storage.seams.logging import RateLimitedLogger, get_logger

ASK_SECONDS: Final = 3.0
AT_ONCE: Final = 100
LARGEST_REPLY: Final = 4 << 20
PIECE: Final = 64 << 10

HANDSHAKE_VERSION: Final = 1
AUTHENTICATE_VERSION: Final = 2


class Peers:
    """The other brokers, to be asked. `run` has to be going on."""

    def __init__(
        self,
        brokers: Brokers,
        listener: str,
        entropy: Entropy,
        secret: Callable[[], Awaitable[bytes]],
        tls: Callable[[str], Awaitable[ssl.SSLContext | None]] | None = None,
    ) -> None:
        """`listener` is the name of the listener for brokers, `secret` gives what the cluster's brokers know, `tls` the
        context to connect to a listener with, None for one without TLS."""
        self._brokers = brokers
        self._listener = listener
        self._entropy = entropy
        self._secret = secret
        self._tls = tls
        self._links: dict[bytes, _Link] = {}  # by the incarnation of the broker
        self._connecting: dict[bytes, trio.Lock] = {}
        self._nursery: trio.Nursery | None = None
        self._begun = trio.Event()
        self._log = RateLimitedLogger(get_logger(__name__), trio.current_time)

    async def run(self) -> None:
        """Read what comes back, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._begun.set()
            while True:
                await trio.sleep(1)
                self._log.flush()

    async def ask(self, node_id: int, request: Request, version: int) -> Any:
        """The reply of the broker of this node id. Raises KafkaError(NETWORK_EXCEPTION)."""
        broker = self._brokers.lives(node_id)
        place = None if broker is None else broker.endpoints.get(self._listener)
        if broker is None or place is None:
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION, f"there is no broker {node_id}")
        try:
            with trio.fail_after(ASK_SECONDS):
                await self._begun.wait()
                link = await self._link(broker, place)
                return await link.ask(request, version)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError, ProtocolError, Refusal, BadTls) as error:
            reason = str(error) or "no answer in time"
            kind = f"broker {node_id} could not be asked"
            self._log.warning("a broker could not be asked", kind=kind, node_id=node_id, reason=reason)
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION, f"broker {node_id} could not be asked: {reason}") from error

    async def _link(self, broker: LiveBroker, place: Endpoint) -> _Link:
        link = self._links.get(broker.incarnation)
        if link is not None and not link.broken:
            return link
        async with self._connecting.setdefault(broker.incarnation, trio.Lock()):
            link = self._links.get(broker.incarnation)
            if link is not None and not link.broken:
                return link
            self._forget_the_dead()
            assert self._nursery is not None, "run() has begun"
            link = _Link(await self._connect(place))
            self._nursery.start_soon(link.read)
            try:
                await self._prove(link)
            except BaseException:
                link.end("it was not let in")
                raise
            self._links[broker.incarnation] = link
            return link

    def _forget_the_dead(self) -> None:
        """Connections to brokers that do not live any more, and locks that no task holds."""
        living = {broker.incarnation for broker in self._brokers.living}
        for incarnation in [each for each in self._links if each not in living]:
            self._links.pop(incarnation).end("its broker does not live any more")
        for incarnation in [each for each in self._connecting if each not in living]:
            if not self._connecting[incarnation].locked():
                del self._connecting[incarnation]

    async def _connect(self, place: Endpoint) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(place.host, place.port)
        context = None if self._tls is None else await self._tls(self._listener)
        if context is None:
            return stream
        secured = trio.SSLStream(stream, context, server_hostname=place.host)
        await secured.do_handshake()
        return secured

    async def _prove(self, link: _Link) -> None:
        side = AskingSide(await self._secret(), self._brokers.node_id, self._entropy.bytes(NONCE))
        reply = await link.ask(SaslHandshakeRequest(mechanism=MECHANISM), HANDSHAKE_VERSION)
        if reply.error_code:
            raise Refusal(f"the broker knows no {MECHANISM}")
        first = await link.ask(SaslAuthenticateRequest(auth_bytes=side.first), AUTHENTICATE_VERSION)
        if first.error_code:
            raise Refusal(str(first.error_message))
        last = await link.ask(
            SaslAuthenticateRequest(auth_bytes=side.answer(bytes(first.auth_bytes))), AUTHENTICATE_VERSION
        )
        if last.error_code:
            raise Refusal(str(last.error_message))


class _Link:
    """One connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = ClientConnection("broker", max_frame=LARGEST_REPLY)
        self._sending = trio.Lock()
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._waiting: dict[int, tuple[trio.Event, list[Any]]] = {}
        self._scope = trio.CancelScope()
        self.broken = ""
        """Why the connection is of no use any more; empty while it is."""

    async def ask(self, request: Request, version: int) -> Any:
        """The reply. Raises trio.BrokenResourceError."""
        async with self._room:
            if self.broken:
                raise trio.BrokenResourceError(self.broken)
            correlation_id, pieces = self._protocol.encode_request(request, version)
            event, found = self._waiting[correlation_id] = trio.Event(), []
            try:
                async with self._sending:
                    # A request that is cut off in the middle would be completed by the next one.
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + ASK_SECONDS) as scope:
                        await self._send(b"".join(bytes(piece) for piece in pieces))
                    if scope.cancelled_caught:
                        self.end("it takes no requests")
                await event.wait()
            finally:
                self._waiting.pop(correlation_id, None)
            if not found:
                raise trio.BrokenResourceError(self.broken)
            return found[0]

    async def _send(self, data: bytes) -> None:
        """Raises trio.BrokenResourceError: the other side has closed it, or this one, whose reader found it broken."""
        try:
            await self._stream.send_all(data)
        except trio.ClosedResourceError:
            raise trio.BrokenResourceError(self.broken) from None

    async def read(self) -> None:
        """Give the replies to those who asked, until the connection ends."""
        try:
            with self._scope:
                while data := await self._stream.receive_some(PIECE):
                    self._received(memoryview(data))
                self.end("the broker has closed it")
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError) as error:
            self.end(str(error) or type(error).__name__)
        finally:
            self.end("this broker stops")
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    def _received(self, data: memoryview) -> None:
        while len(data):
            window = self._protocol.window()
            count = min(len(window), len(data))
            window[:count] = data[:count]
            self._protocol.received(count)
            data = data[count:]
            while (reply := self._protocol.next_reply()) is not None:
                waiting = self._waiting.get(reply[0])
                if waiting is not None:
                    waiting[1].append(reply[1])
                    waiting[0].set()

    def end(self, reason: str) -> None:
        """Be of no use any more."""
        self.broken = self.broken or reason
        for event, _ in self._waiting.values():
            event.set()
        self._scope.cancel()
