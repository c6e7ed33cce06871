"""From the texts that a topic overrides to the typed settings its logs are kept by.

The overrides of a topic are what CreateTopics and AlterConfigs stored, as text, in the cluster's image. Whatever they
leave open comes from the broker's settings, under other names (`keys/topics.py` pairs them). The result is what
storage understands: a `LogConfig`.

Settings of internal topics are overrides as well, given to them when they are made, as Kafka does; so DescribeConfigs
shows them, and AlterConfigs can change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from broker.config.keys import TOPIC_KEYS, BadValue
from kproto.errors import ErrorCode, KafkaError
from storage.log_config import NEVER, LogConfig

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig

# Topic key -> field of LogConfig, where the name is not the key's with underscores.
_FIELDS: Final = {"internal.segment.bytes": "segment_bytes", "ottla.ack.fsync": "ack_fsync"}
_LOG_CONFIG_FIELDS: Final = frozenset(LogConfig.__slots__)


def check_topic_configs(overrides: Mapping[str, str]) -> None:
    """Refuse overrides that no topic may have (LogConfig.validate). Raises KafkaError(INVALID_CONFIG)."""
    values: dict[str, Any] = {}
    for name, text in overrides.items():
        key = TOPIC_KEYS.get(name)
        if key is None:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"there is no topic config {name}")
        try:
            values[name] = key.parse(text)
        except BadValue as error:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name}={text}: {error}") from error
    least, most = values.get("min.compaction.lag.ms", 0), values.get("max.compaction.lag.ms", NEVER)
    if least > most:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG, f"min.compaction.lag.ms={least} is above max.compaction.lag.ms={most}"
        )


def log_config(overrides: Mapping[str, str], config: BrokerConfig, *, internal: bool = False) -> LogConfig:
    """How the logs of a topic with these overrides are to be kept.

    What coordinators write (`internal`) is synced before it is answered, whatever anybody says about the data: an
    offset that was committed would otherwise be as lost as the records need not be. An override that cannot be read is
    passed over: it was checked when it was stored, so another release stored it.
    """
    settings = _defaults(config)
    # Kafka's tests set the internal key to roll below the least size that segment.bytes allows; it wins.
    for name in sorted(overrides, key="internal.segment.bytes".__eq__):
        key = TOPIC_KEYS.get(name)
        if key is None:
            continue
        try:
            value = key.parse(overrides[name])
        except BadValue:
            continue
        field = _FIELDS.get(name) or name.replace(".", "_")
        if name == "cleanup.policy":
            _set_policy(settings, value)
        elif field in _LOG_CONFIG_FIELDS:
            settings[field] = value
    settings["ack_fsync"] = settings["ack_fsync"] or internal
    settings["retention_ms"] = max(settings["retention_ms"], -1)
    settings["retention_bytes"] = max(settings["retention_bytes"], -1)
    return LogConfig(**settings)


def _defaults(config: BrokerConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "segment_bytes": config.log_segment_bytes,
        "segment_ms": config.log_roll_ms,
        "segment_jitter_ms": config.log_roll_jitter_ms,
        "segment_index_bytes": config.log_index_size_max_bytes,
        "index_interval_bytes": config.log_index_interval_bytes,
        "preallocate": config.log_preallocate,
        "retention_ms": config.log_retention_ms,
        "retention_bytes": config.log_retention_bytes,
        "file_delete_delay_ms": config.log_segment_delete_delay_ms,
        "delete_retention_ms": config.log_cleaner_delete_retention_ms,
        "min_cleanable_dirty_ratio": config.log_cleaner_min_cleanable_ratio,
        "min_compaction_lag_ms": config.log_cleaner_min_compaction_lag_ms,
        "max_compaction_lag_ms": config.log_cleaner_max_compaction_lag_ms,
        "ack_fsync": config.ottla_ack_fsync,
        "flush_messages": config.log_flush_interval_messages,
        "flush_ms": config.log_flush_interval_ms,
        "max_message_bytes": config.message_max_bytes,
        "max_decompressed_message_bytes": config.max_decompressed_message_bytes,
        "compression_type": config.compression_type,
        "compression_gzip_level": config.compression_gzip_level,
        "compression_lz4_level": config.compression_lz4_level,
        "compression_zstd_level": config.compression_zstd_level,
        "message_timestamp_type": config.log_message_timestamp_type,
        "message_timestamp_before_max_ms": config.log_message_timestamp_before_max_ms,
        "message_timestamp_after_max_ms": config.log_message_timestamp_after_max_ms,
        "min_insync_replicas": config.get("min.insync.replicas"),
        "unclean_leader_election_enable": config.get("unclean.leader.election.enable"),
    }
    _set_policy(settings, config.log_cleanup_policy)
    return settings


def _set_policy(settings: dict[str, Any], policy: Any) -> None:
    settings["delete"] = "delete" in policy
    settings["compact"] = "compact" in policy
