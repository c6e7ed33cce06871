"""What an attack is, and what it has to work with."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from kproto.connection import frame_buffers
from kproto.errors import ProtocolError
from kproto.headers import write_request_header
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.schema.compile import encode
from kproto.schema.declare import Request
from tools.trials.brokers import pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

PATIENCE_SECONDS = 30.0
_names = itertools.count()

Steps = Iterator[None]
Attacker = Callable[["Site"], Steps]


@dataclass
class Site:
    """A broker under attack: connections to it, closed when the attack is over."""

    port: int
    versions: dict[int, tuple[int, int]]
    """What the broker serves: API key -> (oldest, newest)."""
    _open: ExitStack = field(default_factory=ExitStack)
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the patience has ended."""

    def client(self, client_id: str | None = "abuse") -> WireClient:
        """A connection that speaks the protocol."""
        return self._open.enter_context(WireClient(self.port, timeout=PATIENCE_SECONDS, client_id=client_id))

    def socket(self) -> socket.socket:
        """A connection for bytes."""
        return self._open.enter_context(socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS))

    def newest(self, request: type[Request], at_most: int = 99) -> int:
        """The newest version of a request that both sides know."""
        return min(self.versions[request.api_key][1], request.max_version, at_most)

    def topic(self, partitions: int = 1, **configs: str) -> str:
        """A new topic."""
        name = self.name("topic")
        topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)
        with WireClient(self.port, timeout=PATIENCE_SECONDS) as client:
            client.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), self.newest(CreateTopicsRequest))
        return name

    def group(self, ending: str = "") -> str:
        """A new group, whose coordinator is there. Raises AssertionError if it does not come."""
        name = self.name("group") + ending
        with WireClient(self.port, timeout=PATIENCE_SECONDS) as client:
            for _ in range(100):
                found: Any = client.call(FindCoordinatorRequest(coordinator_keys=[name]), 4)
                if not found.coordinators[0].error_code and not wire.committed_error(client, name):
                    return name
                pause(0.05)
        raise AssertionError("a group has a coordinator")

    def name(self, what: str) -> str:
        """A name that was not used before."""
        return f"abuse-{what}-{next(_names)}"

    def close(self) -> None:
        """Close every connection."""
        self.over.set()
        with suppress(OSError):
            self._open.close()


@dataclass(frozen=True)
class Attack:
    """One attack: its name in the table, the kind of fault that it looks for, and how it is done."""

    name: str
    kind: str
    attacker: Attacker
    settings: tuple[str, ...] = ()
    budget_mb: float = 0.0
    """What the broker's settings let it take: of groups' state, or of requests that are under way."""


class Attacks(list[Attack]):
    """The attacks of one module, in the order in which they stand there."""

    def add(self, name: str, kind: str, *settings: str, budget_mb: float = 0.0) -> Callable[[Attacker], Attacker]:
        """Add the decorated generator; `settings` go to the broker that it is tried on."""

        def added(attacker: Attacker) -> Attacker:
            self.append(Attack(name, kind, attacker, settings, budget_mb))
            return attacker

        return added


def framed(request: Request, version: int, correlation_id: int = 7, client_id: str | None = "abuse") -> bytes:
    """A request as bytes, for a socket that does not care for the answer."""
    flexible = version >= request.flexible_version
    header = write_request_header(request.api_key, version, correlation_id, client_id, flexible)
    return b"".join(bytes(buffer) for buffer in frame_buffers(header, encode(request, version)))


def answer_or_cut(client: WireClient, request: Request, version: int) -> Any:
    """The reply; None if the broker cut the connection or said nothing in time. Both are answers to an attack."""
    try:
        return client.call(request, version)
    except (OSError, ProtocolError):
        return None


def drain_reply(peer: socket.socket, most: int) -> int:
    """Read and throw away one reply, or the first `most` bytes of it; returns how much there was."""
    length = b""
    with suppress(OSError):
        while len(length) < 4 and (more := peer.recv(4 - len(length))):
            length += more
    return drain(peer, min(most, int.from_bytes(length, "big"))) if len(length) == 4 else 0


def drain(peer: socket.socket, most: int) -> int:
    """Read and throw away what comes, up to `most` bytes or the end; returns how much there was."""
    read = 0
    buffer = bytearray(1 << 20)
    with suppress(OSError):
        while read < most and (count := peer.recv_into(buffer, min(len(buffer), most - read))):
            read += count
    return read
