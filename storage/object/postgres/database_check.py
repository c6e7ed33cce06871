"""Is this PostgreSQL fit to order a cluster's records? Asked once, by a person, before records depend on it.

What is looked at, and what is wrong with it, one sentence each: is it reached, a primary, new enough; is its clock
ours; does a commit last (fsync, synchronous_commit), also if its machine is lost (a synchronous standby that is there);
may our user make a schema; are there connections for some brokers; how long does a commit take.

It changes nothing but one message in the write-ahead log for each commit that it times.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import trio

from storage.object.control_plane import ControlPlaneError
from storage.object.findings import Finding, Level
from storage.object.postgres.connection import Connection, Statement
from storage.object.postgres.conninfo import Options, defaults, shown
from storage.seams.clock import Clock

OLDEST: Final = 160_000
TIMED: Final = 10
COMMIT_SECONDS: Final = 5.0
CLOCK_MS: Final = 1_000
"""Clocks further apart are worth a warning: hours in the names of objects and ages of records are the database's."""
CONNECTIONS: Final = 40
"""For some brokers, and people."""
_LOCAL: Final = ("127.", "::1", "localhost", "/")

_LOOK: Final = Statement(
    "doctor_look",
    "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint, "
    "coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), "
    "has_database_privilege(current_database(), 'CREATE') OR to_regclass('ottla.meta') IS NOT NULL, "
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::bigint, "
    "(SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))::bigint, "
    "(SELECT count(*) FROM pg_stat_replication)::bigint, "
    "pg_has_role('pg_read_all_stats', 'usage')",
)
_SETTINGS: Final = Statement(
    "doctor_settings",
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', "
    "'synchronous_standby_names', 'max_connections', 'default_transaction_isolation', 'default_transaction_read_only', "
    "'server_version')",
)
_COMMIT: Final = Statement("doctor_commit", "SELECT pg_logical_emit_message(true, 'ottla doctor', '')::text")


async def examine_database(options: Options, clock: Clock) -> AsyncIterator[Finding]:
    """Everything that can be said of it. Raises nothing for what is wrong with the database; what cannot be looked at
    because of an earlier failure is left out."""
    place = shown(options)
    began = trio.current_time()
    try:
        connection = await Connection.open(options, "ottla doctor")
    except ControlPlaneError as error:
        yield Finding(Level.FAIL, str(error))
        return
    took = (trio.current_time() - began) * 1000
    try:
        before = clock.wall_millis()
        ((look,), settings) = await connection.run([(_LOOK, ()), (_SETTINGS, ())], changes=False)
        between = (before + clock.wall_millis()) // 2
        known = {str(name): str(value) for name, value in settings}
        yield _version(place, connection.server_version, known, took)
        replica, time, encrypted, may_create, connections, synchronous, standbys, sees_all = look
        for finding in (
            *_place(replica, known),
            _clock(time - between),
            *_durability(known),
            *_standby(known, synchronous, standbys, sees_all),
            *_access(options, encrypted, may_create, connections, known),
        ):
            yield finding
        if not replica:
            yield await _commits(connection)
    except ControlPlaneError as error:
        yield Finding(Level.FAIL, f"the database {place} could not be looked at: {error}")
    finally:
        connection.close()


def _version(place: str, number: int, known: Mapping[str, str], took: float) -> Finding:
    name = known.get("server_version", "").split(" ")[0]
    if number < OLDEST:
        return Finding(Level.FAIL, f"the database {place} is PostgreSQL {name}; 16 is the oldest that works")
    return Finding(Level.OK, f"the database {place} is PostgreSQL {name}, connected to in {took:.0f} ms")


def _place(replica: bool, known: Mapping[str, str]) -> Iterator[Finding]:
    if replica:
        yield Finding(Level.FAIL, "the database is a standby, which takes no commits; name the primary, or all of them")
    elif known.get("default_transaction_read_only") == "on":
        yield Finding(Level.FAIL, "the database is read-only (default_transaction_read_only), and takes no commits")


