"""What the words in `storage/quorum_files.py` mean: the part of the conformance suite about snapshots and leaders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kproto.batches.records import iter_records
from kproto.errors import ErrorCode
from kproto.formats.metadata_snapshot import DamagedSnapshot, Quorum, Snapshot, SnapshotId, write_snapshot
from storage.quorum_files import QuorumFiles
from storage.quorum_state import QuorumState
from storage.testing.lab import Bench, Lab, refused
from storage.testing.log_builder import batch, spec


def pieces(*values: bytes) -> Iterator[bytearray]:
    """A snapshot of these records."""
    return write_snapshot(1, 77, Quorum(), values, 78)


def values_of(snapshot: Snapshot) -> list[bytes | None]:
    """Its records."""
    return [record.value for found in snapshot.batches for record in iter_records(found)]


@contextmanager
def raising(kind: type[Exception]) -> Iterator[None]:
    """What follows raises this."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


async def quorum_log(lab: Lab) -> QuorumFiles:
    """The files of a log that has some records."""
    await lab.append(lab.log(), batch(*[b"x"] * 9))
    return lab.store.quorum_files(spec())


class QuorumFilesConformance(Bench):
    """Files that come and go whole."""

    async def test_a_snapshot_is_read_as_it_was_written(self) -> None:
        """Whole, under its name, with its size; the log beside it is as it was."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            assert await files.snapshots() == []
            wanted = SnapshotId(7, 1)
            await files.write_snapshot(wanted, lambda: pieces(b"a", b"b"))
            [found] = await files.snapshots()
            assert found == (wanted, sum(len(piece) for piece in pieces(b"a", b"b")))
            snapshot = await files.read_snapshot(wanted)
            assert values_of(snapshot) == [b"a", b"b"]
            assert snapshot.last_timestamp == 77
            assert (await lab.values(lab.log()))[0] == b"x"

    async def test_snapshots_are_listed_as_the_log_goes(self) -> None:
        """The oldest first, by offset and then by epoch."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            for end_offset, epoch in ((9, 1), (3, 1), (9, 0), (10, 0)):
                await files.write_snapshot(SnapshotId(end_offset, epoch), pieces)
            assert [found.id for found in await files.snapshots()] == [(3, 1), (9, 0), (9, 1), (10, 0)]

    async def test_a_snapshot_that_is_there_stays(self) -> None:
        """The same state makes the same snapshot; the first one is as good."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            await files.write_snapshot(SnapshotId(1, 1), lambda: pieces(b"first"))
            await files.write_snapshot(SnapshotId(1, 1), lambda: pieces(b"second"))
            assert values_of(await files.read_snapshot(SnapshotId(1, 1))) == [b"first"]

    async def test_a_writer_that_fails_leaves_nothing(self) -> None:
        """Neither a snapshot nor what would keep a later one from being written."""

        def failing() -> Iterator[bytes]:
            yield b"a piece"
            raise ZeroDivisionError

        async with self.lab() as lab:
            files = await quorum_log(lab)
            with raising(ZeroDivisionError):
                await files.write_snapshot(SnapshotId(1, 1), failing)
            assert await files.snapshots() == []
            await files.write_snapshot(SnapshotId(1, 1), pieces)
            assert len(await files.snapshots()) == 1

    async def test_what_is_not_whole_is_told_and_stays(self) -> None:
        """L15: a snapshot that cannot be read through is there afterwards."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            await files.write_snapshot(SnapshotId(1, 1), lambda: [b"no snapshot"])
            with raising(DamagedSnapshot):
                await files.read_snapshot(SnapshotId(1, 1))
            assert [found.id for found in await files.snapshots()] == [(1, 1)]

    async def test_snapshots_are_removed(self) -> None:
        """Those named; ones that are not there are no error to remove, but one to read."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            for end_offset in (1, 2, 3):
                await files.write_snapshot(SnapshotId(end_offset, 0), pieces)
            await files.remove_snapshots([SnapshotId(1, 0), SnapshotId(2, 0), SnapshotId(8, 0)])
            assert [found.id for found in await files.snapshots()] == [(3, 0)]
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await files.read_snapshot(SnapshotId(1, 0))

    async def test_who_leads_is_written_and_read(self) -> None:
        """In both versions of the file."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            assert await files.quorum_state() is None
            for state in (QuorumState(0, 1, 5, voters=(1,)), QuorumState(1, -1, 6, 2, b"d" * 16)):
                await files.write_quorum_state(state)
                assert await files.quorum_state() == state

    async def test_an_empty_log_goes_on_in_the_epoch_of_its_snapshot(self) -> None:
        """All its records are in the snapshot, and none is left to tell the epoch."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            log = lab.log()
            await log.delete_before(9)
            files.go_on_in(4)
            await lab.append(log, batch(b"next"))
            assert log.leader_epoch in (4, 0)
            assert await lab.values(log) == [b"next"]


class DurableQuorumFilesConformance(Bench):
    """What is still there after a restart."""

    async def test_snapshots_and_leaders_outlive_a_restart(self) -> None:
        """Byte for byte."""
        async with self.lab() as lab:
            files = await quorum_log(lab)
            await files.write_snapshot(SnapshotId(5, 2), lambda: pieces(b"a"))
            await files.write_quorum_state(QuorumState(1, 1, 2))
            await lab.reopen()
            files = lab.store.quorum_files(spec())
            assert values_of(await files.read_snapshot(SnapshotId(5, 2))) == [b"a"]
            assert await files.quorum_state() == QuorumState(1, 1, 2)
            assert (await lab.values(lab.log()))[0] == b"x"
