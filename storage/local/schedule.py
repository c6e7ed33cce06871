"""What the upkeep has to do, and when. Logs write it down as it happens; the upkeep's one task reads it and does it.

The schedule decides nothing and waits for nothing, so the logs need not know the upkeep: a log that becomes dirty says
so here, and the task (`upkeep.py`) is woken if that brings its next duty forward.

All times are monotonic seconds (`trio.current_time`), but for `expiry`, which is wall clock in milliseconds like the
timestamps that it is compared with.
"""

from __future__ import annotations

from typing import Final, Protocol

import trio

from storage.engine import LogSpec
from storage.local.directory import Key
from storage.local.flusher import Durable
from storage.local.volume import Volume
from storage.log_config import NEVER
from storage.seams.logging import get_logger

ROOM_INTERVAL: Final = 0.25
"""Seconds between two looks for room on a full disk, as long as a producer wants to append."""

LIST_DELAY: Final = 10.0
"""Seconds until a new line of the list of dirty logs is synced. The bytes that it is about lie in memory for half a
minute until the system (Linux) writes them out by itself."""

REPORT_INTERVAL: Final = 60.0
"""Seconds between two log lines about too many open files."""

INFINITE: Final = float("inf")


class Kept(Durable, Protocol):
    """A log as the schedule sees it."""

    @property
    def spec(self) -> LogSpec: ...

    @property
    def key(self) -> Key: ...


class Schedule:
    """The duties of one store's upkeep."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.dirty: dict[Kept, None] = {}
        """Open logs with bytes that were never synced."""
        self.flush_due: dict[Kept, float] = {}
        """When a log is to be synced, whether or not a producer waits for it."""
        self.list_due = INFINITE
        """When the list of dirty logs is to be synced."""
        self.room_due = INFINITE
        """When to look whether a full disk has room again."""
        self.crowded = False
        """More files are open than should be, and those with unsynced bytes stay open: so they have to be synced."""
        self.expiry: dict[Key, int] = {}
        """Before that time (wall clock) nothing in the log can expire; a log that is not named has to be looked at."""
        self._news = trio.Event()
        self._crowd_reported = -INFINITE

    # -- what logs report ----------------------------------------------------------------------------------------------

    def became_dirty(self, log: Kept) -> None:
        """`log` has bytes that are not synced."""
        volume, key = self._volume, log.key
        self.expiry.pop(key, None)
        self.dirty[log] = None
        volume.unsettled.add(key)
        dirty_logs = volume.data.dirty_logs
        dirty_logs.add(key)
        if dirty_logs.has_news and self.list_due == INFINITE:
            self.list_due = trio.current_time() + LIST_DELAY
            self.wake()
        volume.descriptors.trim()
        self.look_for_crowd()
        self.watch_flush(log)

    def look_for_crowd(self) -> None:
        """Note whether files with unsynced bytes take more descriptors than there are for all."""
        volume, was = self._volume, self.crowded
        self.crowded = bool(self.dirty) and volume.descriptors.overdrawn and not volume.health.has_stopped
        if self.crowded and not was:
            self.wake()
            now = trio.current_time()
            if now >= self._crowd_reported + REPORT_INTERVAL:
                self._crowd_reported = now
                get_logger("storage").warning(
                    "appends wait for syncs: too many files are open", files=len(volume.descriptors)
                )

    def became_clean(self, log: Kept) -> None:
        """There is nothing to sync in `log` any more, or never will be."""
        self.flush_due.pop(log, None)
        if log in self.dirty:
            del self.dirty[log]
            self._volume.unsettled.discard(log.key)

    def watch_flush(self, log: Kept) -> None:
        """`log` is to be synced when its `flush.ms` is over, if it has any."""
        if log.spec.config.flush_ms < NEVER and log not in self.flush_due:
            self.flush_due[log] = trio.current_time() + log.spec.config.flush_ms / 1000
            self.wake()

    def flush_now(self, log: Kept) -> None:
        """`log` has begun another segment, and the old one is not synced."""
        self.flush_due[log] = trio.current_time()
        self._volume.descriptors.trim()
        self.look_for_crowd()
        self.wake()

    def reconfigured(self, log: Kept) -> None:
        """`log` has new settings: other records may expire."""
        self.expiry.pop(log.key, None)

    def look_for_room(self) -> None:
        """A producer wants to append, and the disk is full."""
        if self.room_due == INFINITE:
            self.room_due = trio.current_time() + ROOM_INTERVAL
            self.wake()

    # -- the upkeep's side ---------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the upkeep look at the schedule again."""
        self._news.set()

    async def wait_until(self, due: float) -> None:
        """Sleep until `due`, or the first duty that is due before; or until a log adds one."""
        self._news = trio.Event()
        if not self.crowded:
            with trio.move_on_at(min([due, self.list_due, self.room_due, *self.flush_due.values()])):
                await self._news.wait()

    def take_late(self, now: float) -> list[Kept]:
        """The logs whose flush is due, which is taken off the schedule."""
        late = [log for log, when in self.flush_due.items() if when <= now]
        for log in late:
            del self.flush_due[log]
        return late

    def take_list(self, now: float) -> bool:
        """Whether the list of dirty logs is to be synced now, which is taken off the schedule."""
        if now < self.list_due:
            return False
        self.list_due = INFINITE
        return True

    def take_room(self, now: float) -> bool:
        """Whether to look for room now, which is taken off the schedule."""
        if now < self.room_due:
            return False
        self.room_due = INFINITE
        return True
