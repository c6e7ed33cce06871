"""Kafka's command-line tools, option by option: topics, configs and subscriptions to metrics."""

from __future__ import annotations

import re
from pathlib import Path

from compat_tests.clients.kafka_tools.adapter import Tools, unused


def partitions_of(described: str) -> list[int]:
    """The partitions in what kafka-topics describes."""
    return [int(number) for number in re.findall(r"\sPartition: (\d+)", described)]


def test_topics_with_chosen_replicas(tools: Tools) -> None:
    """kafka-topics takes replicas for each partition, and a replication factor"""
    topic, other = unused("topic"), unused("topic")
    tools.run("kafka-topics", "--create", "--topic", topic, "--replica-assignment", "1,1,1")
    assert partitions_of(tools.run("kafka-topics", "--describe", "--topic", topic)) == [0, 1, 2]
    tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", "4", "--replica-assignment", "1,1,1,1")
    assert partitions_of(tools.run("kafka-topics", "--describe", "--topic", topic)) == [0, 1, 2, 3]
    tools.run("kafka-topics", "--create", "--topic", other, "--replication-factor", "1", "--partitions", "2")
    assert partitions_of(tools.run("kafka-topics", "--describe", "--topic", other)) == [0, 1]
    said = tools.run("kafka-topics", "--create", "--topic", unused("topic"), "--replication-factor", "2", fails=True)
    assert "InvalidReplicationFactorException" in said


def test_topics_that_may_or_may_not_be_there(tools: Tools) -> None:
    """kafka-topics does nothing, and is content, where a topic is there already or is not there"""
    topic, missing = tools.topic(), unused("topic")
    tools.run("kafka-topics", "--create", "--topic", topic, "--if-not-exists")
    tools.run("kafka-topics", "--alter", "--topic", missing, "--partitions", "3", "--if-exists")
    tools.run("kafka-topics", "--delete", "--topic", missing, "--if-exists")
    assert missing not in tools.run("kafka-topics", "--describe", "--topic", missing, "--if-exists")
    assert missing not in tools.run("kafka-topics", "--list")


def test_topics_described_by_what_is_wrong_with_them(tools: Tools) -> None:
    """kafka-topics finds topics by id, by overrides, and by the state of their replicas"""
    plain, special = tools.topic(2), tools.topic(retention_ms="7200000")
    described = tools.run("kafka-topics", "--describe", "--topic", plain, "--partition-size-limit-per-response", "1")
    assert partitions_of(described) == [0, 1]
    found = re.search(r"TopicId: (\S+)", described)
    assert found is not None
    assert f"Topic: {plain}\t" in tools.run("kafka-topics", "--describe", "--topic-id", found[1])
    overridden = tools.run("kafka-topics", "--describe", "--topics-with-overrides")
    assert f"Topic: {special}\t" in overridden
    assert plain in tools.run("kafka-topics", "--describe", "--at-min-isr-partitions")
    for state in ("--unavailable-partitions", "--under-min-isr-partitions", "--under-replicated-partitions"):
        assert plain not in tools.run("kafka-topics", "--describe", state)


def test_topics_without_internal_ones(tools: Tools, tmp_path: Path) -> None:
    """kafka-topics leaves internal topics out if asked to, and takes a file of settings"""
    topic = tools.topic(1, "a line")
    reading = ["--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"]
    tools.run("kafka-console-consumer", "--topic", topic, "--group", unused("group"), *reading)
    settings = tmp_path / "client.properties"
    settings.write_text("client.id=tools\n")
    assert "__consumer_offsets" in tools.run("kafka-topics", "--list", "--command-config", str(settings)).split()
    listed = tools.run("kafka-topics", "--list", "--exclude-internal").split()
    assert topic in listed and "__consumer_offsets" not in listed


def test_configs_from_a_file(tools: Tools, tmp_path: Path) -> None:
    """kafka-configs takes changes from a file, and lists the topics that have overrides"""
    topic = tools.topic()
    changes, settings = tmp_path / "changes.properties", tmp_path / "client.properties"
    changes.write_text("retention.ms=7200000\nsegment.ms=3600000\n")
    settings.write_text("client.id=tools\n")
    tools.run("kafka-configs", "--alter", "--topic", topic, "--add-config-file", str(changes))
    described = tools.run("kafka-configs", "--describe", "--topic", topic, "--command-config", str(settings))
    assert "retention.ms=7200000" in described and "segment.ms=3600000" in described
    assert topic in tools.run("kafka-configs", "--describe", "--entity-type", "topics")
    said = tools.run("kafka-configs", "--alter", "--topic", topic, "--add-config", "no.such.config=1", fails=True)
    assert "InvalidConfigurationException" in said


