"""Addresses of brokers that encrypt, or ask who their clients are: everything that a client needs, in one text.

A scenario gives its client an address. Of a plain broker that is `127.0.0.1:9092`; of a secured one

    SASL_SSL://127.0.0.1:9093?ca=/x/ca.pem&mechanism=SCRAM-SHA-512&user=alice&password=secret
    SSL://127.0.0.1:9093?ca=/x/ca.pem&certificate=/x/alice.crt&key=/x/alice.key&store=/x/alice.pem

so that scenarios, drivers and workers take either without a further argument. `Address` parses it; here each Python
library's settings are made of it, and the workers in other languages do the same in their own (`connecting`).

Files are PEM. `store` is key and certificate in one, which Java wants. Values are percent-encoded where they must be.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

PLAINTEXT = "PLAINTEXT"
OAUTHBEARER = "OAUTHBEARER"
"""The mechanism of which an address has the token as its password."""
STORE_PASSWORD = "store-password"
"""Of all PKCS12 stores."""


@dataclass(frozen=True)
class Address:
    """Where a broker is, and how to connect."""

    servers: str
    protocol: str = PLAINTEXT
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    store: str | None = None
    mechanism: str | None = None
    user: str | None = None
    password: str | None = None
    by_token: str | None = None
    """`true` where user and password are those of a delegation token."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address written so. Raises TypeError for a part that is not known."""
        protocol, separator, rest = text.partition("://")
        if not separator:
            return cls(text)
        servers, _, query = rest.partition("?")
        return cls(servers, protocol, **dict(parse_qsl(query)))

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in ("ca", "certificate", "key", "store", *_SASL)}
        query = urlencode({name: value for name, value in parts.items() if value is not None})
        return self.servers if self.protocol == PLAINTEXT else f"{self.protocol}://{self.servers}?{query}"

    @property
    def encrypts(self) -> bool:
        """Whether the client speaks TLS."""
        return self.protocol.endswith("SSL")

    def for_librdkafka(self) -> dict[str, Any]:
        """Settings of confluent-kafka, and of whatever else stands on librdkafka."""
        settings: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.protocol,
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.key,
            "sasl.mechanisms": self.mechanism,
            "sasl.username": self.user,
            "sasl.password": self.password,
        }
        if self.mechanism == OAUTHBEARER:
            settings |= {"sasl.username": None, "sasl.password": None, "oauth_cb": self._token}
        return {name: value for name, value in settings.items() if value is not None}

    def _token(self, _: object) -> tuple[str, float]:
        """The token, and until when librdkafka may use it without asking again."""
        return self.password or "", time.time() + 3600

    def for_kafka_python(self) -> dict[str, Any]:
        """Settings of kafka-python."""
        settings: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
            "ssl_cafile": self.ca,
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }
        if self.mechanism == OAUTHBEARER:
            from kafka.net.sasl.oauth import AbstractTokenProvider

            settings |= {"sasl_oauth_token_provider": provider(AbstractTokenProvider, self.password, later=False)}
        return {name: value for name, value in settings.items() if value is not None}

    def for_aiokafka(self) -> dict[str, Any]:
        """Settings of aiokafka, which wants a context instead of files."""
        settings = self.for_kafka_python()
        if self.mechanism == OAUTHBEARER:
            from aiokafka.abc import AbstractTokenProvider

            settings["sasl_oauth_token_provider"] = provider(AbstractTokenProvider, self.password, later=True)
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            settings.pop(name, None)
        if self.encrypts:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            settings["ssl_context"] = context
        return settings


def provider(base: type[Any], token: str | None, *, later: bool) -> Any:
    """What a library asks for a token, of its own kind; `later` where it awaits it."""

    async def awaited(self: object) -> str:
        return token or ""

    def at_once(self: object) -> str:
        return token or ""

    return type("Token", (base,), {"token": awaited if later else at_once, "__init__": lambda self: None})()


_SASL = ("mechanism", "user", "password", "by_token")


@dataclass(frozen=True)
class Files:
    """What `python -m broker.testing.certificates` has written: see there."""

    folder: Path

    def of(self, name: str, kind: str = "pem") -> str:
        """The path of one."""
        return str(self.folder / f"{name}.{kind}")

    def client(self, name: str) -> dict[str, str]:
        """The parts of an Address for a client with that certificate."""
        return {"certificate": self.of(name, "crt"), "key": self.of(name, "key"), "store": self.of(name)}


def make_files(folder: Path) -> Files:
    """Authorities, and certificates that are right and wrong. They are made by a program, since nothing here imports
    the broker's code."""
    subprocess.run([sys.executable, "-m", "broker.testing.certificates", str(folder)], check=True, timeout=60)
    return Files(folder)


def tls_settings(files: Files, ports: Mapping[str, int]) -> dict[str, str]:
    """Settings of a broker, Ottla or Kafka, with a listener at each of the ports: SSL; MUTUAL, which wants a
    certificate of its clients; EXPIRED, whose own is out of date. The plain one is for setting the stage."""
    secured = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    plain = "PLAINTEXT://127.0.0.1:{port}"
    return {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:{controller}", *secured]),
        "advertised.listeners": ",".join([plain, *secured]),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,MUTUAL:SSL,EXPIRED:SSL",
        "ssl.keystore.location": files.of("server", "p12"),
        "ssl.keystore.password": STORE_PASSWORD,
        "ssl.keystore.type": "PKCS12",
        "ssl.key.password": STORE_PASSWORD,
        "ssl.truststore.location": files.of("ca"),
        "ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.expired.ssl.keystore.location": files.of("expired-server", "p12"),
    }


_LOGIN = "org.apache.kafka.common.security"


def sasl_settings(files: Files, ports: Mapping[str, int], users: Mapping[str, str]) -> dict[str, str]:
    """Settings of a broker, Ottla or Kafka, with listeners SASL_PLAINTEXT and SASL_SSL at the ports, and every
    mechanism. `users` are PLAIN's; OAUTHBEARER takes tokens that are not signed."""
    secured = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    plain = "PLAINTEXT://127.0.0.1:{port}"
    passwords = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    settings = {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:{controller}", *secured]),
        "advertised.listeners": ",".join([plain, *(each.replace("127.0.0.1", "localhost") for each in secured)]),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "ssl.keystore.location": files.of("server", "p12"),
        "ssl.keystore.password": STORE_PASSWORD,
        "ssl.keystore.type": "PKCS12",
        "ssl.key.password": STORE_PASSWORD,
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    }
    modules = {
        "plain": f"{_LOGIN}.plain.PlainLoginModule required {passwords};",
        "scram-sha-256": f"{_LOGIN}.scram.ScramLoginModule required;",
        "scram-sha-512": f"{_LOGIN}.scram.ScramLoginModule required;",
        "oauthbearer": f'{_LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
    }
    handler = f"{_LOGIN}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
    for listener in ports:
        prefix = f"listener.name.{listener.lower()}."
        settings |= {f"{prefix}{mechanism}.sasl.jaas.config": module for mechanism, module in modules.items()}
        settings[f"{prefix}oauthbearer.sasl.server.callback.handler.class"] = handler
    return settings
