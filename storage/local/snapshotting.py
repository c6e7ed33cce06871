"""Producers' snapshots between rolls: so that a start learns producers without reading all of an open segment.

A log that is opened restores its producers from its newest snapshot and replays the headers of all batches behind that.
Snapshots are written when a segment is rolled and at a clean stop; a segment may hold a gigabyte, and after a kill
every header of it would be read. So at a checkpoint the logs with much behind their newest snapshot get another one.

**How much is much**: `SNAPSHOT_WORTH` bytes, or as many as the snapshot itself would have. What is left to replay after
a kill is then at most that, and what was written since the checkpoint, which has to be checked anyway. To know where
that begins, the indexes must be in their files, up to the last block of entries: those are written then as well. A log
that grows by less is left alone; with a hundred thousand logs most do.

**How many at once**: `MOST` a checkpoint, those with most behind them first; the others come next time. State is taken
in the event loop, where it is that of one moment; files are written in a thread, `PIECE` logs at a time. They are not
synced: a snapshot is a cache, and one that is torn is passed over (L10). Meanwhile no directory may be renamed (K1), or
the snapshot of a deleted log could come into the directory of a new one of its name.

Source: Kafka has this for rolls only (ProducerStateManager.takeSnapshot).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from storage.local import producer_snapshot
from storage.local.catalog import Catalog
from storage.local.log import Log, Snapshot
from storage.local.partition_log import LocalLog
from storage.local.volume import Volume
from storage.seams.disk import Disk
from storage.seams.slices import Slices

MOST: Final = 2000
"""Snapshots written at one checkpoint."""

PIECE: Final = 50
"""Snapshots taken and written in one go."""


class Snapshots:
    """Writes the snapshots that are due."""

    def __init__(self, volume: Volume, catalog: Catalog) -> None:
        self._volume = volume
        self._catalog = catalog

    async def write_due(self) -> None:
        """Bring open logs' producers to files where that spares the next start much. What cannot be written is left."""
        due: list[tuple[int, LocalLog]] = []
        async for face in Slices().over(list(self._catalog)):
            log = face.opened
            if log is not None and log.snapshot_due:
                due.append((-log.unsnapshotted, face))
        due.sort(key=lambda each: each[0])
        for first in range(0, min(len(due), MOST), PIECE):
            await self._write([face for _, face in due[first : first + PIECE]])

    async def _write(self, faces: Sequence[LocalLog]) -> None:
        volume = self._volume
        async with volume.reshaping:
            taken: list[tuple[LocalLog, Log, Snapshot]] = []
            slices = Slices()
            for face in faces:
                log = face.opened
                if face.is_deleted or log is None or log.failure is not None:
                    continue
                snapshot = log.take_snapshot()
                if snapshot is not None:
                    taken.append((face, log, snapshot))
                    with suppress(OSError):
                        log.segments[-1].flush_indexes()
                await slices.give_way()
            written = await volume.offload.run(_write_all, volume.disk, [snapshot for _, _, snapshot in taken])
            old: list[str] = []
            for (face, log, snapshot), done in zip(taken, written, strict=True):
                if done and face.opened is log:
                    old += log.note_snapshot(snapshot)
            await volume.offload.run(_remove_all, volume.disk, old)


def _write_all(disk: Disk, snapshots: Sequence[Snapshot]) -> list[bool]:
    """In a thread: which of them have been written."""
    written = []
    for snapshot in snapshots:
        try:
            disk.write_file(snapshot.path, producer_snapshot.encode(snapshot.states))
        except OSError:  # a full disk, most often: a start takes longer, that is all
            _remove_all(disk, [snapshot.path])
            written.append(False)
        else:
            written.append(True)
    return written


def _remove_all(disk: Disk, paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(OSError):  # it costs some room until the next opening
            disk.remove(path)
