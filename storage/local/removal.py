"""Taking records away: where a log starts, and files whose time has come.

**A log's start** (DeleteRecords, retention) is moved in this order, so that a crash leaves the old start or the new one
and never a log that gives offsets out twice:

1. what lies below the new start is synced; that is the caller's duty;
2. the checkpoint of log starts is written: from then on the records are gone, whatever happens;
3. segments that lie before the start are taken out of the log, renamed to `.deleted`, and removed later.

**Files are removed later** (`file.delete.delay.ms`), under a name that the next start recognises and removes. A reader
that has found records in one keeps its descriptor and is not disturbed.

Kafka: org.apache.kafka.storage.internals.log.{UnifiedLog.maybeIncrementLogStartOffset, LocalLog.deleteSegmentFiles}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import trio

from storage.local.directory import Key
from storage.local.log import Log
from storage.local.schedule import INFINITE, Schedule
from storage.local.segment import Segment
from storage.local.volume import Volume
from storage.log_config import LogConfig
from storage.seams.disk import Disk
from storage.seams.logging import get_logger


class Shortened(Protocol):
    """A partition that loses its beginning."""

    @property
    def key(self) -> Key: ...

    @property
    def is_deleted(self) -> bool: ...

    def open(self) -> Log:
        """Its log. Raises KafkaError."""
        ...

    def start_moved(self) -> None:
        """The log starts elsewhere now: readers are to hear of it."""
        ...


class Removal:
    """What is removed in one directory, and when."""

    def __init__(self, volume: Volume, schedule: Schedule) -> None:
        self._volume = volume
        self._schedule = schedule
        self._doomed: list[tuple[float, str]] = []  # when, and which file or directory
        self._log = get_logger("storage")

    # -- a log's start -------------------------------------------------------------------------------------------------

    async def move_log_starts(self, starts: Sequence[tuple[Shortened, int]]) -> None:
        """Let these logs start at these offsets, whatever happens after the return; remove what lies before.

        Everything below the offsets must be synced. Raises KafkaError.
        """
        volume = self._volume
        opened = [(face, face.open(), offset) for face, offset in starts]
        known = volume.data.log_starts
        for face, _, offset in opened:
            known[face.key] = max(offset, known.get(face.key, 0))
        try:
            await volume.write_log_starts()
        except OSError as error:
            raise volume.health.refused(error) from error
        for face, log, offset in opened:
            if face.is_deleted:
                continue
            log.advance_start(offset)
            face.start_moved()
            async with volume.reshaping:
                try:
                    gone = log.drop_segments()
                except OSError as error:
                    raise volume.health.refused(error) from error
                await self._remove_segments(gone, log.config)

    async def _remove_segments(self, segments: Sequence[Segment], config: LogConfig) -> None:
        """Segments have been taken out of a log: mark their files as deleted, remove them later."""
        if not segments:
            return
        volume = self._volume
        try:
            paths = await volume.offload.run(_rename_segments, volume.disk, segments)
        except OSError as error:
            self._log.warning("a deleted segment could not be renamed", reason=str(error))
            return
        for segment in segments:
            volume.descriptors.forget(segment)
        self.remove_later(paths, config.file_delete_delay_ms)

    # -- files ---------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Files and directories that are to be removed."""
        return len(self._doomed)

    @property
    def due(self) -> float:
        """When the next file is to be removed (`trio.current_time`)."""
        return min([when for when, _ in self._doomed], default=INFINITE)

    def remove_later(self, paths: Iterable[str], delay_ms: int = 0) -> None:
        """Remove these files, or directories named `-delete`, when the delay is over."""
        due = trio.current_time() + delay_ms / 1000
        self._doomed += [(due, path) for path in paths]
        self._schedule.wake()

    async def remove_due(self, now: float) -> None:
        """Remove the files and directories whose time has come."""
        due = [path for when, path in self._doomed if when <= now]
        if not due:
            return
        self._doomed = [(when, path) for when, path in self._doomed if when > now]
        failed = await self._volume.offload.run(_remove_all, self._volume.disk, due)
        for path, reason in failed:  # the next start finds it again
            self._log.warning("a deleted file could not be removed", path=path, reason=reason)


def _rename_segments(disk: Disk, segments: Sequence[Segment]) -> list[str]:
    """Mark the files of these segments as deleted; returns their new names. In a thread."""
    paths = []
    for segment in segments:
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            path = segment.path(suffix)
            if disk.file_size(path) is not None:
                disk.rename(path, path + ".deleted")
                paths.append(path + ".deleted")
    return paths


def _remove_all(disk: Disk, paths: list[str]) -> list[tuple[str, str]]:
    """Remove these; returns those that could not be, and why. In a thread."""
    failed = []
    for path in paths:
        try:
            if disk.is_directory(path):
                disk.remove_tree(path)
            else:
                disk.remove(path)
        except OSError as error:
            failed.append((path, str(error)))
    return failed
