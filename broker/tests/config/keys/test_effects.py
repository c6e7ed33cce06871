"""What each key does here: it acts, it is for later, it is harmless, or it may not be set.

Kafka has keys that decide who gets in and where data goes. A broker that took them and did something else would be
worse than one that does not start, so a new key must be put into one of these four, and a Java class is refused unless
it is written down here why it may be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest

from broker.admin.config_changes import Compute, ConfigOp, Operation, incremental, replacement
from broker.config.keys import BROKER_KEYS, TOPIC_KEYS, BadValue, ConfigKey, ConfigType, Effect, effect_of
from broker.config.keys.security import STANDARD_AUTHORIZER
from broker.config.loading import parse_config
from broker.config.settings import ConfigError
from broker.coordinators.cluster.image import ResourceType
from kproto.errors import ErrorCode, KafkaError

DEFAULTS: Final = parse_config("", "", {})

HARMLESS: Final = {
    "threads: one event loop does the work": """
        background.threads group.coordinator.background.threads group.coordinator.threads log.cleaner.threads
        num.io.threads num.network.threads num.recovery.threads.per.data.dir share.coordinator.threads
        num.replica.alter.log.dirs.threads group.consumer.assignor.offload.enable
    """,
    "purgatories, queues and buffers: requests wait as coroutines": """
        delete.records.purgatory.purge.interval.requests fetch.purgatory.purge.interval.requests
        producer.purgatory.purge.interval.requests share.fetch.purgatory.purge.interval.requests queued.max.requests
        transaction.state.log.load.buffer.size
        offsets.load.buffer.size share.coordinator.load.buffer.size group.coordinator.append.linger.ms
        share.coordinator.append.linger.ms group.coordinator.cached.buffer.max.bytes
        share.coordinator.cached.buffer.max.bytes share.coordinator.snapshot.update.records.per.snapshot
        share.coordinator.cold.partition.snapshot.interval.ms internal.metadata.max.batch.size.in.bytes
    """,
    "the quorum of controllers: this process is its own, and voters may name no other (settings.py)": """
        broker.heartbeat.interval.ms broker.session.timeout.ms controlled.shutdown.enable
        controller.quorum.append.linger.ms controller.quorum.auto.join.enable controller.quorum.bootstrap.servers
        controller.quorum.election.backoff.max.ms controller.quorum.election.timeout.ms
        controller.quorum.fetch.max.bytes controller.quorum.fetch.snapshot.max.bytes
        controller.quorum.fetch.timeout.ms controller.quorum.request.timeout.ms controller.quorum.retry.backoff.ms
        controller.quorum.voters
        controller.socket.timeout.ms initial.broker.registration.timeout.ms metadata.max.idle.interval.ms
        controller.performance.always.log.threshold.ms controller.performance.sample.period.ms
        internal.metadata.delete.delay.millis server.max.startup.time.ms
    """,
    "replication: a partition has one replica, on this node": """
        auto.leader.rebalance.enable alter.log.dirs.replication.quota.window.num
        alter.log.dirs.replication.quota.window.size.seconds inter.broker.listener.name
        leader.imbalance.check.interval.seconds log.dir.failure.timeout.ms num.replica.fetchers
        offsets.topic.replication.factor replica.fetch.backoff.ms replica.fetch.max.bytes replica.fetch.min.bytes
        replica.fetch.response.max.bytes replica.fetch.wait.max.ms replica.high.watermark.checkpoint.interval.ms
        replica.lag.time.max.ms replica.socket.receive.buffer.bytes replica.socket.timeout.ms
        replication.quota.window.num replication.quota.window.size.seconds request.timeout.ms
        socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms offsets.commit.timeout.ms
        share.coordinator.write.timeout.ms unclean.leader.election.enable unclean.leader.election.interval.ms
        follower.replication.throttled.rate leader.replication.throttled.rate
        replica.alter.log.dirs.io.max.bytes.per.second transaction.state.log.min.isr
        transaction.state.log.replication.factor
    """,
    "logins of the broker itself: it is no client of other brokers": """
        sasl.login.connect.timeout.ms sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds
        sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter
        sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms sasl.mechanism.controller.protocol
        sasl.mechanism.inter.broker.protocol sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
        sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
        sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
        sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
        sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
        sasl.oauthbearer.assertion.template.file sasl.oauthbearer.client.credentials.client.id
        sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.scope sasl.oauthbearer.token.endpoint.url
        security.inter.broker.protocol
    """,
    "Kerberos: a listener that would offer GSSAPI does not start (sasl_settings.py)": """
        sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin sasl.kerberos.principal.to.local.rules
        sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
    """,
    "what waits for markers is woken by them, and not after a pause": "add.partitions.to.txn.retry.backoff.ms",
    "each open transaction has a deadline of its own": """
        transaction.abort.timed.out.transaction.cleanup.interval.ms
    """,
    "metrics: a reporter looks on, it refuses, admits and moves nothing": """
        kafka.metrics.polling.interval.secs kafka.metrics.reporters metric.reporters metrics.num.samples
        metrics.recording.level metrics.sample.window.ms
    """,
    "tiered storage: remote.log.storage.system.enable may not be set, and Kafka too reads these only where it is": """
        follower.fetch.last.tiered.offset.enable log.local.retention.bytes log.local.retention.ms
        log.remote.copy.lag.bytes log.remote.copy.lag.ms
        remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms remote.log.index.file.cache.total.size.bytes
        remote.log.manager.copier.thread.pool.size remote.log.manager.copy.max.bytes.per.second
        remote.log.manager.copy.quota.window.num remote.log.manager.copy.quota.window.size.seconds
        remote.log.manager.expiration.thread.pool.size remote.log.manager.fetch.max.bytes.per.second
        remote.log.manager.fetch.quota.window.num remote.log.manager.fetch.quota.window.size.seconds
        remote.log.manager.follower.thread.pool.size remote.log.manager.task.interval.ms
        remote.log.manager.thread.pool.size remote.log.metadata.custom.metadata.max.bytes
        remote.log.metadata.manager.class.name remote.log.metadata.manager.class.path
        remote.log.metadata.manager.impl.prefix remote.log.metadata.manager.listener.name
        remote.log.reader.max.pending.tasks remote.log.reader.threads remote.log.storage.manager.class.name
        remote.log.storage.manager.class.path remote.log.storage.manager.impl.prefix
        remote.log.index.file.cache.ttl.ms remote.log.manager.task.retry.backoff.max.ms
        remote.log.manager.task.retry.backoff.ms remote.log.manager.task.retry.jitter
    """,
    "when upkeep runs": """
        log.flush.start.offset.checkpoint.interval.ms log.initial.task.delay.ms
        producer.id.expiration.check.interval.ms
    """,
    "TLS is OpenSSL's: Java's names for its own parts, and what brokers would ask of each other": """
        ssl.endpoint.identification.algorithm ssl.keymanager.algorithm ssl.protocol ssl.secure.random.implementation
        ssl.trustmanager.algorithm
    """,
    "releases that are not out": "unstable.api.versions.enable unstable.feature.versions.enable",
}
"""Broker keys that do nothing here, by the reason why that is harmless."""

HARMLESS_CLASSES: Final = {
    "kafka.metrics.reporters",
    "metric.reporters",
    "remote.log.metadata.manager.class.name",
    "remote.log.storage.manager.class.name",
}
"""Of those, the ones that name Java classes."""

ASSIGNORS: Final = {"group.consumer.assignors", "group.share.assignors", "group.streams.assignors"}
"""These take the names of Kafka's own, and no class of others'."""

KNOWN_CLASSES: Final = {"authorizer.class.name"}
"""These take the names of classes of Kafka's that are rebuilt here, and no other."""

