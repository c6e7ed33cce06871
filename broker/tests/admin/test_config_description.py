"""DescribeConfigs: entries, sources and synonyms as Apache Kafka was seen to give them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.admin.config_description import ConfigEntry, ConfigSource, describe
from broker.admin.loggers import KAFKA_LOGGERS
from broker.config.keys import BROKER_KEYS, ConfigType
from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig
from broker.coordinators.cluster.image import ClusterImage, ResourceType, Topic
from broker.coordinators.cluster.persistent_map import PersistentMap
from kproto.errors import ErrorCode, KafkaError
from storage.seams.logging import LogLines

TOPIC, DYNAMIC, DYNAMIC_DEFAULT, STATIC, DEFAULT = (
    ConfigSource.DYNAMIC_TOPIC_CONFIG,
    ConfigSource.DYNAMIC_BROKER_CONFIG,
    ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG,
    ConfigSource.STATIC_BROKER_CONFIG,
    ConfigSource.DEFAULT_CONFIG,
)
FOREVER = "9223372036854775807"


class World:
    """A cluster image, a broker's layers and its loggers, and questions to them."""

    def __init__(self, file: str = "") -> None:
        self.file = parse_config(file, "server.properties", {})
        self.overrides: dict[tuple[int, str], Mapping[str, str]] = {}
        self.lines = LogLines()

    def with_(self, resource_type: int, name: str, **overrides: str) -> World:
        self.overrides[resource_type, name] = {key.replace("_", "."): value for key, value in overrides.items()}
        return self

    @property
    def config(self) -> BrokerConfig:
        own = self.overrides.get((ResourceType.BROKER, str(self.file.node_id)), {})
        return self.file.with_dynamic(self.overrides.get((ResourceType.BROKER, ""), {}), own)

    def all(self, resource_type: int, name: str, *keys: str, documentation: bool = False) -> dict[str, ConfigEntry]:
        topics: PersistentMap[str, Topic] = PersistentMap()
        configs: PersistentMap[tuple[int, str], Mapping[str, str]] = PersistentMap()
        image = ClusterImage(
            topics=topics.updated({"t": Topic("t", b"\1" * 16, 1, {})}, []), configs=configs.updated(self.overrides, [])
        )
        entries = describe(
            resource_type,
            name,
            image=image,
            config=self.config,
            lines=self.lines,
            keys=keys,
            documentation=documentation,
        )
        assert len({entry.name for entry in entries}) == len(entries)
        return {entry.name: entry for entry in entries}

    def one(self, resource_type: int, name: str, key: str) -> tuple[str | None, ConfigSource, list[tuple[str, ...]]]:
        (entry,) = self.all(resource_type, name, key).values()
        return entry.value, entry.source, [(s.name, str(s.value), s.source.name[:12]) for s in entry.synonyms]


# --- topics


def test_a_topic_without_overrides() -> None:
    """Every key, none of them changed, writable, with the broker's key as synonym where there is one."""
    entries = World().all(ResourceType.TOPIC, "t")
    assert len([name for name in entries if not name.startswith("ottla.")]) == 37
    assert all(entry.source is DEFAULT and not entry.read_only for entry in entries.values())
    assert World().one(ResourceType.TOPIC, "t", "segment.bytes") == (
        "1073741824", DEFAULT, [("log.segment.bytes", "1073741824", "DEFAULT_CONF")],
    )  # fmt: skip
    assert World().one(ResourceType.TOPIC, "t", "retention.ms") == ("604800000", DEFAULT, [])
    assert World().one(ResourceType.TOPIC, "t", "flush.ms") == (FOREVER, DEFAULT, [])
    assert World().one(ResourceType.TOPIC, "t", "remote.storage.enable") == ("false", DEFAULT, [])


def test_an_override_comes_first_in_its_usual_form() -> None:
    """` 77 ` is shown as 77, TRUE as true."""
    world = World().with_(ResourceType.TOPIC, "t", retention_ms=" 77 ", preallocate="TRUE")
    assert world.one(ResourceType.TOPIC, "t", "retention.ms") == ("77", TOPIC, [("retention.ms", "77", "DYNAMIC_TOPI")])
    assert world.one(ResourceType.TOPIC, "t", "preallocate") == (
        "true", TOPIC, [("preallocate", "true", "DYNAMIC_TOPI"), ("log.preallocate", "false", "DEFAULT_CONF")],
    )  # fmt: skip


def test_a_topics_value_can_come_from_four_layers_of_the_broker() -> None:
    """Own dynamic value, the cluster's, the file's, the default: all are synonyms, the first counts."""
    world = World("message.max.bytes=3")
    world.with_(ResourceType.BROKER, "", message_max_bytes="2").with_(ResourceType.BROKER, "1", message_max_bytes="1")
    assert world.one(ResourceType.TOPIC, "t", "max.message.bytes") == (
        "1",
        DYNAMIC,
        [
            ("message.max.bytes", "1", "DYNAMIC_BROK"),
            ("message.max.bytes", "2", "DYNAMIC_DEFA"),
            ("message.max.bytes", "3", "STATIC_BROKE"),
            ("message.max.bytes", "1048588", "DEFAULT_CONF"),
        ],
    )


