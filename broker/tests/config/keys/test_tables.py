"""The tables of keys are whole, agree with each other, and read values as Kafka does."""

from __future__ import annotations

import re

import pytest

from broker.config.keys import (
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    SYNONYMS,
    TOPIC_KEYS,
    BadValue,
    ConfigKey,
    ConfigType,
    Update,
    broker_key,
    documentation,
    groups,
    synonyms_of,
    text_of,
    topics,
)
from broker.config.keys import definition as d

TABLES = {
    "broker": (BROKER_KEYS, documentation.BROKERS),
    "topic": (TOPIC_KEYS, documentation.TOPICS),
    "group": (GROUP_KEYS, documentation.GROUPS),
    "client metrics": (CLIENT_METRICS_KEYS, documentation.CLIENT_METRICS),
}
KEYS = [key for table, _ in TABLES.values() for key in table.values()]


def test_the_tables_have_every_key_that_kafka_shows() -> None:
    """Apache Kafka describes 350 keys of a broker, 37 of a topic, 21 of a group, 3 of client metrics."""
    shown = {
        name: len([key for key in table if not table[key].internal and not key.startswith("ottla.")])
        for name, (table, _) in TABLES.items()
    }
    assert shown == {"broker": 350, "topic": 37, "group": 21, "client metrics": 3}


def test_every_default_is_a_value_of_its_key() -> None:
    """And is written in its usual form, as DescribeConfigs shows it."""
    for key in KEYS:
        assert key.default is None or key.normalised(key.default) == key.default, key.name


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_a_sentence_of_documentation(table: str) -> None:
    """One sentence, ended like one; and no sentence is left of a key that is gone."""
    keys, sentences = TABLES[table]
    assert sentences.keys() == keys.keys()
    for name, sentence in sentences.items():
        assert re.fullmatch(r"[A-Z].{9,}[^ ]\.( \(Accepted.*\.\))?", sentence), f"{name}: {sentence}"


def test_no_sentence_is_of_an_unknown_key() -> None:
    """The texts tell about nothing that no table has."""
    texts = ("network", "logs", "coordinators", "cluster", "security", "remote_storage", "own", "internal")
    documented = {name for text in texts for name in documentation.sentences(getattr(documentation, text).TEXT)}
    assert documented == BROKER_KEYS.keys()
    assert documentation.sentences(documentation.topics.TEXT).keys() == TOPIC_KEYS.keys()


def test_synonyms_are_keys_of_the_broker_and_of_the_same_type() -> None:
    """A topic or a group takes over what the broker's key says; lists of names are lists on both sides."""
    for pairs, table in ((topics.BROKER_SYNONYM, TOPIC_KEYS), (groups.BROKER_SYNONYM, GROUP_KEYS)):
        for name, synonym in pairs.items():
            assert table[name].type is BROKER_KEYS[synonym].type or synonym == "group.streams.assignors", name
            assert table[name].default == (BROKER_KEYS[synonym].default or table[name].default), name
    assert {name for names in SYNONYMS.values() for name in names} <= BROKER_KEYS.keys()


def test_limits_of_groups_are_keys_of_the_broker() -> None:
    """Both ends, where there are two."""
    for name, limits in groups.LIMITS.items():
        assert name in GROUP_KEYS
        assert all(limit is None or limit in BROKER_KEYS for limit in limits)


def test_passwords_are_sensitive_and_nothing_else_is() -> None:
    """The type decides, so no key can be forgotten."""
    assert {key.name for key in KEYS if key.sensitive} == {
        "delegation.token.secret.key",
        "ottla.cluster",
        "ottla.control.token",
        "sasl.jaas.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.client.credentials.client.secret",
        "ssl.key.password",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.keystore.password",
        "ssl.truststore.certificates",
        "ssl.truststore.password",
    }


@pytest.mark.parametrize(
    ("name", "update"),
    [
        ("num.partitions", Update.READ_ONLY),
        ("log.retention.hours", Update.READ_ONLY),
        ("log.retention.ms", Update.CLUSTER_WIDE),
        ("message.max.bytes", Update.CLUSTER_WIDE),
        ("listeners", Update.PER_BROKER),
        ("ssl.keystore.location", Update.PER_BROKER),
    ],
)
def test_who_may_change_a_key(name: str, update: Update) -> None:
    """As Kafka's dynamic configs go (KIP-226)."""
    assert BROKER_KEYS[name].update is update


def test_keys_under_a_listeners_prefix() -> None:
    """The key behind the prefix decides; for SASL a mechanism may stand between."""
    assert broker_key("listener.name.inside.ssl.key.password") is BROKER_KEYS["ssl.key.password"]
    assert broker_key("listener.name.inside.scram-sha-256.sasl.jaas.config") is BROKER_KEYS["sasl.jaas.config"]
    assert broker_key("listener.name.inside.nonsense") is None
    assert synonyms_of("listener.name.a.max.connections") == ("listener.name.a.max.connections", "max.connections")


