"""A data directory for a test, stores in it, and the accidents that may happen to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.engine import Batch, LogSpec, Read
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.seams.clock import VirtualClock
from storage.seams.disk import Disk, Features, File, SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import InlineOffload, Offload
from storage.testing.log_builder import content, spec, values, whole_batches


class Place:
    """A data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = VirtualClock()

    def store(
        self, disk: Disk | None = None, offload: Offload | None = None, node_id: int = 1, **options: Any
    ) -> LocalStore:
        """A store for this directory, not open yet."""
        return LocalStore(
            str(self.path),
            node_id=node_id,
            disk=disk or HurriedDisk(),
            clock=self.clock,
            entropy=SystemEntropy(),
            offload=offload or InlineOffload(),
            **options,
        )

    @asynccontextmanager
    async def open(self, disk: Disk | None = None, **options: Any) -> AsyncIterator[LocalStore]:
        """An open store, closed at the end."""
        store = self.store(disk, **options)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def as_killed(self, name: str = "killed") -> Place:
        """The directory as found if the process were killed now: a copy, without the mark of a clean stop."""
        copy = self.path.parent / name
        shutil.rmtree(copy, ignore_errors=True)
        self.path.mkdir(exist_ok=True)
        shutil.copytree(self.path, copy)
        (copy / ".kafka_cleanshutdown").unlink(missing_ok=True)
        return Place(copy)

    def file(self, suffix: str, topic: str = "orders", partition: int = 0, offset: int = 0) -> Path:
        """One of a partition's files."""
        return self.path / f"{topic}-{partition}" / f"{offset:020d}{suffix}"

    def names(self, topic: str = "orders", partition: int = 0) -> list[str]:
        """The files of a partition."""
        return sorted(os.listdir(self.path / f"{topic}-{partition}"))


class HurriedDisk(SystemDisk):
    """A disk that makes nothing durable: for tests with thousands of syncs in which no power is cut."""

    def __init__(self, features: Features | None = None) -> None:
        super().__init__(replace(features or Features.detect(), directory_sync=False))

    def open(self, path: str, *, create: bool = False) -> File:
        return _HurriedFile(super().open(path, create=create))

    def allocate(self, path: str, size: int) -> None:
        """Tests copy directories."""

    def write_file_atomically(self, path: str, data: bytes) -> None:
        self.write_file(path + ".tmp", data)
        self.rename(path + ".tmp", path)


class _HurriedFile:
    """A file of a HurriedDisk."""

    def __init__(self, file: File) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def datasync(self) -> None:
        """Say that it is done."""


def log_of(store: LocalStore, topic: str = "orders", partition: int = 0, **settings: Any) -> LocalLog:
    """A log of the store."""
    return store.log(spec(topic, partition, **settings))


async def append(log: LocalLog, *batches: Batch) -> int:
    """Append and wait until durable; the base offset."""
    done = log.begin_append(batches)
    await done.wait_durable()
    return done.base_offset


async def read_all(store: LocalStore, log: LocalLog, start: int | None = None, max_bytes: int = 1 << 20) -> bytes:
    """Every batch from `start` to the end, as a consumer reads them. Raises KafkaError."""
    position = log.log_start_offset if start is None else start
    found = b""
    while position < log.log_end_offset:
        [answer] = await store.read_many([Read(log, position, max_bytes, log.high_watermark)], max_bytes)
        step = whole_batches(content(answer))
        assert step, f"nothing at {position} although the log ends at {log.log_end_offset}"
        found += b"".join(data for _, data in step)
        position = step[-1][0].next_offset
    return found


async def values_of(store: LocalStore, log: LocalLog) -> list[bytes | None]:
    """The values of every record in the log."""
    return values(await read_all(store, log))


def same_topic(given: LogSpec, **settings: Any) -> LogSpec:
    """The spec of the same log with other settings."""
    return spec(given.topic, given.partition, **settings)
