"""Topic keys, and the broker key that each takes its default from.

A topic's value comes from the first of: the topic's own override, the broker's dynamic value, the cluster's dynamic
default, the broker's file, the default. `BROKER_SYNONYM` names the broker key of the middle three; where a duration can
be told in several units on the broker, the finest unit that is set wins (`SYNONYMS` in the package's front page).
"""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    ACTS,
    BOOLEAN,
    CLUSTER_WIDE,
    DOUBLE,
    INT,
    LATER,
    LIST,
    LONG,
    STRING,
    ConfigKey,
    at_least,
    between,
    gzip_level,
    items_of,
    one_of,
    throttled_replicas,
)

KEYS: Final = (
    ConfigKey("cleanup.policy", LIST, "delete", items_of("compact", "delete"), CLUSTER_WIDE, ACTS),
    ConfigKey("compression.gzip.level", INT, "-1", gzip_level, CLUSTER_WIDE, ACTS),
    ConfigKey("compression.lz4.level", INT, "9", between(1, 17), CLUSTER_WIDE, ACTS),
    ConfigKey(
        "compression.type",
        STRING,
        "producer",
        one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
        CLUSTER_WIDE,
        ACTS,
    ),
    ConfigKey("compression.zstd.level", INT, "3", between(-131_072, 22), CLUSTER_WIDE, ACTS),
    ConfigKey("delete.retention.ms", LONG, "86400000", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("file.delete.delay.ms", LONG, "60000", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("flush.messages", LONG, "9223372036854775807", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("flush.ms", LONG, "9223372036854775807", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("follower.replication.throttled.replicas", LIST, "", throttled_replicas, CLUSTER_WIDE),
    ConfigKey("index.interval.bytes", INT, "4096", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("internal.segment.bytes", INT, None, at_least(1), CLUSTER_WIDE, ACTS, True),
    ConfigKey("leader.replication.throttled.replicas", LIST, "", throttled_replicas, CLUSTER_WIDE),
    ConfigKey("local.retention.bytes", LONG, "-2", at_least(-2), CLUSTER_WIDE),
    ConfigKey("local.retention.ms", LONG, "-2", at_least(-2), CLUSTER_WIDE),
    ConfigKey("max.compaction.lag.ms", LONG, "9223372036854775807", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("max.message.bytes", INT, "1048588", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("message.timestamp.after.max.ms", LONG, "3600000", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("message.timestamp.before.max.ms", LONG, "9223372036854775807", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey(
        "message.timestamp.type",
        STRING,
        "CreateTime",
        one_of("CreateTime", "LogAppendTime"),
        CLUSTER_WIDE,
        ACTS,
    ),
    ConfigKey("min.cleanable.dirty.ratio", DOUBLE, "0.5", between(0, 1), CLUSTER_WIDE, ACTS),
    ConfigKey("min.compaction.lag.ms", LONG, "0", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("min.insync.replicas", INT, "1", at_least(1), CLUSTER_WIDE, LATER),
    ConfigKey("ottla.ack.fsync", BOOLEAN, "true", None, CLUSTER_WIDE, ACTS),
    ConfigKey("preallocate", BOOLEAN, "false", None, CLUSTER_WIDE, ACTS),
    ConfigKey("remote.log.copy.disable", BOOLEAN, "false", None, CLUSTER_WIDE),
    ConfigKey("remote.log.delete.on.disable", BOOLEAN, "false", None, CLUSTER_WIDE),
    ConfigKey("remote.storage.enable", BOOLEAN, "false", None, CLUSTER_WIDE),
    ConfigKey("retention.bytes", LONG, "-1", None, CLUSTER_WIDE, ACTS),
    ConfigKey("retention.ms", LONG, "604800000", at_least(-1), CLUSTER_WIDE, ACTS),
    ConfigKey("segment.bytes", INT, "1073741824", at_least(1_048_576), CLUSTER_WIDE, ACTS),
    ConfigKey("segment.index.bytes", INT, "10485760", at_least(4), CLUSTER_WIDE, ACTS),
    ConfigKey("segment.jitter.ms", LONG, "0", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("segment.ms", LONG, "604800000", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("unclean.leader.election.enable", BOOLEAN, "false", None, CLUSTER_WIDE),
)

BROKER_SYNONYM: Final = {
    "cleanup.policy": "log.cleanup.policy",
    "compression.gzip.level": "compression.gzip.level",
    "compression.lz4.level": "compression.lz4.level",
    "compression.type": "compression.type",
    "compression.zstd.level": "compression.zstd.level",
    "delete.retention.ms": "log.cleaner.delete.retention.ms",
    "file.delete.delay.ms": "log.segment.delete.delay.ms",
    "flush.messages": "log.flush.interval.messages",
    "flush.ms": "log.flush.interval.ms",
    "index.interval.bytes": "log.index.interval.bytes",
    "local.retention.bytes": "log.local.retention.bytes",
    "local.retention.ms": "log.local.retention.ms",
    "max.compaction.lag.ms": "log.cleaner.max.compaction.lag.ms",
    "max.message.bytes": "message.max.bytes",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.type": "log.message.timestamp.type",
    "min.cleanable.dirty.ratio": "log.cleaner.min.cleanable.ratio",
    "min.compaction.lag.ms": "log.cleaner.min.compaction.lag.ms",
    "min.insync.replicas": "min.insync.replicas",
    "ottla.ack.fsync": "ottla.ack.fsync",
    "preallocate": "log.preallocate",
    "retention.bytes": "log.retention.bytes",
    "retention.ms": "log.retention.ms",
    "segment.bytes": "log.segment.bytes",
    "segment.index.bytes": "log.index.size.max.bytes",
    "segment.jitter.ms": "log.roll.jitter.ms",
    "segment.ms": "log.roll.ms",
    "unclean.leader.election.enable": "unclean.leader.election.enable",
}
"""Topic key -> broker key. Keys that are missing here have no default on the broker."""
