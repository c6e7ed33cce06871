"""Broker keys: tiered storage (KIP-405), which does not exist here."""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    BOOLEAN,
    CLUSTER_WIDE,
    INT,
    LONG,
    READ_ONLY,
    REFUSED,
    STRING,
    ConfigKey,
    at_least,
    not_empty,
    nothing_but,
)

KEYS: Final = (
    ConfigKey("follower.fetch.last.tiered.offset.enable", BOOLEAN, "false", None, CLUSTER_WIDE),
    ConfigKey("log.remote.copy.lag.bytes", LONG, "-1", at_least(-1), CLUSTER_WIDE),
    ConfigKey("log.remote.copy.lag.ms", LONG, "0", at_least(-1), CLUSTER_WIDE),
    ConfigKey("remote.fetch.max.wait.ms", INT, "500", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.list.offsets.request.timeout.ms", LONG, "30000", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.index.file.cache.total.size.bytes", LONG, "1073741824", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.copier.thread.pool.size", INT, "10", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.copy.max.bytes.per.second", LONG, "9223372036854775807", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.copy.quota.window.num", INT, "11", at_least(1)),
    ConfigKey("remote.log.manager.copy.quota.window.size.seconds", INT, "1", at_least(1)),
    ConfigKey("remote.log.manager.expiration.thread.pool.size", INT, "10", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.fetch.max.bytes.per.second", LONG, "9223372036854775807", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.fetch.quota.window.num", INT, "11", at_least(1)),
    ConfigKey("remote.log.manager.fetch.quota.window.size.seconds", INT, "1", at_least(1)),
    ConfigKey("remote.log.manager.follower.thread.pool.size", INT, "2", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.manager.task.interval.ms", LONG, "30000", at_least(1)),
    ConfigKey("remote.log.manager.thread.pool.size", INT, "2", at_least(1)),
    ConfigKey("remote.log.metadata.custom.metadata.max.bytes", INT, "128", at_least(0)),
    ConfigKey(
        "remote.log.metadata.manager.class.name",
        STRING,
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        not_empty,
    ),
    ConfigKey("remote.log.metadata.manager.class.path", STRING, None),
    ConfigKey("remote.log.metadata.manager.impl.prefix", STRING, "rlmm.config.", not_empty),
    ConfigKey("remote.log.metadata.manager.listener.name", STRING, None, not_empty),
    ConfigKey("remote.log.reader.max.pending.tasks", INT, "100", at_least(1)),
    ConfigKey("remote.log.reader.threads", INT, "10", at_least(1), CLUSTER_WIDE),
    ConfigKey("remote.log.storage.manager.class.name", STRING, None, not_empty),
    ConfigKey("remote.log.storage.manager.class.path", STRING, None),
    ConfigKey("remote.log.storage.manager.impl.prefix", STRING, "rsm.config.", not_empty),
    ConfigKey(
        "remote.log.storage.system.enable",
        BOOLEAN,
        "false",
        nothing_but(False, because="there is no tiered storage here, so no record would be kept there or found there"),
        READ_ONLY,
        REFUSED,
    ),
)
