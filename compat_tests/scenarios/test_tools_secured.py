"""Kafka's command-line tools over SASL_SSL: each with a file of settings, and without it none gets in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compat_tests.clients.kafka_tools.adapter import Tools, unused

QUESTIONS: dict[str, tuple[list[str], str]] = {
    "kafka-topics": (["--list"], ""),
    "kafka-configs": (["--describe", "--broker", "1", "--all"], "num.partitions="),
    "kafka-acls": (["--list"], ""),
    "kafka-consumer-groups": (["--list"], ""),
    "kafka-groups": (["--list"], "GROUP"),
    "kafka-get-offsets": ([], ""),
    "kafka-log-dirs": (["--describe"], '"logDir"'),
    "kafka-leader-election": (["--election-type", "preferred", "--all-topic-partitions"], ""),
    "kafka-reassign-partitions": (["--list"], "No partition reassignments found."),
    "kafka-cluster": (["cluster-id"], "Cluster ID: "),
    "kafka-broker-api-versions": ([], "SaslHandshake(17): "),
    "kafka-transactions": (["list"], "TransactionalId"),
    "kafka-features": (["describe"], "metadata.version"),
    "kafka-metadata-quorum": (["describe", "--status"], "LeaderId:"),
    "kafka-client-metrics": (["--list"], ""),
    "kafka-delegation-tokens": (["--describe"], ""),
}
"""Tool -> what it is asked, and what is in its answer."""


@pytest.mark.parametrize("tool", QUESTIONS)
def test_tools_get_in_with_settings(secure_tools: Tools, tool: str) -> None:
    """Tools of administrators work over SASL_SSL"""
    words, wanted = QUESTIONS[tool]
    assert wanted in secure_tools.run(tool, *words)


def test_records_go_through_tls(secure_tools: Tools, tmp_path: Path) -> None:
    """Tools of producers and consumers work over SASL_SSL"""
    topic = secure_tools.topic(1, "one", "two")
    reading = ["--from-beginning", "--max-messages", "2", "--timeout-ms", "30000"]
    said = secure_tools.run("kafka-console-consumer", "--topic", topic, *reading)
    assert [line for line in said.splitlines() if line in ("one", "two")] == ["one", "two"]
    sending = ["--topic", topic, "--num-records", "100", "--record-size", "100", "--throughput", "-1"]
    assert "100 records sent" in secure_tools.run("kafka-producer-perf-test", *sending)
    counting = ["--topic", topic, "--num-records", "102", "--timeout", "30000"]
    assert ", 102," in secure_tools.run("kafka-consumer-perf-test", *counting)
    asked = tmp_path / "records.json"
    asked.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 1}]}))
    assert "low_watermark: 1" in secure_tools.run("kafka-delete-records", "--offset-json-file", str(asked))
    there_and_back = ["--bootstrap-server", secure_tools.bootstrap, "--topic", topic, "--num-records", "10"]
    there_and_back += ["--producer-acks", "all", "--record-size", "10"]
    with_settings = ["--command-config", str(secure_tools.properties)]
    assert "Avg latency" in secure_tools.run("kafka-e2e-latency", *there_and_back, *with_settings)
    said = secure_tools.run("kafka-verifiable-producer", "--topic", topic, "--max-messages", "3")
    assert '"acked":3' in said
    joining = ["--topic", topic, "--max-messages", "3", "--group-id", unused("group"), "--reset-policy", "earliest"]
    assert "records_consumed" in secure_tools.run("kafka-verifiable-consumer", *joining)


def test_nothing_gets_in_without_the_password(secure_tools: Tools, tmp_path: Path) -> None:
    """A wrong password is refused, and said"""
    assert secure_tools.properties is not None
    right = secure_tools.properties.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.properties"
    wrong.write_text(re.sub(r'password=\\?"[^"\\]*', 'password="no', right.replace('\\"', '"')))
    stranger = Tools(secure_tools.bootstrap, wrong)
    said = stranger.run("kafka-topics", "--list", fails=True)
    assert "SaslAuthenticationException" in said


def test_users_have_what_acls_give_them(secure_tools: Tools, tmp_path: Path) -> None:
    """kafka-configs makes a user, who may do what kafka-acls allows and nothing else"""
    user, topic = unused("user"), secure_tools.topic(1, "one")
    password = unused("password")
    made = f"SCRAM-SHA-512=[password={password}]"
    secure_tools.run("kafka-configs", "--alter", "--user", user, "--add-config", made)
    assert secure_tools.properties is not None
    lines = secure_tools.properties.read_text(encoding="utf-8").splitlines()
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    lines = [line for line in lines if not line.startswith("sasl.")]
    lines += ["sasl.mechanism=SCRAM-SHA-512", f'sasl.jaas.config={login} username="{user}" password="{password}";']
    file = tmp_path / "user.properties"
    file.write_text("\n".join(lines) + "\n")
    as_user = Tools(secure_tools.bootstrap, file)
    assert topic not in as_user.run("kafka-topics", "--list").split()
    allowing = ["--add", "--allow-principal", f"User:{user}", "--topic", topic]
    secure_tools.run("kafka-acls", *allowing, "--operation", "Describe")
    assert topic in as_user.run("kafka-topics", "--list").split()
    said = as_user.run("kafka-topics", "--delete", "--topic", topic, fails=True)
    assert "TopicAuthorizationException" in said
    assert topic in secure_tools.run("kafka-topics", "--list").split()


def test_delegation_tokens_live_and_end(secure_tools: Tools) -> None:
    """kafka-delegation-tokens makes, shows, renews and ends tokens"""
    renewer, owner = f"User:{unused('renewer')}", "User:admin"
    making = ["--create", "--max-life-time-period", "86400000", "--renewer-principal", renewer]
    said = secure_tools.run("kafka-delegation-tokens", *making, "--owner-principal", owner)
    found = re.search(r"^(\S+)\s+(\S+==?)\s+User:admin", said, re.MULTILINE)
    assert found is not None, said
    token_id, hmac = found.groups()
    showing = ["--describe", "--owner-principal", owner]
    described = secure_tools.run("kafka-delegation-tokens", *showing)
    assert token_id in described and renewer in described
    renewing = ["--renew", "--renew-time-period", "3600000", "--hmac", hmac]
    assert "Completed renew operation" in secure_tools.run("kafka-delegation-tokens", *renewing)
    ending = ["--expire", "--expiry-time-period", "-1", "--hmac", hmac]
    assert "Completed expire operation" in secure_tools.run("kafka-delegation-tokens", *ending)
    assert token_id not in secure_tools.run("kafka-delegation-tokens", *showing)