REFUSED: Final = [key for key in BROKER_KEYS.values() if key.effect is Effect.REFUSED]


def test_what_does_nothing_is_known_to_be_harmless() -> None:
    """A new row has the effect NOTHING until it says another; here it is asked why that is right."""
    harmless = [name for names in HARMLESS.values() for name in names.split()]
    assert len(harmless) == len(set(harmless))
    assert set(harmless) == {key.name for key in BROKER_KEYS.values() if key.effect is Effect.NOTHING}


def test_a_java_class_is_refused_unless_it_is_harmless() -> None:
    """No class is loaded here, so what one would refuse, admit or move is not."""
    classes = {
        key.name
        for key in BROKER_KEYS.values()
        if key.type is ConfigType.CLASS
        or (
            re.search(r"\.(class|class\.name|reporters|assignors|providers)$", key.name)
            and key.name != "config.providers"
        )  # which loads Kafka's own, rebuilt here (providers.py)
    }
    assert classes - {key.name for key in REFUSED} == HARMLESS_CLASSES | ASSIGNORS | KNOWN_CLASSES


def other_value(key: ConfigKey) -> str:
    """A value of the right type that is not harmless."""
    return "true" if key.type is ConfigType.BOOLEAN else "com.example.Mine"


@pytest.mark.parametrize("key", [*REFUSED, *[k for k in TOPIC_KEYS.values() if k.effect is Effect.REFUSED]])
def test_a_refused_key_takes_its_default_and_nothing_else(key: ConfigKey) -> None:
    """A file that spells Kafka's own default out says nothing that is not so."""
    if key.default is not None:
        key.parse(key.default)
    with pytest.raises(BadValue):
        key.parse(other_value(key))


