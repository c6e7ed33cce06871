"""Snapshots and quorum state beside the segments of a log, in Kafka's files.

=================================  ==================================================================================
`<offset>-<epoch>.checkpoint`      a snapshot (`kproto/formats/metadata_snapshot.py`)
`<offset>-<epoch>.checkpoint.part` one that is being written, or whose writing was cut short: nobody reads it
`...checkpoint.deleted`            one that Kafka was about to remove
`quorum-state`                     who leads (`storage/quorum_state.py`)
=================================  ==================================================================================

**Writing**: the bytes go to `.part` and are synced; the file is renamed; the directory is synced. Cut short anywhere,
there is either no snapshot of that name or a whole one. An error takes the `.part` away again, if the disk lets it;
what remains is removed when the next snapshot is written.

**Reading** ends in a whole snapshot or in an error, and never in a removal. It syncs the directory first: a name that
another process was about to make durable when it was killed must not vanish after the log has been cut behind it.

Where Kafka marks a snapshot `.deleted` and removes it a minute later, here it is removed at once: nobody fetches it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.metadata_snapshot import (
    DamagedSnapshot,
    Snapshot,
    SnapshotId,
    read_snapshot,
    snapshot_named,
)
from storage import quorum_state
from storage.engine import LogSpec
from storage.local.catalog import Catalog
from storage.local.volume import Volume
from storage.quorum_files import StoredSnapshot
from storage.quorum_state import DamagedQuorumState, QuorumState

Result = TypeVar("Result")

PART = ".part"
_LEFT_OVER = (".checkpoint.part", ".checkpoint.deleted")


class LocalQuorumFiles:
    """`QuorumFiles` says what its methods promise."""

    def __init__(self, volume: Volume, catalog: Catalog, spec: LogSpec) -> None:
        self._volume = volume
        self._catalog = catalog
        self._disk = volume.disk
        self._spec = spec
        self._directory = volume.data.path_of((spec.topic, spec.partition))

    async def snapshots(self) -> list[StoredSnapshot]:
        return await self._work("listed", self._list)

    def _list(self) -> list[StoredSnapshot]:
        found = []
        for name in self._names():
            snapshot_id = snapshot_named(name)
            size = None if snapshot_id is None else self._disk.file_size(f"{self._directory}/{name}")
            if snapshot_id is not None and size is not None:
                found.append(StoredSnapshot(snapshot_id, size))
        return sorted(found)

    def _names(self) -> list[str]:
        try:
            return self._disk.list_directory(self._directory)
        except FileNotFoundError:
            return []

    async def read_snapshot(self, snapshot_id: SnapshotId) -> Snapshot:
        return await self._work("read", partial(self._read, snapshot_id))

    def _read(self, snapshot_id: SnapshotId) -> Snapshot:
        path = self._path(snapshot_id)
        self._disk.sync_directory(self._directory)
        data = self._disk.read_file(path)
        if data is None:
            raise FileNotFoundError(2, "there is no such file", path)
        try:
            return read_snapshot(data)
        except DamagedSnapshot as error:
            raise DamagedSnapshot(f"{path}: {error}") from None

    async def write_snapshot(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        if self._volume.health.has_stopped:
            raise self._volume.health.stopped()
        await self._work("written", partial(self._write, snapshot_id, pieces))

    def _write(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        disk, path = self._disk, self._path(snapshot_id)
        for name in self._names():
            if name.endswith(_LEFT_OVER):
                disk.remove(f"{self._directory}/{name}")
        if disk.file_size(path) is not None:
            return
        unfinished = path + PART
        try:
            file = disk.open(unfinished, create=True)
            try:
                position = 0
                for piece in pieces():
                    file.write(position, piece)
                    position += len(piece)
                file.datasync()
            finally:
                file.close()
            disk.rename(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.remove(unfinished)
            raise
        disk.sync_directory(self._directory)

    async def remove_snapshots(self, snapshot_ids: Sequence[SnapshotId]) -> None:
        await self._work("removed", partial(self._remove, list(snapshot_ids)))

    def _remove(self, snapshot_ids: list[SnapshotId]) -> None:
        for snapshot_id in snapshot_ids:
            self._disk.remove(self._path(snapshot_id))

    def _path(self, snapshot_id: SnapshotId) -> str:
        return f"{self._directory}/{snapshot_id.file_name}"

    async def quorum_state(self) -> QuorumState | None:
        path = f"{self._directory}/{quorum_state.NAME}"
        data = await self._work("read", partial(self._disk.read_file, path))
        try:
            return None if data is None else quorum_state.decode(data)
        except DamagedQuorumState as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{path} cannot be read: {error}") from None

    async def write_quorum_state(self, state: QuorumState) -> None:
        path = f"{self._directory}/{quorum_state.NAME}"
        await self._work("written", partial(self._disk.write_file_atomically, path, state.encode()))

    def go_on_in(self, leader_epoch: int) -> None:
        self._catalog.log(self._spec).open().go_on_in(leader_epoch)

    async def _work(self, done: str, work: Callable[[], Result]) -> Result:
        """Do it in a thread. Raises KafkaError for an OSError."""
        try:
            return await self._volume.offload.run(work)
        except OSError as error:
            reason = f"a file in {self._directory} cannot be {done}: {error.strerror or error}"
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason) from error
