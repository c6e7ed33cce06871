"""The distributed engine keeps the contract, over a database and a bucket in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from storage.engine import LogStore
from storage.testing.conformance.blobs import BlobsConformance, DurableBlobsConformance
from storage.testing.conformance.logs import DurableEngineConformance, EngineConformance
from storage.testing.conformance.stores import StoreConformance
from storage.tests.object.object_lab import AT_ONCE, Cluster


class ObjectBench(
    EngineConformance, StoreConformance, DurableEngineConformance, BlobsConformance, DurableBlobsConformance
):
    """One broker; what it keeps is still there for the next."""

    limits = AT_ONCE

    @contextmanager
    def place(self) -> Iterator[Cluster]:
        yield Cluster()

    @asynccontextmanager
    async def store(self, place: Cluster) -> AsyncIterator[LogStore]:
        async with place.broker(limits=self.limits) as store:
            yield store


class TestObjectEngine(ObjectBench):
    """As it is, but that no append waits for others."""


class TestSmallCache(ObjectBench):
    """With next to nothing in memory: everything is read from the bucket."""

    limits = AT_ONCE._replace(cache_bytes=1)