@pytest.mark.parametrize("prefix", ["", "listener.name.plaintext.", "listener.name.sasl_ssl.scram-sha-256."])
@pytest.mark.parametrize("key", REFUSED, ids=lambda key: key.name)
def test_a_refused_key_stops_the_start(key: ConfigKey, prefix: str) -> None:
    """K14. One sentence names key, value, file and line; for all listeners, for one, and for one with a mechanism."""
    given = f"{prefix}{key.name}={other_value(key)}"
    with pytest.raises(ConfigError) as refused:
        parse_config(f"node.id=1\n{given}", "server.properties", {})
    assert str(refused.value).startswith(f"{given} in server.properties, line 2: ")
    assert len(str(refused.value)) > len(f"{given} in server.properties, line 2: ") + 20
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("prefix", ["", "listener.name.plaintext.", "listener.name.sasl_ssl.plain."])
@pytest.mark.parametrize("key", REFUSED, ids=lambda key: key.name)
@pytest.mark.parametrize("broker", ["", "1"])
def test_a_refused_key_cannot_be_altered(key: ConfigKey, prefix: str, broker: str) -> None:
    """Kafka answers INVALID_REQUEST, since it cannot load the class or since the key is read-only; so do we."""
    name, value = prefix + key.name, other_value(key)
    changes: list[Callable[[], Compute]] = [
        lambda: incremental(ResourceType.BROKER, broker, [ConfigOp(name, Operation.SET, value)], DEFAULTS),
        lambda: replacement(ResourceType.BROKER, broker, [(name, value)], DEFAULTS),
    ]
    for change in changes:
        with pytest.raises(KafkaError) as refused:
            change()({})
        assert refused.value.code is ErrorCode.INVALID_REQUEST


def test_a_selector_of_kafkas_chooses_the_one_replica_there_is() -> None:
    """Rack awareness moves no consumer where a partition has one replica, so the key may name Kafka's own classes."""
    for name in ("LeaderSelector", "RackAwareReplicaSelector"):
        selector = f"org.apache.kafka.common.replica.{name}"
        assert parse_config("", "", {"replica.selector.class": selector}).static["replica.selector.class"] == selector


@pytest.mark.parametrize("name", sorted(ASSIGNORS))
def test_assignors_are_kafkas_own(name: str) -> None:
    """A class of one's own would give members other partitions."""
    with pytest.raises(ConfigError, match=f"^{name}=com.example.Mine on the command line: its items must be among"):
        parse_config("", "", {name: "com.example.Mine"})


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("max.connections", Effect.ACTS),
        ("listener.name.inside.max.connections", Effect.ACTS),
        ("listener.name.INSIDE.max.connections", Effect.NOTHING),
        ("listener.name.inside.message.max.bytes", Effect.NOTHING),
        ("listener.name.inside.plain.max.connections", Effect.NOTHING),
        ("listener.name.inside.ssl.client.auth", Effect.ACTS),
        ("listener.name.INSIDE.ssl.client.auth", Effect.NOTHING),
        ("listener.name.inside.ssl.protocol", Effect.NOTHING),
    ],
)
def test_what_a_key_does_for_one_listener(name: str, effect: Effect) -> None:
    """Most keys do nothing there, in Kafka neither, and that is said; it writes the listener in lower case."""
    assert effect_of(name) is effect
    said = " ".join(parse_config("", "", {name: "none" if name.endswith("client.auth") else "5"}).notices)
    assert (name in said) is (effect is not Effect.ACTS)


@pytest.mark.parametrize("name", sorted(KNOWN_CLASSES))
def test_a_known_class_is_taken_and_no_other(name: str) -> None:
    """An authorizer of another name would refuse nothing here."""
    assert parse_config(f"{name}={STANDARD_AUTHORIZER}", "f", {}).get(name) == STANDARD_AUTHORIZER
    with pytest.raises(ConfigError, match=f"^{name}=com.example.Mine in f, line 1: no Java class is loaded here"):
        parse_config(f"{name}=com.example.Mine", "f", {})
