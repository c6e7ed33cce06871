"""Broker keys that DescribeConfigs does not show unless they are set.

Most are for Kafka's own tests. Two are read by its authorizer, of which the table of its broker's keys knows nothing;
and three are the rates that its reassignment tool sets on running brokers.
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
    LONG,
    NOTHING,
    READ_ONLY,
    REFUSED,
    STRING,
    ConfigKey,
    at_least,
    between,
    nothing_but,
    principals,
)

DEFAULT_PERSISTER: Final = "org.apache.kafka.server.share.persister.DefaultStatePersister"
DEFAULT_DEAD_LETTERS: Final = "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager"
FOREVER: Final = "9223372036854775807"

KEYS: Final = (
    ConfigKey("controller.performance.always.log.threshold.ms", LONG, "2000", at_least(0), READ_ONLY, NOTHING, True),
    ConfigKey("controller.performance.sample.period.ms", LONG, "60000", at_least(100), READ_ONLY, NOTHING, True),
    ConfigKey("group.consumer.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, NOTHING, True),
    ConfigKey("group.consumer.regex.refresh.interval.ms", INT, "600000", at_least(10000), READ_ONLY, ACTS, True),
    ConfigKey("group.share.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, LATER, True),
    ConfigKey(
        "group.share.dlq.manager.class.name",
        STRING,
        DEFAULT_DEAD_LETTERS,
        nothing_but(
            DEFAULT_DEAD_LETTERS, because="no Java class is loaded here, so no record is where it would put it"
        ),
        READ_ONLY,
        REFUSED,
        True,
    ),
    ConfigKey("group.share.initialize.retry.interval.ms", INT, "30000", at_least(1), READ_ONLY, LATER, True),
    ConfigKey(
        "group.share.persister.class.name",
        STRING,
        DEFAULT_PERSISTER,
        nothing_but(DEFAULT_PERSISTER, because="no Java class is loaded here, so no state would be where it keeps it"),
        READ_ONLY,
        REFUSED,
        True,
    ),
    ConfigKey("group.streams.acceptable.recovery.lag", LONG, "10000", at_least(0), READ_ONLY, LATER, True),
    ConfigKey("group.streams.assignor.offload.enable", BOOLEAN, "true", None, CLUSTER_WIDE, LATER, True),
    ConfigKey("group.streams.max.warmup.replicas", INT, "20", at_least(0), READ_ONLY, LATER, True),
    ConfigKey("group.streams.min.task.offset.interval.ms", INT, "15000", at_least(1), READ_ONLY, LATER, True),
    ConfigKey("group.streams.num.warmup.replicas", INT, "2", at_least(0), READ_ONLY, LATER, True),
    ConfigKey("group.streams.task.offset.interval.ms", INT, "60000", at_least(1), READ_ONLY, LATER, True),
    ConfigKey("internal.metadata.delete.delay.millis", LONG, "60000", None, READ_ONLY, NOTHING, True),
    ConfigKey("internal.metadata.log.segment.bytes", INT, None, None, READ_ONLY, ACTS, True),
    ConfigKey("internal.metadata.max.batch.size.in.bytes", INT, "8388608", None, READ_ONLY, NOTHING, True),
    ConfigKey("log.initial.task.delay.ms", LONG, "30000", at_least(0), READ_ONLY, NOTHING, True),
    ConfigKey("producer.id.expiration.check.interval.ms", INT, "600000", at_least(1), READ_ONLY, NOTHING, True),
    ConfigKey("remote.log.index.file.cache.ttl.ms", LONG, "900000", at_least(-1), READ_ONLY, NOTHING, True),
    ConfigKey("remote.log.manager.task.retry.backoff.max.ms", LONG, "30000", at_least(1), READ_ONLY, NOTHING, True),
    ConfigKey("remote.log.manager.task.retry.backoff.ms", LONG, "500", at_least(1), READ_ONLY, NOTHING, True),
    ConfigKey("remote.log.manager.task.retry.jitter", DOUBLE, "0.2", between(0, 0.5), READ_ONLY, NOTHING, True),
    ConfigKey("server.max.startup.time.ms", LONG, FOREVER, at_least(0), READ_ONLY, NOTHING, True),
    ConfigKey(
        "share.coordinator.cold.partition.snapshot.interval.ms",
        INT,
        "300000",
        at_least(1),
        READ_ONLY,
        NOTHING,
        True,
    ),
    ConfigKey("share.coordinator.state.topic.prune.interval.ms", INT, "300000", at_least(1), READ_ONLY, LATER, True),
    ConfigKey("unclean.leader.election.interval.ms", LONG, "300000", at_least(1), READ_ONLY, NOTHING, True),
    ConfigKey("unstable.api.versions.enable", BOOLEAN, "false", None, READ_ONLY, NOTHING, True),
    ConfigKey("unstable.feature.versions.enable", BOOLEAN, "false", None, READ_ONLY, NOTHING, True),
    ConfigKey("allow.everyone.if.no.acl.found", BOOLEAN, "false", None, READ_ONLY, ACTS, True),
    ConfigKey("super.users", STRING, "", principals, READ_ONLY, ACTS, True),
    ConfigKey("follower.replication.throttled.rate", LONG, None, at_least(0), CLUSTER_WIDE, NOTHING, True),
    ConfigKey("leader.replication.throttled.rate", LONG, None, at_least(0), CLUSTER_WIDE, NOTHING, True),
    ConfigKey(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        LONG,
        None,
        at_least(0),
        CLUSTER_WIDE,
        NOTHING,
        True,
    ),
)
