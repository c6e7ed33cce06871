"""The `ottla` command beside Kafka's own tools: where both have the same answer, the lines are the same.

Each asks the same broker, so what they print may differ in nothing but the order of lines and the width of columns.
Kafka's tools print blank lines around tables; what `ottla` says beside an answer goes to standard error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from compat_tests.clients.kafka_tools.adapter import Tools, unused


@pytest.fixture
def guarded(tools_on: Callable[..., Tools]) -> Tools:
    """The tools on a broker whose authorizer lets them do everything."""
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    return tools_on("authorizer", **{"authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"})


def ottla(tools: Tools, *words: str, given: str = "") -> str:
    """What the command prints."""
    environment = {**os.environ, "OTTLA_BOOTSTRAP_SERVER": tools.bootstrap}
    command = [sys.executable, "-m", "ottla", *words]
    done = subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(text: str) -> list[str]:
    """What is printed, in order of the lines, each with one blank between its columns; tabs count as such. The configs
    of a topic are in the order of a hash table of Java's, so they are put in order too."""
    return sorted(" ".join(_with_configs_in_order(line).split()) for line in text.splitlines() if line.strip())


def _with_configs_in_order(line: str) -> str:
    head, word, configs = line.partition("Configs: ")
    return head + word + ",".join(sorted(configs.split(",")))


def test_topics_are_listed_and_described_alike(tools: Tools) -> None:
    """kafka-topics --list, --describe and ottla topics print the same"""
    topic = tools.topic(3, retention_ms="7200000", cleanup_policy="compact,delete")
    assert topic in lines(ottla(tools, "topics", "list"))
    listed = lines(tools.run("kafka-topics", "--list"))
    assert set(lines(ottla(tools, "topics", "--list"))) >= set(listed) - {""}
    described = tools.run("kafka-topics", "--describe", "--topic", topic)
    assert lines(ottla(tools, "topics", "--describe", "--topic", topic)) == lines(described)


def test_topics_are_made_alike(tools: Tools) -> None:
    """kafka-topics --create and ottla topics create say the same, also of a topic that is there"""
    first, second = unused("topic"), unused("topic")
    assert ottla(tools, "topics", "create", second) == f"Created topic {second}.\n"
    assert f"Created topic {first}." in tools.run("kafka-topics", "--create", "--topic", first)
    sentence = f"Topic '{second}' already exists."
    assert sentence in tools.run("kafka-topics", "--create", "--topic", second, fails=True)
    with pytest.raises(AssertionError, match=sentence):
        ottla(tools, "topics", "create", second)


def test_configs_are_described_and_altered_alike(tools: Tools) -> None:
    """kafka-configs and ottla configs print the same"""
    topic = tools.topic(retention_ms="7200000")
    entity = ("--entity-type", "topics", "--entity-name", topic)
    for more in ((), ("--all",)):
        described = tools.run("kafka-configs", "--describe", *entity, *more)
        assert lines(ottla(tools, "configs", "--describe", *entity, *more)) == lines(described)
    change = ("--alter", *entity, "--add-config", "retention.ms=1,cleanup.policy=[compact,delete]")
    assert lines(ottla(tools, "configs", *change)) == lines(tools.run("kafka-configs", *change))


def test_quotas_are_described_alike(tools: Tools) -> None:
    """kafka-configs --entity-type users and ottla quotas print the same"""
    user = unused("user")
    words = ("--alter", "--add-config", "producer_byte_rate=1024")
    said = tools.run("kafka-configs", *words, "--entity-type", "users", "--entity-name", user)
    assert f"Completed updating config for user {user}." in said
    ottla(tools, "quotas", *words, "--user", user, "--client-id", "etl")
    described = tools.run("kafka-configs", "--describe", "--entity-type", "users", "--entity-name", user)
    assert set(lines(described)) <= set(lines(ottla(tools, "quotas", "describe", "--user", user)))


