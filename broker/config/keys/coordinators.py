"""Broker keys: groups, offsets, transactions, share groups, and what idempotent producers leave behind.

Internal topics have one replica here, so the replication factors and minimum in-sync replicas of Kafka's clusters are 1
by default; and the first rebalance of a group does not wait for members that may never come.
"""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    ACTS,
    BOOLEAN,
    CLASS,
    CLUSTER_WIDE,
    INT,
    LATER,
    LIST,
    LONG,
    NOTHING,
    READ_ONLY,
    REFUSED,
    SHORT,
    STRING,
    ConfigKey,
    at_least,
    between,
    items_of,
    nothing_but,
    one_of_any_case,
)

# Kafka also takes a Java class of one's own, which would give members other partitions than any assignor here.
_ASSIGNOR: Final = "org.apache.kafka.coordinator.group.assignor."
CONSUMER_ASSIGNORS: Final = items_of(
    "uniform", "range", f"{_ASSIGNOR}UniformAssignor", f"{_ASSIGNOR}RangeAssignor", may_be_empty=False
)
SHARE_ASSIGNORS: Final = items_of("simple", f"{_ASSIGNOR}SimpleAssignor", may_be_empty=False)
STREAMS_ASSIGNORS: Final = items_of(
    "sticky", "org.apache.kafka.coordinator.group.streams.assignor.StickyTaskAssignor", may_be_empty=False
)

