"""AlterConfigs and IncrementalAlterConfigs: what Apache Kafka was seen to take, to store and to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from broker.admin.config_changes import (
    ConfigOp,
    Operation,
    incremental,
    new_logger_levels,
    replacement,
)
from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig
from broker.coordinators.cluster.image import ResourceType
from kproto.errors import ErrorCode, KafkaError
from storage.seams.logging import LogLines

SET, DELETE, APPEND, SUBTRACT = Operation
TOPIC, BROKER, GROUP, METRICS = (
    ResourceType.TOPIC,
    ResourceType.BROKER,
    ResourceType.GROUP,
    ResourceType.CLIENT_METRICS,
)
BROKER_1 = parse_config("", "", {})
Op = tuple[str, int, str | None]


def alter(
    resource_type: int, name: str, *ops: Op, current: Mapping[str, str] | None = None, config: BrokerConfig = BROKER_1
) -> Mapping[str, str]:
    before = dict(current or {})
    after = incremental(resource_type, name, [ConfigOp(*op) for op in ops], config)(before)
    assert before == (current or {}), "a refused or validated change must leave nothing behind"
    return after


def code_of(resource_type: int, name: str, *ops: Op, current: Mapping[str, str] | None = None) -> ErrorCode | None:
    try:
        alter(resource_type, name, *ops, current=current)
    except KafkaError as error:
        assert error.message
        return error.code
    return None


CONFIG, REQUEST, NAME = ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_TOPIC_EXCEPTION


# --- single operations


def test_set_and_delete() -> None:
    """Texts are stored as they came; deleting what is not there, or not even known, is no error."""
    assert alter(TOPIC, "t", ("retention.ms", SET, " 77 ")) == {"retention.ms": " 77 "}
    assert alter(TOPIC, "t", ("retention.ms", DELETE, "ignored"), current={"retention.ms": "1"}) == {}
    assert alter(TOPIC, "t", ("retention.ms", DELETE, None), ("nope", DELETE, "x")) == {}
    assert alter(TOPIC, "t", current={"retention.ms": "1"}) == {"retention.ms": "1"}


@pytest.mark.parametrize(
    ("current", "operation", "value", "stored"),
    [
        (None, APPEND, "compact", "delete,compact"),
        ("delete,compact", APPEND, "compact", "delete,compact"),
        ("delete,compact", SUBTRACT, "delete", "compact"),
        ("compact", SUBTRACT, "delete", "compact"),
        ("compact", SUBTRACT, "compact", ""),
        ("", APPEND, "delete, compact", "delete,compact"),
        ("delete,compact", SUBTRACT, "delete,compact", ""),
        ("compact", APPEND, "", "compact"),
    ],
)
def test_append_and_subtract(current: str | None, operation: Operation, value: str, stored: str) -> None:
    """APPEND begins with the key's default, adds what is missing; SUBTRACT may leave an empty list behind."""
    before = {} if current is None else {"cleanup.policy": current}
    assert alter(TOPIC, "t", ("cleanup.policy", operation, value), current=before) == {"cleanup.policy": stored}


def test_append_begins_with_the_default_of_the_key_not_of_the_broker() -> None:
    """Whatever the broker's file or its dynamic value says."""
    broker = parse_config("log.cleanup.policy=compact", "", {})
    after = alter(TOPIC, "t", ("cleanup.policy", APPEND, "compact"), config=broker)
    assert after == {"cleanup.policy": "delete,compact"}


# --- refusals that hold for all


