"""From the texts that a topic overrides to the typed settings its logs are kept by.

The overrides of a topic are what CreateTopics and AlterConfigs stored, as text, in the cluster's image. Whatever they
leave open comes from the broker's settings, under other names (`config_keys/topics.py` pairs them). The result is what
storage understands: a `LogConfig`.

Settings of internal topics are overrides as well, given to them when they are made, as Kafka does; so DescribeConfigs
shows them, and AlterConfigs can change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from broker.config_keys import TOPIC_KEYS, BadValue
from storage.log_config import LogConfig

if TYPE_CHECKING:
    from broker.config import BrokerConfig

CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"
SHARE_GROUP_STATE: Final = "__share_group_state"
INTERNAL_TOPICS: Final = frozenset({CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE})
"""Topics that coordinators write and clients only read."""

# Topic key -> field of LogConfig, where the name is not the key's with underscores.
_FIELDS: Final = {"internal.segment.bytes": "segment_bytes", "ottla.ack.fsync": "ack_fsync"}
_LOG_CONFIG_FIELDS: Final = frozenset(LogConfig.__slots__)


def log_config(overrides: Mapping[str, str], config: BrokerConfig) -> LogConfig:
    """How the logs of a topic with these overrides are to be kept.

    An override that cannot be read is passed over: it was checked when it was stored, so another release stored it.
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
        "delete_retention_ms": config.get("log.cleaner.delete.retention.ms"),
        "min_cleanable_dirty_ratio": config.get("log.cleaner.min.cleanable.ratio"),
        "min_compaction_lag_ms": config.get("log.cleaner.min.compaction.lag.ms"),
        "max_compaction_lag_ms": config.get("log.cleaner.max.compaction.lag.ms"),
        "ack_fsync": config.ottla_ack_fsync,
        "flush_messages": config.log_flush_interval_messages,
        "flush_ms": config.log_flush_interval_ms,
        "max_message_bytes": config.message_max_bytes,
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


def internal_topic_overrides(topic: str, config: BrokerConfig) -> dict[str, str]:
    """The overrides an internal topic is made with (GroupCoordinator.groupMetadataTopicConfigs and its like).

    They are always synced: offsets and transactions survive a power cut whatever was chosen for the data.
    """
    overrides = {"cleanup.policy": "compact", "ottla.ack.fsync": "true"}
    if topic == CONSUMER_OFFSETS:
        overrides |= {"compression.type": "producer", "segment.bytes": str(config.offsets_topic_segment_bytes)}
    elif topic == TRANSACTION_STATE:
        overrides |= {
            "compression.type": "uncompressed",
            "min.insync.replicas": str(config.get("transaction.state.log.min.isr")),
            "segment.bytes": str(config.get("transaction.state.log.segment.bytes")),
            "unclean.leader.election.enable": "false",
        }
    else:
        assert topic == SHARE_GROUP_STATE, f"{topic} is no internal topic"
        overrides |= {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "min.insync.replicas": str(config.get("share.coordinator.state.topic.min.isr")),
            "retention.ms": "-1",
            "segment.bytes": str(config.get("share.coordinator.state.topic.segment.bytes")),
        }
    return overrides
