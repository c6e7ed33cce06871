"""An object store on the bench: over a control plane and a bucket that outlive it, as a broker's do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from storage.engine import Append, Batch, PartitionLog, Read
from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.seams.clock import Clock, Instant, VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.store_settings import StoreSettings
from storage.testing.bucket import MemoryBucket
from storage.testing.control_plane import Line, MemoryControlPlane
from storage.testing.database import MemoryDatabase
from storage.testing.log_builder import EPOCH_MS, content, values, whole_batches


class TrioTime:
    """Wall and monotonic time that go with trio's clock, be it virtual."""

    def wall_millis(self) -> int:
        return EPOCH_MS + self.monotonic_millis()

    def monotonic_millis(self) -> int:
        return round(trio.current_time() * 1000)

    def now(self) -> Instant:
        return Instant(self.wall_millis(), self.monotonic_millis())


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


async def append(log: PartitionLog, *batches: Batch, expected_end: int | None = None) -> Append:
    """Append these in one piece and wait until they are durable."""
    begun = log.begin_append(batches, expected_end=expected_end)
    await begun.wait_durable()
    return begun


async def read_all(store: ObjectStore, log: PartitionLog, start: int = 0) -> list[bytes | None]:
    """The values of all records from `start` on, as a consumer gets them, who reads what its broker says is there."""
    await store.refresh([log])
    found: list[bytes | None] = []
    while start < log.high_watermark:
        [answer] = await store.read_many([Read(log, start, 1 << 20, log.high_watermark)], 1 << 20)
        data = content(answer)
        found += values(data)
        start = whole_batches(data)[-1][0].next_offset
    return found
