"""`ottla configs`, `cluster`, `acls`, `users`, `quotas` and `transactions` against a broker."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from ottla import Broker
from tools.commands.configs import parse_pairs
from tools.failures import Misunderstood
from tools.tests.commands.conftest import Ottla


def test_configs_are_described_and_altered(ottla: Ottla) -> None:
    """In the lines of kafka-configs.sh, with where a value comes from."""
    ottla("topics", "create", "configured")
    entity = ("--entity-type", "topics", "--entity-name", "configured")
    changed = ottla("configs", "alter", *entity, "--add-config", "retention.ms=7,cleanup.policy=[compact,delete]")
    assert changed.out == "Completed updating config for topic configured.\n"
    lines = ottla("configs", "describe", "--topic", "configured").lines
    assert lines[0] == "Dynamic configs for topic configured are:"
    assert (
        "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete"
        in (lines[1])
    )
    ottla("configs", "alter", "--topic", "configured", "--subtract-config", "cleanup.policy=delete")
    ottla("configs", "alter", "--topic", "configured", "--delete-config", "retention.ms")
    rows = ottla("configs", "describe", "--topic", "configured", "--json").json
    assert [(row["name"], row["value"]) for row in rows] == [("cleanup.policy", "compact")]
    every = ottla("configs", "describe", "--topic", "configured", "--all", "--json").json
    assert {"retention.ms", "segment.bytes"} <= {row["name"] for row in every}


def test_configs_of_brokers_and_groups(ottla: Ottla) -> None:
    """The defaults of all brokers, one broker, a group; a dry run changes nothing."""
    ottla("configs", "alter", "--broker-defaults", "--add-config", "log.retention.ms=77")
    assert "log.retention.ms=77" in ottla("configs", "describe", "--broker-defaults").out
    assert "Dynamic configs for broker 1 are:" in ottla("configs", "describe", "--entity-type", "brokers").out
    dry = ottla("configs", "alter", "--group", "g", "--add-config", "consumer.session.timeout.ms=50000", "--dry-run")
    assert dry.out == "group g would be changed.\n"
    ottla("configs", "alter", "--group", "g", "--add-config", "consumer.session.timeout.ms=50000")
    assert "consumer.session.timeout.ms=50000" in ottla("configs", "describe", "--group", "g").out


def test_configs_that_cannot_be_are_refused(ottla: Ottla) -> None:
    """By the broker in its words, by the command in its own."""
    ottla("topics", "create", "refusing")
    assert (
        ottla("configs", "alter", "--topic", "refusing", "--add-config", "retention.ms=soon", succeeds=False).status
        == 1
    )
    assert "name one thing" in ottla("configs", "describe", succeeds=False).err
    assert "ottla quotas" in ottla("configs", "describe", "--entity-type", "users", succeeds=False).err
    assert "does not exist as expected" in ottla("configs", "describe", "--topic", "nowhere", succeeds=False).err
    assert parse_pairs("a=1,b=[2,3],c=") == [("a", "1"), ("b", "2,3"), ("c", "")]
    for wrong in ("a", "a=[1,2", "a=[1]x"):
        with pytest.raises(Misunderstood):
            parse_pairs(wrong)


def test_a_cluster_is_described(ottla: Ottla, broker: Broker) -> None:
    """Its id, brokers, features, log directories and versions."""
    described = ottla("cluster", "describe", "--json").json
    assert described["brokers"][0]["port"] == broker.port
    assert ottla("cluster", "describe").lines[0] == f"Cluster ID: {described['cluster_id']}"
    assert any(line.startswith("Feature: metadata.version\t") for line in ottla("cluster", "features").lines)
    ottla("topics", "create", "placed")
    rows = ottla("cluster", "log-dirs", "--topic", "placed", "--json").json
    assert [(row["topic"], row["partition"], row["size"]) for row in rows] == [("placed", 0, 0)]
    versions = {row["api"]: row["max_version"] for row in ottla("cluster", "api-versions", "--json").json}
    assert versions["Metadata"] == 13


def test_acls_are_added_listed_and_removed(ottla: Ottla) -> None:
    """What a producer needs, in the lines of kafka-acls.sh."""
    prefix = ("--group", "pay", "--resource-pattern-type", "prefixed")
    added = ottla("acls", "add", "--allow-principal", "User:alice", "--producer", "--topic", "orders")
    assert (
        added.lines[0]
        == "Adding ACLs for resource `ResourcePattern(resourceType=TOPIC, name=orders, patternType=LITERAL)`: "
    )
    ottla("acls", "add", "--deny-principal", "User:eve", "--operation", "Read", *prefix)
    rows = ottla("acls", "list", "--json").json
    assert {(row["principal"], row["operation"], row["permission"], row["pattern_type"]) for row in rows} == {
        ("User:alice", "WRITE", "ALLOW", "LITERAL"),
        ("User:alice", "DESCRIBE", "ALLOW", "LITERAL"),
        ("User:alice", "CREATE", "ALLOW", "LITERAL"),
        ("User:eve", "READ", "DENY", "PREFIXED"),
    }
    assert len(ottla("acls", "list", "--principal", "User:eve", "--json").json) == 1
    assert ottla("acls", "remove", "--topic", "orders", succeeds=False).status == 2
    removed = ottla("acls", "remove", "--topic", "orders", "--force", "--json").json
    assert len(removed) == 3
    ottla("acls", "remove", "--deny-principal", "User:eve", "--operation", "read", *prefix, "--force")
    assert ottla("acls", "list").out == ""


def test_users_get_passwords(ottla: Ottla) -> None:
    """From standard input; what is listed is never the password."""
    assert ottla("users", "set", "alice", given="secret\n").out == "Completed updating config for user alice.\n"
    ottla("users", "set", "alice", "--mechanism", "SCRAM-SHA-512", "--iterations", "8192", given="secret\n")
    assert ottla("users", "list", "alice").lines == [
        "SCRAM credential configs for user-principal 'alice' are SCRAM-SHA-256=iterations=4096",
        "SCRAM credential configs for user-principal 'alice' are SCRAM-SHA-512=iterations=8192",
    ]
    ottla("users", "delete", "alice")
    assert ottla("users", "list").out == ""
    assert ottla("users", "set", "bob", given="", succeeds=False).status == 1


def test_quotas_are_set_and_taken_away(ottla: Ottla) -> None:
    """Of a user, a client of hers, and the default of all clients."""
    who = ("--user", "alice", "--client-id", "etl")
    assert ottla("quotas", "alter", *who, "--add-config", "producer_byte_rate=1024").out == (
        "Completed updating config for user-principal 'alice', client-id 'etl'.\n"
    )
    ottla("quotas", "alter", "--client-defaults", "--add-config", "request_percentage=50")
    assert ottla("quotas", "describe").lines == [
        "Quota configs for the default client-id are request_percentage=50.0",
        "Quota configs for user-principal 'alice', client-id 'etl' are producer_byte_rate=1024.0",
    ]
    ottla("quotas", "alter", *who, "--delete-config", "producer_byte_rate")
    assert len(ottla("quotas", "describe", "--json").json) == 1
    for words, sentence in (
        (["alter"], "whose?"),
        (["alter", "--user", "u"], "nothing to change"),
        (["alter", "--user", "u", "--add-config", "producer_byte_rate=fast"], "not a number"),
    ):
        refused = ottla("quotas", *words, succeeds=False)
        assert refused.status == 2 and sentence in refused.err


def test_transactions_are_listed_found_and_ended(ottla: Ottla, broker: Broker) -> None:
    """An open one is shown at its coordinator and in its partition; force-terminate ends it and fences the producer."""
    ottla("topics", "create", "ledger")
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "shop"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("ledger", b"open")
    producer.flush(30)
    (row,) = ottla("transactions", "list", "--json").json
    assert (row["transactionalid"], row["transactionstate"]) == ("shop", "Ongoing")
    (described,) = ottla("transactions", "describe", "shop", "--json").json
    assert described["topicpartitions"] == ["ledger-0"]
    (active,) = ottla("transactions", "describe-producers", "--topic", "ledger", "--partition", "0", "--json").json
    assert active["currenttransactionstartoffset"] == 0
    assert ottla("transactions", "find-hanging", "--max-transaction-timeout", "0", "--json").json == []
    ottla("transactions", "force-terminate", "shop")
    assert ottla("transactions", "list", "--state", "Ongoing", "--json").json == []
    with pytest.raises(Exception, match=r"fence|epoch|FENCED|Epoch"):
        producer.commit_transaction(30)
    assert ottla("transactions", "list", "--state", "Thinking", succeeds=False).status == 2


def test_a_hanging_transaction_is_aborted_in_its_partition(ottla: Ottla, broker: Broker) -> None:
    """`abort` writes its end, and readers get what stands behind it."""
    ottla("topics", "create", "stuck")
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "stuck"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("stuck", b"open")
    producer.flush(30)
    place = ("--topic", "stuck", "--partition", "0")
    assert ottla("transactions", "abort", *place, "--start-offset", "7", succeeds=False).status == 1
    assert ottla("transactions", "abort", *place, succeeds=False).status == 2
    ottla("transactions", "abort", *place, "--start-offset", "0")
    (active,) = ottla("transactions", "describe-producers", *place, "--json").json
    assert active["currenttransactionstartoffset"] is None
