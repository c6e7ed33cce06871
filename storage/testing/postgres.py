"""PostgreSQL for tests: one server for a process, and a database in it for each test.

What it is and how it runs is in `storage/servers/postgres.py`.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from storage.servers.postgres import UNSAFE, PostgresServer, binaries

__all__ = ["UNSAFE", "PostgresServer", "binaries", "empty_database", "shared_server"]

_shared: dict[int, PostgresServer] = {}


def shared_server(major: int = 16) -> PostgresServer:
    """The server of this process for tests that want a database and nothing else; started when it is first asked
    for, stopped with the process."""
    if major not in _shared:
        folder = Path(tempfile.mkdtemp(prefix="ottla-postgres-"))
        folder.chmod(0o711)
        server = PostgresServer(folder / "server", major=major)
        server.start()
        _shared[major] = server

        @atexit.register
        def end() -> None:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)

    return _shared[major]


@functools.cache
def _one_database() -> str:
    """Made once: a database for each test would be most of what a test costs."""
    return shared_server().create_database()


def empty_database() -> str:
    """It, with no rows."""
    server, url = shared_server(), _one_database()
    database = url.rpartition("/")[2]
    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'ottla'", database)
    if tables:
        names = ", ".join(f"ottla.{table}" for (table,) in tables if table != "meta")
        server.execute(f"TRUNCATE {names} RESTART IDENTITY", database)
    return url