def test_hours_in_the_file_count_for_milliseconds_but_are_no_synonym() -> None:
    """Kafka's habit: synonyms begin at the key's own name."""
    assert World("log.retention.hours=1").one(ResourceType.TOPIC, "t", "retention.ms") == ("3600000", DEFAULT, [])
    set_finer = World("log.retention.hours=1").with_(ResourceType.BROKER, "", log_retention_ms="5")
    assert set_finer.one(ResourceType.TOPIC, "t", "retention.ms") == (
        "5",
        DYNAMIC_DEFAULT,
        [
            ("log.retention.ms", "5", "DYNAMIC_DEFA"),
            ("log.retention.hours", "1", "STATIC_BROKE"),
            ("log.retention.hours", "168", "DEFAULT_CONF"),
        ],
    )


def test_only_the_keys_asked_for_are_described() -> None:
    """Unknown names are left out, repeated ones described once; no names are all names."""
    world = World()
    assert list(world.all(ResourceType.TOPIC, "t", "retention.ms", "nope", "retention.ms")) == ["retention.ms"]
    assert len(world.all(ResourceType.TOPIC, "t")) > 30


# --- brokers


def test_a_broker_describes_every_key_and_its_source() -> None:
    """350 keys of Kafka's; the file's values are static, passwords are not shown."""
    entries = World("ssl.key.password=secret\nnum.partitions=4").all(ResourceType.BROKER, "1")
    assert len([name for name in entries if not name.startswith("ottla.")]) == 350
    assert entries["num.partitions"][:4] == ("num.partitions", "4", STATIC, ConfigType.INT)
    assert entries["num.partitions"].read_only
    password = entries["ssl.key.password"]
    assert (password.value, password.source, password.sensitive) == (None, STATIC, True)
    assert [synonym.value for synonym in password.synonyms] == [None]
    assert not entries["log.retention.ms"].read_only


def test_advertised_listeners_are_static_and_readable() -> None:
    """Tools look there for the broker's address."""
    world = World("advertised.listeners=PLAINTEXT://localhost:9092")
    entry = world.all(ResourceType.BROKER, "1", "advertised.listeners")["advertised.listeners"]
    assert entry[:6] == (
        "advertised.listeners", "PLAINTEXT://localhost:9092", STATIC, ConfigType.LIST, True, False,
    )  # fmt: skip


def test_a_brokers_dynamic_value_is_shown_in_its_usual_form_its_synonym_as_given() -> None:
    """The entry says 5, the synonym what was sent."""
    world = World().with_(ResourceType.BROKER, "1", log_retention_ms=" 5 ")
    assert world.one(ResourceType.BROKER, "1", "log.retention.ms") == (
        "5", DYNAMIC, [("log.retention.ms", " 5 ", "DYNAMIC_BROK"), ("log.retention.hours", "168", "DEFAULT_CONF")],
    )  # fmt: skip
    assert world.one(ResourceType.BROKER, "1", "log.retention.hours")[0] == "168"


def test_the_value_of_an_unknown_key_is_not_shown() -> None:
    """It might be a plugin's password."""
    entry = World().with_(ResourceType.BROKER, "1", my_key="x").all(ResourceType.BROKER, "1", "my.key")["my.key"]
    assert (entry.value, entry.type, entry.read_only, entry.sensitive) == (None, ConfigType.UNKNOWN, True, True)


def test_the_default_resource_has_the_dynamic_defaults_only() -> None:
    """It is empty until a default is set."""
    assert World().all(ResourceType.BROKER, "") == {}
    world = World("log.cleaner.threads=2").with_(ResourceType.BROKER, "", log_cleaner_threads="3")
    assert world.one(ResourceType.BROKER, "", "log.cleaner.threads") == (
        "3", DYNAMIC_DEFAULT, [("log.cleaner.threads", "3", "DYNAMIC_DEFA")],
    )  # fmt: skip


def test_keys_that_are_internal_show_when_they_are_set() -> None:
    """The throttles of a reassignment have no value until it runs."""
    rate = "leader.replication.throttled.rate"
    assert World().all(ResourceType.BROKER, "1", rate) == {}
    world = World().with_(ResourceType.BROKER, "1", leader_replication_throttled_rate="5")
    assert world.one(ResourceType.BROKER, "1", rate) == ("5", DYNAMIC, [(rate, "5", "DYNAMIC_BROK")])


def test_a_listeners_own_value_has_the_general_one_as_synonym() -> None:
    """`listener.name.<listener>.` before a key."""
    key = "listener.name.plaintext.max.connections"
    world = World().with_(ResourceType.BROKER, "1", listener_name_plaintext_max_connections="7")
    assert world.one(ResourceType.BROKER, "1", key) == (
        "7", DYNAMIC, [(key, "7", "DYNAMIC_BROK"), ("max.connections", "2147483647", "DEFAULT_CONF")],
    )  # fmt: skip


