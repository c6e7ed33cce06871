"""Kafka's command-line tools, option by option: access control, on a broker with an authorizer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from compat_tests.clients.kafka_tools.adapter import Tools, unused

AUTHORIZED = {
    "authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super_users": "User:ANONYMOUS",
}
Acl = tuple[str, str, str, str]


@pytest.fixture
def guarded(tools_on: Callable[..., Tools]) -> Tools:
    """The tools on a broker whose authorizer lets them do everything."""
    settings = {name.replace("_", "."): value for name, value in AUTHORIZED.items()}
    return tools_on("authorizer", **settings)


def acls(said: str) -> set[Acl]:
    """(principal, host, operation, permission) of each ACL that is printed."""
    found = r"principal=([^,]+), host=([^,]+), operation=([^,]+), permissionType=([^)]+)\)"
    return set(re.findall(found, said))


def test_acls_are_added_listed_and_removed(guarded: Tools, tmp_path: Path) -> None:
    """kafka-acls adds ACLs for principals and hosts, lists them by principal, and removes them"""
    topic, user, settings = unused("topic"), f"User:{unused('user')}", tmp_path / "client.properties"
    settings.write_text("client.id=tools\n")
    allowing = ["--allow-principal", user, "--allow-host", "192.0.2.1", "--operation", "Read", "--operation", "Write"]
    guarded.run("kafka-acls", "--add", *allowing, "--topic", topic, "--command-config", str(settings))
    denying = ["--deny-principal", user, "--deny-host", "192.0.2.2", "--operation", "All"]
    guarded.run("kafka-acls", "--add", *denying, "--topic", topic)
    wanted = {
        (user, "192.0.2.1", "READ", "ALLOW"), (user, "192.0.2.1", "WRITE", "ALLOW"), (user, "192.0.2.2", "ALL", "DENY"),
    }  # fmt: skip
    assert acls(guarded.run("kafka-acls", "--list", "--topic", topic)) == wanted
    assert acls(guarded.run("kafka-acls", "--list", "--principal", user)) == wanted
    guarded.run("kafka-acls", "--remove", "--force", *denying, "--topic", topic)
    assert acls(guarded.run("kafka-acls", "--list", "--topic", topic)) == {acl for acl in wanted if acl[3] == "ALLOW"}
    guarded.run("kafka-acls", "--remove", "--force", "--topic", topic)
    assert acls(guarded.run("kafka-acls", "--list", "--topic", topic)) == set()


def test_acls_are_on_every_kind_of_resource(guarded: Tools) -> None:
    """kafka-acls controls groups, the cluster, transactional ids, tokens, users, and whole families of names"""
    user = f"User:{unused('user')}"
    resources: list[tuple[str, list[str]]] = [
        ("Describe", ["--group", unused("group")]),
        ("Alter", ["--cluster"]),
        ("Write", ["--transactional-id", unused("transaction")]),
        ("Describe", ["--delegation-token", unused("token")]),
        ("CreateTokens", ["--user-principal", f"User:{unused('owner')}"]),
        ("Read", ["--topic", unused("topic"), "--resource-pattern-type", "prefixed"]),
    ]
    for operation, resource in resources:
        guarded.run("kafka-acls", "--add", "--allow-principal", user, "--operation", operation, *resource)
        listed = acls(guarded.run("kafka-acls", "--list", *resource))
        assert {acl[0] for acl in listed} == {user}, resource
        guarded.run("kafka-acls", "--remove", "--force", *resource)
        assert acls(guarded.run("kafka-acls", "--list", *resource)) == set(), resource


def test_acls_of_patterns_are_found(guarded: Tools) -> None:
    """kafka-acls lists what matches a name, literal or by its prefix"""
    topic, user = unused("topic"), f"User:{unused('user')}"
    prefixed = ["--topic", topic[:-3], "--resource-pattern-type", "prefixed"]
    guarded.run("kafka-acls", "--add", "--allow-principal", user, "--operation", "Read", *prefixed)
    which = ["--list", "--topic", topic, "--resource-pattern-type"]
    assert acls(guarded.run("kafka-acls", *which, "match")) == {(user, "*", "READ", "ALLOW")}
    assert acls(guarded.run("kafka-acls", *which, "literal")) == set()
    guarded.run("kafka-acls", "--remove", "--force", *prefixed)


def test_acls_for_producers_and_consumers(guarded: Tools) -> None:
    """kafka-acls gives what producers and consumers need in one go"""
    topic, group, user = unused("topic"), unused("group"), f"User:{unused('user')}"
    guarded.run("kafka-acls", "--add", "--allow-principal", user, "--producer", "--idempotent", "--topic", topic)
    given = {acl[2] for acl in acls(guarded.run("kafka-acls", "--list", "--topic", topic))}
    assert given == {"WRITE", "DESCRIBE", "CREATE"}
    reading = ["--consumer", "--group", group, "--topic", topic]
    guarded.run("kafka-acls", "--add", "--allow-principal", user, *reading)
    assert {acl[2] for acl in acls(guarded.run("kafka-acls", "--list", "--group", group))} == {"READ"}
    guarded.run("kafka-acls", "--remove", "--force", "--allow-principal", user, *reading)
    assert acls(guarded.run("kafka-acls", "--list", "--group", group)) == set()
