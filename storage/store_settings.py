"""How an engine is to be run: the settings that count for all its logs at once. Those of one log are `LogConfig`.

As with a log's, an engine never sees a text: the broker resolves its configuration (`broker/engines.py`) and hands the
result down as one frozen value. `LogStore.configure` swaps it whole, at any time; defaults are Kafka's. An engine that
does not do what a setting is about (compaction, in memory) has no use for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class CleanerSettings:
    """Kafka's `log.cleaner.` settings, with its defaults: enable, backoff.ms, dedupe.buffer.size (bytes for keys),
    io.buffer.load.factor, io.buffer.size (bytes), io.max.bytes.per.second."""

    enable: bool = True
    backoff_ms: int = 15_000
    memory: int = 128 << 20
    load_factor: float = 0.9
    buffer_size: int = 512 << 10
    bytes_per_second: float = float("inf")


class ProducerRules(NamedTuple):
    """What counts for the producers of every log: `producer.id.expiration.ms`, and whether a batch opens a transaction
    only with a guard (`transaction.partition.verification.enable`; off unless the one who appends asks for guards)."""

    expiration: int = 24 * 3600 * 1000
    verify: bool = False


DEFAULT_RULES: Final = ProducerRules()


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`log.retention.check.interval.ms`, what counts for producers, and the cleaner's."""

    producers: ProducerRules = DEFAULT_RULES
    retention_check_ms: int = 5 * 60 * 1000
    cleaner: CleanerSettings = field(default_factory=CleanerSettings)
