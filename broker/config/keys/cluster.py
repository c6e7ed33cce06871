"""Broker keys: the node, its cluster and controller, metrics, quotas' windows, replication between brokers.

One Ottla process is broker and controller in one; there is no quorum to configure, and replication between brokers is
not its way to keep data. Files written for Kafka name these keys nevertheless.
"""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    ACTS,
    BOOLEAN,
    CLASS,
    CLUSTER_WIDE,
    INT,
    LIST,
    LONG,
    READ_ONLY,
    REFUSED,
    SOME_ITEMS,
    STRING,
    ConfigKey,
    at_least,
    items_of,
    not_empty,
    nothing_but,
)

KEYS: Final = (
    ConfigKey(
        "alter.config.policy.class.name",
        CLASS,
        None,
        nothing_but(because="no Java class is loaded here, so every change of configs would be let through"),
        READ_ONLY,
        REFUSED,
    ),
    ConfigKey("alter.log.dirs.replication.quota.window.num", INT, "11", at_least(1)),
    ConfigKey("alter.log.dirs.replication.quota.window.size.seconds", INT, "1", at_least(1)),
    ConfigKey("auto.leader.rebalance.enable", BOOLEAN, "true"),
    ConfigKey("broker.heartbeat.interval.ms", INT, "2000"),
    ConfigKey("broker.id", INT, "-1", None, READ_ONLY, ACTS),
    ConfigKey("broker.rack", STRING, None, None, READ_ONLY, ACTS),
    ConfigKey("broker.session.timeout.ms", INT, "9000"),
    ConfigKey(
        "client.quota.callback.class",
        CLASS,
        None,
        nothing_but(because="no Java class is loaded here, so no client would be held to its quotas"),
        READ_ONLY,
        REFUSED,
    ),
    ConfigKey("config.providers", LIST, "", None, CLUSTER_WIDE, ACTS),
    ConfigKey("controlled.shutdown.enable", BOOLEAN, "true"),
    ConfigKey("controller.listener.names", LIST, "CONTROLLER", SOME_ITEMS, READ_ONLY, ACTS),  # Kafka: none
    ConfigKey("controller.quorum.append.linger.ms", INT, "25", at_least(0)),
    ConfigKey("controller.quorum.auto.join.enable", BOOLEAN, "false"),
    ConfigKey("controller.quorum.bootstrap.servers", LIST, ""),
    ConfigKey("controller.quorum.election.backoff.max.ms", INT, "1000", at_least(0)),
    ConfigKey("controller.quorum.election.timeout.ms", INT, "1000", at_least(0)),
    ConfigKey("controller.quorum.fetch.max.bytes", INT, "1048576", at_least(1)),
    ConfigKey("controller.quorum.fetch.snapshot.max.bytes", INT, "1048576", at_least(1)),
    ConfigKey("controller.quorum.fetch.timeout.ms", INT, "2000", at_least(0)),
    ConfigKey("controller.quorum.request.timeout.ms", INT, "2000", at_least(0)),
    ConfigKey("controller.quorum.retry.backoff.ms", INT, "20", at_least(0)),
    ConfigKey("controller.quorum.voters", LIST, ""),
    ConfigKey("controller.quota.window.num", INT, "11", at_least(1), READ_ONLY, ACTS),
    ConfigKey("controller.quota.window.size.seconds", INT, "1", at_least(1), READ_ONLY, ACTS),
    ConfigKey("controller.socket.timeout.ms", INT, "30000"),
    ConfigKey("initial.broker.registration.timeout.ms", INT, "60000"),
    ConfigKey("kafka.metrics.polling.interval.secs", INT, "10", at_least(1)),
    ConfigKey("kafka.metrics.reporters", LIST, ""),
    ConfigKey("leader.imbalance.check.interval.seconds", LONG, "300", at_least(1)),
    ConfigKey("metadata.log.dir", STRING, None, not_empty, READ_ONLY, ACTS),
    ConfigKey("metadata.log.max.record.bytes.between.snapshots", LONG, "20971520", at_least(1), READ_ONLY, ACTS),
    ConfigKey("metadata.log.max.snapshot.interval.ms", LONG, "3600000", at_least(0), READ_ONLY, ACTS),
    ConfigKey("metadata.log.segment.bytes", INT, "1073741824", at_least(8_388_608), READ_ONLY, ACTS),
    ConfigKey("metadata.log.segment.ms", LONG, "604800000", None, READ_ONLY, ACTS),
    ConfigKey("metadata.max.idle.interval.ms", INT, "500", at_least(0)),
    ConfigKey("metadata.max.retention.bytes", LONG, "104857600", None, READ_ONLY, ACTS),
    ConfigKey("metadata.max.retention.ms", LONG, "604800000", None, READ_ONLY, ACTS),
    ConfigKey("metric.reporters", LIST, "org.apache.kafka.common.metrics.JmxReporter", None, CLUSTER_WIDE),
    ConfigKey("metrics.num.samples", INT, "2", at_least(1)),
    ConfigKey("metrics.recording.level", STRING, "INFO"),
    ConfigKey("metrics.sample.window.ms", LONG, "30000", at_least(1)),
    ConfigKey("node.id", INT, "1", at_least(0), READ_ONLY, ACTS),  # Kafka: none
    ConfigKey("num.replica.alter.log.dirs.threads", INT, None),
    ConfigKey("num.replica.fetchers", INT, "1", at_least(1), CLUSTER_WIDE),
    ConfigKey(
        "process.roles",
        LIST,
        "broker,controller",
        items_of("broker", "controller", may_be_empty=False),
        READ_ONLY,
        ACTS,
    ),  # Kafka: none
    ConfigKey("quota.window.num", INT, "11", at_least(1), READ_ONLY, ACTS),
    ConfigKey("quota.window.size.seconds", INT, "1", at_least(1), READ_ONLY, ACTS),
    ConfigKey("replica.fetch.backoff.ms", INT, "1000", at_least(0)),
    ConfigKey("replica.fetch.max.bytes", INT, "1048576", at_least(0)),
    ConfigKey("replica.fetch.min.bytes", INT, "1"),
    ConfigKey("replica.fetch.response.max.bytes", INT, "10485760", at_least(0)),
    ConfigKey("replica.fetch.wait.max.ms", INT, "500"),
    ConfigKey("replica.high.watermark.checkpoint.interval.ms", LONG, "5000"),
    ConfigKey("replica.lag.time.max.ms", LONG, "30000"),
    ConfigKey(
        "replica.selector.class",
        STRING,
        None,
        nothing_but(
            "org.apache.kafka.common.replica.LeaderSelector",
            "org.apache.kafka.common.replica.RackAwareReplicaSelector",  # of one replica, it chooses the same
            because="no Java class is loaded here, so no consumer would be sent to the replica that it selects",
        ),
        READ_ONLY,
        REFUSED,
    ),
    ConfigKey("replica.socket.receive.buffer.bytes", INT, "65536"),
    ConfigKey("replica.socket.timeout.ms", INT, "30000"),
    ConfigKey("replication.quota.window.num", INT, "11", at_least(1)),
    ConfigKey("replication.quota.window.size.seconds", INT, "1", at_least(1)),
    ConfigKey("telemetry.max.bytes", INT, "1048576", at_least(1), READ_ONLY, ACTS),
)
