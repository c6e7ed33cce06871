"""The schema: made by the first broker, migrated by the first newer one, and refused where it is not understood.

The database says two numbers: the version of its schema, and the oldest version that a broker may know and still use
it. A broker that is older than that refuses to start; one that is newer migrates, in one transaction, under a lock, so
that of several that start together one does it. A migration that older brokers can live with leaves `oldest` as it is:
that is how a rolling upgrade works, broker by broker.

The schema of a version is what the files in `sql/` make: tables (`schema.sql`) and functions (the others). A migration
brings the tables from each version to the next by a file of its own (`to_N.sql`, where a version N has other tables),
and makes all functions again. Functions of the same name and arguments must go on doing what an older broker expects.

| version | what is new in it |
| --- | --- |
| 1 | everything |
| 2 | the functions of commits visit each row once |
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from storage.engine import StoreError
from storage.object.control_plane import NewerSchema
from storage.object.postgres.connection import Connection, Refused, Statement
from storage.object.postgres.values import number, text

VERSION: Final = 2
"""Of the schema that this code makes and understands."""
OLDEST: Final = 1
"""The oldest version whose brokers can use this one."""
NEW_TABLES: Final = frozenset[int]()
"""Versions that have a `to_N.sql`."""

OLDEST_SERVER: Final = 160_000

_TABLES: Final = "schema"
_FUNCTIONS: Final = ("commits", "reading", "upkeep", "membership")

_MISSING: Final = frozenset({"42P01", "3F000"})
_LOOK: Final = Statement("look", "SELECT version, oldest, cluster_id FROM ottla.meta")
_LOCK: Final = Statement("schema_lock", "SELECT pg_advisory_xact_lock(7246113904)")
_BEGIN: Final = Statement("begin", "BEGIN")
_COMMIT: Final = Statement("commit", "COMMIT")
_ROLLBACK: Final = Statement("rollback", "ROLLBACK")
_THERE: Final = Statement("there", "SELECT to_regclass('ottla.meta') IS NOT NULL")
_NOTE: Final = Statement(
    "note", "INSERT INTO ottla.meta (version, oldest, cluster_id) VALUES ($1::int, $2::int, $3::text)"
)
_NOTE_MIGRATION: Final = Statement(
    "note_migration", "UPDATE ottla.meta SET version = $1::int, oldest = greatest(oldest, $2::int)"
)


def sql(name: str) -> str:
    """The text of a file in `sql/`."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


async def prepare(connection: Connection, place: str, invent: Callable[[], str]) -> str:
    """Make or migrate the schema as far as needed; the cluster's id, which `invent` makes if there is none.

    Raises StoreError: NewerSchema, a server that is too old, a user that may not make a schema.
    """
    if connection.server_version < OLDEST_SERVER:
        raise StoreError(
            f"the database {place} is PostgreSQL {connection.server_version // 10_000}; 16 is the oldest that works"
        )
    try:
        found = await _look(connection)
        if found is None:
            await _make(connection, invent)
            found = await _look(connection)
        elif found[0] < VERSION:
            await _migrate(connection)
            found = await _look(connection)
    except Refused as error:
        raise StoreError(f"the database {place} cannot be prepared: {error}") from None
    assert found is not None
    version, oldest, cluster_id = found
    if oldest > VERSION:
        raise NewerSchema(
            f"the database {place} has schema {version}, made by a newer Ottla; this one knows schema {VERSION}"
        )
    return cluster_id


async def _look(connection: Connection) -> tuple[int, int, str] | None:
    try:
        ((row,),) = await connection.run([(_LOOK, ())], changes=False)
    except Refused as error:
        if error.sqlstate in _MISSING:
            return None
        raise
    version, oldest, cluster_id = row
    return version, oldest, cluster_id


async def _make(connection: Connection, invent: Callable[[], str]) -> None:
    """Make everything, unless another broker has meanwhile."""
    _, _, ((there,),) = await connection.run([(_BEGIN, ()), (_LOCK, ()), (_THERE, ())], changes=False)
    if there:
        await connection.run([(_ROLLBACK, ())], changes=False)
        return
    try:
        for part in (_TABLES, *_FUNCTIONS):
            await connection.script(sql(part))
        noted = _NOTE, (number(VERSION), number(OLDEST), text(invent()))
        await connection.run([noted, (_COMMIT, ())], changes=True)
    except BaseException:
        connection.close()
        raise


async def _migrate(connection: Connection) -> None:
    """Bring the schema to VERSION, unless another broker has meanwhile."""
    _, _, ((version, _, _),) = await connection.run([(_BEGIN, ()), (_LOCK, ()), (_LOOK, ())], changes=False)
    if version >= VERSION:
        await connection.run([(_ROLLBACK, ())], changes=False)
        return
    try:
        for step in sorted(NEW_TABLES.intersection(range(version + 1, VERSION + 1))):
            await connection.script(sql(f"to_{step}"))
        for part in _FUNCTIONS:
            await connection.script(sql(part))
        await connection.run([(_NOTE_MIGRATION, (number(VERSION), number(OLDEST))), (_COMMIT, ())], changes=True)
    except BaseException:
        connection.close()
        raise
