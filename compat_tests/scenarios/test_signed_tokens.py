"""OAUTHBEARER with an issuer: tokens that it has signed let clients in, and no others."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from compat_tests.brokers import free_port
from compat_tests.clients.contract import Failed, Record, Refused
from compat_tests.scenarios import needs
from compat_tests.secured import Address, Files, sasl_settings
from compat_tests.session import Session, read, values

SUBJECT, AUDIENCE = "alice", "kafka"
LISTENER = "SASL_PLAINTEXT"
PREFIX = f"listener.name.{LISTENER.lower()}.oauthbearer."
LOGIN = "org.apache.kafka.common.security.oauthbearer"


def text(data: bytes) -> str:
    """As tokens have bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Has a key, and signs tokens with it."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self) -> dict[str, str]:
        """The public half, as a JWK."""
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = (
            text(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.n, numbers.e)
        )
        return {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": modulus, "e": exponent}

    def token(self, issuer: str, **changes: object) -> str:
        """One for the subject; `changes` of its claims."""
        now = int(time.time())
        claims = {"iss": issuer, "sub": SUBJECT, "aud": AUDIENCE, "iat": now, "exp": now + 600} | changes
        parts = ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims)
        signed = ".".join(text(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{text(self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


class Issuer(Signer):
    """Publishes its key over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        answer = json.dumps({"keys": [self.published()]}).encode()

        class Published(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Published)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def name(self) -> str:
        """What tokens say of their issuer, and where its keys are."""
        return f"http://127.0.0.1:{self._server.server_port}/keys"

    def close(self) -> None:
        """No keys any more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """The one that the broker believes."""
    made = Issuer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def port() -> int:
    """Where clients log in."""
    return free_port()


@pytest.fixture
def login(
    request: pytest.FixtureRequest, connect: Callable[..., Session], files: Files, issuer: Issuer, port: int
) -> tuple[Session, Callable[[str], None]]:
    """The client under test, and what gives it a token to connect with from here on."""
    if request.config.getoption("--launch") == "kafka":
        pytest.skip("Kafka fetches keys from addresses only that a property of its virtual machine names")
    settings = sasl_settings(files, {LISTENER: port}, {}) | {
        f"{PREFIX}sasl.server.callback.handler.class": f"{LOGIN}.OAuthBearerValidatorCallbackHandler",
        f"{PREFIX}sasl.jaas.config": f"{LOGIN}.OAuthBearerLoginModule required;",
        "sasl.oauthbearer.jwks.endpoint.url": issuer.name,
        "sasl.oauthbearer.expected.issuer": issuer.name,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
    }
    settings = {key: value for key, value in settings.items() if ".plain." not in key}
    settings["sasl.enabled.mechanisms"] = "OAUTHBEARER"
    session = connect("signed tokens", **settings)
    if session.client == "java":
        pytest.skip("gap: its login module makes tokens that are not signed, by itself")

    def log_in(token: str) -> None:
        session.connect_to(
            str(Address(f"localhost:{port}", LISTENER, mechanism="OAUTHBEARER", user=SUBJECT, password=token))
        )

    return session, log_in


@needs("tls", "assign")
def test_a_signed_token_lets_a_client_in(login: tuple[Session, Callable[[str], None]], issuer: Issuer) -> None:
    """With a token that the issuer has signed a client produces and reads"""
    session, log_in = login
    partition = session.partition()
    log_in(issuer.token(issuer.name))
    session.producer().produce(partition.topic, [Record(b"x")])
    assert values(read(session.reader(partition), 1)) == [b"x"]


@needs("tls")
@pytest.mark.parametrize("case", ["another key", "another audience", "unsigned"])
def test_another_token_does_not(login: tuple[Session, Callable[[str], None]], issuer: Issuer, case: str) -> None:
    """With a token that is not for this broker, not signed by its issuer, or not signed at all, a client fails"""
    session, log_in = login
    topic = session.topic()
    token = {
        "another key": lambda: Signer().token(issuer.name),
        "another audience": lambda: issuer.token(issuer.name, aud="another"),
        "unsigned": lambda: issuer.token(issuer.name).rpartition(".")[0] + ".",
    }[case]()
    log_in(token)
    with pytest.raises((Failed, Refused)):
        session.producer(timeout=1.0).produce(topic, [Record(b"x")])