@pytest.mark.parametrize(
    ("ops", "code"),
    [
        ([("retention.ms", SET, "1"), ("retention.ms", SET, "2")], REQUEST),
        ([("retention.ms", SET, "1"), ("retention.ms", DELETE, None)], REQUEST),
        ([("retention.ms", SET, None)], REQUEST),
        ([("cleanup.policy", APPEND, None)], REQUEST),
        ([("cleanup.policy", SUBTRACT, None)], REQUEST),
        ([("retention.ms", 9, "1")], REQUEST),
        ([("retention.ms", APPEND, "1")], CONFIG),
        ([("nope", APPEND, "1")], CONFIG),
        ([("nope", APPEND, None)], REQUEST),
    ],
)
def test_operations_that_make_no_sense(ops: Sequence[Op], code: ErrorCode) -> None:
    """A key twice or without a value is a bad request; adding to what is no list is a bad config."""
    assert code_of(TOPIC, "t", *ops) is code


@pytest.mark.parametrize(
    ("resource_type", "name", "code"),
    [
        (TOPIC, "", REQUEST), (TOPIC, "a b", NAME), (TOPIC, "..", NAME), (GROUP, "", REQUEST), (METRICS, "", REQUEST),
        (BROKER, "2", REQUEST), (BROKER, "abc", REQUEST), (BROKER, "-1", REQUEST), (0, "t", REQUEST), (1, "t", REQUEST),
        (ResourceType.BROKER_LOGGER, "1", REQUEST), (77, "t", REQUEST),
    ],
)  # fmt: skip
def test_resources_that_cannot_be_altered(resource_type: int, name: str, code: ErrorCode) -> None:
    """Found out before anything is read; levels of loggers have a function of their own."""
    with pytest.raises(KafkaError) as refused:
        incremental(resource_type, name, [], BROKER_1)
    assert refused.value.code is code
    with pytest.raises(KafkaError) as refused:
        replacement(resource_type, name, [], BROKER_1)
    assert refused.value.code is code


# --- topics


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("retention.ms", "-1", None), ("retention.ms", "-2", CONFIG), ("retention.ms", "", CONFIG),
        ("retention.ms", "abc", CONFIG), ("nope", "1", CONFIG), ("", "1", CONFIG), ("max.message.bytes", "+5", None),
        ("max.message.bytes", "3000000000", CONFIG), ("max.message.bytes", "0x10", CONFIG),
        ("preallocate", "TRUE", None), ("preallocate", "yes", CONFIG), ("cleanup.policy", "bogus", CONFIG),
        ("cleanup.policy", "", None), ("cleanup.policy", "compact,compact", None), ("segment.bytes", "1024", CONFIG),
        ("internal.segment.bytes", "1024", None), ("remote.storage.enable", "true", CONFIG),
        ("min.insync.replicas", "2", None), ("local.retention.ms", "10", None),
        ("message.timestamp.type", "createtime", CONFIG), ("compression.type", "none", CONFIG),
        ("ottla.ack.fsync", "false", None), ("ottla.ack.fsync", "no", CONFIG),
    ],
)  # fmt: skip
def test_what_a_topic_may_be_given(key: str, value: str, code: ErrorCode | None) -> None:
    """INVALID_CONFIG for everything that its table does not allow."""
    assert code_of(TOPIC, "t", (key, SET, value)) is code


def test_contradictions_are_found_with_what_is_there_already() -> None:
    """Not only within one request."""
    current = {"max.compaction.lag.ms": "5"}
    assert code_of(TOPIC, "t", ("min.compaction.lag.ms", SET, "10"), current=current) is CONFIG
    assert code_of(TOPIC, "t", ("min.compaction.lag.ms", SET, "10")) is None


# --- brokers


