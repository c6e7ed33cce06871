"""What the cleaner of the local engine is told by the broker: its settings, and which logs are compacted.

The cleaner knows logs that somebody has asked for; that there are others, which nobody has touched since the start,
only the cluster's image says. Settings may change while the broker runs (KIP-226) and count from the next cleaning on.

Departs from Kafka: there is one cleaner, whatever `log.cleaner.threads` says; it has all of
`log.cleaner.dedupe.buffer.size`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from broker.config import BrokerConfig
from storage.engine import LogSpec

if TYPE_CHECKING:
    from broker.partitions import Partitions
    from storage.local.cleaner import CleanerSettings

LEAST_MEMORY: Final = 1 << 20
"""Bytes; with less, Kafka does not start."""


def cleaner_settings(config: BrokerConfig) -> CleanerSettings:
    """The `log.cleaner.` settings in force, brought into ranges in which a cleaner can work."""
    from storage.local.cleaner import CleanerSettings

    return CleanerSettings(
        enable=config.log_cleaner_enable,
        backoff_ms=config.log_cleaner_backoff_ms,
        memory=max(config.log_cleaner_dedupe_buffer_size, LEAST_MEMORY),
        load_factor=min(max(config.log_cleaner_io_buffer_load_factor, 0.1), 0.95),
        buffer_size=config.log_cleaner_io_buffer_size,
        bytes_per_second=max(config.log_cleaner_io_max_bytes_per_second, 1.0),
    )


def compacted_logs(partitions: Partitions) -> Iterator[LogSpec]:
    """Every log of the cluster that is to be compacted."""
    return (spec for spec in partitions.specs() if spec.config.compact)
