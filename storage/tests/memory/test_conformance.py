"""The in-memory engine keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.conformance.logs import DurableEngineConformance, EngineConformance
from storage.testing.conformance.stores import StoreConformance


class TestMemoryEngine(EngineConformance, StoreConformance):
    """All promises but those about a restart: this engine keeps nothing."""

    @asynccontextmanager
    async def store(self, place: None) -> AsyncIterator[LogStore]:
        store = MemoryStore(VirtualClock(), SeededEntropy(1))
        await store.open()
        try:
            yield store
        finally:
            await store.close()


class TestDurableSuite(DurableEngineConformance):
    """The suite about restarts, tried on a store that passes it by never going away."""

    @contextmanager
    def place(self) -> Iterator[MemoryStore]:
        yield MemoryStore(VirtualClock(), SeededEntropy(1))

    @asynccontextmanager
    async def store(self, place: MemoryStore) -> AsyncIterator[LogStore]:
        yield place
