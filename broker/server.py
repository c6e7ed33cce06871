"""The order of starting and stopping, as a table of contents.

Start: store (recovery of what an unclean stop left) → cluster (topics, configs) → partitions → groups → listeners →
ready. *Ready* is said only when every coordinator answers and the listeners accept, so a client that waits for it
never meets a broker that is half there. Listeners bind before the store opens: a port in use is found out before
anything is recovered.

Stop (SIGTERM, SIGINT): no new connections; requests under way get a moment to be answered; connections close;
coordinators stop; the store makes everything durable and leaves the mark of a clean shutdown. A second signal stops at
once, which is what a crash would do: nothing acknowledged is lost, the next start scans a little.

Background: the store's own upkeep (checkpoints, time-based flushes), and a watch over connections that are idle or
stuck.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import trio

from broker.compaction import cleaner_settings, compacted_logs
from broker.config import BrokerConfig, ConfigError
from broker.connection import Connection, leaf
from broker.context import Peer, Services
from broker.coordinators.cluster import ClusterChange, ClusterCoordinator
from broker.coordinators.cluster.image import CLUSTER_METADATA
from broker.coordinators.groups import GroupCoordinator
from broker.dispatch import Dispatcher
from broker.fetching.sessions import FetchSessions
from broker.listener import SYSTEM_CHOOSES, Listener, ListenError, SocketTransport, descriptor_limit
from broker.partitions import Partitions
from broker.request_memory import RequestMemory
from kproto.errors import KafkaError, ProtocolError
from storage.engine import LogStore, StoreError
from storage.seams import logging
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.seams.logging import get_logger
from storage.seams.offload import ThreadOffload

if TYPE_CHECKING:
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload

GRACE_SECONDS = 3.0
"""How long requests under way may take to be answered after a stop was asked for."""

WATCH_SECONDS = 5.0

DESCRIPTORS_FOR_CONNECTIONS = 80
"""Percent of the process's descriptors that clients may take, so that there are some left for files."""


def run(config: BrokerConfig, *, ready: Callable[[str, int], None]) -> None:
    """Serve until a signal asks to stop. `ready` is told the address of the first listener, once it is true.

    Raises ConfigError with one sentence when the broker cannot start: a port or a data directory in use, for example.
    """
    logging.configure(level=config.ottla_log_level, form=config.ottla_log_format, clock=SystemClock())
    try:
        trio.run(serve, config, ready)
    except BaseExceptionGroup as group:  # what failed in a nursery; the reason is one of those that start raises
        cannot_start = group.subgroup(ConfigError)
        if cannot_start is None:
            raise
        raise leaf(cannot_start) from group


async def serve(config: BrokerConfig, ready: Callable[[str, int], None]) -> None:
    """`run` as a task: cancel it to stop at once, send a signal to stop gracefully."""
    clock, entropy, offload = SystemClock(), SystemEntropy(), ThreadOffload()
    log = get_logger(__name__)
    listeners = _listen(config)
    config = config.with_bound_ports([listener.port for listener in listeners])
    try:
        store = _store(config, clock, entropy, offload)
        try:
            await store.open()
        except StoreError as error:
            raise ConfigError(str(error)) from error
        try:
            async with trio.open_nursery() as background:
                background.start_soon(store.maintain)
                services = await _start_services(config, store, clock, entropy, offload, background)
                async with trio.open_nursery() as serving:
                    server = _Server(services, listeners, serving)
                    # From before the ready line on: who reads it may at once ask for a stop.
                    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                        server.start()
                        ready(listeners[0].host, listeners[0].port)
                        for notice in config.notices:
                            log.info(notice)
                        await server.until_stopped(signals)
                background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await store.close()
    finally:
        for listener in listeners:
            listener.close()
    log.info("stopped")


def _listen(config: BrokerConfig) -> list[Listener]:
    listeners: list[Listener] = []
    try:
        for spec in config.listeners:
            listeners.append(
                Listener(
                    spec.name,
                    spec.host,
                    spec.port,
                    backlog=config.socket_listen_backlog_size,
                    send_buffer=_asked_for(config, "socket.send.buffer.bytes", config.socket_send_buffer_bytes),
                    receive_buffer=_asked_for(
                        config, "socket.receive.buffer.bytes", config.socket_receive_buffer_bytes
                    ),
                )
            )
    except ListenError as error:
        for listener in listeners:
            listener.close()
        raise ConfigError(str(error)) from error
    return listeners


