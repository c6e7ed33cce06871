"""The verbs against a broker with TLS, users and ACLs, by the properties file that it makes itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.tests.commands.conftest import Ottla

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The connection options for the admin of a broker that was started with --secure."""
    data = tmp_path_factory.mktemp("secured") / "data"
    words = [sys.executable, "-P", "ottla/__main__.py", "serve", "--secure", "--port", "0", "--data", str(data)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as broker:
        try:
            assert broker.stdout is not None
            address = broker.stdout.readline().split()[1]
            yield "-b", address, "-F", str(data / "secure" / "client.properties")
        finally:
            broker.terminate()


def scram(password: str) -> tuple[str, ...]:
    """The options by which alice connects instead."""
    jaas = f'x.ScramLoginModule required username="alice" password="{password}";'
    return "-X", "sasl.mechanism=SCRAM-SHA-256", "-X", f"sasl.jaas.config={jaas}"


def test_every_verb_connects_as_the_file_says(ottla: Ottla, secured: tuple[str, ...]) -> None:
    """By our own connections and by librdkafka's."""
    ottla("topics", "create", "safe", *secured)
    ottla("produce", "safe", *secured, given="hello\n")
    assert ottla("consume", "safe", "--from-beginning", "-e", *secured).out == "hello\n"
    assert ottla("doctor", *secured).lines[0].startswith("ok ")


def test_a_user_may_do_what_acls_say(ottla: Ottla, secured: tuple[str, ...]) -> None:
    """She reads, and deletes nothing; a wrong password is one sentence."""
    ottla("topics", "create", "hers", *secured)
    ottla("produce", "hers", *secured, given="for alice\n")
    ottla("users", "set", "alice", *secured, given="secret\n")
    ottla("acls", "add", "--allow-principal", "User:alice", "--consumer", "--topic", "hers", "--group", "g", *secured)
    alice = (*secured, *scram("secret"))
    assert ottla("topics", "list", *alice).lines == ["hers"]
    assert ottla("consume", "hers", "--from-beginning", "-e", *alice).out == "for alice\n"
    assert ottla("consume", "hers", "--from-beginning", "-G", "g", "-c", "1", *alice).out == "for alice\n"
    refused = ottla("topics", "delete", "hers", *alice, succeeds=False)
    assert refused.status == 1 and "topic hers: " in refused.err
    wrong = ottla("topics", "list", *secured, *scram("wrong"), succeeds=False)
    assert wrong.status == 1 and wrong.err.startswith("ottla topics: authentication failed: ")


def test_what_does_not_fit_the_listener_is_said(ottla: Ottla, secured: tuple[str, ...]) -> None:
    """Plain text to a listener for TLS, and an authority that is not trusted."""
    address = secured[:2]
    assert "is it a listener for TLS?" in ottla("topics", "list", *address, succeeds=False).err
    untrusted = ottla("topics", "list", *address, "-X", "security.protocol=SSL", succeeds=False)
    assert "the certificate of the broker at" in untrusted.err and "is not accepted" in untrusted.err


def test_a_listener_that_asks_no_one_to_log_in_says_so(ottla: Ottla) -> None:
    """It had "it offers" and nothing behind that."""
    user = ("-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=a", "-X", "sasl.password=b")
    ended = ottla("topics", "list", "-X", "security.protocol=SASL_PLAINTEXT", *user, succeeds=False)
    assert ended.status == 1 and "asks no one to log in" in ended.err
