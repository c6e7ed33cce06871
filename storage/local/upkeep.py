"""Upkeep: what happens by itself while a store is open. Nothing is lost without it.

* what no producer waited for is synced, about once a minute, as soon as `flush.ms` says, at once when its log begins
  another segment, or when too many files are open;
* the checkpoints are written, so that a start after a crash has little to read;
* logs that have not been used for a minute or two are let go of;
* what was deleted is removed, files after `file.delete.delay.ms` (`removal.py`);
* what has expired is deleted (`expiry.py`).

`run` is one task that sleeps until the next of these is due (`schedule.py`); the broker starts it beside everything
else.
"""

from __future__ import annotations

from typing import Final

import trio

from storage.local.catalog import Catalog, EveryLog
from storage.local.expiry import Expiry
from storage.local.index_file import DamagedIndex
from storage.local.loading import Loader
from storage.local.removal import Removal
from storage.local.schedule import Schedule
from storage.local.segment import Corrupt
from storage.local.volume import Volume
from storage.seams.logging import get_logger
from storage.statistics import UpkeepStatistics

CHECKPOINT_INTERVAL: Final = 60.0
"""Seconds between two rounds, as in Kafka (log.flush.offset.checkpoint.interval.ms)."""


class Upkeep:
    """The upkeep of one store. `retention_check_ms` lies between two looks for what has expired."""

    def __init__(
        self,
        volume: Volume,
        loader: Loader,
        schedule: Schedule,
        removal: Removal,
        catalog: Catalog,
        expiry: Expiry,
        retention_check_ms: int,
    ) -> None:
        self._volume = volume
        self._loader = loader
        self._schedule = schedule
        self._removal = removal
        self._catalog = catalog
        self._expiry = expiry
        self._retention_check_ms = retention_check_ms
        self._log = get_logger("storage")
        self._checkpoints = 0

    def statistics(self) -> UpkeepStatistics:
        """What there is to do."""
        dirty, unsettled = len(self._schedule.dirty), len(self._volume.unsettled)
        return UpkeepStatistics(dirty, unsettled, len(self._removal), self._checkpoints)

    def configure(self, retention_check_ms: int) -> None:
        """Another interval of retention, from its next look on."""
        self._retention_check_ms = retention_check_ms

    async def run(self, every_log: EveryLog | None = None) -> None:
        """Do it all, forever; retention for the logs that `every_log` names."""
        volume, schedule = self._volume, self._schedule
        next_checkpoint = trio.current_time() + CHECKPOINT_INTERVAL
        next_retention = trio.current_time() + self._retention_check_ms / 1000
        while True:
            await schedule.wait_until(min(next_checkpoint, next_retention, self._removal.due))
            now = trio.current_time()
            if schedule.take_list(now):
                await self._sync_list()
            await self._flush_late(now)
            if schedule.take_room(now):
                await volume.offload.run(volume.reserve.make)
            if schedule.crowded:
                await self.sync_dirty()
                schedule.no_longer_crowded()
                volume.descriptors.trim()
            await self._removal.remove_due(now)
            if now >= next_retention:
                next_retention = now + self._retention_check_ms / 1000
                await self._expiry.apply(every_log)
            if now >= next_checkpoint:
                next_checkpoint = now + CHECKPOINT_INTERVAL
                await self._checkpoint()

    async def _sync_list(self) -> None:
        try:
            await self._volume.offload.run(self._volume.data.dirty_logs.sync)
        except OSError as error:
            self._log.warning("the list of dirty logs could not be synced", reason=str(error))

    async def _flush_late(self, now: float) -> None:
        late = self._schedule.take_late(now)
        if late and not self._volume.health.has_stopped:
            await self._volume.flusher.flush(late)
            for log in late:
                if log in self._schedule.dirty:  # appended to meanwhile, and so never clean: its time begins again
                    self._schedule.watch_flush(log)

    async def _checkpoint(self) -> None:
        self._checkpoints += 1
        try:
            await self.sync_dirty()
            await self._loader.sync_recovered()
            await self.learn_timestamps()
            self._close_idle()
            await self._volume.renew_recovery_points()
        except OSError as error:
            self._log.error("checkpoints could not be written", reason=str(error))
        self._volume.descriptors.trim()

    async def sync_dirty(self) -> None:
        """Sync everything there is to sync. A failure stops the directory; it is not raised."""
        if self._schedule.dirty and not self._volume.health.has_stopped:
            await self._volume.flusher.flush(list(self._schedule.dirty))

    async def learn_timestamps(self) -> None:
        """Find the largest timestamps that were too far away to look for when their logs were opened.

        Until then those logs get no entries in their time indexes.
        """
        unknown = [
            log.opened.segments[-1]
            for log in self._catalog
            if log.opened is not None and log.opened.segments and not log.opened.segments[-1].timestamps_known
        ]
        for segment in unknown:
            try:
                await self._volume.offload.run(segment.learn_timestamps)
            except (OSError, Corrupt, DamagedIndex) as error:
                self._log.error("timestamps cannot be read", file=segment.path(".log"), reason=str(error))

    def _close_idle(self) -> None:
        """Let go of logs that have not been used since the last time: they take no memory until they are."""
        for log in self._catalog:
            if log.is_idle and not log.forget_use():
                log.let_go()