KEYS: Final = (
    ConfigKey("add.partitions.to.txn.retry.backoff.max.ms", INT, "100", at_least(0), READ_ONLY, ACTS),
    ConfigKey("add.partitions.to.txn.retry.backoff.ms", INT, "20", at_least(1)),
    ConfigKey("errors.deadletterqueue.auto.create.topics.enable", BOOLEAN, "false", None, CLUSTER_WIDE, LATER),
    ConfigKey("errors.deadletterqueue.topic.name.prefix", STRING, "dlq.", None, CLUSTER_WIDE, LATER),
    ConfigKey("group.consumer.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("group.consumer.assignors", LIST, "uniform,range", CONSUMER_ASSIGNORS, READ_ONLY, ACTS),
    ConfigKey("group.consumer.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.consumer.max.assignment.interval.ms", INT, "15000", at_least(0), READ_ONLY, ACTS),
    ConfigKey("group.consumer.max.heartbeat.interval.ms", INT, "15000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.consumer.max.session.timeout.ms", INT, "60000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.consumer.max.size", INT, "2147483647", at_least(1), READ_ONLY, ACTS),
    ConfigKey(
        "group.consumer.migration.policy",
        STRING,
        "bidirectional",
        one_of_any_case("BIDIRECTIONAL", "DISABLED", "DOWNGRADE", "UPGRADE"),
        READ_ONLY,
        ACTS,
    ),
    ConfigKey("group.consumer.min.assignment.interval.ms", INT, "0", at_least(0), READ_ONLY, ACTS),
    ConfigKey("group.consumer.min.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.consumer.min.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.consumer.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.coordinator.append.linger.ms", INT, "-1", at_least(-1)),
    ConfigKey("group.coordinator.background.threads", INT, "2", at_least(1)),
    ConfigKey("group.coordinator.cached.buffer.max.bytes", INT, "1048588", at_least(524288), CLUSTER_WIDE),
    ConfigKey(
        "group.coordinator.rebalance.protocols",
        LIST,
        "classic,consumer,streams",
        items_of("consumer", "classic", "share", "streams", may_be_empty=False),
        READ_ONLY,
        LATER,
    ),
    ConfigKey("group.coordinator.threads", INT, "4", at_least(1)),
    # Kafka: 3000. Less than 100 hits a fault of kafka-python's in the worst way (docs/decisions/0037).
    ConfigKey("group.initial.rebalance.delay.ms", INT, "100", None, READ_ONLY, ACTS),
    ConfigKey("group.max.session.timeout.ms", INT, "1800000", None, READ_ONLY, ACTS),
    ConfigKey("group.max.size", INT, "2147483647", at_least(1), READ_ONLY, ACTS),
    ConfigKey("group.min.session.timeout.ms", INT, "6000", None, READ_ONLY, ACTS),
    ConfigKey("group.share.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("group.share.assignors", LIST, "simple", SHARE_ASSIGNORS, READ_ONLY, LATER),
    ConfigKey("group.share.delivery.count.limit", INT, "5", between(2, 10), READ_ONLY, LATER),
    ConfigKey("group.share.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.max.assignment.interval.ms", INT, "15000", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.share.max.delivery.count.limit", INT, "10", between(5, 25), READ_ONLY, LATER),
    ConfigKey("group.share.max.heartbeat.interval.ms", INT, "15000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.max.partition.max.record.locks", INT, "4000", between(2000, 10000), READ_ONLY, LATER),
    ConfigKey("group.share.max.record.lock.duration.ms", INT, "60000", between(30000, 3_600_000), READ_ONLY, LATER),
    ConfigKey("group.share.max.session.timeout.ms", INT, "60000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.max.share.sessions", INT, "2000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.max.size", INT, "200", between(1, 1000), READ_ONLY, LATER),
    ConfigKey("group.share.min.assignment.interval.ms", INT, "0", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.share.min.delivery.count.limit", INT, "2", between(2, 5), READ_ONLY, LATER),
    ConfigKey("group.share.min.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.min.partition.max.record.locks", INT, "100", between(100, 2000), READ_ONLY, LATER),
    ConfigKey("group.share.min.record.lock.duration.ms", INT, "15000", between(1000, 30000), READ_ONLY, LATER),
    ConfigKey("group.share.min.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.share.partition.max.record.locks", INT, "2000", between(100, 10000), READ_ONLY, LATER),
    ConfigKey("group.share.record.lock.duration.ms", INT, "30000", between(1000, 3_600_000), READ_ONLY, LATER),
    ConfigKey("group.share.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.assignment.interval.ms", INT, "1000", at_least(0), CLUSTER_WIDE, LATER),
    ConfigKey("group.streams.assignors", LIST, "sticky", STREAMS_ASSIGNORS, READ_ONLY, LATER),
    ConfigKey("group.streams.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.initial.rebalance.delay.ms", INT, "3000", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.streams.max.assignment.interval.ms", INT, "15000", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.streams.max.heartbeat.interval.ms", INT, "15000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.max.session.timeout.ms", INT, "60000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.max.size", INT, "2147483647", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.max.standby.replicas", INT, "2", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.streams.min.assignment.interval.ms", INT, "0", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.streams.min.heartbeat.interval.ms", INT, "5000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.min.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, LATER),
    ConfigKey("group.streams.num.standby.replicas", INT, "0", at_least(0), READ_ONLY, LATER),
    ConfigKey("group.streams.rack.aware.assignment.tags", LIST, "", None, READ_ONLY, LATER),
    ConfigKey("group.streams.session.timeout.ms", INT, "45000", at_least(1), READ_ONLY, LATER),
    ConfigKey(
        "group.streams.topology.description.plugin.class",
        CLASS,
        None,
        nothing_but(because="no Java class is loaded here, so no description would be where it keeps it"),
        READ_ONLY,
        REFUSED,
    ),
    ConfigKey("offset.metadata.max.bytes", INT, "4096", None, READ_ONLY, ACTS),
    ConfigKey("offsets.commit.timeout.ms", INT, "5000", at_least(1)),
    ConfigKey("offsets.load.buffer.size", INT, "5242880", at_least(1)),
    ConfigKey("offsets.retention.check.interval.ms", LONG, "600000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("offsets.retention.minutes", INT, "10080", at_least(1), READ_ONLY, ACTS),
    ConfigKey("offsets.topic.compression.codec", INT, "0", None, READ_ONLY, LATER),
    ConfigKey("offsets.topic.num.partitions", INT, "50", at_least(1), READ_ONLY, ACTS),
    ConfigKey("offsets.topic.replication.factor", SHORT, "1", at_least(1), READ_ONLY, NOTHING),  # Kafka: 3
    ConfigKey("offsets.topic.segment.bytes", INT, "104857600", at_least(1), READ_ONLY, ACTS),
    ConfigKey("producer.id.expiration.ms", INT, "86400000", at_least(1), CLUSTER_WIDE, ACTS),
    ConfigKey("share.coordinator.append.linger.ms", INT, "-1", at_least(-1)),
    ConfigKey("share.coordinator.cached.buffer.max.bytes", INT, "1048588", at_least(524288), CLUSTER_WIDE),
    ConfigKey("share.coordinator.load.buffer.size", INT, "5242880", at_least(1)),
    ConfigKey("share.coordinator.snapshot.update.records.per.snapshot", INT, "500", between(0, 500)),
    ConfigKey("share.coordinator.state.topic.compression.codec", INT, "0", None, READ_ONLY, LATER),
    ConfigKey("share.coordinator.state.topic.min.isr", SHORT, "1", at_least(1), READ_ONLY, LATER),  # Kafka: 2
    ConfigKey("share.coordinator.state.topic.num.partitions", INT, "50", at_least(1), READ_ONLY, LATER),
    ConfigKey(
        "share.coordinator.state.topic.replication.factor",
        SHORT,
        "1",
        at_least(1),
        READ_ONLY,
        LATER,
    ),  # Kafka: 3
    ConfigKey("share.coordinator.state.topic.segment.bytes", INT, "104857600", at_least(1), READ_ONLY, LATER),
    ConfigKey("share.coordinator.threads", INT, "1", at_least(1)),
    ConfigKey("share.coordinator.write.timeout.ms", INT, "5000", at_least(1)),
    ConfigKey("share.fetch.purgatory.purge.interval.requests", INT, "1000"),
    ConfigKey(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        INT,
        "10000",
        at_least(1),
    ),
    ConfigKey("transaction.max.timeout.ms", INT, "900000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("transaction.partition.verification.enable", BOOLEAN, "true", None, CLUSTER_WIDE, ACTS),
    ConfigKey(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        INT,
        "3600000",
        at_least(1),
        READ_ONLY,
        ACTS,
    ),
    ConfigKey("transaction.state.log.load.buffer.size", INT, "5242880", at_least(1)),
    ConfigKey("transaction.state.log.min.isr", INT, "1", at_least(1)),  # Kafka: 2
    ConfigKey("transaction.state.log.num.partitions", INT, "50", at_least(1), READ_ONLY, ACTS),
    ConfigKey("transaction.state.log.replication.factor", SHORT, "1", at_least(1)),  # Kafka: 3
    ConfigKey("transaction.state.log.segment.bytes", INT, "104857600", at_least(1), READ_ONLY, ACTS),
    ConfigKey("transaction.two.phase.commit.enable", BOOLEAN, "false", None, READ_ONLY, LATER),
    ConfigKey("transactional.id.expiration.ms", INT, "604800000", at_least(1), READ_ONLY, ACTS),
)
