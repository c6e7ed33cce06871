"""The in-memory engine keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.conformance import EngineConformance


class TestMemoryEngine(EngineConformance):
    """All promises but those about a restart: this engine keeps nothing."""

    @asynccontextmanager
    async def store(self, place: None) -> AsyncIterator[LogStore]:
        store = MemoryStore(VirtualClock(), SeededEntropy(1))
        await store.open()
        try:
            yield store
        finally:
            await store.close()
