"""SASL: each client logs in with each mechanism that it has, and says so when it is not let in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from compat_tests.brokers import free_port
from compat_tests.clients.contract import Failed, Record, Refused
from compat_tests.scenarios import needs
from compat_tests.secured import Address, Files, sasl_settings
from compat_tests.session import Session, read, values
from compat_tests.tokens import Token, make_token

USER, PASSWORD = "alice", "alice-secret, with=signs"
SOON = 15.0
"""Seconds within which a client that keeps trying has given up; it was told in the first."""


def token(user: str, lifetime: int) -> str:
    """A token that is not signed."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": user, "iat": now + min(lifetime, 0) - 10, "exp": now + lifetime})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


class Guarded:
    """The client under test, and a broker that asks who it is."""

    def __init__(self, session: Session, files: Files, ports: dict[str, int]) -> None:
        self.session = session
        self._files = files
        self._ports = ports
        admin = AdminClient({"bootstrap.servers": session.bootstrap})
        wanted = {ScramMechanism.SCRAM_SHA_256: 4096, ScramMechanism.SCRAM_SHA_512: 8192}
        for mechanism, iterations in wanted.items():
            info = ScramCredentialInfo(mechanism, iterations)
            change = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
            for result in admin.alter_user_scram_credentials([change]).values():
                result.result(10)

    def connect_as(self, user: str, password: str, protocol: str, mechanism: str, *, by_token: bool = False) -> None:
        """Let clients connect there from here on, and log in so; `by_token` where these are a delegation token's."""
        ca = self._files.of("ca") if protocol == "SASL_SSL" else None
        servers = f"localhost:{self._ports[protocol]}"
        address = Address(servers, protocol, ca=ca, mechanism=mechanism, user=user, password=password)
        self.session.connect_to(str(replace(address, by_token="true") if by_token else address))

    def token(self) -> Token:
        """A delegation token of the user's."""
        return make_token(self._ports["SASL_PLAINTEXT"], USER, PASSWORD)


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where the listeners are."""
    return {name: free_port() for name in ("SASL_PLAINTEXT", "SASL_SSL")}


@pytest.fixture(scope="session")
def ports_of_sessions() -> dict[str, int]:
    """Where the listeners of another broker are, with sessions that end."""
    return {name: free_port() for name in ("SASL_PLAINTEXT", "SASL_SSL")}


@pytest.fixture
def guarded(connect: Callable[..., Session], files: Files, ports: dict[str, int]) -> Guarded:
    """The client under test on a broker that asks who it is."""
    settings = sasl_settings(files, ports, {USER: PASSWORD}) | {"delegation.token.secret.key": "of these scenarios"}
    return Guarded(connect("sasl", **settings), files, ports)


@needs("tls", "assign")
@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
        ("SASL_PLAINTEXT", "OAUTHBEARER"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-512"),
    ],
)
def test_a_client_logs_in(guarded: Guarded, protocol: str, mechanism: str) -> None:
    """A client that has logged in produces and reads as on any other listener"""
    session = guarded.session
    partition = session.partition()
    secret = token(USER, 600) if mechanism == "OAUTHBEARER" else PASSWORD
    guarded.connect_as(USER, secret, protocol, mechanism)
    records = [Record(b"%d" % number) for number in range(20)]
    session.producer().produce(partition.topic, records)
    assert values(read(session.reader(partition), 20)) == [record.value for record in records]


@needs("tls", "assign", "delegation_tokens")
@pytest.mark.parametrize(
    ("protocol", "mechanism"), [("SASL_PLAINTEXT", "SCRAM-SHA-256"), ("SASL_SSL", "SCRAM-SHA-512")]
)
def test_a_delegation_token_lets_a_client_in(guarded: Guarded, protocol: str, mechanism: str) -> None:
    """With a delegation token a client produces and reads, and with another secret it does not"""
    session, token = guarded.session, guarded.token()
    partition = session.partition()
    guarded.connect_as(token.id, token.secret, protocol, mechanism, by_token=True)
    session.producer().produce(partition.topic, [Record(b"x")])
    assert values(read(session.reader(partition), 1)) == [b"x"]
    guarded.connect_as(token.id, token.secret[::-1], protocol, mechanism, by_token=True)
    with pytest.raises((Failed, Refused)):
        session.producer(timeout=1.0).produce(partition.topic, [Record(b"x")])


@needs("tls")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("mallory", PASSWORD)])
def test_a_client_is_not_let_in(guarded: Guarded, mechanism: str, user: str, password: str) -> None:
    """With a wrong password, or as a user that does not exist, a client fails"""
    topic = guarded.session.topic()
    guarded.connect_as(user, password, "SASL_PLAINTEXT", mechanism)
    began = time.monotonic()
    with pytest.raises((Failed, Refused)):  # some count it as their own error, some as the broker's 58
        guarded.session.producer(timeout=3.0).produce(topic, [Record(b"x")])
    assert time.monotonic() - began < SOON


SAYS = {
    "kafka_python": "KafkaTimeoutError",
    "confluent_kafka": "_AUTHENTICATION",
    "aiokafka": "SaslAuthenticationFailed",
    "java": "error 58",
    "kafkajs": "KafkaJSSASLAuthenticationError",
    "franz_go": "SASL_AUTHENTICATION_FAILED",
}
"""What each client says when its password is wrong: in the error that it raises, in its log, or to its error callback.
kafka-python tries until its time is up, and then says that it could not begin."""


@needs("tls")
def test_a_client_says_why_it_is_not_let_in(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """With a wrong password a client says that it is this, in the words of its library"""
    client = guarded.session.client
    topic = guarded.session.topic()
    guarded.connect_as(USER, "wrong", "SASL_PLAINTEXT", "PLAIN")
    if client == "confluent_kafka":
        said: list[str] = []
        settings = Address.parse(guarded.session.bootstrap).for_librdkafka()
        asking = Producer({**settings, "error_cb": lambda error: said.append(error.name()), "log_level": 0})
        deadline = time.monotonic() + SOON
        while SAYS[client] not in said and time.monotonic() < deadline:
            asking.poll(0.05)
        assert SAYS[client] in said
        return
    with pytest.raises((Failed, Refused)) as failure:
        guarded.session.producer(timeout=1.0).produce(topic, [Record(b"x")])
    said = [str(failure.value), *(record.getMessage() for record in caplog.records)]
    assert any(SAYS[client] in words for words in said), said


@needs("tls")
def test_a_token_that_is_over(guarded: Guarded) -> None:
    """With a token that has expired a client fails"""
    if guarded.session.client == "java":
        pytest.skip("gap: its login module makes the tokens that are not signed by itself")
    topic = guarded.session.topic()
    guarded.connect_as(USER, token(USER, -60), "SASL_PLAINTEXT", "OAUTHBEARER")
    began = time.monotonic()
    with pytest.raises((Failed, Refused)):
        guarded.session.producer(timeout=3.0).produce(topic, [Record(b"x")])
    assert time.monotonic() - began < SOON


@needs("tls", "assign")
def test_a_client_proves_again_who_it_is(
    connect: Callable[..., Session], files: Files, ports_of_sessions: dict[str, int]
) -> None:
    """Sessions last for two seconds, and a client that goes on for seven loses no record"""
    settings = sasl_settings(files, ports_of_sessions, {USER: PASSWORD}) | {"connections.max.reauth.ms": "2000"}
    guarded = Guarded(connect("sessions", **settings), files, ports_of_sessions)
    if guarded.session.client == "kafkajs":
        pytest.skip("gap: it renews ten seconds before the end, so a short session with each request, which is refused")
    partition = guarded.session.partition()
    guarded.connect_as(USER, PASSWORD, "SASL_PLAINTEXT", "SCRAM-SHA-256")
    producer = guarded.session.producer()
    records = [Record(b"%d" % number) for number in range(14)]
    for record in records:
        producer.produce(partition.topic, [record])
        time.sleep(0.5)
    assert values(read(guarded.session.reader(partition), 14)) == [record.value for record in records]
