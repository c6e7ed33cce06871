"""A data directory in use: the floor that every part of the engine stands on.

A `Volume` has what all parts need and none owns: the disk and the threads that wait for it, the clock, the directory
with its lock, the group commit, the locks and the checkpoints, and the directory's health. It knows keys and offsets,
not partitions, so that everything above (logs that are opened, deleted, expired, compacted) can use it without knowing
each other.

**Recovery points** say how far each log is on the platter; a log reports here whenever that changes
(`note_recovery_point`), and the file is written about once a minute, at a stop, and before a cleaning that relies on
it. `unsettled` has the logs that a start after a crash has to look at: those with bytes that are not synced, and those
that are damaged. It is what the next list of dirty logs (`dirty_logs.py`) begins with.

**Two locks**, never the other way round: `reshaping`, then `checkpointing`. What each is for stands in README.md.
"""

from __future__ import annotations

import errno
from typing import Final

import trio

from storage.elapsed import ElapsedTime
from storage.engine import StoreError
from storage.local.descriptors import Descriptors
from storage.local.directory import DataDirectory, Key
from storage.local.flusher import Flusher
from storage.local.surroundings import Health, Surroundings
from storage.seams.clock import Clock
from storage.seams.disk import Disk, InUse
from storage.seams.entropy import Entropy
from storage.seams.offload import Offload
from storage.store_settings import ProducerRules

DEFAULT_OPEN_FILES: Final = 1000


class Volume:
    """One data directory, from `open` to `close`."""

    def __init__(
        self,
        data: DataDirectory,
        *,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        open_files: int,
        lent_files: int,
        producer_rules: ProducerRules,
    ) -> None:
        self.data = data
        self.disk = disk
        self.clock = clock
        self.offload = offload
        self.reserve = data.reserve
        self.descriptors = Descriptors(open_files)
        """The bound on open segments, shared by all logs."""
        self._most_open = open_files + lent_files
        self.elapsed = ElapsedTime()
        """The time by which records may be deleted."""
        self.health = Health(data.path)
        self.surroundings = Surroundings(disk, clock, entropy, self.descriptors, self.health, producer_rules)
        self.flusher = Flusher(disk, offload, self.health)
        self.reshaping = trio.Lock()
        """Held while files of closed segments, or directories of logs, are renamed: one task at a time does."""
        self.checkpointing = trio.Lock()
        """Held while a checkpoint is written, so that of two the newer one remains."""
        self.unsettled: set[Key] = set()
        """The logs that a start after a crash has to look at."""
        self._points_changed = False

    def may_lend(self) -> bool:
        """Whether a reply may keep one more file open until it is sent. In any thread."""
        return self.disk.open_files < self._most_open

    # -- possession ----------------------------------------------------------------------------------------------------

    async def open(self) -> bool:
        """Take possession of the directory. True if no log needs recovery. Raises StoreError."""
        path = self.data.path
        try:
            return await self.offload.run(self.data.take_possession)
        except InUse:
            raise StoreError(
                f"the data directory {path} is in use by another process; stop that one or name another"
            ) from None
        except OSError as error:
            self.data.give_up()
            raise StoreError(f"the data directory {path} cannot be used: {error.strerror}") from error
        except StoreError:
            self.data.give_up()
            raise

    async def check_possession(self) -> None:
        """Stop the directory if its path does not lead to what was taken possession of. Raises OSError then."""
        wrong = await self.offload.run(self.data.strayed)
        if wrong is not None:
            self.health.stop(f"the data directory is not ours any more: {wrong}")
            raise OSError(errno.ESTALE, wrong)

    # -- recovery points -----------------------------------------------------------------------------------------------

    def note_recovery_point(self, key: Key, offset: int) -> None:
        """The log is synced below `offset`. The file says so when it is written next."""
        points = self.data.recovery_points
        if points.get(key) != offset:
            points[key] = offset
            self._points_changed = True

    async def write_recovery_points(self) -> None:
        """Bring the recovery points to disk, and begin another list of dirty logs. Raises OSError."""
        self._points_changed = False
        try:
            await self._begin_recovery_points()
        except BaseException:
            self._points_changed = True  # the next to rely on them has to write them
            raise

    async def _begin_recovery_points(self) -> None:
        async with self.checkpointing:
            await self.check_possession()
            # From here on it is remembered which logs are touched. Of the others those that are synced end where their
            # recovery points, noted now or later, say.
            self.data.dirty_logs.begin()
            unsettled = set(self.unsettled)
            await self.offload.run(self._write_recovery_points, unsettled)
            self.data.dirty_logs.finish(unsettled)

    async def settle_recovery_points(self) -> None:
        """Return when the recovery points on disk cover every sync that is over. Raises OSError."""
        async with self.checkpointing:
            pass  # one that is under way may be the one
        if self._points_changed:
            await self.write_recovery_points()

    async def renew_recovery_points(self) -> None:
        """Write the recovery points if one has changed since they were written. Raises OSError."""
        if self._points_changed and not self.health.has_stopped:
            await self.write_recovery_points()

    def _write_recovery_points(self, unsettled: set[Key]) -> None:
        self.data.write_recovery_points()
        self.data.replace_dirty_logs(unsettled)

    # -- the other checkpoints -----------------------------------------------------------------------------------------

    async def write_clean_offsets(self) -> None:
        """Bring to disk up to where logs are clean. Raises OSError."""
        async with self.checkpointing:
            await self.check_possession()
            await self.offload.run(self.data.write_clean_offsets)

    async def write_log_starts(self) -> None:
        """Bring to disk where logs start. Raises OSError."""
        async with self.checkpointing:
            await self.check_possession()
            await self.offload.run(self.data.write_log_starts)
