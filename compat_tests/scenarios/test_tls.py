"""TLS: records over encrypted connections, clients that show certificates, and what each client says when one of the
two sides does not believe the other."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from compat_tests.brokers import free_port
from compat_tests.clients.contract import Failed, Record, Refused
from compat_tests.scenarios import needs
from compat_tests.secured import Address, Files, tls_settings
from compat_tests.session import Session, read, values

SOON = 15.0
"""Seconds within which a client that keeps trying has given up; it was told in the first."""


class Secured:
    """The client under test, and the listeners of one broker."""

    def __init__(self, session: Session, files: Files, ports: dict[str, int]) -> None:
        self.session = session
        self.files = files
        self._ports = ports

    def connect_to(self, listener: str, ca: str = "ca", client: str | None = None) -> None:
        """Let clients connect there, with that authority and, perhaps, that certificate."""
        shown = {} if client is None else self.files.client(client)
        address = Address(f"localhost:{self._ports[listener]}", "SSL", ca=self.files.of(ca), **shown)
        self.session.connect_to(str(address))


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where the listeners are."""
    return {name: free_port() for name in ("SSL", "MUTUAL", "EXPIRED")}


@pytest.fixture
def secured(connect: Callable[..., Session], files: Files, ports: dict[str, int]) -> Secured:
    """The client under test on a broker with listeners of each kind."""
    return Secured(connect("tls", **tls_settings(files, ports)), files, ports)


@needs("tls", "assign")
@pytest.mark.parametrize(("listener", "client"), [("SSL", None), ("MUTUAL", "client")])
def test_records_travel_encrypted(secured: Secured, listener: str, client: str | None) -> None:
    """Records are produced and read over TLS, by clients with a certificate where one is asked for"""
    session = secured.session
    partition = session.partition()
    secured.connect_to(listener, client=client)
    records = [Record(b"%d" % number + bytes(50_000)) for number in range(40)]
    session.producer().produce(partition.topic, records)
    assert values(read(session.reader(partition), 40)) == [record.value for record in records]


@needs("tls")
@pytest.mark.parametrize(
    ("listener", "ca", "client"),
    [
        ("SSL", "other-ca", None),
        ("EXPIRED", "ca", None),
        ("MUTUAL", "ca", None),
        ("MUTUAL", "ca", "expired-client"),
        ("MUTUAL", "ca", "other-client"),
    ],
)
def test_a_side_that_is_not_believed(secured: Secured, listener: str, ca: str, client: str | None) -> None:
    """Whichever side is not believed, with a certificate that is foreign, out of date or missing, the client fails"""
    topic = secured.session.topic()
    secured.connect_to(listener, ca, client)
    began = time.monotonic()
    with pytest.raises((Failed, Refused)):  # Java counts its SslAuthenticationException as a wrong configuration
        secured.session.producer(timeout=3.0).produce(topic, [Record(b"x")])
    assert time.monotonic() - began < SOON
