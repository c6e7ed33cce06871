"""What the cluster's log has beside its records: snapshots of what they add up to, and a note of who leads.

============================================  ================================================
`<offset, 20 digits>-<epoch, 10>.checkpoint`  a snapshot (`kproto/formats/metadata_snapshot.py`)
`quorum-state`                                who leads (`kproto/formats/quorum_state.py`)
============================================  ================================================

The names and formats are those of Kafka's controllers. An engine keeps the bytes (`storage/blobs.py`) and knows
neither; files of other names are left alone. Where Kafka marks a snapshot `.deleted` and removes it a minute later,
here it is removed at once: nothing fetches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from kproto.formats import quorum_state
from kproto.formats.metadata_snapshot import DamagedSnapshot, Snapshot, SnapshotId, read_snapshot, snapshot_named
from kproto.formats.quorum_state import DamagedQuorumState, QuorumState
from storage.blobs import LogBlobs


class StoredSnapshot(NamedTuple):
    """A snapshot as its name and its size describe it; whether it is whole, only reading shows."""

    id: SnapshotId
    size: int  # bytes


class QuorumFiles:
    """The snapshots and the quorum's state of one log. Any method may raise KafkaError(KAFKA_STORAGE_ERROR)."""

    def __init__(self, blobs: LogBlobs) -> None:
        self._blobs = blobs

    async def snapshots(self) -> list[StoredSnapshot]:
        """The snapshots that are there, oldest first."""
        found = [(snapshot_named(name), size) for name, size in await self._blobs.stored()]
        return sorted(StoredSnapshot(snapshot_id, size) for snapshot_id, size in found if snapshot_id is not None)

    async def read_snapshot(self, snapshot_id: SnapshotId) -> Snapshot:
        """A snapshot, read through and found whole; its name is durable from now on.

        Raises DamagedSnapshot for one that is not whole.
        """
        name = snapshot_id.file_name
        data = await self._blobs.read(name)
        if data is None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no snapshot {name}")
        try:
            return read_snapshot(data)
        except DamagedSnapshot as error:
            raise DamagedSnapshot(f"{name}: {error}") from None

    async def write_snapshot(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        """Make a snapshot of what `pieces` gives, which is called outside the event loop.

        One that is there stays: the same records add up to the same state, and it may be Kafka's.
        """
        if all(stored.id != snapshot_id for stored in await self.snapshots()):
            await self._blobs.write(snapshot_id.file_name, pieces)

    async def remove_snapshots(self, snapshot_ids: Sequence[SnapshotId]) -> None:
        """Remove snapshots that newer ones have taken the place of."""
        await self._blobs.remove([snapshot_id.file_name for snapshot_id in snapshot_ids])

    async def quorum_state(self) -> QuorumState | None:
        """Who leads, as last written; None if that has not been written. Raises KafkaError for what cannot be read."""
        data = await self._blobs.read(quorum_state.NAME)
        try:
            return None if data is None else quorum_state.decode(data)
        except DamagedQuorumState as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{quorum_state.NAME} cannot be read: {error}") from None

    async def write_quorum_state(self, state: QuorumState) -> None:
        """Write down, durably, who leads."""
        await self._blobs.write(quorum_state.NAME, lambda: [state.encode()])
