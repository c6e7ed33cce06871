"""What a log that belongs to a quorum has beside its records: snapshots of what they add up to, and the quorum's state.

The cluster's own log is the one log whose beginning may go although everything it says still counts: a snapshot says it
instead. The contract is about files that come and go whole. Who owns the log decides what is in a snapshot, when one is
made, and up to where the log is cut (`PartitionLog.delete_before`); an engine keeps its bytes.

A snapshot is there, whole and durable, once `write_snapshot` has returned; before that, or if it fails, there is none.
An engine never removes one by itself, not even one that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from kproto.batches.buffers import ReadableBuffer
from kproto.formats.metadata_snapshot import Snapshot, SnapshotId
from storage.quorum_state import QuorumState


class StoredSnapshot(NamedTuple):
    """A snapshot as its name and its file's size tell it; whether it is whole, only reading tells."""

    id: SnapshotId
    size: int  # bytes


class QuorumFiles(Protocol):
    """The files of one log."""

    async def snapshots(self) -> list[StoredSnapshot]:
        """The finished snapshots, oldest first. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        ...

    async def read_snapshot(self, snapshot_id: SnapshotId) -> Snapshot:
        """A snapshot, read through and found whole; its name is durable from now on.

        Raises DamagedSnapshot for one that is not whole, KafkaError(KAFKA_STORAGE_ERROR) when it cannot be read.
        """
        ...

    async def write_snapshot(self, snapshot_id: SnapshotId, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        """Make a snapshot of what `pieces` gives, which is called outside the event loop. One that is there stays.

        Raises KafkaError(KAFKA_STORAGE_ERROR); then there is none.
        """
        ...

    async def remove_snapshots(self, snapshot_ids: Sequence[SnapshotId]) -> None:
        """Remove snapshots that newer ones have taken the place of. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        ...

    async def quorum_state(self) -> QuorumState | None:
        """Who leads, as last written; None if nobody has written it. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        ...

    async def write_quorum_state(self, state: QuorumState) -> None:
        """Write down, durably, who leads. Raises KafkaError(KAFKA_STORAGE_ERROR)."""
        ...

    def go_on_in(self, leader_epoch: int) -> None:
        """Let an empty log, which cannot know its epoch, go on in that of the snapshot in front of it."""
        ...