# --- values


def key(type_: ConfigType, check: d.Check | None = None) -> ConfigKey:
    return ConfigKey("k", type_, None, check)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (d.BOOLEAN, " TRUE ", True),
        (d.BOOLEAN, "false", False),
        (d.INT, "+5", 5),
        (d.INT, "-2147483648", -(2**31)),
        (d.SHORT, "32767", 32767),
        (d.LONG, " 9223372036854775807\n", 2**63 - 1),
        (d.DOUBLE, "1e-2", 0.01),
        (d.DOUBLE, ".5", 0.5),
        (d.DOUBLE, "5.", 5.0),
        (d.DOUBLE, "0.5d", 0.5),
        (d.STRING, " a b ", "a b"),
        (d.LIST, "", ()),
        (d.LIST, " compact , delete ", ("compact", "delete")),
        (d.LIST, "a,b,a", ("a", "b")),
    ],
)
def test_values_are_read_as_kafka_reads_them(type_: ConfigType, text: str, value: object) -> None:
    """Trimmed, with signs, whatever the case of a boolean; lists tell each item once."""
    assert key(type_).parse(text) == value


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (d.BOOLEAN, "yes"), (d.BOOLEAN, ""),
        (d.INT, ""), (d.INT, "0x10"), (d.INT, "10.0"), (d.INT, "1_000"), (d.INT, "2147483648"), (d.INT, "\u0665"),
        (d.SHORT, "32768"), (d.LONG, "9" * 5000), (d.LONG, "five"),
        (d.DOUBLE, ""), (d.DOUBLE, "nan"), (d.DOUBLE, "inf"), (d.DOUBLE, "1_0"), (d.DOUBLE, "0,5"),
        (d.LIST, ",a"), (d.LIST, "a,,b"),
    ],
)  # fmt: skip
def test_values_that_kafka_refuses_are_refused(type_: ConfigType, text: str) -> None:
    """Also those that Python would take: underscores, other scripts' digits, its own words for infinity."""
    with pytest.raises(BadValue):
        key(type_).parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (5, "5"), (("a", "b"), "a,b"), ((), ""), ("x", "x"),
        (0.5, "0.5"), (0.01, "0.01"), (1.0, "1.0"), (0.0, "0.0"), (1e-3, "0.001"), (1e-4, "1.0E-4"), (1.5e7, "1.5E7"),
        (12345678.0, "1.2345678E7"), (1e7, "1.0E7"), (-2.5e-5, "-2.5E-5"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (9999999.0, "9999999.0"), (float("nan"), "NaN"), (float("-inf"), "-Infinity"),
    ],
)  # fmt: skip
def test_values_are_written_as_java_writes_them(value: d.Value, text: str) -> None:
    """Tools compare texts, so a double looks as it does in Java."""
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("retention.ms", ["-1", "0"], ["-2", ""]),
        ("retention.bytes", ["-5"], ["x"]),
        ("segment.bytes", ["1048576"], ["1048575", "2147483648"]),
        ("cleanup.policy", ["", "compact", "delete,compact"], ["none", ",delete,"]),
        ("compression.type", ["zstd", "producer", "uncompressed"], ["ZSTD", "none"]),
        ("compression.gzip.level", ["-1", "1", "9"], ["0", "10"]),
        ("message.timestamp.type", ["CreateTime"], ["createtime"]),
        ("min.cleanable.dirty.ratio", ["0", "1", "0.7", "NaN"], ["1.1", "-0.1"]),
        ("leader.replication.throttled.replicas", ["", "*", "0:1,1:2"], ["foo", "*,0:1"]),
    ],
)
def test_what_a_topic_may_say(name: str, good: list[str], bad: list[str]) -> None:
    """Ranges and words as Apache Kafka was seen to take and refuse them."""
    for text in good:
        TOPIC_KEYS[name].parse(text)
    for text in bad:
        with pytest.raises(BadValue):
            TOPIC_KEYS[name].parse(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("earliest", True), ("latest", True), ("LATEST", False), ("none", False),
        ("by_duration:PT1H", True), ("by_duration:PT0S", True), ("by_duration:+P1D", True), ("by_duration:pt5s", True),
        ("by_duration:P1DT2H3M4.5S", True), ("BY_DURATION:P1D", False), ("by_duration:", False),
        ("by_duration:P", False),
        ("by_duration:PT", False), ("by_duration:P1DT", False), ("by_duration:P1Y", False),
        ("by_duration:PT1.5H", False), ("by_duration:-PT1H", False), ("by_duration:PT-5S", False),
        ("by_duration:P1D T1H", False),
    ],
)  # fmt: skip
def test_where_a_share_group_may_begin(text: str, fits: bool) -> None:
    """ISO 8601 durations as Java reads them, none of them negative."""
    assert (d.share_offset_reset(text) is None) is fits
