"""The storage engines, named here and nowhere else in the broker: which one a configuration asks for, what it is given.

Everything else knows the contract (`storage/engine.py`). `store_settings` is what of the configuration counts for all
logs at once; it may change while the broker runs (KIP-226), and the server hands the engine what is in force.

Departs from Kafka: there is one cleaner, whatever `log.cleaner.threads` says; it has all of
`log.cleaner.dedupe.buffer.size`.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from broker.config.settings import BrokerConfig, ConfigError
from broker.coordinators.cluster.image import CLUSTER_METADATA
from broker.descriptors import Shares
from storage.engine import LogStore
from storage.membership import Membership
from storage.progress import Progress
from storage.seams.clock import Clock
from storage.seams.disk import Disk
from storage.seams.entropy import Entropy
from storage.seams.offload import Offload
from storage.store_settings import CleanerSettings, ProducerRules, StoreSettings

if TYPE_CHECKING:
    from storage.memory.engine import LogsOnCommand

LEAST_CLEANER_MEMORY: Final = 1 << 20
"""Bytes; with less, Kafka does not start."""


def make_store(
    config: BrokerConfig,
    clock: Clock,
    entropy: Entropy,
    offload: Offload,
    progress: Callable[[], Progress],
    descriptors: Shares,
) -> LogStore:
    """The engine that the configuration asks for, not opened; only that one is imported. `descriptors` is what it may
    have open."""
    if config.shares:
        return _shared_store(config, clock, entropy, offload)
    if config.memory:
        from storage.memory.engine import MemoryStore

        return MemoryStore(
            clock,
            entropy,
            cluster_id=config.ottla_cluster_id,
            settings=store_settings(config),
            misbehaving=_logs_on_command() if config.ottla_control_listener else None,
        )
    from storage.local.engine import LocalStore
    from storage.seams.apart import ProcessApart, ThreadApart

    return LocalStore(
        config.data_directory,
        elsewhere=_elsewhere(config),
        node_id=config.node_id,
        cluster_id=config.ottla_cluster_id,
        disk=_disk(config),
        clock=clock,
        entropy=entropy,
        offload=offload,
        open_files=descriptors.segments,
        lent_files=descriptors.replies,
        settings=store_settings(config),
        apart=ProcessApart(ThreadApart(offload)),
        progress=progress(),
    )


def _shared_store(config: BrokerConfig, clock: Clock, entropy: Entropy, offload: Offload) -> LogStore:
    """The engine of a cluster. Raises ConfigError: what it needs is not installed, or an address is of no use."""
    try:
        from broker.shared_engine import make_shared_store
    except ModuleNotFoundError as error:
        raise ConfigError(f"ottla.cluster needs {error.name}, which ottla[cluster] installs") from error
    return make_shared_store(config, store_settings(config), clock, entropy, offload)


def membership_of(store: LogStore) -> Membership | None:
    """This broker's place among those that share the store; None where it is the only one."""
    found: Membership | None = getattr(store, "membership", None)
    return found


def _logs_on_command() -> LogsOnCommand:
    from storage.memory.misbehaving import misbehaving

    return misbehaving


def _disk(config: BrokerConfig) -> Disk:
    """The machine's; one that can be commanded if this broker takes commands."""
    if config.ottla_control_listener:
        from storage.seams.commanded_disk import CommandedDisk

        return CommandedDisk()
    from storage.seams.disk import SystemDisk

    return SystemDisk()


def _elsewhere(config: BrokerConfig) -> dict[str, str]:
    """The topic that has a directory of its own, if the configuration names one: the cluster's (metadata.log.dir)."""
    named = config.metadata_log_dir
    if named is None or os.path.normpath(named) == os.path.normpath(config.data_directory):
        return {}
    return {CLUSTER_METADATA: named}


def store_settings(config: BrokerConfig) -> StoreSettings:
    """The settings in force for all logs, brought into ranges in which a cleaner can work."""
    return StoreSettings(
        producers=ProducerRules(config.producer_id_expiration_ms, config.transaction_partition_verification_enable),
        retention_check_ms=config.log_retention_check_interval_ms,
        cleaner=CleanerSettings(
            enable=config.log_cleaner_enable,
            backoff_ms=config.log_cleaner_backoff_ms,
            memory=max(config.log_cleaner_dedupe_buffer_size, LEAST_CLEANER_MEMORY),
            load_factor=min(max(config.log_cleaner_io_buffer_load_factor, 0.1), 0.95),
            buffer_size=config.log_cleaner_io_buffer_size,
            bytes_per_second=max(config.log_cleaner_io_max_bytes_per_second, 1.0),
        ),
    )
