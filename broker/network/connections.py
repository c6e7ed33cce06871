"""All connections of the broker: accepting them, counting them, closing those that are idle or stuck, stopping.

A connection is refused when `max.connections`, its listener's or its address's share, or the process's descriptors are
used up: the broker keeps some descriptors for files. A stop closes the listeners first, then gives the requests under
way a moment to be answered.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator

import trio

from broker.context import Peer, Services
from broker.network.connection import Connection
from broker.network.dispatch import Dispatcher
from broker.network.listener import Listener, SocketTransport, descriptor_limit
from storage.seams.logging import get_logger

GRACE_SECONDS = 3.0
"""How long requests under way may take to be answered after a stop was asked for."""

WATCH_SECONDS = 5.0

DESCRIPTORS_FOR_CONNECTIONS = 80
"""Percent of the process's descriptors that clients may take, so that there are some left for files."""


class Connections:
    """Every connection of the broker, and the tasks that accept and watch them."""

    def __init__(self, services: Services, listeners: list[Listener], nursery: trio.Nursery) -> None:
        self._services = services
        self._listeners = listeners
        self._nursery = nursery
        self._dispatcher = Dispatcher(services)
        self._connections: dict[Connection, None] = {}
        self._per_host: Counter[str] = Counter()
        self._per_listener: Counter[str] = Counter()
        self._most_connections = descriptor_limit() * DESCRIPTORS_FOR_CONNECTIONS // 100
        self._log = get_logger(__name__)

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            self._nursery.start_soon(self._accept, listener)
        self._nursery.start_soon(self._watch)

    async def until_stopped(self, signals: AsyncIterator[int]) -> None:
        """Wait for a signal, then stop gracefully."""
        received = await anext(signals)
        self._log.info("stopping", signal=signal.Signals(received).name)
        for listener in self._listeners:
            listener.close()
        with trio.move_on_after(GRACE_SECONDS):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_cancel_on_next, signals, waiting.cancel_scope)
                for connection in list(self._connections):
                    await connection.quiet()
                waiting.cancel_scope.cancel()
        self._nursery.cancel_scope.cancel()

    async def _accept(self, listener: Listener) -> None:
        def start(transport: SocketTransport) -> None:
            self._nursery.start_soon(self._serve, listener, transport)

        def refused(reason: str) -> None:
            self._log.warning("cannot accept connections for a moment", listener=listener.name, reason=reason)

        try:
            await listener.accept(start, refused)
        except trio.ClosedResourceError:
            return  # stopping

    async def _serve(self, listener: Listener, transport: SocketTransport) -> None:
        host = transport.peer[0]
        if not self._has_room(listener.name, host):
            self._log.warning("connection refused: too many", peer=host, connections=len(self._connections))
            transport.close()
            return
        advertised = self._advertised(listener.name, transport.local)
        peer = Peer(host, transport.peer[1], listener.name, advertised)
        connection = Connection(transport, peer, self._services, self._dispatcher)
        self._connections[connection] = None
        self._per_host[host] += 1
        self._per_listener[listener.name] += 1
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._per_listener[listener.name] -= 1
            self._per_host[host] -= 1
            if not self._per_host[host]:
                del self._per_host[host]

    def _has_room(self, listener: str, host: str) -> bool:
        """Whether one more connection of this address may come by this listener."""
        config = self._services.config
        of_host = config.max_connections_per_ip_overrides.get(host, config.max_connections_per_ip)
        return (
            len(self._connections) < min(config.max_connections, self._most_connections)
            and self._per_listener[listener] < config.max_connections_of(listener)
            and self._per_host[host] < of_host
        )

    def _advertised(self, listener: str, local: tuple[str, int]) -> tuple[str, int]:
        """Where this peer finds the broker again: as configured, or where it found it this time; a configured port may
        go with the host of now."""
        found = self._services.config.advertised_listeners.get(listener)
        return local if found is None else (found[0] or local[0], found[1])

    async def _watch(self) -> None:
        """Close what has been idle or stuck for too long."""
        while True:
            await trio.sleep(WATCH_SECONDS)
            now = trio.current_time()
            for connection in list(self._connections):
                reason = connection.overdue(now)
                if reason is not None:
                    self._log.info(
                        "connection closed: " + reason, peer=f"{connection.peer.host}:{connection.peer.port}"
                    )
                    connection.scope.cancel()


async def _cancel_on_next(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
