"""The distributed engine keeps the contract over a real PostgreSQL and obstore's store on the local disk.

A part of the suites in every run; all of them with `make engine-postgres`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import pytest

from storage.engine import LogStore
from storage.object.engine import ObjectStore
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.stores import open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import ThreadOffload
from storage.testing.conformance.blobs import BlobsConformance, DurableBlobsConformance
from storage.testing.conformance.logs import DurableEngineConformance, EngineConformance
from storage.testing.conformance.stores import StoreConformance
from storage.testing.conformance.transactions import SeveralLogsConformance, TransactionConformance
from storage.testing.lab import Bench
from storage.testing.postgres import binaries, shared_server
from storage.tests.object.object_lab import AT_ONCE

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")


class Place(NamedTuple):
    """A database and a folder."""

    database: str
    bucket: str


class PostgresBench(Bench):
    """A database of PostgreSQL's and a folder, for each test."""

    @contextmanager
    def place(self) -> Iterator[Place]:
        with tempfile.TemporaryDirectory() as directory:
            yield Place(shared_server().create_database(), f"file://{directory}")

    @asynccontextmanager
    async def store(self, place: Place) -> AsyncIterator[LogStore]:
        clock, entropy, offload = SystemClock(), SystemEntropy(), ThreadOffload()
        store = ObjectStore(
            PostgresControlPlane(place.database, 1, bytes(16), clock=clock, entropy=entropy),
            open_bucket(place.bucket, offload=offload, disk=SystemDisk(), clock=clock),
            clock=clock,
            entropy=entropy,
            offload=offload,
            limits=AT_ONCE,
        )
        await store.open()
        try:
            yield store
        finally:
            await store.close()


class TestOverPostgres(PostgresBench, SeveralLogsConformance, DurableEngineConformance):
    """What a database has the most to do with."""

    test_one_transaction_begins_beside_the_end_of_another = (
        TransactionConformance.test_one_transaction_begins_beside_the_end_of_another
    )


if os.environ.get("OTTLA_WHOLE_SUITES"):

    class TestAllOverPostgres(
        PostgresBench,
        EngineConformance,
        StoreConformance,
        DurableEngineConformance,
        BlobsConformance,
        DurableBlobsConformance,
    ):
        """All promises, but upkeep under a virtual clock: the database's is not."""

        test_upkeep_runs_until_it_is_cancelled = None  # type: ignore[assignment]  # not a test of this class