def _clock(ahead: int) -> Finding:
    if abs(ahead) <= CLOCK_MS:
        return Finding(Level.OK, f"its clock and this machine's are {abs(ahead)} ms apart")
    which = "ahead of" if ahead > 0 else "behind"
    return Finding(
        Level.WARN,
        f"its clock is {abs(ahead) / 1000:.1f} s {which} this machine's; leases and retention go by the database's, "
        f"timestamps of records by ours, so let both follow NTP",
    )


def _durability(known: Mapping[str, str]) -> Iterator[Finding]:
    """Whether what it has answered outlives its process and its machine's power."""
    lost = {
        "fsync": "a power cut can destroy it",
        "full_page_writes": "a power cut can destroy pages of it",
    }
    for name, what in lost.items():
        if known.get(name) == "off":
            yield Finding(Level.FAIL, f"{name} is off: {what}, and every record with it")
    level = known.get("synchronous_commit")
    if level == "off":
        yield Finding(
            Level.FAIL, "synchronous_commit is off: records that were acknowledged are lost when the database crashes"
        )
    elif level == "local" and known.get("synchronous_standby_names"):
        yield Finding(
            Level.FAIL,
            "synchronous_commit is local, so the synchronous standby is not waited for: a failover loses records that "
            "were acknowledged",
        )
    if known.get("default_transaction_isolation") != "read committed":
        yield Finding(
            Level.OK,
            f"default_transaction_isolation is {known.get('default_transaction_isolation')}; brokers ask for read "
            f"committed themselves",
        )


def _standby(known: Mapping[str, str], synchronous: int, standbys: int, sees_all: bool) -> Iterator[Finding]:
    """Whether what it has answered outlives its machine."""
    named = known.get("synchronous_standby_names", "")
    if not named:
        also = f", though {standbys} standby follows" if standbys == 1 else ""
        yield Finding(
            Level.WARN,
            f"there is no synchronous standby (synchronous_standby_names is empty{also}): if the database's machine is "
            f"lost, so are records that were acknowledged; services that replicate below PostgreSQL need none",
        )
    elif not sees_all:
        yield Finding(
            Level.WARN, f"whether the synchronous standby ({named}) is there cannot be seen without pg_read_all_stats"
        )
    elif not synchronous:
        yield Finding(
            Level.FAIL, f"no synchronous standby ({named}) is connected: every commit waits, until there is one"
        )
    else:
        yield Finding(Level.OK, f"commits are on a synchronous standby too ({synchronous} of {standbys} standbys)")


def _access(
    options: Options, encrypted: bool, may_create: bool, connections: int, known: Mapping[str, str]
) -> Iterator[Finding]:
    """Who we are there, and how many of us there may be."""
    if not may_create:
        yield Finding(Level.FAIL, "the user may not make a schema in this database: GRANT CREATE ON DATABASE")
    most = int(known.get("max_connections", "0"))
    if most - connections < CONNECTIONS:
        yield Finding(
            Level.WARN,
            f"{connections} of {most} connections are in use (max_connections); each broker has up to six of them",
        )
    host = {**defaults(), **options}.get("host", "/")
    if not encrypted and not all(each.startswith(_LOCAL) for each in host.split(",")):
        yield Finding(Level.WARN, "the connection to the database is not encrypted; say sslmode=verify-full in its URL")


async def time_commits(connection: Connection, count: int) -> list[float]:
    """How long each of so many commits takes, in milliseconds. Raises ControlPlaneError."""
    times = []
    for _ in range(count):
        began = trio.current_time()
        await connection.run([(_COMMIT, ())], changes=True, within=COMMIT_SECONDS)
        times.append((trio.current_time() - began) * 1000)
    return times


async def _commits(connection: Connection) -> Finding:
    times = await time_commits(connection, TIMED)
    median = sorted(times)[TIMED // 2]
    return Finding(Level.OK, f"a commit takes {median:.1f} ms, the slowest of {TIMED} {max(times):.1f} ms")
