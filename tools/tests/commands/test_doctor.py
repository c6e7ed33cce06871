"""`ottla doctor` says in one sentence each what a client would meet."""

from __future__ import annotations

import socket
from pathlib import Path

from ottla import Broker
from tools.tests.commands.conftest import Ottla


def test_a_sound_broker_is_all_ok(ottla: Ottla, broker: Broker) -> None:
    """Every line is `ok`, and the status 0."""
    ended = ottla("doctor")
    assert {line.split()[0] for line in ended.lines} <= {"ok", "warn"}
    assert f"ok    clients hear 127.0.0.1:{broker.port} of broker 1, which is where they came from" in ended.lines
    assert {finding["status"] for finding in ottla("doctor", "--json").json} <= {"ok", "warn"}


def test_an_address_that_clients_do_not_reach_is_named(ottla: Ottla) -> None:
    """The commonest fault of all: advertised.listeners says what no client can use."""
    with Broker(config={"advertised.listeners": "PLAINTEXT://kafka.invalid:9092"}) as misled:
        ended = ottla("doctor", "-b", misled.bootstrap_servers, succeeds=False)
    assert ended.status == 1
    (failure,) = [line for line in ended.lines if line.startswith("FAIL")]
    assert "clients hear kafka.invalid:9092 of broker 1, and do not get there" in failure
    assert "advertised.listeners decides what they hear" in failure


def test_nothing_that_listens_is_one_line(ottla: Ottla) -> None:
    """What cannot be looked at is left out."""
    ended = ottla("doctor", "-b", "127.0.0.1:1", succeeds=False)
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert "nothing listens there" in ended.out


def test_something_that_speaks_no_kafka_is_named(ottla: Ottla) -> None:
    """A server that says nothing, and one that is asked for TLS and has none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        ended = ottla("doctor", "-b", address, "--timeout-ms", "300", succeeds=False)
        assert f"what listens at {address} does not speak Kafka's protocol: no answer in time" in ended.out


def test_a_plain_listener_that_is_asked_for_tls_is_named(ottla: Ottla, broker: Broker) -> None:
    """The sentence asks the right question."""
    ended = ottla("doctor", "-X", "security.protocol=SSL", "--timeout-ms", "2000", succeeds=False)
    assert ended.status == 1 and "is it a listener for TLS?" in ended.out


# --- what a cluster stands on


def test_a_bucket_is_looked_at_without_a_broker(ottla: Ottla, tmp_path: Path) -> None:
    """A directory is a bucket that keeps its promises; a database that is not there is named, without its password."""
    sound = ottla("doctor", "--objects", f"file://{tmp_path}/bucket")
    assert {line.split()[0] for line in sound.lines} == {"ok"}
    assert sound.lines[0].startswith(f"ok    the bucket file://{tmp_path}/bucket keeps a small object in")
    ended = ottla("doctor", "--cluster", "postgresql://me:hush@127.0.0.1:1/logs", succeeds=False)
    assert (ended.status, len(ended.lines), "hush" in ended.out) == (1, 1, False)


def test_places_come_from_a_brokers_file(ottla: Ottla, tmp_path: Path) -> None:
    """The broker's own properties name both."""
    (tmp_path / "broker.properties").write_text(f"node.id=1\nottla.objects=file://{tmp_path}/bucket\n")
    assert "keeps a small object" in ottla("doctor", "--config", str(tmp_path / "broker.properties")).out


def test_a_url_that_names_nothing_is_one_sentence(ottla: Ottla) -> None:
    """Which repeats no credential."""
    ended = ottla("doctor", "--objects", "s3://key:hush@logs", succeeds=False)
    assert (ended.status, "hush" in ended.err) == (2, False)
    assert "credentials" in ended.err
