"""An object store on the bench: over a control plane and a bucket that outlive it, as a broker's do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.seams.clock import Clock, VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.store_settings import StoreSettings
from storage.testing.bucket import MemoryBucket
from storage.testing.control_plane import Line, MemoryControlPlane
from storage.testing.database import MemoryDatabase

AT_ONCE = Limits(idle_ms=0, window_ms=0)
"""No append waits for others."""


class Cluster:
    """A database and a bucket in memory, and what the brokers over them have in common."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.entropy = SeededEntropy(1)
        self.database = MemoryDatabase(self.clock, self.entropy)
        self.bucket = MemoryBucket()
        self._incarnations = 0

    @asynccontextmanager
    async def broker(
        self,
        node_id: int = 1,
        *,
        limits: Limits = AT_ONCE,
        settings: StoreSettings | None = None,
        line: Line | None = None,
    ) -> AsyncIterator[ObjectStore]:
        """The store of one broker, open until the end of the context."""
        store = self.store(node_id, limits=limits, settings=settings, line=line)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def store(
        self,
        node_id: int = 1,
        *,
        limits: Limits = AT_ONCE,
        settings: StoreSettings | None = None,
        line: Line | None = None,
    ) -> ObjectStore:
        """The store of one broker, not open yet."""
        self._incarnations += 1
        control = MemoryControlPlane(self.database, node_id, self._incarnations.to_bytes(16, "big"), line=line)
        return ObjectStore(
            control,
            self.bucket,
            clock=self.clock,
            entropy=self.entropy,
            offload=InlineOffload(),
            settings=settings,
            limits=limits,
        )
