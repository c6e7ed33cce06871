"""All connections of the broker: accepting them, counting them, closing those that are idle or stuck, stopping.

A connection is refused when `max.connections`, its listener's or its address's share, or the process's descriptors are
used up (broker/descriptors.py). One that comes by a listener with TLS is a newcomer (newcomers.py) until its handshake
is over, and served after that. One task looks at connections in the order of their deadlines (watch.py). A stop
closes the listeners first, then gives the requests under way a moment to be answered.

What many peers can do at once costs one log line a second of each kind, and `statistics` counts all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from broker.config.listener_specs import SASL_PLAINTEXT, SASL_SSL
from broker.context import CloseConnection, Peer, Services
from broker.descriptors import UNLIMITED
from broker.network.connection import Connection, ConnectionStatistics, Surroundings
from broker.network.dispatch import Dispatcher
from broker.network.listener import Listener, SocketTransport, Transport
from broker.network.newcomers import LIMIT_SECONDS, Newcomers
from broker.network.rounds import Rounds
from broker.network.strangers import HTTP, TLS, by_length
from broker.network.watch import LOOK_SECONDS, Ending, Watch
from broker.request_memory import RequestMemoryStatistics
from broker.security.principals import ANONYMOUS, Principal
from kproto.errors import FrameTooLarge, ProtocolError
from kproto.framing import BufferPool
from storage.seams.logging import RateLimitedLogger, get_logger

if TYPE_CHECKING:
    from broker.quotas.connections import Admission
    from broker.security.tls.contexts import ServerTls

SASL = (SASL_PLAINTEXT, SASL_SSL)
"""What is spoken where clients are asked who they are."""

GRACE_SECONDS = 3.0
"""How long requests under way may take to be answered after a stop was asked for."""

MOST_HELD = 256
"""Connections that are to be closed, and are held to slow their address down (KIP-612); more are closed at once, for
each takes a descriptor."""


@dataclass(frozen=True, slots=True)
class ConnectionsStatistics:
    """All connections at one moment: those connected by listener, those that have ended by why they did.

    Sums are since the start, connections that have ended included; those refused are `accepted` too. `hosts` is how
    many addresses the open ones come from, `unknown` how many peers have not said who they are yet. `turned_away` are
    those that found no place for that, or lost it, and `not_secured` handshakes of TLS that came to nothing.
    """

    connected: Mapping[str, int]
    hosts: int
    most_open: int
    accepted: int
    refused: int
    unknown: int
    turned_away: int
    not_secured: int
    ended: Mapping[Ending, int]
    requests: int
    by_api: Mapping[int, int]
    """Requests by API key, of versions that are served."""
    received_bytes: int
    sent_bytes: int
    replies_waiting: int
    buffer_bytes: int
    memory: RequestMemoryStatistics


class Connections:
    """Every connection of the broker, and the tasks that accept and watch them."""

    def __init__(
        self, services: Services, listeners: list[Listener], nursery: trio.Nursery, most: int = UNLIMITED
    ) -> None:
        """`most` is how many connections the process has descriptors for."""
        self._services = services
        self._listeners = listeners
        self._nursery = nursery
        self._dispatcher = Dispatcher(services)
        self._report_faults: Callable[[], Mapping[str, object]] | None = None
        self._connections: dict[Connection, None] = {}
        self._newcomers = Newcomers()
        self._open = 0  # newcomers included
        self._per_host: Counter[str] = Counter()
        self._per_listener: Counter[str] = Counter()
        self._most_connections = most
        self._open = 0  # newcomers included
        self._accepted = 0
        self._refused = 0
        self._not_secured = 0
        self._held = 0  # connections that quotas let wait
        self._ended: Counter[Ending] = Counter()
        self._past = [0, 0, 0]  # requests, bytes received and bytes sent of connections that have ended
        self._log = RateLimitedLogger(get_logger(__name__), trio.current_time)
        idle = services.config.connections_max_idle_ms / 1000
        self._watch: Watch[Connection] = Watch(
            trio.current_time(), min(LOOK_SECONDS, idle) if idle > 0 else LOOK_SECONDS
        )
        self._around = Surroundings(self._watch, BufferPool(), self._log, Rounds(services.turns))

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            self._nursery.start_soon(self._accept, listener)
        self._nursery.start_soon(self._look)
        self._nursery.start_soon(self._around.rounds.run)

    async def stop(self, signals: AsyncIterator[int]) -> None:
        """Stop gracefully; at once when another signal comes."""
        for listener in self._listeners:
            listener.close()
        with trio.move_on_after(GRACE_SECONDS):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_cancel_on_next, signals, waiting.cancel_scope)
                for connection in list(self._connections):
                    await connection.quiet()
                waiting.cancel_scope.cancel()
        self._nursery.cancel_scope.cancel()

    @property
    def dispatcher(self) -> Dispatcher:
        """What requests go through."""
        return self._dispatcher

    def faults(self) -> Mapping[str, object]:
        """What the broker was commanded to do wrong, and what it has done; empty if it takes no commands."""
        return {} if self._report_faults is None else self._report_faults()

    def report_faults_by(self, report: Callable[[], Mapping[str, object]]) -> None:
        """Let `faults` be what this returns."""
        self._report_faults = report

    def dispatch_through(self, dispatcher: Dispatcher) -> None:
        """Let every request that is read from now on, of any connection, go through this one."""
        self._dispatcher = dispatcher
        for connection in self._connections:
            connection.dispatch_through(dispatcher)

    async def _accept(self, listener: Listener) -> None:
        def start(transport: SocketTransport) -> float:
            quotas = self._services.quotas
            if quotas is None:
                self._nursery.start_soon(self._serve, listener, transport)
                return 0.0
            admission = quotas.connections.admit(
                listener.name, transport.peer[0], self._services.clock.monotonic_millis()
            )
            self._nursery.start_soon(self._serve_later, listener, transport, admission)
            return 0.0 if admission.refused else admission.delay / 1000

        def refused(reason: str) -> None:
            self._log.warning("cannot accept connections for a moment", listener=listener.name, reason=reason)

        try:
            await listener.accept(start, refused)
        except trio.ClosedResourceError:
            return  # stopping

    async def _serve_later(self, listener: Listener, transport: SocketTransport, admission: Admission) -> None:
        """Serve, or close, a connection when quotas let it."""
        if admission.delay and not (admission.refused and self._held >= MOST_HELD):
            self._held += 1
            try:
                await trio.sleep(admission.delay / 1000)
            except BaseException:
                transport.close()
                raise
            finally:
                self._held -= 1
        if admission.refused:
            self._accepted += 1
            self._refused += 1
            self._log.warning("connection refused: too many a second", peer=transport.peer[0])
            transport.close()
            return
        await self._serve(listener, transport)

    async def _serve(self, listener: Listener, transport: SocketTransport) -> None:
        host = transport.peer[0]
        self._accepted += 1
        if not self._has_room(listener.name, host):
            self._refused += 1
            self._log.warning("connection refused: too many", peer=host, connections=self._open)
            transport.close()
            return
        self._open += 1
        self._per_host[host] += 1
        self._per_listener[listener.name] += 1
        try:
            await self._greet(listener, transport)
        finally:
            self._open -= 1
            self._per_listener[listener.name] -= 1
            self._past[1] += transport.received
            self._past[2] += transport.sent
            self._per_host[host] -= 1
            if not self._per_host[host]:
                del self._per_host[host]

    async def _greet(self, listener: Listener, accepted: SocketTransport) -> None:
        """Serve the peer, once it is secured and known as its listener asks."""
        admitted: tuple[Transport, Peer] | None = None
        try:
            admitted = await self._admit(listener, accepted)
        finally:
            if admitted is None:
                accepted.close()
        if admitted is None:
            return
        connection = Connection(*admitted, self._services, self._dispatcher, self._around)
        self._connections[connection] = None
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._ended[connection.ending] += 1
            self._past[0] += connection.requests

    async def _admit(self, listener: Listener, accepted: SocketTransport) -> tuple[Transport, Peer] | None:
        """What to serve, and whom; None if it comes to nothing, which has been logged."""
        tls = self._services.tls.of(listener.name) if self._services.tls is not None else None
        asks = listener.protocol in SASL
        if tls is None and not asks:
            return accepted, self._peer(listener, accepted, ANONYMOUS)
        host, port = accepted.peer
        newcomer = self._newcomers.enter(host, trio.current_time())
        if newcomer is None:
            self._refused += 1
            self._log.warning("connection refused: too many have not said who they are", peer=host)
            return None
        transport: Transport = accepted
        principal = ANONYMOUS
        try:
            with newcomer.scope:
                if tls is not None:
                    secured = await self._secure(accepted, tls)
                    if secured is None:
                        return None
                    transport, principal = secured
                peer = self._peer(listener, transport, principal)
                if asks and not await self._authenticate(transport, peer):
                    transport.close()
                    return None
                return transport, peer
        finally:
            self._newcomers.leave(newcomer)
        reason = f"it has not said who it is within {LIMIT_SECONDS:g} s"
        if newcomer.displaced:
            reason = "others came, and it had waited longest of too many that have not said who they are"
        self._log.info("connection closed", kind="not in time", reason=reason, peer=f"{host}:{port}")
        return None

    def _peer(self, listener: Listener, transport: Transport, principal: Principal) -> Peer:
        host, port = transport.peer
        return Peer(
            host,
            port,
            listener.name,
            self._advertised(listener.name, transport.local),
            principal=principal,
            security_protocol=listener.protocol,
        )

    async def _secure(self, accepted: SocketTransport, tls: ServerTls) -> tuple[Transport, Principal] | None:
        """Do the handshake of TLS; None if it fails, which has been logged."""
        from broker.network.tls import HandshakeFailed, secure

        host, port = accepted.peer
        try:
            return await secure(accepted, tls, self._services.offload)
        except HandshakeFailed as error:
            self._not_secured += 1
            reason = str(error)
            if error.stranger and not self._around.complaints.due(host, trio.current_time()):
                return None
        except OSError as error:
            reason = f"the connection broke: {error.strerror or error}"
        except Exception as error:
            self._log.error("connection closed by a fault", peer=f"{host}:{port}", exc_info=error)
            return None
        self._log.info("connection closed", kind="not secured", reason=reason, peer=f"{host}:{port}")
        return None

    async def _authenticate(self, transport: Transport, peer: Peer) -> bool:
        """Ask the client who it is; False if it does not prove that, which has been logged."""
        from broker.network.authentication import NotAuthenticated, authenticate

        peer.authenticated = False
        try:
            peer.conversation = self._services.authentication.conversation(peer.listener)
            await authenticate(transport, peer, self._services, self._dispatcher, self._around.buffers)
            return True
        except NotAuthenticated as error:
            if error.said:
                return False
            reason = str(error)
        except (ProtocolError, CloseConnection) as error:
            reason = str(error)
            if isinstance(error, FrameTooLarge) and (other := by_length(error.size)) in (TLS, HTTP):
                if not self._around.complaints.due(peer.host, trio.current_time()):
                    return False
                reason = f"the peer speaks {other}, and this listener {peer.security_protocol}"
        except (OSError, trio.ClosedResourceError) as error:
            reason = f"the connection broke: {error}"
        except Exception as error:
            self._log.error("connection closed by a fault", peer=f"{peer.host}:{peer.port}", exc_info=error)
            return False
        self._log.info("connection closed", kind="not authenticated", reason=str(reason), **peer.shown())
        return False

    def _has_room(self, listener: str, host: str) -> bool:
        """Whether one more connection of this address may come by this listener."""
        config = self._services.config
        of_host = config.max_connections_per_ip_overrides.get(host, config.max_connections_per_ip)
        return (
            self._open < min(config.max_connections, self._most_connections)
            and self._per_listener[listener] < config.max_connections_of(listener)
            and self._per_host[host] < of_host
        )

    def _advertised(self, listener: str, local: tuple[str, int]) -> tuple[str, int]:
        """Where this peer finds the broker again: as configured, or where it found it this time; a configured port may
        go with the host of now."""
        found = self._services.config.advertised_listeners.get(listener)
        return local if found is None else (found[0] or local[0], found[1])

    async def _look(self) -> None:
        """Close what has been idle or stuck for too long, and what its peer has left behind."""
        mine = [self._log, self._dispatcher.log, self._services.journal.log]
        if self._services.authorizer is not None:
            mine.append(self._services.authorizer.log)
        while True:
            logs = mine + self._services.on_demand.logs()
            at = self._watch.next_turn(now := trio.current_time())
            held_back = any(log.holds for log in logs)
            await trio.sleep_until(min(at, now + 1.0) if held_back else at)
            for connection, ending in self._watch.turn(trio.current_time()):
                connection.close(ending)
                if ending is not Ending.GONE:
                    peer = f"{connection.peer.host}:{connection.peer.port}"
                    self._log.info("connection closed", kind=ending, reason=str(ending), peer=peer)
            for log in logs:
                log.flush()

    def statistics(self) -> ConnectionsStatistics:
        """All connections now; walks those that are open."""
        each = [connection.statistics() for connection in self._connections]
        return ConnectionsStatistics(
            connected=+self._per_listener,
            hosts=len(self._per_host),
            most_open=min(self._services.config.max_connections, self._most_connections),
            accepted=self._accepted,
            refused=self._refused,
            unknown=len(self._newcomers),
            turned_away=self._newcomers.turned_away,
            not_secured=self._not_secured,
            ended=Counter(self._ended),
            requests=self._past[0] + sum(one.requests for one in each),
            by_api=dict(self._dispatcher.requests),
            received_bytes=self._past[1] + sum(one.received_bytes for one in each),
            sent_bytes=self._past[2] + sum(one.sent_bytes for one in each),
            replies_waiting=sum(one.replies_waiting for one in each),
            buffer_bytes=sum(one.buffer_bytes for one in each),
            memory=self._services.request_memory.statistics(),
        )

    def each(self) -> list[ConnectionStatistics]:
        """Every open connection now."""
        return [connection.statistics() for connection in self._connections]


async def _cancel_on_next(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
