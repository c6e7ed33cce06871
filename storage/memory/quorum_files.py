"""Snapshots and quorum state in memory: the contract of `storage/quorum_files.py` in the fewest words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import trio

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.metadata_snapshot import Snapshot, SnapshotId, read_snapshot
from storage.quorum_files import StoredSnapshot
from storage.quorum_state import QuorumState


class MemoryQuorumFiles:
    """`QuorumFiles` says what its methods promise."""

    def __init__(self) -> None:
        self.files: dict[SnapshotId, bytes] = {}
        """What is there; a test may change it."""
        self._state: QuorumState | None = None

    async def snapshots(self) -> list[StoredSnapshot]:
        await trio.lowlevel.checkpoint()
        return [StoredSnapshot(found, len(self.files[found])) for found in sorted(self.files)]

    async def read_snapshot(self, snapshot_id: SnapshotId) -> Snapshot:
        await trio.lowlevel.checkpoint()
        data = self.files.get(snapshot_id)
        if data is None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no snapshot {snapshot_id.file_name}")
        return read_snapshot(data)

    async def write_snapshot(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        await trio.lowlevel.checkpoint()
        if snapshot_id not in self.files:
            self.files[snapshot_id] = b"".join(bytes(piece) for piece in pieces())

    async def remove_snapshots(self, snapshot_ids: Sequence[SnapshotId]) -> None:
        await trio.lowlevel.checkpoint()
        for snapshot_id in snapshot_ids:
            self.files.pop(snapshot_id, None)

    async def quorum_state(self) -> QuorumState | None:
        await trio.lowlevel.checkpoint()
        return self._state

    async def write_quorum_state(self, state: QuorumState) -> None:
        await trio.lowlevel.checkpoint()
        self._state = state

    def go_on_in(self, leader_epoch: int) -> None:
        """There is one leader epoch here."""