def test_configs_of_brokers_and_loggers(tools: Tools) -> None:
    """kafka-configs changes settings of one broker, of all brokers, and the levels of loggers"""
    key, value = "log.retention.bytes", "987654321"
    for whose in (["--broker", "1"], ["--broker-defaults"]):
        tools.run("kafka-configs", "--alter", *whose, "--add-config", f"{key}={value}")
        assert f"{key}={value}" in tools.run("kafka-configs", "--describe", *whose)
        tools.run("kafka-configs", "--alter", *whose, "--delete-config", key)
        assert f"{key}={value}" not in tools.run("kafka-configs", "--describe", *whose)
    assert re.search(r"num\.partitions=\d+", tools.run("kafka-configs", "--describe", "--broker", "1", "--all"))
    described = tools.run("kafka-configs", "--describe", "--broker-logger", "1")
    level = re.search(r"^\s*root=(\w+)", described, re.MULTILINE)
    assert level is not None
    tools.run("kafka-configs", "--alter", "--broker-logger", "1", "--add-config", "root=ERROR")
    assert "root=ERROR" in tools.run("kafka-configs", "--describe", "--broker-logger", "1")
    tools.run("kafka-configs", "--alter", "--broker-logger", "1", "--add-config", f"root={level[1]}")
    said = tools.run("kafka-configs", "--alter", "--broker", "1", "--add-config", "num.partitions=9", fails=True)
    assert "InvalidRequestException" in said


def test_configs_of_groups_and_subscriptions(tools: Tools) -> None:
    """kafka-configs changes settings of groups and of subscriptions to clients' metrics"""
    group, subscription = unused("group"), unused("subscription")
    for whose, entity, change, keys in (
        (["--group", group], "groups", "consumer.session.timeout.ms=50000", "consumer.session.timeout.ms"),
        (
            ["--client-metrics", subscription],
            "client-metrics",
            "interval.ms=10000,metrics=[org.apache.kafka.producer.,org.apache.kafka.consumer.],match=[client_id=a.*]",
            "interval.ms,metrics,match",
        ),
    ):
        tools.run("kafka-configs", "--alter", *whose, "--add-config", change)
        described = tools.run("kafka-configs", "--describe", *whose)
        assert change.split(",")[0] in described
        assert whose[1] in tools.run("kafka-configs", "--describe", "--entity-type", entity)
        tools.run("kafka-configs", "--alter", *whose, "--delete-config", keys)
        assert change.split(",")[0] not in tools.run("kafka-configs", "--describe", *whose)


def test_configs_of_clients_users_and_addresses(tools: Tools) -> None:
    """kafka-configs sets quotas of clients, users and addresses, and of all others"""
    for whose, key in (
        (["--client", unused("client")], "producer_byte_rate"),
        (["--client-defaults"], "consumer_byte_rate"),
        (["--user", unused("user")], "request_percentage"),
        (["--user-defaults"], "controller_mutation_rate"),
        (["--ip", "192.0.2.77"], "connection_creation_rate"),
        (["--ip-defaults"], "connection_creation_rate"),
    ):
        tools.run("kafka-configs", "--alter", *whose, "--add-config", f"{key}=123456")
        assert f"{key}=123456.0" in tools.run("kafka-configs", "--describe", *whose), whose
        tools.run("kafka-configs", "--alter", *whose, "--delete-config", key)
        assert key not in tools.run("kafka-configs", "--describe", *whose), whose


def test_configs_of_users_have_passwords(tools: Tools) -> None:
    """kafka-configs gives a user a password, and never shows it"""
    user = unused("user")
    tools.run("kafka-configs", "--alter", "--user", user, "--add-config", "SCRAM-SHA-256=[password=not-to-be-seen]")
    described = tools.run("kafka-configs", "--describe", "--entity-type", "users", "--entity-name", user)
    assert "SCRAM-SHA-256=iterations=" in described and "not-to-be-seen" not in described
    tools.run("kafka-configs", "--alter", "--user", user, "--delete-config", "SCRAM-SHA-256")
    assert "SCRAM-SHA-256" not in tools.run("kafka-configs", "--describe", "--user", user)


def test_subscriptions_to_metrics(tools: Tools, tmp_path: Path) -> None:
    """kafka-client-metrics makes, shows, lists and deletes subscriptions"""
    name, settings = unused("subscription"), tmp_path / "client.properties"
    settings.write_text("client.id=tools\n")
    which = ["--metrics", "org.apache.kafka.producer.", "--match", "client_id=a.*", "--interval", "5000"]
    tools.run("kafka-client-metrics", "--alter", "--name", name, *which, "--command-config", str(settings))
    described = tools.run("kafka-client-metrics", "--describe", "--name", name)
    for line in ("interval.ms=5000", "match=client_id=a.*", "metrics=org.apache.kafka.producer."):
        assert line in described
    made = tools.run("kafka-client-metrics", "--alter", "--generate-name", "--interval", "30000")
    found = re.search(r"config for (\S+)\.", made)
    assert found is not None
    assert {name, found[1]} <= set(tools.run("kafka-client-metrics", "--list").split())
    said = tools.run("kafka-client-metrics", "--alter", "--name", name, "--interval", "5", fails=True)
    assert "InvalidRequestException" in said
    for each in (name, found[1]):
        tools.run("kafka-client-metrics", "--delete", "--name", each)
    assert not {name, found[1]} & set(tools.run("kafka-client-metrics", "--list").split())