def _asked_for(config: BrokerConfig, key: str, size: int) -> int:
    """A buffer size that somebody wrote down; Kafka's default of 100 KiB is less than systems give by themselves."""
    return size if key in config.static else SYSTEM_CHOOSES


def _store(config: BrokerConfig, clock: Clock, entropy: Entropy, offload: Offload) -> LogStore:
    """The engine that the configuration asks for; only that one is imported."""
    if config.memory:
        from storage.memory.engine import MemoryStore

        return MemoryStore(clock, entropy, producer_expiration=config.producer_id_expiration_ms)
    from broker.recovery_bar import recovery_progress
    from storage.local.engine import LocalStore
    from storage.seams.apart import ProcessApart, ThreadApart
    from storage.seams.disk import SystemDisk

    return LocalStore(
        config.data_directory,
        node_id=config.node_id,
        disk=SystemDisk(),
        clock=clock,
        entropy=entropy,
        offload=offload,
        producer_expiration=config.producer_id_expiration_ms,
        retention_check_ms=config.log_retention_check_interval_ms,
        cleaner=cleaner_settings(config),
        apart=ProcessApart(ThreadApart(offload)),
        progress=recovery_progress(config.ottla_log_format),
    )


def _connect_upkeep(config: BrokerConfig, store: LogStore, cluster: ClusterCoordinator, logs: Partitions) -> None:
    """Let retention and the cleaner, if the engine has them, know every log, also those nobody has asked for."""
    if config.memory:
        return
    from storage.local.engine import LocalStore

    assert isinstance(store, LocalStore)
    store.every_log = logs.specs
    cleaner = store.cleaner
    cleaner.every_log = lambda: compacted_logs(logs)
    cleaner.settings = cleaner_settings(config)

    def follow(change: ClusterChange) -> None:
        if change.broker_configs_changed:
            cleaner.settings = cleaner_settings(cluster.config)

    cluster.subscribe(follow)


async def _start_services(
    config: BrokerConfig,
    store: LogStore,
    clock: Clock,
    entropy: Entropy,
    offload: Offload,
    background: trio.Nursery,
) -> Services:
    cluster = ClusterCoordinator(store, config, clock, entropy)
    try:
        await cluster.start(background)
    except (KafkaError, ProtocolError) as error:
        raise ConfigError(f"the cluster's own log {CLUSTER_METADATA} cannot be loaded: {error}") from error
    config = cluster.config  # with what AlterConfigs has set (KIP-226)
    partitions = Partitions(store, cluster, config)
    groups = GroupCoordinator(store=store, cluster=cluster, config=config, clock=clock, entropy=entropy)
    await groups.start(background)
    services = Services(
        config=config,
        clock=clock,
        entropy=entropy,
        offload=offload,
        store=store,
        cluster=cluster,
        groups=groups,
        partitions=partitions,
        fetch_sessions=FetchSessions(entropy, config.max_incremental_fetch_session_cache_slots),
        request_memory=RequestMemory(config.queued_max_request_bytes),
    )

    def follow(change: ClusterChange) -> None:
        if change.broker_configs_changed:
            services.config = cluster.config
            partitions.reconfigure(services.config)

    cluster.subscribe(follow)
    _connect_upkeep(config, store, cluster, partitions)
    return services


class _Server:
    """Accepts, watches, and stops."""

    def __init__(self, services: Services, listeners: list[Listener], nursery: trio.Nursery) -> None:
        self._services = services
        self._listeners = listeners
        self._nursery = nursery
        self._dispatcher = Dispatcher(services)
        self._connections: dict[Connection, None] = {}
        self._per_host: dict[str, int] = {}
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
        config = self._services.config
        if (
            len(self._connections) >= min(config.max_connections, self._most_connections)
            or self._per_host.get(host, 0)
            >= config.max_connections_per_ip_overrides.get(host, config.max_connections_per_ip)
        ):
            self._log.warning("connection refused: too many", peer=host, connections=len(self._connections))
            transport.close()
            return
        advertised = self._advertised(listener.name, transport.local)
        peer = Peer(host, transport.peer[1], listener.name, advertised)
        connection = Connection(transport, peer, self._services, self._dispatcher)
        self._connections[connection] = None
        self._per_host[host] = self._per_host.get(host, 0) + 1
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._per_host[host] -= 1
            if not self._per_host[host]:
                del self._per_host[host]

    def _advertised(self, listener: str, local: tuple[str, int]) -> tuple[str, int]:
        """Where this peer finds us again: as configured, or where it found us this time."""
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
