"""How to reach the database: what the user wrote, what libpq adds to it, and what may be shown of it.

The user writes a URL or a connection string of libpq's, with everything that libpq understands: several hosts, TLS,
`target_session_attrs`, a service, a passfile. What is missing comes from PostgreSQL's own environment variables and
files. `reachable` adds what this program needs:

* names of hosts are looked up here, since libpq would block in `getaddrinfo`; the names stay, for certificates. A name
  with several addresses becomes several hosts, which libpq tries in order;
* `target_session_attrs=read-write`, unless the user has said otherwise: of several hosts, the primary is meant;
* keepalives and `tcp_user_timeout`, so that a lost machine is noticed;
* `application_name`, for the one who looks at `pg_stat_activity`.

**No secret leaves this file** but to libpq. `shown` is what logs, pages and errors may have: hosts, ports, database,
user. Messages of libpq may quote a connection string that it cannot read, so such a message is not passed on.

Sources: PostgreSQL's documentation, chapter libpq, Database Connection Control Functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg
import trio
from psycopg import pq

from storage.engine import StoreError

CONNECT_SECONDS: Final = 5.0
"""How long one attempt to connect may take, all hosts together."""

_ADDED: Final[Mapping[str, str]] = {
    "target_session_attrs": "read-write",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "connect_timeout": str(int(CONNECT_SECONDS)),
    "client_encoding": "UTF8",
}

Options = dict[str, str]


def parse(text: str) -> Options:
    """What a URL or a connection string says, by the names of libpq's parameters.

    Raises StoreError, which does not quote the text: it may hold a password.
    """
    try:
        parsed = pq.Conninfo.parse(text.encode())
    except psycopg.Error:  # its message quotes the text
        raise StoreError(
            "the cluster's database is no PostgreSQL URL (postgresql://user@host:port/database?parameter=value) or "
            "connection string"
        ) from None
    return {option.keyword.decode(): option.val.decode() for option in parsed if option.val is not None}


def defaults() -> Options:
    """What libpq takes where nothing is said: PostgreSQL's environment variables, then its own defaults."""
    known = pq.Conninfo.get_defaults()
    return {option.keyword.decode(): option.val.decode() for option in known if option.val is not None}


def shown(options: Options) -> str:
    """The database, as people may see it: `user@host:port/database`."""
    known = {**defaults(), **options}
    hosts = (known.get("host") or known.get("hostaddr") or "the local socket").split(",")
    ports = known.get("port", "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    return f"{known.get('user', '')}@{places}/{known.get('dbname') or known.get('user', '')}"


async def reachable(options: Options, application_name: str) -> bytes:
    """The connection string to give to libpq. Raises OSError when not one of the hosts has an address."""
    own = {**_ADDED, "application_name": application_name, **options}
    known = {**defaults(), **own}
    if known.get("host") and not known.get("hostaddr"):
        own.update(await _with_addresses(known["host"].split(","), known.get("port", "5432").split(",")))
    return " ".join(f"{name}={_quoted(value)}" for name, value in own.items()).encode()


async def _with_addresses(hosts: list[str], ports: list[str]) -> Options:
    """`host`, `hostaddr` and `port` with one entry for each address."""
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places: list[tuple[str, str, str]] = []
    failure: OSError | None = None
    for host, port in zip(hosts, ports, strict=False):
        if host.startswith(("/", "@")):
            places.append((host, "", port))
            continue
        try:
            found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            continue
        places += dict.fromkeys((host, str(address[4][0]), port) for address in found)
    if not places:
        raise failure or OSError("no host is named")
    names, addresses, numbers = (",".join(column) for column in zip(*places, strict=True))
    return {"host": names, "hostaddr": addresses, "port": numbers}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
