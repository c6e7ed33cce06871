"""PostgreSQL keeps the promises of a control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from storage.object.control_plane import ControlPlane
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.testing.conformance.control_planes import ControlPlaneConformance
from storage.testing.planes import Planes
from storage.testing.postgres import PostgresServer, binaries, empty_database, shared_server

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")

# What is true of the rows whatever has happened; each finds those of which it is not.
INVARIANTS = {
    "an object knows how many runs lie in it": """
        SELECT o.key FROM ottla.obj o LEFT JOIN ottla.run u ON u.obj_id = o.obj_id
        GROUP BY o.obj_id HAVING count(u.obj_id) <> o.live OR (o.live > 0) <> (o.state = 1)""",
    "no run lies in an object without a row": """
        SELECT u.part_id FROM ottla.run u WHERE u.obj_id <> 0
        AND NOT EXISTS (SELECT 1 FROM ottla.obj o WHERE o.obj_id = u.obj_id)""",
    "runs lie one behind the other": """
        SELECT part_id FROM (SELECT part_id, base, last, lag(last) OVER (PARTITION BY part_id ORDER BY last) AS before
        FROM ottla.run) r WHERE base > last OR base <= before""",
    "the largest timestamps never fall": """
        SELECT part_id FROM (SELECT part_id, max_ts, cum_max_ts,
        lag(cum_max_ts) OVER (PARTITION BY part_id ORDER BY last) AS before FROM ottla.run) r
        WHERE max_ts > cum_max_ts OR before > cum_max_ts""",
    "a log knows its size, its runs and its open transactions": """
        SELECT p.part_id FROM ottla.part p LEFT JOIN ottla.run u ON u.part_id = p.part_id GROUP BY p.part_id
        HAVING coalesce(sum(u.len), 0) <> p.bytes OR count(*) FILTER (WHERE u.kind = 1) <> p.loose
        OR p.first_unstable IS DISTINCT FROM (
            SELECT min(x.txn_start) FROM ottla.prod x WHERE x.part_id = p.part_id)""",
    "a log ends behind its last run": """
        SELECT p.part_id FROM ottla.part p JOIN ottla.run u ON u.part_id = p.part_id WHERE u.last >= p.next_offset""",
}


class PostgresPlanes(Planes):
    """Brokers over a database of their own."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server = server
        self.url = url
        self.open: list[PostgresControlPlane] = []

    async def plane(self, node_id: int = 1, incarnation: bytes = bytes(16)) -> ControlPlane:
        if any(plane.node_id == node_id for plane in self.open):
            self.server.execute("UPDATE ottla.broker SET lease_until = 0", self.database)
        plane = PostgresControlPlane(self.url, node_id, incarnation, clock=SystemClock(), entropy=SystemEntropy())
        await plane.open()
        self.open.append(plane)
        return plane

    @property
    def database(self) -> str:
        return self.url.rpartition("/")[2]

    async def check(self) -> None:
        for promise, query in INVARIANTS.items():
            assert self.server.execute(query, self.database) == [], promise


class TestPostgres(ControlPlaneConformance):
    """All promises."""

    @asynccontextmanager
    async def planes(self) -> AsyncIterator[Planes]:
        server = shared_server()
        planes = PostgresPlanes(server, empty_database())
        try:
            yield planes
        finally:
            for plane in planes.open:
                await plane.close()
