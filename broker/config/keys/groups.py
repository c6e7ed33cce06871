"""Keys of the resources GROUP (KIP-848, KIP-932, KIP-1071) and CLIENT_METRICS (KIP-714).

A group's value comes from the group's own override, else from the broker key in `BROKER_SYNONYM`. The broker's keys
also bound what a group may ask for: `group.consumer.min.session.timeout.ms` and so on (`LIMITS`).
"""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    ACTS,
    BOOLEAN,
    CLUSTER_WIDE,
    INT,
    LATER,
    LIST,
    LONG,
    NOTHING,
    STRING,
    ConfigKey,
    at_least,
    one_of,
    share_offset_reset,
)

KEYS: Final = (
    ConfigKey("consumer.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, NOTHING, True),
    ConfigKey("consumer.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("consumer.heartbeat.interval.ms", INT, "5000", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("consumer.session.timeout.ms", INT, "45000", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("errors.deadletterqueue.copy.record.enable", BOOLEAN, "false", None, CLUSTER_WIDE, LATER),
    ConfigKey("errors.deadletterqueue.topic.name", STRING, "", None, CLUSTER_WIDE, LATER),
    ConfigKey("share.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("share.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, LATER, True),
    ConfigKey("share.auto.offset.reset", STRING, "latest", share_offset_reset, CLUSTER_WIDE, LATER),
    ConfigKey("share.delivery.count.limit", INT, "5", at_least(2), CLUSTER_WIDE, LATER),
    ConfigKey("share.heartbeat.interval.ms", INT, "5000", at_least(1), CLUSTER_WIDE, LATER),
    ConfigKey(
        "share.isolation.level",
        STRING,
        "read_uncommitted",
        one_of("read_committed", "read_uncommitted"),
        CLUSTER_WIDE,
        LATER,
    ),
    ConfigKey("share.partition.max.record.locks", INT, "2000", at_least(100), CLUSTER_WIDE, LATER),
    ConfigKey("share.record.lock.duration.ms", INT, "30000", at_least(1000), CLUSTER_WIDE, LATER),
    ConfigKey("share.renew.acknowledge.enable", BOOLEAN, "true", None, CLUSTER_WIDE, LATER),
    ConfigKey("share.session.timeout.ms", INT, "45000", at_least(1), CLUSTER_WIDE, LATER),
    ConfigKey("streams.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("streams.acceptable.recovery.lag", LONG, "10000", at_least(0), CLUSTER_WIDE, LATER, True),
    ConfigKey("streams.assignor.name", STRING, "sticky", None, CLUSTER_WIDE, LATER),
    ConfigKey("streams.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, LATER, True),
    ConfigKey("streams.heartbeat.interval.ms", INT, "5000", at_least(1), CLUSTER_WIDE, LATER),
    ConfigKey("streams.initial.rebalance.delay.ms", INT, "3000", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("streams.num.standby.replicas", INT, "0", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("streams.num.warmup.replicas", INT, "2", at_least(0), CLUSTER_WIDE, LATER, True),
    ConfigKey("streams.rack.aware.assignment.tags", LIST, "", None, CLUSTER_WIDE, LATER),
    ConfigKey("streams.session.timeout.ms", INT, "45000", at_least(1), CLUSTER_WIDE, LATER),
    ConfigKey("streams.task.offset.interval.ms", INT, "60000", at_least(1), CLUSTER_WIDE, LATER, True),
)

CLIENT_METRICS_KEYS: Final = (
    ConfigKey("interval.ms", INT, "300000", None, CLUSTER_WIDE, LATER),
    ConfigKey("match", LIST, "", None, CLUSTER_WIDE, LATER),
    ConfigKey("metrics", LIST, "", None, CLUSTER_WIDE, LATER),
)

_WITHOUT_SYNONYM: Final = (
    "errors.deadletterqueue.copy.record.enable",
    "errors.deadletterqueue.topic.name",
    "share.auto.offset.reset",
    "share.isolation.level",
    "share.renew.acknowledge.enable",
)
_OTHER_SYNONYM: Final = {"streams.assignor.name": "group.streams.assignors"}

BROKER_SYNONYM: Final = {
    key.name: _OTHER_SYNONYM.get(key.name, f"group.{key.name}") for key in KEYS if key.name not in _WITHOUT_SYNONYM
}
"""Group key -> broker key that it takes its default from: its value, or the first item of a list if only one can be."""

LIMITS: Final = {
    "consumer.assignment.interval.ms": (
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    "consumer.heartbeat.interval.ms": (
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    "consumer.session.timeout.ms": ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    "share.assignment.interval.ms": (
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    "share.delivery.count.limit": ("group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"),
    "share.heartbeat.interval.ms": ("group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"),
    "share.partition.max.record.locks": (
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    "share.record.lock.duration.ms": (
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    "share.session.timeout.ms": ("group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
    "streams.assignment.interval.ms": (
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
    "streams.heartbeat.interval.ms": (
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    "streams.num.standby.replicas": (None, "group.streams.max.standby.replicas"),
    "streams.num.warmup.replicas": (None, "group.streams.max.warmup.replicas"),
    "streams.session.timeout.ms": ("group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"),
    "streams.task.offset.interval.ms": ("group.streams.min.task.offset.interval.ms", None),
}
"""Group key -> the broker keys of its least and its greatest value."""

SLOWER_THAN_HEARTBEAT: Final = (
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
)
"""Pairs whose first must be greater than the second."""

CLIENT_METRICS_INTERVAL: Final = (100, 3_600_000)
"""Bounds of `interval.ms`, checked apart because Kafka refuses what lies outside with another code (42)."""

CLIENT_MATCH_PARAMETERS: Final = (
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
)
"""What a pattern of `match` can look at."""
