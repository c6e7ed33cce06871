"""What a cluster's log says and the broker does not obey: one that Kafka has written may hold anything that Kafka does.

The values are those that a running Kafka took by IncrementalAlterConfigs.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.admin.stored_configs import MOST_SENTENCES, without_effect
from broker.config.keys.security import STANDARD_AUTHORIZER
from broker.config.loading import parse_config
from broker.config.settings import ConfigError
from broker.coordinators.cluster.image import ClusterImage, ResourceType
from broker.coordinators.cluster.persistent_map import PersistentMap
from broker.coordinators.cluster.quotas import Entity, Quotas, entity_of
from broker.security.acls import Acl
from kproto.ids import Uuid

CONFIG = parse_config("node.id=1\nlog.retention.hours=24", "server.properties", {})


def said(resource_type: int, name: str, configs: Mapping[str, str]) -> list[str]:
    """What is said of a log with these overrides of one resource."""
    nothing: PersistentMap[tuple[int, str], Mapping[str, str]] = PersistentMap()
    return without_effect(ClusterImage(configs=nothing.updated({(resource_type, name): configs}, [])), CONFIG)


def test_what_is_obeyed_is_not_said() -> None:
    """The usual contents of a log: nothing but what counts."""
    assert said(ResourceType.BROKER, "", {"min.insync.replicas": "1", "log.retention.ms": "7"}) == []
    assert said(ResourceType.BROKER, "1", {"listener.name.plaintext.max.connections": "5"}) == []
    assert said(ResourceType.TOPIC, "t", {"retention.ms": "7", "remote.storage.enable": "false"}) == []
    assert said(ResourceType.BROKER, "2", {"cordoned.log.dirs": "*"}) == [], "another broker's"


@pytest.mark.parametrize(
    ("broker", "given", "complaint"),
    [
        ("1", "cordoned.log.dirs=*", "all data is kept under one directory here"),
        ("1", "listener.name.plaintext.principal.builder.class=a.B", "no Java class is loaded here"),
        ("1", "listeners=A://:1", "it can only be set in the file"),
        ("", "config.providers=env", "it can only be set in the file"),
        ("", "log.retention.ms=soon", "it must be a whole number"),
    ],
)
def test_what_is_passed_over_is_named(broker: str, given: str, complaint: str) -> None:
    """With whose it is, and why."""
    name, _, text = given.partition("=")
    whose = f"broker {broker}" if broker else "all brokers"
    [found] = said(ResourceType.BROKER, broker, {name: text})
    assert found.startswith(f"{given} of {whose} in the cluster's log is passed over: {complaint}")


def test_the_value_of_an_unknown_key_is_not_said() -> None:
    """It may be a plugin's secret; DescribeConfigs hides it too."""
    assert said(ResourceType.BROKER, "", {"my.plugin": "x"}) == [
        "my.plugin of all brokers in the cluster's log is passed over: it is unknown"
    ]


def test_values_that_contradict_the_file_are_named() -> None:
    """None of them counts then."""
    [found] = said(ResourceType.BROKER, "", {"log.retention.ms": "0"})
    assert found.startswith(
        "the dynamic configs of brokers in the cluster's log contradict the file, and none counts: it"
    )


def test_configs_of_topics_and_groups_are_named_too() -> None:
    """A later release may have written them."""
    assert said(ResourceType.TOPIC, "t", {"new.config": "x"}) == [
        "new.config=x of topic t in the cluster's log is passed over: it is unknown"
    ]
    [found] = said(ResourceType.GROUP, "g", {"consumer.session.timeout.ms": "long"})
    assert found.startswith("consumer.session.timeout.ms=long of group g in the cluster's log is passed over: it must")


def test_a_log_that_is_not_understood_takes_so_many_lines() -> None:
    """The rest is counted."""
    found = said(ResourceType.TOPIC, "t", {f"new.config.{number}": "x" for number in range(MOST_SENTENCES + 30)})
    assert len(found) == MOST_SENTENCES + 1
    assert found[-1] == "30 more configs in the cluster's log are passed over"


def test_a_topic_in_tiered_storage_stops_the_start() -> None:
    """Its older records would be missing, and consumers would go on behind them."""
    with pytest.raises(ConfigError, match=r"^topic t has remote\.storage\.enable=true, and there is no tiered storage"):
        said(ResourceType.TOPIC, "t", {"remote.storage.enable": "true"})


def test_acls_are_counted() -> None:
    """Kafka enforces the first only where the file names an authorizer; started without that file, the broker has only
    the log to see by that access was meant to be restricted."""
    acls = PersistentMap[Uuid, Acl]().updated(
        {number.to_bytes(16, "big"): Acl(2, "t", 3, "User:a", "*", number, 3) for number in (3, 4)}
    )
    assert without_effect(ClusterImage(acls=acls), CONFIG) == [
        "2 ACLs in the cluster's log are not enforced: authorizer.class.name names no authorizer",
    ]
    secured = parse_config("", "", {"authorizer.class.name": STANDARD_AUTHORIZER})
    assert without_effect(ClusterImage(acls=acls), secured) == []


def test_quotas_that_mean_nothing_here_are_counted() -> None:
    """Names of hosts, which Kafka looks up; keys and kinds of a later release. All others are obeyed."""
    entities = PersistentMap[Entity, Quotas]().updated(
        {
            entity_of([("user", None)]): {"producer_byte_rate": 5.0},
            entity_of([("ip", "10.0.0.1")]): {"connection_creation_rate": 5.0},
            entity_of([("ip", "db.example")]): {"connection_creation_rate": 5.0},
            entity_of([("user", "u")]): {"colour": 5.0},
        }
    )
    [found] = without_effect(ClusterImage(client_quotas=entities), CONFIG)
    assert found == "the quotas of 2 entities in the cluster's log mean nothing here, or not all of them"
