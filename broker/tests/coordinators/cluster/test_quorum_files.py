"""Snapshots and the note of who leads, as blobs of the cluster's log: Kafka's names, and what is not whole is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.coordinators.cluster.quorum_files import QuorumFiles
from kproto.batches.records import iter_records
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.metadata_snapshot import DamagedSnapshot, Quorum, Snapshot, SnapshotId, write_snapshot
from kproto.formats.quorum_state import NAME, QuorumState
from storage.memory.blobs import MemoryBlobs


def pieces(*values: bytes) -> Iterator[bytearray]:
    """A snapshot of these records."""
    return write_snapshot(1, 77, Quorum(), values, 78)


def values_of(snapshot: Snapshot) -> list[bytes | None]:
    """Its records."""
    return [record.value for found in snapshot.batches for record in iter_records(found)]


@pytest.fixture
def blobs() -> MemoryBlobs:
    """What is beside the log: nothing yet."""
    return MemoryBlobs()


async def test_a_snapshot_is_read_as_it_was_written(blobs: MemoryBlobs) -> None:
    """Whole, under Kafka's name, with its size."""
    files, wanted = QuorumFiles(blobs), SnapshotId(7, 1)
    await files.write_snapshot(wanted, lambda: pieces(b"a", b"b"))
    assert [*blobs.files] == ["00000000000000000007-0000000001.checkpoint"]
    assert await files.snapshots() == [(wanted, sum(len(piece) for piece in pieces(b"a", b"b")))]
    snapshot = await files.read_snapshot(wanted)
    assert (values_of(snapshot), snapshot.last_timestamp) == ([b"a", b"b"], 77)


async def test_snapshots_are_listed_as_the_log_goes(blobs: MemoryBlobs) -> None:
    """The oldest first, by offset and then by epoch; other files are none."""
    files = QuorumFiles(blobs)
    for end_offset, epoch in ((9, 1), (3, 1), (9, 0), (10, 0)):
        await files.write_snapshot(SnapshotId(end_offset, epoch), pieces)
    await files.write_quorum_state(QuorumState(1, 1, 2))
    blobs.files["mine.checkpoint"] = b""
    assert [found.id for found in await files.snapshots()] == [(3, 1), (9, 0), (9, 1), (10, 0)]


async def test_a_snapshot_that_is_there_stays(blobs: MemoryBlobs) -> None:
    """The same records make the same state; the first one is as good, and may be Kafka's."""
    files = QuorumFiles(blobs)
    await files.write_snapshot(SnapshotId(1, 1), lambda: pieces(b"first"))
    await files.write_snapshot(SnapshotId(1, 1), lambda: pieces(b"second"))
    assert values_of(await files.read_snapshot(SnapshotId(1, 1))) == [b"first"]


async def test_what_is_not_whole_is_said_and_stays(blobs: MemoryBlobs) -> None:
    """L15: a snapshot that cannot be read through is named, and is there afterwards."""
    files = QuorumFiles(blobs)
    await files.write_snapshot(SnapshotId(1, 1), lambda: [b"no snapshot"])
    with pytest.raises(DamagedSnapshot, match=SnapshotId(1, 1).file_name):
        await files.read_snapshot(SnapshotId(1, 1))
    assert [found.id for found in await files.snapshots()] == [(1, 1)]


async def test_snapshots_are_removed(blobs: MemoryBlobs) -> None:
    """Those named; ones that are not there are no error to remove, but one to read."""
    files = QuorumFiles(blobs)
    for end_offset in (1, 2, 3):
        await files.write_snapshot(SnapshotId(end_offset, 0), pieces)
    await files.remove_snapshots([SnapshotId(1, 0), SnapshotId(2, 0), SnapshotId(8, 0)])
    assert [found.id for found in await files.snapshots()] == [(3, 0)]
    with pytest.raises(KafkaError) as refusal:
        await files.read_snapshot(SnapshotId(1, 0))
    assert refusal.value.code is ErrorCode.KAFKA_STORAGE_ERROR


async def test_who_leads_is_written_and_read(blobs: MemoryBlobs) -> None:
    """Under Kafka's name; the newest note counts."""
    files = QuorumFiles(blobs)
    assert await files.quorum_state() is None
    for state in (QuorumState(0, 1, 5, voters=(1,)), QuorumState(1, -1, 6, 2, b"d" * 16)):
        await files.write_quorum_state(state)
        assert await files.quorum_state() == state
    assert blobs.files == {"quorum-state": QuorumState(1, -1, 6, 2, b"d" * 16).encode()}


async def test_an_unreadable_quorum_state_is_refused(blobs: MemoryBlobs) -> None:
    """With the file's name; the file is left as it is."""
    blobs.files[NAME] = b"{"
    with pytest.raises(KafkaError, match="quorum-state cannot be read"):
        await QuorumFiles(blobs).quorum_state()
    assert blobs.files == {NAME: b"{"}
