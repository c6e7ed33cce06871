"""The topics that coordinators keep their state in: how many partitions, which configs, as Kafka makes them on first
need.

Sources: AutoTopicCreationManager, GroupCoordinatorConfig, TransactionLogConfig, ShareCoordinatorConfig. One node holds
one copy, so the replication factors that a configuration asks for (3 by default) are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.image import CONSUMER_OFFSETS, INTERNAL_TOPICS, SHARE_GROUP_STATE, TRANSACTION_STATE
from broker.coordinators.cluster.topics import NewTopic

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig


def internal_topic(name: str, config: BrokerConfig) -> NewTopic:
    """The internal topic `name` as this broker is configured to make it."""
    assert name in INTERNAL_TOPICS, f"{name} is no internal topic"
    if name == CONSUMER_OFFSETS:
        return NewTopic(
            name,
            config.offsets_topic_num_partitions,
            configs={
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(config.offsets_topic_segment_bytes),
            },
            replication_factor=1,
        )
    if name == TRANSACTION_STATE:
        return NewTopic(
            name,
            _count(config, "transaction.state.log.num.partitions"),
            configs={
                "cleanup.policy": "compact",
                "compression.type": "uncompressed",
                "min.insync.replicas": "1",
                "segment.bytes": str(config.get("transaction.state.log.segment.bytes")),
                "unclean.leader.election.enable": "false",
            },
            replication_factor=1,
        )
    assert name == SHARE_GROUP_STATE
    return NewTopic(
        name,
        _count(config, "share.coordinator.state.topic.num.partitions"),
        configs={
            "cleanup.policy": "delete",
            "compression.type": "none",
            "min.insync.replicas": "1",
            "retention.ms": "-1",
            "segment.bytes": str(config.get("share.coordinator.state.topic.segment.bytes")),
        },
        replication_factor=1,
    )


def _count(config: BrokerConfig, key: str) -> int:
    value = config.get(key)
    assert isinstance(value, int), f"{key} is a number"
    return value