@pytest.mark.parametrize(
    ("name", "key", "value", "code"),
    [
        ("1", "log.retention.ms", "1000", None), ("", "log.retention.ms", "1000", None),
        ("1", "log.retention.ms", "0", REQUEST), ("1", "log.retention.ms", "-2", None),
        ("1", "log.retention.hours", "1", REQUEST), ("1", "num.partitions", "7", REQUEST),
        ("", "num.partitions", "7", REQUEST), ("1", "node.id", "1", REQUEST),
        ("1", "advertised.listeners", "PLAINTEXT://h:1", REQUEST), ("1", "listeners", "PLAINTEXT://:9999", REQUEST),
        ("1", "listener.security.protocol.map", "FOO", REQUEST), ("", "sasl.enabled.mechanisms", "PLAIN", REQUEST),
        ("1", "sasl.enabled.mechanisms", "PLAIN", None), ("1", "ssl.keystore.location", "/x", REQUEST),
        ("1", "ssl.key.password", "x", REQUEST), ("1", "listener.name.plaintext.ssl.key.password", "x", None),
        ("", "listener.name.plaintext.ssl.key.password", "x", REQUEST),
        ("1", "listener.name.plaintext.max.connections", "x", REQUEST),
        ("1", "listener.name.plaintext.num.partitions", "7", None), ("1", "listener.name.plaintext.nope", "x", None),
        ("1", "nope.key", "7", None), ("", "my.secret", "x", None), ("1", "log.segment.bytes", "14", REQUEST),
        ("1", "log.cleaner.threads", "x", REQUEST), ("1", "compression.type", "zip", REQUEST),
        ("1", "max.connections.per.ip.overrides", "127.0.0.1:5", None),
        ("1", "max.connections.per.ip.overrides", "zzz", REQUEST), ("1", "max.connections", "-1", REQUEST),
        ("1", "max.connections", "0", REQUEST), ("", "max.connections.per.ip", "0", REQUEST),
        ("", "follower.replication.throttled.rate", "-1", REQUEST), ("1", "ottla.ack.fsync", "false", None),
        ("1", "ottla.storage", "memory", REQUEST), ("1", "internal.metadata.delete.delay.millis", "4", REQUEST),
    ],
)  # fmt: skip
def test_what_a_broker_may_be_given(name: str, key: str, value: str, code: ErrorCode | None) -> None:
    """INVALID_REQUEST for everything refused; unknown keys are for plugins."""
    assert code_of(BROKER, name, (key, SET, value)) is code


def test_deleting_a_read_only_key_of_a_broker_is_no_error() -> None:
    """It has no dynamic value, so nothing happens."""
    assert alter(BROKER, "1", ("log.retention.hours", DELETE, None)) == {}


def test_replicas_in_sync_are_a_default_of_the_whole_cluster() -> None:
    """With eligible leader replicas `min.insync.replicas` belongs to all brokers, and to them always (KIP-966)."""
    assert code_of(BROKER, "", ("min.insync.replicas", SET, "1")) is None
    assert code_of(BROKER, "1", ("min.insync.replicas", SET, "1")) is CONFIG
    with_default = BROKER_1.with_dynamic({"min.insync.replicas": "1"}, {})
    with pytest.raises(KafkaError) as refused:
        replacement(BROKER, "", [("log.retention.ms", "5")], with_default)({"min.insync.replicas": "1"})
    assert refused.value.code is CONFIG


def test_lists_of_a_broker_can_be_added_to() -> None:
    """From the default on; keys that are unknown or no lists cannot."""
    assert alter(BROKER, "1", ("log.cleanup.policy", APPEND, "compact")) == {"log.cleanup.policy": "delete,compact"}
    assert code_of(BROKER, "1", ("log.roll.ms", APPEND, "5")) is CONFIG
    assert code_of(BROKER, "1", ("nope.key", APPEND, "5")) is CONFIG


def test_one_refused_key_refuses_the_whole_resource() -> None:
    """Nothing of it is stored."""
    assert code_of(BROKER, "1", ("log.retention.ms", SET, "1"), ("num.partitions", SET, "1")) is REQUEST


def test_secrets_stay_out_of_refusals() -> None:
    """The message goes back to a client, and perhaps into a log."""
    with pytest.raises(KafkaError) as refused:
        alter(BROKER, "1", ("ssl.key.password", SET, "hunter2"))
    assert "hunter2" not in str(refused.value.message)


