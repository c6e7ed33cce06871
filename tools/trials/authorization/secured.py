"""Two secured brokers with the same settings, and connections to them as any of their users.

The first listener is PLAINTEXT, whose clients are anonymous: Kafka's controller and its broker talk to each other over
one like it, so User:ANONYMOUS is a super user, and the situation `anonymous` is left to the test suite. The cases come
over a SASL_PLAINTEXT listener with the mechanism PLAIN.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from broker.config.keys.security import STANDARD_AUTHORIZER
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.declare import Request, Response
from tools.answers.peer import NoReply, Peer
from tools.answers.site import Site
from tools.answers.stage import decoded_reply, encoded, has_flexible_header, wait_for_coordinators
from tools.trials.brokers import Contender, Process, kafka, quiet_port

PASSWORD = "of-a-trial"
KAFKAS_LAG_SECONDS = 1.0


class Secured(NamedTuple):
    """A broker that runs: where super users find it, and where its users do."""

    port: int
    sasl_port: int
    lag_seconds: float
    """How long it may take until ACLs hold after they were confirmed."""


def _settings(users: Sequence[str], sasl_port: int) -> tuple[str, ...]:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    passwords = " ".join(f'user_{user}="{PASSWORD}"' for user in users)
    plaintext = "PLAINTEXT://127.0.0.1:{port}"
    return (
        f"listeners={plaintext},CONTROLLER://127.0.0.1:{{controller}},SASL_PLAINTEXT://127.0.0.1:{sasl_port}",
        f"advertised.listeners={plaintext},SASL_PLAINTEXT://127.0.0.1:{sasl_port}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "process.roles=broker,controller",
        "node.id=1",
        "controller.quorum.bootstrap.servers=127.0.0.1:{controller}",
        "inter.broker.listener.name=PLAINTEXT",
        "controller.listener.names=CONTROLLER",
        "offsets.topic.replication.factor=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "group.initial.rebalance.delay.ms=0",
        "sasl.enabled.mechanisms=PLAIN",
        f"listener.name.sasl_plaintext.plain.sasl.jaas.config={module} required {passwords};",
        f"authorizer.class.name={STANDARD_AUTHORIZER}",
        "super.users=User:admin;User:ANONYMOUS",
    )


@contextmanager
def secured_ottla(users: Sequence[str]) -> Iterator[Secured]:
    """Ottla, run by this interpreter, with these users."""
    words = (sys.executable, "-m", "ottla", "serve", "--exit-with-parent", "--data", "{dir}")
    sasl_port = quiet_port()
    with _running(Contender("ottla", words, _settings(users, sasl_port), "--set"), sasl_port, 0.0) as running:
        yield running


@contextmanager
def secured_kafka(command: str, users: Sequence[str]) -> Iterator[Secured]:
    """Apache Kafka, run by `command`, which takes settings behind it, with these users."""
    sasl_port = quiet_port()
    contender = kafka(command, *_settings(users, sasl_port))
    with _running(contender, sasl_port, KAFKAS_LAG_SECONDS) as running:
        yield running


@contextmanager
def _running(contender: Contender, sasl_port: int, lag_seconds: float) -> Iterator[Secured]:
    with (
        tempfile.TemporaryDirectory(prefix=f"secured-{contender.name}-") as folder,
        Process(contender, Path(folder) / "data", Path(folder) / "output") as broker,
    ):
        broker.start()
        broker.wait_until()
        wait_for_coordinators(Site.here(broker.port))
        yield Secured(broker.port, sasl_port, lag_seconds)


class Client:
    """A connection, of a user or without one, that asks and decodes."""

    def __init__(self, port: int, user: str | None = None) -> None:
        self._peer = Peer(Site.here(port).connect)
        if user is not None:
            handshake = self.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1)
            assert isinstance(handshake, Response) and handshake.error_code == 0, handshake  # type: ignore[attr-defined]  # of this response
            proof = f"\0{user}\0{PASSWORD}".encode()
            answer = self.ask(SaslAuthenticateRequest(auth_bytes=proof), 2)
            assert isinstance(answer, Response) and answer.error_code == 0, answer  # type: ignore[attr-defined]  # of this response

    def ask(self, request: Request, version: int) -> Response | NoReply:
        """The reply to a request, or what came instead of one."""
        body = encoded(request, version)
        number = self._peer.send(request.api_key, version, body, flexible=version >= request.flexible_version)
        found = self._peer.receive(number, flexible_reply=has_flexible_header(request, version))
        reply, _ = decoded_reply(found, request, version)
        if reply is not None:
            return reply
        return found if isinstance(found, NoReply) else NoReply.CLOSED

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()
