"""Upkeep: what happens by itself while a store is open. Nothing is lost without it.

* what no producer waited for is synced, about once a minute, as soon as `flush.ms` says, at once when its log begins
  another segment, or when too many files are open;
* the checkpoints are written, so that a start after a crash has little to read;
* logs that have not been used for a minute or two are let go of;
* what was deleted is removed, files after `file.delete.delay.ms` (`removal.py`);
* what has expired is deleted (`expiry.py`).

`run` is one task that sleeps until the next of these is due (`schedule.py`); the broker starts it beside everything
else. It ends only when it is cancelled: a duty that fails is logged, by its name, and does not keep the others from
being done; after a pause it goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from storage.local.catalog import Catalog, EveryLog
from storage.local.expiry import Expiry
from storage.local.index_file import DamagedIndex
from storage.local.loading import Loader
from storage.local.log import GONE
from storage.local.removal import Removal
from storage.local.schedule import INFINITE, Schedule
from storage.local.segment import Corrupt
from storage.local.snapshotting import Snapshots
from storage.local.volume import Volume
from storage.seams.logging import get_logger
from storage.seams.offload import Lane
from storage.seams.slices import Slices
from storage.statistics import UpkeepStatistics

Duty = tuple[str, Callable[[float], Awaitable[object]]]
"""Its name in the log, and what does it, given the time."""

PAUSE_AFTER_FAILURE: Final = 1.0
SAY_AGAIN: Final = 60.0
"""Seconds from one log line to the next about a duty that goes on failing."""

CHECKPOINT_INTERVAL: Final = 60.0
"""Seconds between two rounds, as in Kafka (log.flush.offset.checkpoint.interval.ms)."""


ROOM_SECONDS: Final = 10.0
"""How long an append waits for descriptors."""

CROWDED_SECONDS: Final = 0.05
"""Until those who wait for descriptors look again."""


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
        self._snapshots = Snapshots(volume, catalog)
        self._retention_check_ms = retention_check_ms
        self._log = get_logger("storage")
        self._checkpoints = 0
        self._next_checkpoint = self._next_retention = INFINITE  # until the first round
        self._said: dict[str, float] = {}  # what fails, and when that was last logged

    def statistics(self) -> UpkeepStatistics:
        """What there is to do."""
        dirty, unsettled = len(self._schedule.dirty), len(self._volume.unsettled)
        return UpkeepStatistics(dirty, unsettled, len(self._removal), self._checkpoints)

    def configure(self, retention_check_ms: int) -> None:
        """Another interval of retention, from its next look on."""
        self._retention_check_ms = retention_check_ms

    async def run(self, every_log: EveryLog | None = None) -> None:
        """Do it all, forever; retention for the logs that `every_log` names."""
        while True:
            try:
                if not await self._round(every_log):
                    await trio.sleep(PAUSE_AFTER_FAILURE)
            except Exception as error:
                self._log.error("the upkeep failed", exc_info=error)
                await trio.sleep(PAUSE_AFTER_FAILURE)

    async def _round(self, every_log: EveryLog | None) -> bool:
        """Sleep until something is due, and do it. Returns whether all of it could be done."""
        now = trio.current_time()
        if self._next_checkpoint == INFINITE:
            self._next_checkpoint = now + CHECKPOINT_INTERVAL
            self._next_retention = now + self._retention_check_ms / 1000
        await self._schedule.wait_until(min(self._next_checkpoint, self._next_retention, self._removal.due))
        now = trio.current_time()
        duties: list[Duty] = [
            ("syncing the list of dirty logs", self._sync_list),
            ("syncing logs", self._flush_late),
            ("looking for room", self._look_for_room),
            ("closing files", self._close_files),
            ("removing files", self._removal.remove_due),
        ]
        if now >= self._next_retention:
            self._next_retention = now + self._retention_check_ms / 1000
            duties.append(("deleting what has expired", lambda _: self._expiry.apply(every_log)))
        if now >= self._next_checkpoint:
            self._next_checkpoint = now + CHECKPOINT_INTERVAL
            self._checkpoints += 1
            duties += self._checkpoint_duties
        return all([await self._do(what, duty, now) for what, duty in duties])

    async def make_room(self) -> None:
        """Return when files may be opened for what is appended next, or when that has taken too long: then what is left
        in reserve is used, and after it appends are refused. If they may at once, nothing is awaited."""
        until = trio.current_time() + ROOM_SECONDS
        while self._schedule.crowded and trio.current_time() < until:
            await self._relieve()

    async def _relieve(self) -> None:
        """Sync what keeps more files open than should be, and close them."""
        descriptors = self._volume.descriptors
        await self.sync_dirty()
        descriptors.trim(2 * len(descriptors))
        self._schedule.look_for_crowd()
        if self._schedule.crowded:
            await trio.sleep(CROWDED_SECONDS)

    @property
    def _checkpoint_duties(self) -> list[Duty]:
        return [
            ("syncing logs", lambda _: self.sync_dirty()),
            ("syncing recovered logs", lambda _: self._loader.sync_recovered()),
            ("learning timestamps", lambda _: self.learn_timestamps()),
            ("snapshots", lambda _: self._snapshots.write_due()),
            ("closing logs", lambda _: self._close_idle()),
            ("writing checkpoints", lambda _: self._volume.renew_recovery_points()),
            ("closing files", lambda _: self._trim()),
        ]

    async def _do(self, what: str, duty: Callable[[float], Awaitable[object]], now: float) -> bool:
        """Whether it could be done; if not, that is logged."""
        try:
            await duty(now)
        except Exception as error:  # a mistake of ours, too, must not end the upkeep of all logs
            if now - self._said.get(what, -SAY_AGAIN) >= SAY_AGAIN:
                self._said[what] = now
                of_the_disk = isinstance(error, OSError)
                self._log.error(
                    "a duty of the upkeep failed", duty=what, reason=str(error), exc_info=None if of_the_disk else error
                )
            return False
        self._said.pop(what, None)
        return True

    async def _sync_list(self, now: float) -> None:
        if self._schedule.take_list(now):
            await self._volume.offload.run(self._volume.data.dirty_logs.sync)

    async def _look_for_room(self, now: float) -> None:
        if self._schedule.take_room(now):
            await self._volume.offload.run(self._volume.reserve.make)

    async def _close_files(self, now: float) -> None:
        if self._schedule.crowded:
            await self._relieve()

    async def _trim(self) -> None:
        self._volume.descriptors.trim()

    async def _flush_late(self, now: float) -> None:
        late = self._schedule.take_late(now)
        if late and not self._volume.health.has_stopped:
            await self._volume.flusher.flush(late)
            for log in late:
                if log in self._schedule.dirty:  # appended to meanwhile, and so never clean: its time begins again
                    self._schedule.watch_flush(log)

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
                await self._volume.offload.compute(segment.learn_timestamps, lane=Lane.LOOK_UPS)
            except (OSError, Corrupt, DamagedIndex) as error:
                self._log.error("timestamps cannot be read", file=segment.path(".log"), reason=str(error))

    async def _close_idle(self) -> None:
        """Let go of logs that have not been used since the last time: they take no memory until they are."""
        async for log in Slices().over(list(self._catalog)):
            if log.is_idle and not log.forget_use():
                try:
                    log.let_go()
                except OSError as error:
                    if error.errno not in GONE:
                        raise
                    log.fail(error)