def test_groups_are_described_and_moved_alike(tools: Tools) -> None:
    """kafka-consumer-groups and ottla groups print the same columns, plans and sentences"""
    topic, group = tools.topic(1, "a", "b", "c"), unused("group")
    ottla(tools, "consume", topic, "-G", group, "--from-beginning", "-c", "3")
    described = lines(tools.run("kafka-consumer-groups", "--describe", "--group", group))
    ours = lines(ottla(tools, "groups", "--describe", "--group", group))
    assert ours == [line for line in described if "no active members" not in line]
    assert group in lines(ottla(tools, "groups", "--list"))
    for way in (("--to-earliest",), ("--shift-by", "-1"), ("--to-offset", "1"), ("--by-duration", "PT0S")):
        plan = ("--reset-offsets", "--group", group, "--topic", topic, *way)
        dry = tools.run("kafka-consumer-groups", *plan, "--dry-run")
        wanted = [line for line in lines(dry) if line.startswith(("GROUP", group))]
        assert lines(ottla(tools, "groups", *plan, "--dry-run")) == wanted
    export = ("--reset-offsets", "--group", group, "--topic", topic, "--to-latest", "--export")
    exported = [line for line in lines(tools.run("kafka-consumer-groups", *export)) if line.startswith(topic)]
    assert lines(ottla(tools, "groups", *export)) == exported
    deleted = ottla(tools, "groups", "--delete", "--group", group)
    assert deleted == f"Deletion of requested consumer groups ('{group}') was successful.\n"


def test_records_are_printed_alike(tools: Tools) -> None:
    """kafka-console-consumer and ottla consume print the same of a record"""
    topic = tools.topic()
    ottla(tools, "produce", topic, "-K", ":", "-H", "a=1", "-H", "b", given="k:v\nl:w\n")
    properties = [f"print.{part}=true" for part in ("key", "timestamp", "partition", "offset", "headers")]
    words = [word for each in properties for word in ("--formatter-property", each)]
    reading = ("--topic", topic, "--from-beginning", "--max-messages", "2")
    printed = tools.run("kafka-console-consumer", *reading, *words)
    ours = ottla(tools, "consume", *reading, *words)
    assert ours == "".join(f"{line}\n" for line in printed.splitlines() if line.startswith("CreateTime"))


def test_acls_are_added_and_listed_alike(guarded: Tools) -> None:
    """kafka-acls and ottla acls mean the same by --producer and --consumer, and print the same of it"""
    for role in (("--producer",), ("--consumer", "--group", "g"), ("--operation", "DescribeConfigs")):
        theirs, ours = unused("topic"), unused("topic")
        words = ("--allow-principal", "User:alice", "--allow-host", "192.0.2.1", *role)
        guarded.run("kafka-acls", "--add", *words, "--topic", theirs)
        ottla(guarded, "acls", "--add", *words, "--topic", ours)
        made = lines(guarded.run("kafka-acls", "--list", "--topic", ours))
        assert lines(ottla(guarded, "acls", "--list", "--topic", ours)) == made
        assert [line.replace(theirs, ours) for line in lines(ottla(guarded, "acls", "list", "--topic", theirs))] == made


def test_passwords_are_described_alike(tools: Tools) -> None:
    """kafka-configs --entity-type users describes what ottla users has set"""
    user = unused("user")
    ottla(tools, "users", "set", user, given="secret\n")
    described = tools.run("kafka-configs", "--describe", "--entity-type", "users", "--entity-name", user)
    assert set(lines(ottla(tools, "users", "list", user))) <= set(lines(described))


def test_the_cluster_is_described_alike(tools: Tools) -> None:
    """kafka-cluster, kafka-features and ottla cluster say the same"""
    identity = next(line for line in tools.run("kafka-cluster", "cluster-id").splitlines() if "Cluster ID" in line)
    assert identity in ottla(tools, "cluster", "describe")
    described = [line for line in lines(tools.run("kafka-features", "describe")) if line.startswith("Feature:")]
    assert [_level(line) for line in lines(ottla(tools, "cluster", "features"))] == [_level(line) for line in described]


def _level(line: str) -> list[str]:
    """A feature and its level, without the names that Kafka's tool has for levels of metadata.version."""
    words = line.split()
    return [words[1], words[words.index("Epoch:") - 1] if words[1] != "metadata.version" else "named"]


def test_transactions_are_listed_alike(tools: Tools) -> None:
    """kafka-transactions and ottla transactions print the same columns"""
    topic, name = tools.topic(), unused("id")
    ottla(tools, "produce", topic, "-X", f"transactional.id={name}", given="in a transaction\n")
    listed = [line for line in lines(tools.run("kafka-transactions", "list")) if name in line or "Coordinator" in line]
    ours = [line for line in lines(ottla(tools, "transactions", "list")) if name in line or "Coordinator" in line]
    assert ours == listed
    words = ("describe-producers", "--topic", topic, "--partition", "0")
    described = lines(tools.run("kafka-transactions", *words))
    assert [line.replace("-", "None") for line in lines(ottla(tools, "transactions", *words))] == [
        line.replace("-", "None") for line in described
    ]
