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
from storage.tests.object.postgres.invariants import broken_promises

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")


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
        assert broken_promises(self.server, self.database) == []


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
