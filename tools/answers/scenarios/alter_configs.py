"""IncrementalAlterConfigs and AlterConfigs: what may be changed, and what it then says."""

from __future__ import annotations

from kproto.messages import alter_configs as legacy
from kproto.messages.alter_configs import AlterConfigsRequest
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tools.answers.scenario import scenario
from tools.answers.scenarios.describe_configs import BROKER, CLIENT_METRICS, GROUP, LOGGER, TOPIC, describe
from tools.answers.stage import Stage

SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
Change = tuple[str, int, str | None]


def alter(kind: int, name: str, *changes: Change, only_try: bool = False) -> IncrementalAlterConfigsRequest:
    """Change some keys of one resource."""
    return IncrementalAlterConfigsRequest(resources=[resource(kind, name, *changes)], validate_only=only_try)


def resource(kind: int, name: str, *changes: Change) -> AlterConfigsResource:
    """Changes of one resource."""
    configs = [AlterableConfig(name=key, config_operation=operation, value=value) for key, operation, value in changes]
    return AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)


@scenario(IncrementalAlterConfigsRequest)
def topics(stage: Stage) -> None:
    topic = stage.topic("t")

    def change(step: str, *changes: Change, only_try: bool = False) -> None:
        stage.ask(step, alter(TOPIC, topic.name, *changes, only_try=only_try))

    change("nothing")
    change("set", ("retention.ms", SET, "1000"))
    change("tried", ("retention.ms", SET, "2000"), only_try=True)
    change("tried badly", ("retention.ms", SET, "x"), only_try=True)
    change("set to null", ("retention.ms", SET, None))
    change("no number", ("retention.ms", SET, "soon"))
    change("out of range", ("retention.ms", SET, "-2"))
    change("empty", ("retention.ms", SET, ""))
    change("unknown", ("no.such.key", SET, "1"))
    change("delete unknown", ("no.such.key", DELETE, None))
    change("delete what is not set", ("segment.ms", DELETE, None))
    change("delete with value", ("segment.ms", DELETE, "5"))
    change("append", ("cleanup.policy", APPEND, "compact"))
    change("append again", ("cleanup.policy", APPEND, "compact"))
    change("subtract", ("cleanup.policy", SUBTRACT, "delete"))
    change("subtract what is not there", ("cleanup.policy", SUBTRACT, "delete"))
    change("append null", ("cleanup.policy", APPEND, None))
    change("append to a number", ("retention.ms", APPEND, "1"))
    change("append nonsense", ("cleanup.policy", APPEND, "burn"))
    change("subtract all", ("cleanup.policy", SUBTRACT, "compact"))
    change("unknown operation", ("retention.ms", 4, "1"))
    change("negative operation", ("retention.ms", -1, "1"))
    change("the same key twice", ("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    change("the same key twice, otherwise", ("cleanup.policy", SET, "delete"), ("cleanup.policy", APPEND, "compact"))
    change("one good, one bad", ("segment.ms", SET, "1000"), ("retention.ms", SET, "x"))
    change("append throttled", ("leader.replication.throttled.replicas", APPEND, "0:1"))
    change("append throttled again", ("leader.replication.throttled.replicas", APPEND, "1:1"))
    change("small segments", ("segment.bytes", SET, "10"))
    change("a broker's key", ("log.retention.ms", SET, "10"))
    change("an empty key", ("", SET, "10"))
    stage.settle()
    stage.ask("described", describe(TOPIC, topic.name, include_synonyms=True))
    change("delete", ("retention.ms", DELETE, None), ("cleanup.policy", DELETE, None))
    stage.settle()
    stage.ask("described again", describe(TOPIC, topic.name, "retention.ms", "cleanup.policy", include_synonyms=True))


@scenario(IncrementalAlterConfigsRequest)
def topics_that_are_not(stage: Stage) -> None:
    good = ("retention.ms", SET, "1000")
    topic = stage.topic("t")
    stage.ask("unknown", alter(TOPIC, stage.name("unknown"), good))
    stage.ask("unknown, tried", alter(TOPIC, stage.name("unknown"), good, only_try=True))
    stage.ask("unknown, nothing to change", alter(TOPIC, stage.name("unknown")))
    stage.ask("an empty name", alter(TOPIC, "", good))
    stage.ask("a bad name", alter(TOPIC, "what is this?", good))
    stage.ask("nothing", IncrementalAlterConfigsRequest())
    stage.ask("internal", alter(TOPIC, "__consumer_offsets", ("segment.ms", SET, "604800000"), only_try=True))
    stage.ask(
        "good and bad",
        IncrementalAlterConfigsRequest(
            resources=[resource(TOPIC, topic.name, good), resource(TOPIC, stage.name("unknown"), good)]
        ),
    )
    stage.ask(
        "the same twice",
        IncrementalAlterConfigsRequest(
            resources=[resource(TOPIC, topic.name, good), resource(TOPIC, topic.name, good)]
        ),
    )
    for kind in (0, 1, 3, 5, 64, -1):
        stage.ask(f"type {kind}", alter(kind, "x", good))


@scenario(IncrementalAlterConfigsRequest)
def brokers(stage: Stage) -> None:
    """Of one broker, and of all: what is dynamic can be changed, the rest is refused."""
    cases: dict[str, Change] = {
        "dynamic": ("log.retention.ms", SET, "604800001"),
        "for all brokers only": ("min.insync.replicas", SET, "1"),
        "for all brokers only, 2": ("unclean.leader.election.enable", SET, "false"),
        "read-only": ("log.dirs", SET, "/x"),
        "read-only 2": ("num.partitions", SET, "7"),
        "node id": ("node.id", SET, "7"),
        "no number": ("log.retention.ms", SET, "x"),
        "out of range": ("num.io.threads", SET, "0"),
        "far out of range": ("num.io.threads", SET, "10000"),
        "threads": ("num.io.threads", SET, "9"),
        "unknown": ("no.such.key", SET, "1"),
        "policy": ("log.cleanup.policy", SET, "burn"),
        "listeners": ("listeners", SET, "PLAINTEXT://127.0.0.1:1"),
        "password": ("ssl.keystore.password", SET, "x"),
        "listener's": ("listener.name.plaintext.ssl.keystore.password", SET, "x"),
        "connections": ("max.connections.per.ip", SET, "1000000"),
        "overrides": ("max.connections.per.ip.overrides", SET, "127.0.0.9:5"),
        "overrides badly": ("max.connections.per.ip.overrides", SET, "127.0.0.9"),
        "message size": ("message.max.bytes", SET, "1048589"),
        "null": ("log.retention.ms", SET, None),
        "append": ("log.cleanup.policy", APPEND, "compact"),
        "append to a number": ("log.retention.ms", APPEND, "1"),
        "a topic's key": ("retention.ms", SET, "1"),
        "group's": ("group.consumer.session.timeout.ms", SET, "45001"),
        "transaction's": ("transaction.max.timeout.ms", SET, "900001"),
        "empty": ("", SET, "1"),
    }
    for name, change in cases.items():
        stage.ask(f"broker: {name}", alter(BROKER, "1", change, only_try=True))
        stage.ask(f"all brokers: {name}", alter(BROKER, "", change, only_try=True))
    for name in ("2", "-1", "01", "what"):
        stage.ask(f"named {name}", alter(BROKER, name, cases["dynamic"], only_try=True))
    keys = ("log.retention.ms", "message.max.bytes")
    for_all = (("log.retention.ms", SET, "604800002"), ("message.max.bytes", SET, "1048589"))
    nothing = (("log.retention.ms", DELETE, None), ("message.max.bytes", DELETE, None))
    stage.ask("set", alter(BROKER, "1", ("log.retention.ms", SET, "604800001")))
    stage.ask("set for all", alter(BROKER, "", *for_all))
    stage.settle()
    topic = stage.topic("t")
    stage.ask("described", describe(BROKER, "1", *keys, include_synonyms=True))
    stage.ask("described for all", describe(BROKER, "", include_synonyms=True))
    inherited = describe(TOPIC, topic.name, "retention.ms", "max.message.bytes", include_synonyms=True)
    stage.ask("described topic", inherited)
    stage.ask("deleted", alter(BROKER, "1", ("log.retention.ms", DELETE, None)))
    stage.ask("deleted for all", alter(BROKER, "", *nothing))
    stage.settle()
    stage.ask("described after", describe(BROKER, "1", *keys, include_synonyms=True))


@scenario(IncrementalAlterConfigsRequest)
def groups(stage: Stage) -> None:
    """A group need not exist to have settings."""
    group = stage.name("g")
    cases: dict[str, Change] = {
        "session": ("consumer.session.timeout.ms", SET, "50000"),
        "session below": ("consumer.session.timeout.ms", SET, "1"),
        "session above": ("consumer.session.timeout.ms", SET, "1000000000"),
        "heartbeat": ("consumer.heartbeat.interval.ms", SET, "6000"),
        "heartbeat above": ("consumer.heartbeat.interval.ms", SET, "60000"),
        "no number": ("consumer.session.timeout.ms", SET, "x"),
        "unknown": ("no.such.key", SET, "1"),
        "share reset": ("share.auto.offset.reset", SET, "earliest"),
        "share reset badly": ("share.auto.offset.reset", SET, "yesterday"),
        "share reset by duration": ("share.auto.offset.reset", SET, "by_duration:PT1H"),
        "share isolation": ("share.isolation.level", SET, "read_committed"),
        "share lock": ("share.record.lock.duration.ms", SET, "1"),
        "streams replicas": ("streams.num.standby.replicas", SET, "1"),
        "streams replicas above": ("streams.num.standby.replicas", SET, "100"),
        "null": ("consumer.session.timeout.ms", SET, None),
        "append": ("consumer.session.timeout.ms", APPEND, "1"),
    }
    for name, change in cases.items():
        stage.ask(name, alter(GROUP, group, change, only_try=True))
    stage.ask("an empty group", alter(GROUP, "", cases["session"]))
    stage.ask("set", alter(GROUP, group, cases["session"]))
    stage.settle()
    stage.ask("described", describe(GROUP, group, include_synonyms=True))
    stage.ask("deleted", alter(GROUP, group, ("consumer.session.timeout.ms", DELETE, None)))
    stage.settle()
    stage.ask("described after", describe(GROUP, group, "consumer.session.timeout.ms", include_synonyms=True))


@scenario(IncrementalAlterConfigsRequest)
def metrics_and_loggers(stage: Stage) -> None:
    subscription = stage.name("m")
    for name, change in {
        "interval": ("interval.ms", SET, "10000"), "interval below": ("interval.ms", SET, "1"),
        "metrics": ("metrics", SET, "org.apache.kafka."), "match": ("match", SET, "client_id=a.*"),
        "match badly": ("match", SET, "what"), "unknown": ("no.such.key", SET, "1"),
        "append": ("metrics", APPEND, "a"), "null": ("interval.ms", SET, None),
    }.items():  # fmt: skip
        stage.ask(f"metrics: {name}", alter(CLIENT_METRICS, subscription, change, only_try=True))
    stage.ask("metrics: an empty name", alter(CLIENT_METRICS, "", ("interval.ms", SET, "10000"), only_try=True))
    for name in ("2", "what", ""):
        stage.ask(f"loggers of {name!r}", alter(LOGGER, name, ("root", SET, "INFO"), only_try=True))
    for name, change in {
        "level": ("kafka.x", SET, "LOUD"),
        "append": ("root", APPEND, "INFO"),
        "unknown": ("no.such.logger.at.all", SET, "INFO"),
    }.items():
        stage.ask(f"loggers: {name}", alter(LOGGER, "1", change, only_try=True))


@scenario(IncrementalAlterConfigsRequest)
def subscriptions(stage: Stage) -> None:
    """What a subscription to clients' metrics may say, key by key; and what it says then."""
    name = stage.name("s")
    cases: dict[str, list[str]] = {
        "interval.ms": ["99", "100", "3600000", "3600001", "0", "-1", "", " 1000 ", "1e3", "2147483648"],
        "metrics": ["", "*", "a,b", " a , b ", ",", "a,,b", "org.apache.kafka.producer.", "no such metric"],
        "match": [
            "", "client_id=a", "client_instance_id=b", "client_software_name=c", "client_software_version=1.*",
            "client_source_address=127.0.0.1", "client_source_port=1", "client_id=[", "client_id=", "=a", "client_id",
            "CLIENT_ID=a", "client_id = a", "client_id=a,client_software_name=b", "client_id=a,client_id=b",
            "client_id=a=b", "client_id=a=", "client_id==", "client_id=a,other=b", "user=a",
        ],
    }  # fmt: skip
    for key, values in cases.items():
        for value in values:
            stage.ask(f"{key} {value!r}", alter(CLIENT_METRICS, name, (key, SET, value), only_try=True))
    stage.ask("a strange name", alter(CLIENT_METRICS, "what is this?", ("interval.ms", SET, "10000"), only_try=True))
    everything = (("interval.ms", SET, "10000"), ("metrics", SET, "a.,b."), ("match", SET, "client_id=a.*"))
    stage.ask("set", alter(CLIENT_METRICS, name, *everything))
    stage.settle()
    stage.ask("described", describe(CLIENT_METRICS, name, include_synonyms=True))
    for operation, step in ((APPEND, "appended"), (SUBTRACT, "subtracted")):
        stage.ask(step, alter(CLIENT_METRICS, name, ("metrics", operation, "b.")))
        stage.ask(f"{step} to the interval", alter(CLIENT_METRICS, name, ("interval.ms", operation, "1")))
    stage.ask("one deleted", alter(CLIENT_METRICS, name, ("metrics", DELETE, None)))
    stage.settle()
    stage.ask("described again", describe(CLIENT_METRICS, name, include_synonyms=True))
    stage.ask("all deleted", alter(CLIENT_METRICS, name, ("interval.ms", DELETE, None), ("match", DELETE, None)))
    stage.settle()
    stage.ask("described in the end", describe(CLIENT_METRICS, name, include_synonyms=True))
    stage.ask("deleted once more", alter(CLIENT_METRICS, name, ("interval.ms", DELETE, None)))
    stage.ask("an unknown key deleted", alter(CLIENT_METRICS, name, ("no.such.key", DELETE, None)))


def replace(kind: int, name: str, only_try: bool = False, /, **configs: str | None) -> AlterConfigsRequest:
    """Replace everything that is set."""
    wanted = [legacy.AlterableConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()]
    one = legacy.AlterConfigsResource(resource_type=kind, resource_name=name, configs=wanted)
    return AlterConfigsRequest(resources=[one], validate_only=only_try)


@scenario(AlterConfigsRequest)
def replacing(stage: Stage) -> None:
    topic = stage.topic("t", segment_ms="1000000")
    keys = ("segment.ms", "retention.ms", "cleanup.policy")
    stage.ask("one key", replace(TOPIC, topic.name, retention_ms="5000"))
    stage.settle()
    stage.ask("the others are gone", describe(TOPIC, topic.name, *keys, include_synonyms=True))
    stage.ask("tried", replace(TOPIC, topic.name, True, retention_ms="1"))
    stage.ask("badly", replace(TOPIC, topic.name, retention_ms="x"))
    stage.ask("unknown", replace(TOPIC, topic.name, no_such_key="1"))
    stage.ask("null", replace(TOPIC, topic.name, retention_ms=None))
    stage.ask("unknown topic", replace(TOPIC, stage.name("unknown"), retention_ms="1"))
    stage.ask("unknown topic, nothing", replace(TOPIC, stage.name("unknown")))
    stage.ask("an empty name", replace(TOPIC, "", retention_ms="1"))
    stage.ask("a broker", replace(BROKER, "1", True, log_retention_ms="604800003"))
    stage.ask("all brokers", replace(BROKER, "", True, log_retention_ms="604800003"))
    stage.ask("read-only", replace(BROKER, "1", True, node_id="4"))
    stage.ask("another broker", replace(BROKER, "2", True, log_retention_ms="604800003"))
    stage.ask("no number", replace(BROKER, "what", True, log_retention_ms="604800003"))
    stage.ask("a group", replace(GROUP, stage.name("g"), True, consumer_session_timeout_ms="50000"))
    for kind in (0, 1, 3, 8, 16, 64, -1):
        stage.ask(f"type {kind}", replace(kind, "x", True, retention_ms="1"))
    stage.ask("nothing", AlterConfigsRequest())
    twice = replace(TOPIC, topic.name, True, retention_ms="1").resources
    stage.ask("the same twice", AlterConfigsRequest(resources=twice + twice, validate_only=True))
    stage.ask("no key at all", replace(TOPIC, topic.name))
    stage.settle()
    stage.ask("all is gone", describe(TOPIC, topic.name, *keys, include_synonyms=True))
