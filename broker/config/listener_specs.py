"""Where the broker listens, what is spoken there, and which addresses clients are given.

A listener is written `NAME://host:port`. The name is free; what is spoken there is looked up in
`listener.security.protocol.map`, in which PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL stand for themselves. An empty
host (or 0.0.0.0, or [::]) is every address of the machine; an IPv6 address stands in brackets; port 0 is a free port
that the system picks.

Entries named in `controller.listener.names` are for the quorum of Kafka's controllers. There is none here, so they are
not opened. A listener is never served with less than its protocol asks for: what is missing (a key store, a mechanism
of SASL) stops the start. TLS is made from `ssl.*` (`tls_settings.py`), SASL from `sasl.*` (`sasl_settings.py`).

An advertised listener is where clients come back to. Without one they get the address by which they came; with its
host left empty, the host by which they came and the port that is advertised. (Kafka fills in the name that the
machine has for itself, which need not be one that a client can resolve.)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

PLAINTEXT: Final = "PLAINTEXT"
SSL: Final = "SSL"
SASL_PLAINTEXT: Final = "SASL_PLAINTEXT"
SASL_SSL: Final = "SASL_SSL"
_PROTOCOLS: Final = (PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL)
LOOPBACK: Final = "127.0.0.1"
_HTTP: Final = re.compile(r"(?:(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9_.-]*)):)?([0-9]{1,5})", re.ASCII)
_ENTRY: Final = re.compile(r"([A-Za-z0-9_.-]+)://(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9_.-]*)):([0-9]{1,6})", re.ASCII)


class Listener(NamedTuple):
    """One address. `host` is empty for every address of the machine; IPv6 addresses are without brackets."""

    name: str
    host: str
    port: int
    protocol: str = PLAINTEXT

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in (SSL, SASL_SSL)

    @property
    def uses_sasl(self) -> bool:
        """Whether clients say who they are before anything else."""
        return self.protocol in (SASL_PLAINTEXT, SASL_SSL)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


class ListenerError(ValueError):
    """A list of listeners makes no sense; the message is a sentence that names the entry."""


def parse_protocols(text: str) -> dict[str, str]:
    """Listener name -> protocol, from `NAME:PROTOCOL,...`. Raises ListenerError."""
    protocols: dict[str, str] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        name, colon, protocol = entry.partition(":")
        name, protocol = name.strip().upper(), protocol.strip().upper()
        if not colon or not name or protocol not in _PROTOCOLS:
            raise ListenerError(f"{entry} is not a listener's name, a colon and one of {', '.join(_PROTOCOLS)}")
        if name in protocols:
            raise ListenerError(f"{name} is there twice")
        protocols[name] = protocol
    return protocols


def parse_listeners(
    entries: Collection[str], protocols: Mapping[str, str], controllers: Collection[str]
) -> tuple[Listener, ...]:
    """The listeners to open, controllers' left out. Raises ListenerError."""
    found: list[Listener] = []
    names: set[str] = set()
    addresses: set[tuple[str, int]] = set()
    for entry in entries:
        name, host, port = _parse(entry)
        if host in ("0.0.0.0", "::"):
            host = ""
        if name in names:
            raise ListenerError(f"the name {name} is there twice")
        if port and (host, port) in addresses:
            raise ListenerError(f"port {port} of the same host is there twice")
        names.add(name)
        addresses.add((host, port))
        if name in controllers:
            continue
        protocol = protocols.get(name)
        if protocol is None:
            raise ListenerError(f"listener.security.protocol.map does not name the protocol of {entry}")
        found.append(Listener(name, host, port, protocol))
    if not found:
        raise ListenerError("it leaves no listener for clients")
    return tuple(found)


def parse_advertised(
    entries: Collection[str], listeners: Collection[Listener], controllers: Collection[str]
) -> dict[str, tuple[str, int]]:
    """Listener name -> (host, port) to give to clients, for those of `listeners` that have an entry; an empty host is
    the one by which a client came. Raises ListenerError."""
    known = {listener.name: listener for listener in listeners}
    names: set[str] = set()
    found: dict[str, tuple[str, int]] = {}
    for entry in entries:
        name, host, port = _parse(entry)
        if name in names:
            raise ListenerError(f"the name {name} is there twice")
        names.add(name)
        if name in controllers:
            continue
        if name not in known:
            raise ListenerError(f"{entry} advertises a listener that listeners does not have")
        if host in ("0.0.0.0", "::"):
            raise ListenerError(f"{entry} is no address that a client can connect to")
        # The port of an entry that only repeats the listener's may yet be chosen by the system.
        if host or port != known[name].port:
            found[name] = (host, port)
    return found


def parse_http_address(text: str) -> tuple[str, int]:
    """(host, port) of what is served over HTTP: `PORT` on this machine alone, or `HOST:PORT`, an IPv6 address in
    brackets and an empty host for every address. Raises ListenerError."""
    match = _HTTP.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ListenerError("it must be a port, or host:port")
    if match[1] is not None or match[2] is not None:
        return match[1] or match[2] or "", int(match[3])
    return LOOPBACK, int(match[3])


def _parse(entry: str) -> tuple[str, str, int]:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ListenerError(f"{entry} is not of the form NAME://host:port")
    name, address, host, port = match.groups()
    if int(port) > 65535:
        raise ListenerError(f"{entry} has a port above 65535")
    return name.upper(), address or host or "", int(port)
