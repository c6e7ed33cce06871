"""How one log is to be kept: Kafka's topic configs as typed values.

An engine never sees a config's text. The broker resolves a topic's overrides against its own settings
(`broker/config/topics.py`) and hands the result down as one frozen value; `PartitionLog.configure` swaps it whole, so a
log never acts on half of a change.

Units are in the names: `_ms` are milliseconds, `_bytes` are bytes. As in Kafka, -1 means "no limit" for the two
retention settings, and 2**63-1 means "never" for a duration or a count. Defaults are Kafka's (class `LogConfig`),
so that `LogConfig()` is a topic without any override on a broker without any.

What an engine does with each:

* **rolling** a segment: `segment_bytes`, `segment_ms` less a random part of `segment_jitter_ms`, `segment_index_bytes`,
  `preallocate`; indexes get an entry about every `index_interval_bytes`.
* **retention** (when `delete`): `retention_ms`, `retention_bytes`; a removed file lives on for `file_delete_delay_ms`.
* **compaction** (when `compact`): `min_cleanable_dirty_ratio`, `min_compaction_lag_ms`, `max_compaction_lag_ms`,
  `delete_retention_ms` for tombstones. Both flags may be set (then old segments go as well), or neither.
* **flushing**: `ack_fsync` says that an append counts as durable only after the disk said so (docs/invariants.md);
  with False it is durable once the operating system has it. `flush_messages` and `flush_ms` bound, besides, what
  appends that no producer waits for may lose: 1 makes every append wait.
* **admission** happens above the engine (the produce handler): `max_message_bytes`,
  `max_decompressed_message_bytes`, `compression_type`,
  `message_timestamp_type` and its two bounds, `min_insync_replicas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

NEVER: Final = 2**63 - 1
"""Kafka's way to say "no bound" for a duration in milliseconds or a number of records (Long.MAX_VALUE)."""

UNLIMITED: Final = -1
"""Kafka's way to say "keep everything" for `retention_ms` and `retention_bytes`."""

CompressionType = Literal["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]
TimestampType = Literal["CreateTime", "LogAppendTime"]


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Settings of one log. The module's docstring says what each is for."""

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * 24 * 3600 * 1000
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    preallocate: bool = False

    delete: bool = True
    compact: bool = False
    retention_ms: int = 7 * 24 * 3600 * 1000
    retention_bytes: int = UNLIMITED
    file_delete_delay_ms: int = 60_000
    delete_retention_ms: int = 24 * 3600 * 1000
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = NEVER

    ack_fsync: bool = True
    flush_messages: int = NEVER
    flush_ms: int = NEVER

    max_message_bytes: int = 1_048_588
    max_decompressed_message_bytes: int = 2_147_483_639
    compression_type: CompressionType = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3
    message_timestamp_type: TimestampType = "CreateTime"
    message_timestamp_before_max_ms: int = NEVER
    message_timestamp_after_max_ms: int = 3_600_000
    min_insync_replicas: int = 1
    unclean_leader_election_enable: bool = False

    @property
    def cleanup_policy(self) -> str:
        """The two flags as Kafka writes them: `delete`, `compact`, `compact,delete` or nothing."""
        return ",".join(name for name, wanted in (("compact", self.compact), ("delete", self.delete)) if wanted)

    @property
    def log_append_time(self) -> bool:
        """True when the broker's time is stamped on batches instead of the producer's."""
        return self.message_timestamp_type == "LogAppendTime"