# --- groups


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("consumer.session.timeout.ms", "50000", None), ("consumer.session.timeout.ms", "1", CONFIG),
        ("consumer.session.timeout.ms", "70000", CONFIG), ("consumer.heartbeat.interval.ms", "0", CONFIG),
        ("consumer.heartbeat.interval.ms", "70000", CONFIG), ("consumer.assignment.interval.ms", "20000", CONFIG),
        ("nope", "x", CONFIG), ("share.auto.offset.reset", "by_duration:PT1H", None),
        ("share.auto.offset.reset", "none", CONFIG), ("share.isolation.level", "READ_COMMITTED", CONFIG),
        ("share.record.lock.duration.ms", "1000", CONFIG), ("share.delivery.count.limit", "20", CONFIG),
        ("share.partition.max.record.locks", "50000", CONFIG), ("share.session.timeout.ms", "44999", CONFIG),
        ("share.renew.acknowledge.enable", "maybe", CONFIG), ("streams.num.standby.replicas", "3", CONFIG),
        ("streams.initial.rebalance.delay.ms", "-1", CONFIG), ("streams.num.standby.replicas", "2", None),
        ("streams.assignor.name", "sticky", None), ("streams.assignor.name", " sticky ", None),
        ("streams.assignor.name", "Sticky", CONFIG), ("streams.assignor.name", "", CONFIG),
        ("streams.assignor.name", "sticky,x", CONFIG), ("streams.rack.aware.assignment.tags", "A,a", None),
        ("streams.rack.aware.assignment.tags", " ", None), ("streams.rack.aware.assignment.tags", "a, a", CONFIG),
        ("streams.rack.aware.assignment.tags", "a,,b", CONFIG), ("streams.num.warmup.replicas", "20", None),
        ("streams.num.warmup.replicas", "21", CONFIG), ("streams.task.offset.interval.ms", "15000", None),
        ("streams.task.offset.interval.ms", "14999", CONFIG), ("streams.acceptable.recovery.lag", "-1", CONFIG),
        ("share.assignor.offload.enable", "false", None), ("consumer.assignor.offload.enable", "x", CONFIG),
        ("errors.deadletterqueue.topic.name", "bad name!", None), ("errors.deadletterqueue.topic.name", "_x", None),
        ("errors.deadletterqueue.topic.name", " __x", CONFIG), ("errors.deadletterqueue.topic.name", "", None),
    ],
)  # fmt: skip
def test_what_a_group_may_be_given(key: str, value: str, code: ErrorCode | None) -> None:
    """INVALID_CONFIG for values that the table or the broker's limits do not allow."""
    assert code_of(GROUP, "g", (key, SET, value)) is code


def test_a_brokers_limits_on_groups_are_its_settings() -> None:
    """Test suites lower them to get short sessions; a session must still outlast a heartbeat."""
    text = "group.consumer.min.session.timeout.ms=100\ngroup.consumer.min.heartbeat.interval.ms=100"
    broker = parse_config(text, "", {})
    short = ("consumer.session.timeout.ms", SET, "1000")
    beat = ("consumer.heartbeat.interval.ms", SET, "100")
    assert alter(GROUP, "g", short, beat, config=broker)
    with pytest.raises(KafkaError) as refused:
        alter(GROUP, "g", short, config=broker)
    assert refused.value.code is CONFIG


# --- client metrics


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("interval.ms", "100", None), ("interval.ms", "99", REQUEST), ("interval.ms", "3600001", REQUEST),
        ("interval.ms", "x", CONFIG), ("match", "client_id=x.*", None), ("match", "", None), ("match", "foo=x", CONFIG),
        ("match", "client_id", CONFIG), ("match", "client_id=[", CONFIG),
        ("match", "client_id=", CONFIG), ("match", "client_id=a=b", CONFIG), ("match", "client_id=a=", None),
        ("match", "client_id=(?!x).*", CONFIG),  # what RE2 does not know would never match, and not say so
        ("metrics", "a.,b.", None),
        ("nope", "1", REQUEST),
    ],
)  # fmt: skip
def test_what_a_client_metrics_subscription_may_be_given(key: str, value: str, code: ErrorCode | None) -> None:
    """Unknown keys and intervals out of bounds are bad requests, other values bad configs."""
    assert code_of(METRICS, "m", (key, SET, value)) is code


