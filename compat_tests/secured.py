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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

PLAINTEXT = "PLAINTEXT"
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
        settings = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.protocol,
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.key,
            "sasl.mechanisms": self.mechanism,
            "sasl.username": self.user,
            "sasl.password": self.password,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def for_kafka_python(self) -> dict[str, Any]:
        """Settings of kafka-python."""
        settings = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
            "ssl_cafile": self.ca,
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def for_aiokafka(self) -> dict[str, Any]:
        """Settings of aiokafka, which wants a context instead of files."""
        settings = self.for_kafka_python()
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            settings.pop(name, None)
        if self.encrypts:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            settings["ssl_context"] = context
        return settings


_SASL = ("mechanism", "user", "password")


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
