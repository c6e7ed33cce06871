"""The local engine keeps the contract: on this platform, without its fast paths, and with hardly any files open."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from storage.engine import LogStore
from storage.local.engine import LocalStore
from storage.seams.clock import VirtualClock
from storage.seams.disk import Disk, Features, SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import InlineOffload, Offload, ThreadOffload
from storage.testing.conformance.logs import DurableEngineConformance, EngineConformance
from storage.testing.conformance.stores import StoreConformance
from storage.tests.local.local_lab import HurriedDisk


class LocalBench(EngineConformance, StoreConformance, DurableEngineConformance):
    """A store in a directory of its own."""

    open_files = 100

    @contextmanager
    def place(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as directory:
            yield f"{directory}/data"

    def disk(self) -> Disk:
        return SystemDisk()

    def offload(self) -> Offload:
        return ThreadOffload()

    @asynccontextmanager
    async def store(self, place: str) -> AsyncIterator[LogStore]:
        store = LocalStore(
            place,
            node_id=1,
            disk=self.disk(),
            clock=VirtualClock(),
            entropy=SystemEntropy(),
            offload=self.offload(),
            open_files=self.open_files,
        )
        await store.open()
        try:
            yield store
        finally:
            await store.close()


class TestLocalEngine(LocalBench):
    """As it runs on this platform."""


class TestPortable(LocalBench):
    """As it runs where nothing is quick: no pread, no RWF_NOWAIT, no fdatasync, no sync of directories."""

    def disk(self) -> Disk:
        return HurriedDisk(Features.portable())


class TestFewFiles(LocalBench):
    """With one file open at a time: the rest is opened again when asked for."""

    open_files = 1

    def disk(self) -> Disk:
        return HurriedDisk()


class TestWithoutThreads(LocalBench):
    """As a simulation runs it."""

    def disk(self) -> Disk:
        return HurriedDisk()

    def offload(self) -> Offload:
        return InlineOffload()


del LocalBench