def test_lists_of_client_metrics_cannot_be_added_to() -> None:
    """Kafka's controller does not know their types."""
    assert code_of(METRICS, "m", ("metrics", APPEND, "c")) is CONFIG


# --- AlterConfigs, the older request


def test_replacement_drops_what_is_not_named() -> None:
    """AlterConfigs names all overrides at once; none leaves none."""
    compute = replacement(TOPIC, "t", [("segment.ms", "100")], BROKER_1)
    assert compute({"retention.ms": "5"}) == {"segment.ms": "100"}
    assert replacement(TOPIC, "t", [], BROKER_1)({"retention.ms": "5"}) == {}


@pytest.mark.parametrize(
    ("resource_type", "name", "values", "code"),
    [
        (TOPIC, "t", [("segment.ms", None)], REQUEST),
        (TOPIC, "t", [("segment.ms", "5"), ("segment.ms", "6")], REQUEST),
        (TOPIC, "t", [("segment.ms", "abc")], CONFIG),
        (TOPIC, "t", [("nope", "abc")], CONFIG),
        (BROKER, "1", [("num.partitions", "99")], REQUEST),
        (BROKER, "1", [("my.custom", "4")], None),
        (GROUP, "g", [("nope", "x")], CONFIG),
    ],
)
def test_what_replacement_refuses(
    resource_type: int, name: str, values: list[tuple[str, str | None]], code: ErrorCode | None
) -> None:
    """The same codes as for single operations."""
    found = None
    try:
        replacement(resource_type, name, values, BROKER_1)({})
    except KafkaError as error:
        found = error.code
    assert found is code


# --- loggers


def lines() -> LogLines:
    made = LogLines()
    made.logger("broker.network.connection")
    return made


def test_levels_of_loggers() -> None:
    """Set in Kafka's words; deleting lets a logger follow the root again."""
    logs = lines()
    logs.set_levels(new_logger_levels("1", [ConfigOp("broker.network.connection", SET, "TRACE")], logs, BROKER_1))
    assert (logs.level("root"), logs.level("broker.network.connection")) == ("info", "debug")
    logs.set_levels(new_logger_levels("1", [ConfigOp("root", SET, "ERROR")], logs, BROKER_1))
    logs.set_levels(new_logger_levels("1", [ConfigOp("broker.network.connection", DELETE, None)], logs, BROKER_1))
    assert (logs.level("root"), logs.level("broker.network.connection")) == ("error", "error")


@pytest.mark.parametrize(
    ("name", "op", "code"),
    [
        ("1", ("no.such.logger", SET, "DEBUG"), CONFIG),
        ("1", ("broker.network.connection", SET, "BOGUS"), CONFIG),
        ("1", ("broker.network.connection", APPEND, "DEBUG"), REQUEST),
        ("1", ("broker.network.connection", SET, None), REQUEST),
        ("1", ("root", DELETE, None), REQUEST),
        ("2", ("root", SET, "WARN"), REQUEST),
        ("", ("root", SET, "WARN"), REQUEST),
    ],
)
def test_levels_that_are_refused(name: str, op: Op, code: ErrorCode) -> None:
    """Unknown loggers and levels are bad configs, what cannot be done with levels is a bad request."""
    with pytest.raises(KafkaError) as refused:
        new_logger_levels(name, [ConfigOp(*op)], lines(), BROKER_1)
    assert refused.value.code is code


@pytest.mark.parametrize("name", ["config.providers", "config.providers.file.class", "listeners"])
@pytest.mark.parametrize("broker", ["", "1"])
def test_what_only_the_file_says_cannot_be_altered(name: str, broker: str) -> None:
    """A client that could name providers could read the broker's files by DescribeConfigs."""
    assert code_of(BROKER, broker, (name, SET, "file")) is REQUEST