# --- groups, client metrics, loggers


def test_a_group_that_does_not_exist_has_the_brokers_values() -> None:
    """Groups are configured before their first member comes."""
    entries = World("group.consumer.session.timeout.ms=50000").all(ResourceType.GROUP, "g")
    assert len(entries) == 21
    assert entries["consumer.session.timeout.ms"][:3] == ("consumer.session.timeout.ms", "50000", STATIC)
    assert entries["share.isolation.level"].synonyms[0][:2] == ("share.isolation.level", "read_uncommitted")


def test_a_groups_own_value_comes_first() -> None:
    """With source GROUP_CONFIG."""
    world = World().with_(ResourceType.GROUP, "g", consumer_session_timeout_ms="46000")
    assert world.one(ResourceType.GROUP, "g", "consumer.session.timeout.ms") == (
        "46000",
        ConfigSource.GROUP_CONFIG,
        [
            ("consumer.session.timeout.ms", "46000", "GROUP_CONFIG"),
            ("group.consumer.session.timeout.ms", "45000", "DEFAULT_CONF"),
        ],
    )


def test_a_groups_internal_keys_are_shown_where_they_are_set() -> None:
    """With the broker's key among the synonyms, as for any other; unset they are hidden, also from who asks by name."""
    world = World().with_(ResourceType.GROUP, "g", streams_num_warmup_replicas="3")
    assert world.one(ResourceType.GROUP, "g", "streams.num.warmup.replicas") == (
        "3",
        ConfigSource.GROUP_CONFIG,
        [
            ("streams.num.warmup.replicas", "3", "GROUP_CONFIG"),
            ("group.streams.num.warmup.replicas", "2", "DEFAULT_CONF"),
        ],
    )
    assert len(world.all(ResourceType.GROUP, "g")) == 22
    assert "streams.task.offset.interval.ms" not in world.all(ResourceType.GROUP, "g")


def test_client_metrics_subscriptions() -> None:
    """Three keys, with defaults that have no synonym."""
    world = World().with_(ResourceType.CLIENT_METRICS, "m", interval_ms="100")
    source = ConfigSource.CLIENT_METRICS_CONFIG
    assert world.one(ResourceType.CLIENT_METRICS, "m", "interval.ms") == (
        "100", source, [("interval.ms", "100", "CLIENT_METRI")],
    )  # fmt: skip
    assert world.one(ResourceType.CLIENT_METRICS, "m", "match") == ("", DEFAULT, [])


def test_loggers_tell_their_levels() -> None:
    """In Kafka's words; the root always, others once they were used."""
    world = World()
    world.lines.logger("broker.network.connection")
    world.lines.set_levels({"broker.network.connection": "warning"})
    entries = world.all(ResourceType.BROKER_LOGGER, "1").values()
    ours = [(entry.name, entry.value) for entry in entries if entry.name not in KAFKA_LOGGERS]
    assert ours == [("root", "INFO"), ("broker.network.connection", "WARN")]
    assert {entry.name for entry in entries} >= set(KAFKA_LOGGERS)
    assert {entry.source for entry in entries} == {ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG}


# --- documentation and refusals


def test_documentation_comes_when_asked_for() -> None:
    """A sentence for each key; what has no effect here says so."""
    entries = World().all(ResourceType.BROKER, "1", documentation=True)
    assert all(entries[name].documentation for name in entries)
    assert "without meaning in Ottla" in str(entries["num.io.threads"].documentation)
    assert World().all(ResourceType.TOPIC, "t", "retention.ms")["retention.ms"].documentation is None
    assert entries.keys() <= BROKER_KEYS.keys()


@pytest.mark.parametrize(
    ("resource_type", "name", "code"),
    [
        (ResourceType.TOPIC, "missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (ResourceType.TOPIC, "a b", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (ResourceType.TOPIC, "", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (ResourceType.BROKER, "2", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "abc", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "-1", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "9" * 5000, ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER, "\u0661", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER_LOGGER, "", ErrorCode.INVALID_REQUEST),
        (ResourceType.BROKER_LOGGER, "2", ErrorCode.INVALID_REQUEST),
        (ResourceType.GROUP, "", ErrorCode.INVALID_REQUEST),
        (ResourceType.CLIENT_METRICS, "", ErrorCode.INVALID_REQUEST),
        (0, "x", ErrorCode.INVALID_REQUEST),
        (99, "x", ErrorCode.INVALID_REQUEST),
    ],
)
def test_resources_that_cannot_be_described(resource_type: int, name: str, code: ErrorCode) -> None:
    """With the codes that Kafka gave."""
    with pytest.raises(KafkaError) as refused:
        World().all(resource_type, name)
    assert refused.value.code is code
