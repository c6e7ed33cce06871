"""Settings in variables: the image's rule for names, what goes over what, and variables that are no settings."""

from __future__ import annotations

import pytest

from broker.config.environment import key_of
from broker.config.loading import Flags, parse_config
from broker.config.settings import BrokerConfig, ConfigError
from broker.tests.config.combined_mode import COMBINED_MODE

COUNT = Flags(variables=True)


def config(environment: dict[str, str], text: str = "", flags: Flags = COUNT, **overrides: str) -> BrokerConfig:
    """The settings of a start in `environment`, with a file and `key=value` of the command line (dots as `_`)."""
    given = {key.replace("_", "."): value for key, value in overrides.items()}
    return parse_config(text, "server.properties", given, flags=flags, environment=environment)


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("KAFKA_NUM_PARTITIONS", "num.partitions"),
        ("KAFKA_LISTENER_NAME_TC__1_MAX_CONNECTIONS", "listener.name.tc_1.max.connections"),
        ("KAFKA_LISTENER_NAME_TC___1_MAX_CONNECTIONS", "listener.name.tc-1.max.connections"),
        ("KAFKA_A__B___C____D_____E", "a_b-c-.d-_e"),
        ("KAFKA_FOO_KAFKA_BAR", "foo.kafka.bar"),
        ("KAFKA_Mixed_Case", "mixed.case"),
    ],
)
def test_names_follow_the_rule_of_the_image(variable: str, key: str) -> None:
    """Each of these was given to the `setup` of Kafka's image, which wrote this key."""
    assert key_of(variable) == key


def test_the_command_line_goes_over_variables_and_those_over_the_file() -> None:
    """As in the image, whose variables are lines behind the file's."""
    environment, text = {"KAFKA_NUM_PARTITIONS": "7"}, "num.partitions=5\nmessage.max.bytes=2000"
    assert config({}, text).num_partitions == 5
    assert config(environment, text).num_partitions == 7
    assert config(environment, text).message_max_bytes == 2000
    assert config(environment, text, num_partitions="9").num_partitions == 9


def test_variables_count_only_where_they_are_asked_for() -> None:
    """`--no-environment`, and so every broker of `ottla.Broker`, knows of none."""
    assert config({"KAFKA_NUM_PARTITIONS": "7"}, flags=Flags()).num_partitions == 1


def test_a_value_is_read_as_in_a_file_and_may_have_several_lines() -> None:
    """Escapes mean what they mean there; the lines of a certificate stay together."""
    given = config({"KAFKA_BROKER_RACK": r"a\u0062c", "KAFKA_SSL_KEYSTORE_KEY": "-----\nAA\n-----"})
    assert given.broker_rack == "abc"
    assert given.static["ssl.keystore.key"] == "-----\nAA\n-----"


def test_a_bad_value_is_refused_with_the_name_of_its_variable() -> None:
    """The person who has to mend it looks for the variable."""
    with pytest.raises(ConfigError, match=r"num\.partitions=many in the environment, KAFKA_NUM_PARTITIONS: "):
        config({"KAFKA_NUM_PARTITIONS": "many"})


def test_other_peoples_variables_are_named_and_do_no_harm() -> None:
    """Neither those of Java's start scripts nor any other, also where unknown settings are an error."""
    environment = {"KAFKA_HOME": "/opt", "KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_BROKERS": "a:1", "KAFKA_PORT": "tcp://1"}
    given = config(environment, flags=Flags(variables=True, strict=True))
    assert given.notices == ("in the environment, but no settings of a broker: KAFKA_BROKERS, KAFKA_PORT",)


def test_a_cluster_id_counts_beside_a_setting() -> None:
    """Alone it may be any program's."""
    assert config({"CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw"}).ottla_cluster_id is None
    given = config({"CLUSTER_ID": "ab+/cdefghijklmnopqrstA==", "KAFKA_NODE_ID": "1"})
    assert given.ottla_cluster_id == "ab+/cdefghijklmnopqrstA=="


def test_the_variables_of_testcontainers_are_understood() -> None:
    """Those that its Java module gives to every container, without a word about any of them being unknown."""
    given = config(
        {
            "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094,TC-0://kafka:19092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":
                "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TC-0:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_NODE_ID": "1",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "9223372036854775807",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:32789,BROKER://3f1:9093,TC-0://kafka:19092",
        },
        flags=Flags(variables=True, strict=True),
    )  # fmt: skip
    assert [str(listener) for listener in given.listeners] == [
        "PLAINTEXT://:9092",
        "BROKER://:9093",
        "TC-0://kafka:19092",
    ]
    assert given.advertised_listeners["PLAINTEXT"] == ("localhost", 32789)
    assert not [notice for notice in given.notices if "unknown" in notice]


def test_the_variables_of_bitnamis_image_are_understood() -> None:
    """Those of a compose file for one node; what that image's scripts read for themselves is named and ignored."""
    given = config(
        {
            "KAFKA_CFG_NODE_ID": "0",
            "KAFKA_CFG_PROCESS_ROLES": "controller,broker",
            "KAFKA_CFG_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_CFG_CONTROLLER_QUORUM_VOTERS": "0@kafka:9093",
            "KAFKA_CFG_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_KRAFT_CLUSTER_ID": "abcdefghijklmnopqrstuv",
            "KAFKA_ENABLE_KRAFT": "yes",
        },
        flags=Flags(variables=True, strict=True),
    )
    assert given.node_id == 0
    assert [str(listener) for listener in given.listeners] == ["PLAINTEXT://:9092"]
    assert given.ottla_cluster_id == "abcdefghijklmnopqrstuv"
    assert [notice for notice in given.notices if "KAFKA_" in notice] == [
        "in the environment, but no settings of a broker: KAFKA_ENABLE_KRAFT"
    ]


def test_the_file_of_kafkas_distribution_is_understood() -> None:
    """Of a node in combined mode, as it comes, several of its addresses advertised: not one key is unknown."""
    given = config({}, COMBINED_MODE, Flags(strict=True))
    assert given.data_directory == "/tmp/kraft-combined-logs"
    assert given.advertised_listeners == {"PLAINTEXT": ("localhost", 9092)}
