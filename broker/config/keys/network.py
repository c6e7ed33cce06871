"""Broker keys: listeners, sockets, connections, and the bounds on one request.

Ottla listens on the loopback address by default (Kafka: on all): a broker for one's own machine should not be found by
the neighbours'. Threads are Kafka's way to use several cores; here one event loop serves all connections.
"""

from __future__ import annotations

from typing import Final

from broker.config.keys.definition import (
    ACTS,
    CLUSTER_WIDE,
    INT,
    LATER,
    LIST,
    LONG,
    PER_BROKER,
    READ_ONLY,
    SOME_ITEMS,
    STRING,
    ConfigKey,
    at_least,
)

KEYS: Final = (
    ConfigKey("advertised.listeners", LIST, None, SOME_ITEMS, READ_ONLY, ACTS),
    ConfigKey("background.threads", INT, "10", at_least(1), CLUSTER_WIDE),
    ConfigKey("connection.failed.authentication.delay.ms", INT, "100", at_least(0), READ_ONLY, ACTS),
    ConfigKey("connections.max.idle.ms", LONG, "600000", None, READ_ONLY, ACTS),
    ConfigKey("connections.max.reauth.ms", LONG, "0", None, READ_ONLY, ACTS),
    ConfigKey("delete.records.purgatory.purge.interval.requests", INT, "1"),
    ConfigKey("early.start.listeners", LIST, None, None, READ_ONLY, LATER),
    ConfigKey("fetch.max.bytes", INT, "57671680", at_least(1024), READ_ONLY, ACTS),
    ConfigKey("fetch.purgatory.purge.interval.requests", INT, "1000"),
    ConfigKey("inter.broker.listener.name", STRING, None),
    ConfigKey(
        "listener.security.protocol.map",
        STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        None,
        PER_BROKER,
        ACTS,
    ),
    ConfigKey(
        "listeners",
        LIST,
        "PLAINTEXT://127.0.0.1:9092",
        SOME_ITEMS,
        PER_BROKER,
        ACTS,
    ),  # Kafka: PLAINTEXT://:9092
    ConfigKey("max.connection.creation.rate", INT, "2147483647", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("max.connections", INT, "2147483647", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("max.connections.per.ip", INT, "2147483647", at_least(0), CLUSTER_WIDE, ACTS),
    ConfigKey("max.connections.per.ip.overrides", STRING, "", None, CLUSTER_WIDE, ACTS),
    ConfigKey("max.incremental.fetch.session.cache.slots", INT, "1000", at_least(0), READ_ONLY, ACTS),
    ConfigKey("max.request.partition.size.limit", INT, "2000", at_least(1), READ_ONLY, ACTS),
    ConfigKey("num.io.threads", INT, "8", at_least(1), CLUSTER_WIDE),
    ConfigKey("num.network.threads", INT, "3", at_least(1), CLUSTER_WIDE),
    ConfigKey("producer.purgatory.purge.interval.requests", INT, "1000"),
    ConfigKey("queued.max.request.bytes", LONG, "-1", None, READ_ONLY, ACTS),
    ConfigKey("queued.max.requests", INT, "500", at_least(1)),
    ConfigKey("request.timeout.ms", INT, "30000"),
    ConfigKey("socket.connection.setup.timeout.max.ms", LONG, "30000"),
    ConfigKey("socket.connection.setup.timeout.ms", LONG, "10000"),
    ConfigKey("socket.listen.backlog.size", INT, "50", at_least(1), READ_ONLY, ACTS),
    ConfigKey("socket.receive.buffer.bytes", INT, "102400", None, READ_ONLY, ACTS),
    ConfigKey("socket.request.max.bytes", INT, "104857600", at_least(1), READ_ONLY, ACTS),
    ConfigKey("socket.send.buffer.bytes", INT, "102400", None, READ_ONLY, ACTS),
)
