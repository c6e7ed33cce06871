"""Kafka's command-line tools, option by option: groups, their offsets, and transactions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compat_tests.clients.kafka_tools.adapter import Tools, unused


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """A file with settings of a client."""
    file = tmp_path / "client.properties"
    file.write_text("client.id=tools\n")
    return str(file)


def grouped(tools: Tools, topic: str, *words: str) -> str:
    """A group that has read one record of a topic."""
    group = unused("group")
    reading = ["--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"]
    tools.run("kafka-console-consumer", "--topic", topic, "--group", group, *reading, *words)
    return group


def test_groups_are_listed_by_state_and_type(tools: Tools, settings: str) -> None:
    """kafka-consumer-groups and kafka-groups list groups by state, type and protocol"""
    topic = tools.topic(1, "one", "two")
    classic = grouped(tools, topic)
    newer = grouped(tools, topic, "--command-property", "group.protocol=consumer")
    both = {classic, newer}
    for words, found in (
        (["--list", "--state"], both),
        (["--list", "--state", "empty", "--type"], both),
        (["--list", "--type", "classic"], {classic}),
        (["--list", "--type", "consumer"], {newer}),
        (["--list", "--state", "stable"], set()),
    ):
        listed = set(tools.run("kafka-consumer-groups", *words, "--timeout", "20000").split())
        assert listed & both == found, words
    for words, found in (
        (["--list"], both),
        (["--list", "--command-config", settings], both),
        (["--list", "--consumer"], both),
        (["--list", "--group-type", "classic"], {classic}),
        (["--list", "--protocol", "consumer"], both),
        (["--list", "--share"], set()),
        (["--list", "--streams"], set()),
    ):
        assert set(tools.run("kafka-groups", *words).split()) & both == found, words


def test_groups_are_described_in_every_way(tools: Tools, settings: str) -> None:
    """kafka-consumer-groups describes offsets, members and states, of one group and of all"""
    topic = tools.topic(1, "one", "two")
    group = grouped(tools, topic)
    said = tools.run("kafka-consumer-groups", "--describe", "--all-groups", "--offsets")
    assert re.search(rf"^{group}\s+{topic}\s+0\s+1\s+2\s+1\s", said, re.MULTILINE), said
    one = ["--describe", "--group", group, "--command-config", settings]
    assert "CURRENT-ASSIGNMENT" in tools.run("kafka-consumer-groups", *one, "--members", "--verbose")
    assert re.search(rf"{group}\s.*Empty\s+0", tools.run("kafka-consumer-groups", *one, "--state"))
    said = tools.run("kafka-consumer-groups", "--describe", "--group", unused("group"))
    assert "GroupIdNotFoundException" in said


def test_offsets_are_reset_in_every_way(tools: Tools, tmp_path: Path) -> None:
    """kafka-consumer-groups resets offsets to every kind of place, tries it, and takes it from a file"""
    topic = tools.topic(1, "one", "two", "three", "four")
    group = grouped(tools, topic)
    resetting = ["--reset-offsets", "--group", group]
    plan = tmp_path / "plan.csv"
    plan.write_text(
        tools.run("kafka-consumer-groups", *resetting, "--all-topics", "--to-earliest", "--export", "--dry-run")
    )
    assert plan.read_text().strip() == f"{topic},0,0"
    for words, offset in (
        (["--to-latest"], 4),
        (["--to-current"], 4),
        (["--shift-by", "-1"], 3),
        (["--to-offset", "2"], 2),
        (["--to-datetime", "2020-01-01T00:00:00.000"], 0),
        (["--to-latest"], 4),
        (["--by-duration", "PT1H"], 0),
        (["--to-latest"], 4),
        (["--to-earliest"], 0),
    ):
        said = tools.run("kafka-consumer-groups", *resetting, "--topic", topic, *words, "--execute")
        assert re.search(rf"{group}\s+{topic}\s+0\s+{offset}\b", said), (words, said)
    tools.run("kafka-consumer-groups", *resetting, "--topic", f"{topic}:0", "--to-latest", "--execute")
    said = tools.run("kafka-consumer-groups", *resetting, "--from-file", str(plan), "--execute")
    assert re.search(rf"{group}\s+{topic}\s+0\s+0\b", said), said


def test_groups_and_expressions(tools: Tools) -> None:
    """kafka-consumer-groups says whether an expression is good, and deletes offsets and groups"""
    assert "is valid" in tools.run("kafka-consumer-groups", "--validate-regex", "a.*")
    assert "is invalid" in tools.run("kafka-consumer-groups", "--validate-regex", "a(")
    topic = tools.topic(1, "one")
    group = grouped(tools, topic)
    said = tools.run("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    assert re.search(rf"{topic}\s+0\s+Successful", said)
    assert "was successful" in tools.run("kafka-consumer-groups", "--delete", "--group", group)


def test_transactions_are_looked_for(tools: Tools, settings: str) -> None:
    """kafka-transactions filters what it lists, and finds no transaction hanging where none is"""
    topic, transactional_id = tools.topic(), unused("transaction")
    sending = ["--throughput", "-1", "--num-records", "10", "--record-size", "10", "--transaction-duration-ms", "50"]
    tools.run("kafka-producer-perf-test", "--topic", topic, *sending, "--transactional-id", transactional_id)
    listing = ["list", "--transactional-id-pattern", transactional_id[:-1] + "."]
    assert transactional_id in tools.run("kafka-transactions", "--command-config", settings, *listing)
    assert transactional_id not in tools.run("kafka-transactions", "list", "--duration-filter", "3600000")
    described = tools.run("kafka-transactions", "describe", "--transactional-id", transactional_id)
    assert "CompleteCommit" in described
    where = ["--topic", topic, "--partition", "0"]
    said = tools.run("kafka-transactions", "describe-producers", *where, "--broker-id", "1")
    assert len(said.strip().splitlines()) == 2
    for words in (["--broker-id", "1"], [*where[:2], "--max-transaction-timeout", "1"], where):
        assert topic not in tools.run("kafka-transactions", "find-hanging", *words)


def test_transactions_are_ended_by_force(tools: Tools) -> None:
    """kafka-transactions fences a transactional id, and says that there is nothing to abort"""
    topic, transactional_id = tools.topic(1, "one"), unused("transaction")
    tools.run("kafka-transactions", "forceTerminateTransaction", "--transactionalId", transactional_id)
    assert transactional_id in tools.run("kafka-transactions", "list")
    where = ["--topic", topic, "--partition", "0"]
    said = tools.run("kafka-transactions", "abort", *where, "--start-offset", "0", fails=True)
    assert "Could not find any open transactions" in said
    marker = ["--producer-id", "123456", "--producer-epoch", "0", "--coordinator-epoch", "0"]
    tools.run("kafka-transactions", "abort", *where, *marker)
