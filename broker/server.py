"""The order of starting and stopping, as a table of contents.

Start: store (recovery of what an unclean stop left) → cluster (topics, configs) → partitions → groups → transactions →
listeners → ready. *Ready* is said only when every coordinator answers and the listeners accept, so a client that waits
for it never meets a broker that is half there. Listeners bind before the store opens: a port in use is found out before
anything is recovered.

All of it but the listeners is a *life* (`lifetimes.py`), which another may follow in the same process: after a reset,
or with a copy that was restored. The next one starts in the same order, and the listeners accept for it.

Stop (SIGTERM, SIGINT): no new connections; requests under way get a moment to be answered; connections close;
coordinators stop; the store makes everything durable and leaves the mark of a clean shutdown. All of that within
`STOP_SECONDS`: what is not done by then is left, which is what a crash would do: nothing acknowledged is lost, the next
start scans a little. A disk that does not answer keeps even that from happening, for a thread that waits for it cannot
be called back; so the caller hears when a stop begins (`stopping`), and may end the process if it does not end by
itself. A fault of the broker's own ends it in the same way.

Background: the store's own upkeep (checkpoints, time-based flushes), and a watch over connections that are idle or
stuck.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from broker.admin.authorization import authorizer_of
from broker.admin.stored_configs import without_effect
from broker.config.listener_specs import parse_http_address
from broker.config.settings import BrokerConfig, ConfigError, Contradiction
from broker.context import Services
from broker.coordinators.cluster import ClusterChange, ClusterCoordinator
from broker.coordinators.cluster.image import CLUSTER_METADATA
from broker.descriptors import LEAST, Shares, descriptor_limit, share_out
from broker.engines import make_store, membership_of, store_settings
from broker.handlers import ADVERTISED_VERSIONS, SERVED_VERSIONS
from broker.lifetimes import Lifetimes, copyable
from broker.network.connection import leaf
from broker.network.connections import Connections
from broker.network.listener import SYSTEM_CHOOSES, Listener, ListenError
from broker.observe.free_memory import give_back_now_and_then
from broker.observe.garbage import search_now_and_then
from broker.observe.journal import Journal
from broker.observe.turns import Turns
from broker.on_demand import Foundations, OnDemand
from broker.partitions import Partitions
from broker.quotas import quotas_after
from broker.request_memory import RequestMemory
from kproto.errors import KafkaError, ProtocolError
from kproto.release import RELEASE
from storage.engine import LogStore, StoreError
from storage.progress import LoggedProgress, Progress
from storage.seams import logging
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.seams.logging import get_logger
from storage.seams.offload import ThreadOffload

if TYPE_CHECKING:
    from broker.control.app import Controlled
    from broker.control.passing_time import PassingTime
    from broker.emulation import Emulation
    from broker.seat import Seat
    from broker.security.tls.contexts import Contexts
    from broker.transaction_entry import Transactions
    from broker.web.endpoints import Observed
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.logging import Logger
    from storage.seams.offload import Offload


STOP_SECONDS: Final = 8.5
"""From the signal to when whatever has not been finished is left."""


def uncommanded(host: str, port: int, token: str) -> None:
    """For a caller who does not need to know where this broker takes commands."""


NOTHING_MORE: Final[Mapping[str, object]] = {}


def unobserved() -> None:
    """For a caller who does not need to know that a stop has begun."""


def unannounced(host: str, port: int) -> None:
    """For a caller who does not need to know an address."""


def run(
    config: BrokerConfig,
    *,
    ready: Callable[[str, int], None],
    progress: Callable[[], Progress] = LoggedProgress,
    stopping: Callable[[], None] = unobserved,
    described: Mapping[str, object] = NOTHING_MORE,
    metrics: Callable[[str, int], None] = unannounced,
    control: Callable[[str, int, str], None] = uncommanded,
    beside: Callable[[Lifetimes], Awaitable[None]] | None = None,
    backup: str | None = None,
) -> None:
    """Serve until a signal asks to stop. `ready` is called with the address of the first listener, once it is true, and
    `stopping` when the stop begins, whatever the reason. `metrics` is called with the address at which these are
    served, if the configuration asks for that, and `control` with the address and the token of the control API.
    `beside` is a task from when the broker is ready; it may ask for a reset, for example. `backup` names a file, or a
    folder, that a broker without data begins with.

    `progress` makes what a recovery of logs is shown by; it is called only if the engine has files to recover.
    `described` are fields of the log line about the start that the caller knows: which version it is, where data is.

    Raises ConfigError with one sentence when the broker cannot start: a port or a data directory in use, for example.
    """
    logging.configure(level=config.ottla_log_level, form=config.ottla_log_format, clock=SystemClock())
    try:
        trio.run(serve, config, ready, progress, stopping, described, metrics, control, beside, backup)
    except BaseExceptionGroup as group:  # what failed in a nursery; the reason is one of those that start raises
        cannot_start = group.subgroup(ConfigError)
        if cannot_start is None:
            raise
        raise leaf(cannot_start) from group


async def serve(
    config: BrokerConfig,
    ready: Callable[[str, int], None],
    progress: Callable[[], Progress] = LoggedProgress,
    stopping: Callable[[], None] = unobserved,
    described: Mapping[str, object] = NOTHING_MORE,
    metrics: Callable[[str, int], None] = unannounced,
    control: Callable[[str, int, str], None] = uncommanded,
    beside: Callable[[Lifetimes], Awaitable[None]] | None = None,
    backup: str | None = None,
) -> None:
    """`run` as a task: cancel it to stop at once, send a signal to stop gracefully."""
    entropy, offload = SystemEntropy(), ThreadOffload()
    clock, passing = _clock(config)
    log = get_logger(__name__)
    if (files := descriptor_limit()) < LEAST:
        raise ConfigError(f"this process may have {files} files open, and needs {LEAST} at least: see ulimit -n")
    descriptors = share_out(files)
    listeners = _listen(config)
    config = config.with_bound_ports([listener.port for listener in listeners])
    limit = trio.CancelScope(shield=True)  # around what a stop does to the store

    def begin_stop() -> None:
        limit.deadline = min(limit.deadline, trio.current_time() + STOP_SECONDS)
        stopping()

    async with AsyncExitStack() as until_the_end:
        for listener in listeners:
            until_the_end.callback(listener.close)
        observed = await until_the_end.enter_async_context(_shown(config, metrics))
        lifetimes = Lifetimes(config)
        controlled = await until_the_end.enter_async_context(_controlled(config, entropy, lifetimes, passing, control))
        watchers = [each for each in (observed, controlled) if each is not None]
        tls = _read_stores(config, offload)
        store = make_store(config, clock, entropy, offload, progress, descriptors)
        await _open(store)
        if backup is not None:
            store = await _begun_with(backup, store, config, offload)
        signals: AsyncIterator[int] | None = None
        try:
            async with trio.open_nursery() as process:
                while True:
                    async with _life(config, store, clock, entropy, offload, tls, listeners, descriptors) as life:
                        if signals is None:
                            process.start_soon(search_now_and_then)
                            process.start_soon(give_back_now_and_then, offload)
                            # From before the ready line on: who reads it may at once ask for a stop. Until the very
                            # end: what `stopping` says of signals stays said.
                            signals = until_the_end.enter_context(
                                trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)
                            )
                            _say_what_has_started(life.services, described, log)
                        is_first = not lifetimes.have_begun
                        lifetimes.begin(life.services)
                        for watcher in watchers:
                            watcher.serving(life.services, life.connections)
                        if is_first:
                            if beside is not None:
                                process.start_soon(beside, lifetimes)
                            ready(listeners[0].host, listeners[0].port)
                        received = await _signal_before(lifetimes.wait_until_over, signals)
                        lifetimes.end()
                        for watcher in watchers:
                            watcher.stopping()
                        if received is not None:
                            log.info("stopping", signal=signal.Signals(received).name)
                            begin_stop()
                            if life.services.lifecycle is not None:
                                await life.services.lifecycle.leave()
                            await life.connections.stop(signals)
                            break
                    if passing is not None and not lifetimes.next_has_a_past:
                        passing.begin_again()
                    store = await _replaced(store)
                    logging.process_lines().set_levels({logging.ROOT: config.ottla_log_level})
                process.cancel_scope.cancel()
        finally:
            begin_stop()
            with limit:
                await store.close()
    log.info("stopped")


class _Life(NamedTuple):
    """What serves clients."""

    services: Services
    connections: Connections


@asynccontextmanager
async def _life(
    config: BrokerConfig,
    store: LogStore,
    clock: Clock,
    entropy: Entropy,
    offload: Offload,
    tls: Contexts | None,
    listeners: list[Listener],
    descriptors: Shares,
) -> AsyncIterator[_Life]:
    """Start services over `store`, which is open, and accept connections as long as the block lasts. All that has been
    started has ended behind it."""
    async with trio.open_nursery() as background:
        services = await start_services(config, store, clock, entropy, offload, tls, background)
        async with trio.open_nursery() as serving:
            connections = Connections(services, listeners, serving, descriptors.connections)
            trio.lowlevel.add_instrument(services.turns)  # what a start does holds up no client
            try:
                connections.start()
                yield _Life(services, connections)
            finally:
                trio.lowlevel.remove_instrument(services.turns)
            serving.cancel_scope.cancel()
        background.cancel_scope.cancel()


async def _open(store: LogStore) -> None:
    try:
        await store.open()
    except StoreError as error:
        raise ConfigError(str(error)) from error


async def _replaced(store: LogStore) -> LogStore:
    """The store that has the place of this one, opened. Raises ConfigError."""
    try:
        store = await copyable(store).give_way()
    except StoreError as error:
        raise ConfigError(str(error)) from error
    await _open(store)
    return store


async def _begun_with(backup: str, store: LogStore, config: BrokerConfig, offload: Offload) -> LogStore:
    """The store that takes the place of this one, which is empty, with what is in a backup. Raises ConfigError."""
    from broker.backups import first_contents

    try:
        if store.existing():
            topic, partition = min(store.existing())
            raise StoreError(f"there are logs already ({topic}-{partition}): {backup} is for a broker without data")
        await copyable(store).prepare(await offload.run(first_contents, backup, config.node_id))
    except StoreError as error:
        await store.close()
        raise ConfigError(str(error)) from error
    return await _replaced(store)


async def _signal_before(over: Callable[[], Awaitable[None]], signals: AsyncIterator[int]) -> int | None:
    """The signal that comes before `over` returns; None if it returns first."""
    received: int | None = None

    async def wait_for_signal(scope: trio.CancelScope) -> None:
        nonlocal received
        received = await anext(signals)
        scope.cancel()

    async with trio.open_nursery() as waiting:
        waiting.start_soon(wait_for_signal, waiting.cancel_scope)
        await over()
        waiting.cancel_scope.cancel()
    return received


def _emulation_of(config: BrokerConfig) -> Emulation | None:
    """The older release that the configuration asks for; None where it asks for none."""
    if not config.ottla_emulate:
        return None
    from broker.emulation import Emulation

    return Emulation(config.ottla_emulate, SERVED_VERSIONS, ADVERTISED_VERSIONS)


def _say_what_has_started(services: Services, described: Mapping[str, object], log: Logger) -> None:
    """One line about this broker, and one for each notice about its configuration. Before the ready line, so that who
    has read that one finds them in the log."""
    config = services.config
    advertised = [f"{name}://{address[0]}:{address[1]}" for name, address in config.advertised_listeners.items()]
    log.info(
        "started",
        **described,
        kafka=config.ottla_emulate or RELEASE,
        listeners=[str(listener) for listener in config.listeners],
        advertised=advertised or "the address by which a client comes",
        engine="cluster" if config.shares else config.ottla_storage,
        cluster_id=services.store.cluster_id,
        node_id=config.node_id,
    )
    for notice in config.notices:
        log.info("about the configuration", notice=notice)


def _listen(config: BrokerConfig) -> list[Listener]:
    listeners: list[Listener] = []
    try:
        for spec in config.listeners:
            listeners.append(
                Listener(
                    spec.name,
                    spec.host,
                    spec.port,
                    protocol=spec.protocol,
                    backlog=_asked_for(config, "socket.listen.backlog.size", config.socket_listen_backlog_size),
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


@asynccontextmanager
async def _shown(config: BrokerConfig, metrics: Callable[[str, int], None]) -> AsyncIterator[Observed | None]:
    """Serve metrics, if the configuration asks for that, from before the store opens: a recovery may be watched."""
    if not config.ottla_metrics_listener:
        yield None
        return
    host, port = parse_http_address(config.ottla_metrics_listener)
    try:
        from broker.web.showing import shown_at
    except ModuleNotFoundError as error:
        raise ConfigError(f"ottla.metrics.listener needs {error.name}, which ottla[metrics] installs") from error
    try:
        async with shown_at(host, port) as (observed, port):
            get_logger(__name__).info("metrics are served", address=f"{host or '*'}:{port}")
            metrics(host, port)
            yield observed
    except ListenError as error:
        raise ConfigError(str(error)) from error


@asynccontextmanager
async def _controlled(
    config: BrokerConfig,
    entropy: Entropy,
    lifetimes: Lifetimes,
    passing: PassingTime | None,
    control: Callable[[str, int, str], None],
) -> AsyncIterator[Controlled | None]:
    """Take commands over HTTP, if the configuration asks for that."""
    if passing is None:
        yield None
        return
    host, port = parse_http_address(config.ottla_control_listener)
    try:
        from broker.control.serving import check_that_it_may_be, controlled_at
    except ModuleNotFoundError as error:
        raise ConfigError(f"ottla.control.listener needs {error.name}, which ottla[control] installs") from error
    try:
        check_that_it_may_be(config, host)
        token = config.ottla_control_token
        async with controlled_at(host, port, token, entropy, lifetimes, passing) as (controlled, port, token):
            get_logger(__name__).warning("this broker takes commands of tests", address=f"{host or '*'}:{port}")
            control(host, port, token)
            yield controlled
    except ListenError as error:
        raise ConfigError(str(error)) from error


def _clock(config: BrokerConfig) -> tuple[Clock, PassingTime | None]:
    """The clock of state, and what moves it if that may be commanded. Raises ConfigError."""
    if not config.ottla_control_listener:
        return SystemClock(), None
    from broker.control.passing_time import passing_time
    from storage.seams.disk import SystemDisk

    return passing_time(SystemClock(), SystemDisk(), None if config.memory or config.shares else config.data_directory)


def _read_stores(config: BrokerConfig, offload: Offload) -> Contexts | None:
    """What listeners with TLS are secured with; None if there are none. Raises ConfigError."""
    settings = config.tls_settings()
    if not settings:
        return None
    from broker.config.tls_settings import BadTls
    from broker.security.tls.contexts import Contexts
    from storage.seams.disk import SystemDisk

    try:
        return Contexts(settings, SystemDisk(), offload, SystemClock())
    except BadTls as error:
        raise ConfigError(f"{error.key}: {error}") from error


def _reconfigure_tls(tls: Contexts, config: BrokerConfig) -> None:
    """What AlterConfigs has set: checked then, so what contradicts the file now was set when another was in force."""
    try:
        tls.reconfigure(config.tls_settings())
    except Contradiction as error:
        get_logger(__name__).error("TLS stays as it is", key=error.keys[0], reason=str(error))


def _asked_for(config: BrokerConfig, key: str, size: int) -> int:
    """A size that the file or a flag names. Kafka's defaults are less than systems give alone: 100 KiB for buffers, and
    50 connections that wait to be accepted."""
    return size if key in config.static else SYSTEM_CHOOSES


def _refuse_logs_of_no_cluster(config: BrokerConfig, store: LogStore) -> None:
    """The cluster's log is made before any other, so where there are others without it, it is kept elsewhere; a new one
    would make the broker an empty one beside its data. Raises ConfigError."""
    logs = store.existing()
    if logs and not any(topic == CLUSTER_METADATA for topic, _ in logs):
        topic, partition = min(logs)
        raise ConfigError(
            f"{config.data_directory} holds logs ({topic}-{partition}) but not the cluster's own, {CLUSTER_METADATA}-0"
            ": set metadata.log.dir to the directory that has it"
        )


def _load_keys(url: str) -> bytes:
    """The keys of an issuer of tokens. In a thread; raises KeySetError."""
    from broker.network.key_sets import load_key_set
    from storage.seams.disk import SystemDisk

    return load_key_set(url, SystemDisk())


async def start_services(
    config: BrokerConfig,
    store: LogStore,
    clock: Clock,
    entropy: Entropy,
    offload: Offload,
    tls: Contexts | None,
    background: trio.Nursery,
) -> Services:
    """Start all that serves clients, but for the network, over `store`, which is open. Raises ConfigError."""
    _refuse_logs_of_no_cluster(config, store)
    seat = _seat(config, store, clock)
    cluster = ClusterCoordinator(store, config, clock, entropy) if seat is None else seat.coordinator(store, entropy)
    hosted: list[Partitions] = []
    if seat is not None:  # what others append is noticed by the upkeep, from the very beginning
        seat.share_upkeep(store)
        background.start_soon(store.maintain, lambda: (spec for each in hosted for spec in each.specs()))
    try:
        await cluster.start(background)
    except (KafkaError, ProtocolError) as error:
        raise ConfigError(f"the cluster's own log {CLUSTER_METADATA} cannot be loaded: {error}") from error
    for sentence in without_effect(cluster.image, config):
        get_logger(__name__).warning("stored, but without effect", what=sentence)
    config = cluster.config  # with what AlterConfigs has set (KIP-226)
    partitions = Partitions(store, cluster, config)
    store.configure(store_settings(config))
    hosted.append(partitions)
    if seat is None:
        background.start_soon(store.maintain, partitions.specs)
    background.start_soon(partitions.run)
    journal = Journal()
    on_demand = OnDemand(
        Foundations(
            store=store,
            cluster=cluster,
            partitions=partitions,
            config=config,
            clock=clock,
            world=SystemClock(),
            entropy=entropy,
            offload=offload,
            journal=journal,
            secret=store.directory_id.encode(),
            load_keys=_load_keys,
        ),
        background,
        None if seat is None else seat.end_in_group_shard,
    )
    entry = None if seat is None else await _share(seat, on_demand, entropy, tls, background)
    is_asked_about_everything = config.ottla_metrics_listener or config.ottla_control_listener
    await (on_demand.load_all() if seat is not None or is_asked_about_everything else on_demand.load())
    services = Services(
        config=config,
        clock=clock,
        entropy=entropy,
        offload=offload,
        store=store,
        cluster=cluster,
        partitions=partitions,
        on_demand=on_demand,
        request_memory=RequestMemory(config.queued_max_request_bytes),
        turns=Turns(),
        journal=journal,
        authorizer=authorizer_of(cluster, config),
        tls=tls,
        emulation=_emulation_of(config),
        transaction_entry=entry,
    )
    if tls is not None:
        _reconfigure_tls(tls, config)
        background.start_soon(tls.run)
    _follow_the_cluster(services)
    cluster.subscribe(journal.topics)
    if seat is not None:
        await _join(seat, services, background)
    return services


def _follow_the_cluster(services: Services) -> None:
    """What the cluster's log says of quotas and of this broker's configs counts now, and whenever it changes."""
    cluster, tls = services.cluster, services.tls

    def follow(change: ClusterChange) -> None:
        services.quotas = quotas_after(services.quotas, cluster.config, cluster.image, change)
        if change.broker_configs_changed:
            services.config = cluster.config
            services.partitions.reconfigure(services.config)
            services.store.configure(store_settings(services.config))
            if tls is not None:
                _reconfigure_tls(tls, services.config)

    services.quotas = quotas_after(None, services.config, cluster.image, ClusterChange())
    cluster.subscribe(follow)


def _seat(config: BrokerConfig, store: LogStore, clock: Clock) -> Seat | None:
    """This broker's seat among those that share its store; None if it is alone. Raises ConfigError."""
    membership = membership_of(store)
    if membership is None:
        return None
    from broker.seat import Seat, endpoints_of

    endpoints_of(config)
    return Seat(membership, config, clock)


async def _share(
    seat: Seat,
    on_demand: OnDemand,
    entropy: Entropy,
    tls: Contexts | None,
    background: trio.Nursery,
) -> Transactions:
    """Let the coordinators be one broker's of several, who can ask each other."""
    from broker.network.peers import Peers

    peers = Peers(seat.brokers, seat.listener, entropy, seat.secret, None if tls is None else tls.asking)
    background.start_soon(peers.run)
    return seat.share(on_demand.unstarted_groups, on_demand.unstarted_transactions, peers.ask)


async def _join(seat: Seat, services: Services, background: trio.Nursery) -> None:
    from broker.seat import endpoints_of

    await seat.join(services, endpoints_of(services.config), RELEASE, background)
