"""Upkeep: what happens by itself while a store is open. Nothing is lost without it.

* what nobody waited for is synced, about once a minute, as soon as `flush.ms` says, at once when its log begins another
  segment, or when too many files are open;
* the checkpoints are written, so that a start after a crash has little to read;
* logs that nobody used for a minute or two are let go of;
* what was deleted is removed, files after `file.delete.delay.ms`;
* what has expired is deleted (`retention.py`).

`run` is one task that sleeps until the next of these is due; the broker starts it beside everything else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from kproto.errors import KafkaError
from storage.engine import LogSpec
from storage.local.directory import Key, segments_of
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.partition_log import LocalLog
from storage.local.segment import Corrupt, Segment
from storage.log_config import NEVER, LogConfig
from storage.seams.disk import Disk
from storage.seams.logging import get_logger

if TYPE_CHECKING:
    from storage.local.engine import LocalStore

CHECKPOINT_INTERVAL: Final = 60.0
"""Seconds between two rounds, as in Kafka (log.flush.offset.checkpoint.interval.ms)."""

RETENTION_CHUNK: Final = 100
ROOM_INTERVAL: Final = 0.25
"""Seconds between two looks for room on a full disk, as long as somebody wants to append."""

LIST_DELAY: Final = 10.0
"""Seconds until a new line of the list of dirty logs is synced. What it tells of lies in memory for half a minute until
the system (Linux) writes it out by itself."""


class Upkeep:
    """The upkeep of one store."""

    def __init__(self, store: LocalStore, retention_check_ms: int) -> None:
        self._store = store
        self._retention_check_ms = retention_check_ms
        self._log = get_logger("storage")
        self.dirty: dict[LocalLog, None] = {}
        """Logs with bytes that were never synced."""
        self._flush_due: dict[LocalLog, float] = {}
        self._doomed: list[tuple[float, str]] = []  # when, and which file or directory is to be removed
        self._retention_due: dict[Key, int] = {}  # before that time (wall clock) there is nothing to expire
        self._crowded = False
        self._room_due = float("inf")
        self._list_due: float = NEVER  # when the list of dirty logs is to be synced
        self._news = trio.Event()

    # -- what the store tells ------------------------------------------------------------------------------------------

    def became_dirty(self, log: LocalLog) -> None:
        """`log` has bytes that are not synced."""
        key = log.key
        self._retention_due.pop(key, None)
        self.dirty[log] = None
        dirty_logs = self._store.data.dirty_logs
        dirty_logs.add(key)
        if dirty_logs.has_news and self._list_due == NEVER:
            self._list_due = trio.current_time() + LIST_DELAY
            self._news.set()
        descriptors = self._store.descriptors
        descriptors.trim()
        if len(descriptors) > descriptors.limit and not self._crowded:
            self._crowded = True  # a file with unsynced bytes stays open, so they have to be synced
            self._news.set()
        self._watch_flush(log)

    def _watch_flush(self, log: LocalLog) -> None:
        if log.spec.config.flush_ms < NEVER and log not in self._flush_due:
            self._flush_due[log] = trio.current_time() + log.spec.config.flush_ms / 1000
            self._news.set()

    def rolled(self, log: LocalLog) -> None:
        """`log` has begun another segment, and the old one is not synced."""
        self._flush_due[log] = trio.current_time()
        self._news.set()

    def look_for_room(self) -> None:
        """Somebody wants to append, and the disk is full."""
        if self._room_due == float("inf"):
            self._room_due = trio.current_time() + ROOM_INTERVAL
            self._news.set()

    def on_synced(self, log: object) -> None:
        """The flusher has synced what `log` had when it began."""
        assert isinstance(log, LocalLog)
        opened = log.opened
        if opened is not None and opened.synced_end == opened.end:
            self.forget(log)
            log.became_clean()
            self._store.data.recovery_points[log.key] = opened.end
        self._store.checkpoints_changed = True

    def forget(self, log: LocalLog) -> None:
        """There is nothing to sync in `log` any more."""
        self.dirty.pop(log, None)
        self._flush_due.pop(log, None)

    def reconfigured(self, log: LocalLog) -> None:
        """`log` has new settings: other records may expire."""
        self._retention_due.pop(log.key, None)

    def remove_later(self, paths: Iterable[str], delay_ms: int = 0) -> None:
        """Remove these files, or directories named `-delete`, when the delay is over."""
        due = trio.current_time() + delay_ms / 1000
        self._doomed += [(due, path) for path in paths]
        self._news.set()

    # -- the task ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do it all, for ever."""
        next_checkpoint = trio.current_time() + CHECKPOINT_INTERVAL
        next_retention = trio.current_time() + self._retention_check_ms / 1000
        while True:
            self._news = trio.Event()
            others = [*self._flush_due.values(), *[when for when, _ in self._doomed]]
            due = min([next_checkpoint, next_retention, self._list_due, self._room_due, *others])
            with trio.move_on_at(due):
                await self._news.wait()
            now = trio.current_time()
            if now >= self._list_due:
                await self._sync_list()
            await self._flush_late(now)
            if now >= self._room_due:
                self._room_due = float("inf")
                await self._store.offload.run(self._store.data.reserve.make)
            if self._crowded:
                await self.sync_dirty()
                self._crowded = False
                self._store.descriptors.trim()
            if any(when <= now for when, _ in self._doomed):
                await self.remove_doomed(now)
            if now >= next_retention:
                next_retention = now + self._retention_check_ms / 1000
                await self.apply_retention()
            if now >= next_checkpoint:
                next_checkpoint = now + CHECKPOINT_INTERVAL
                await self._checkpoint()

    async def _sync_list(self) -> None:
        self._list_due = NEVER
        try:
            await self._store.offload.run(self._store.data.dirty_logs.sync)
        except OSError as error:
            self._log.warning("the list of dirty logs could not be synced", reason=str(error))

    async def _flush_late(self, now: float) -> None:
        late = [log for log, when in self._flush_due.items() if when <= now]
        for log in late:
            del self._flush_due[log]
        if late and not self._store.has_stopped:
            await self._store.flusher.flush(late)
            for log in late:
                if log in self.dirty:  # appended to meanwhile, and so never clean: its time begins anew
                    self._watch_flush(log)

    async def _checkpoint(self) -> None:
        store = self._store
        try:
            await self.sync_dirty()
            await store.sync_recovered()
            await self.learn_timestamps()
            self._close_idle()
            if store.checkpoints_changed and not store.has_stopped:
                await store.write_recovery_points()
        except OSError as error:
            self._log.error("checkpoints could not be written", reason=str(error))
        store.descriptors.trim()

    async def sync_dirty(self) -> None:
        """Sync everything there is to sync. A failure stops the store; it is not raised."""
        if self.dirty and not self._store.has_stopped:
            await self._store.flusher.flush(list(self.dirty))

    async def learn_timestamps(self) -> None:
        """Find the largest timestamps that were too far away to look for when their logs were opened.

        Until then those logs get no entries in their time indexes.
        """
        unknown = [
            log.opened.segments[-1]
            for log in self._store.logs()
            if log.opened is not None and log.opened.segments and not log.opened.segments[-1].timestamps_known
        ]
        for segment in unknown:
            try:
                await self._store.offload.run(segment.learn_timestamps)
            except (OSError, Corrupt, DamagedIndex) as error:
                self._log.error("timestamps cannot be read", file=segment.path(".log"), reason=str(error))

    def _close_idle(self) -> None:
        """Let go of logs that nobody has used since the last time: they take no memory until somebody does again."""
        for log in self._store.logs():
            opened = log.opened
            if opened is None or log in self.dirty or opened.failure is not None:
                continue
            if self._store.cleaner.is_cleaning(log):
                continue
            if opened.used or opened.end != opened.synced_end:
                opened.used = False
                continue
            opened.finish()
            self._store.data.recovery_points[log.key] = opened.end
            opened.abandon()
            log.opened = None

    async def remove_doomed(self, now: float) -> None:
        """Remove files and directories whose time has come."""
        due = [path for when, path in self._doomed if when <= now]
        self._doomed = [(when, path) for when, path in self._doomed if when > now]
        failed = await self._store.offload.run(_remove_all, self._store.disk, due)
        for path, reason in failed:  # the next start finds it again
            self._log.warning("a deleted file could not be removed", path=path, reason=reason)

    # -- retention -----------------------------------------------------------------------------------------------------

    async def apply_retention(self) -> None:
        """Delete the segments that have expired."""
        store = self._store
        if store.has_stopped:
            return
        now = store.wall_millis()
        chunk: list[LogSpec] = []
        every = (face.spec for face in store.logs()) if store.every_log is None else store.every_log()
        for number, spec in enumerate(every):
            if number % 1000 == 0:  # there may be a hundred thousand
                await trio.lowlevel.checkpoint()
            if self._may_expire((spec.topic, spec.partition), now):
                chunk.append(spec)
            if len(chunk) == RETENTION_CHUNK:
                await self._apply_retention_to(chunk, now)
                chunk = []
        await self._apply_retention_to(chunk, now)

    async def _apply_retention_to(self, specs: list[LogSpec], now: int) -> None:
        """The same for some logs. A closed one that holds anything is opened for as long as it takes."""
        store = self._store
        closed = [spec for spec in specs if not store.is_open(spec)]
        keys = [(spec.topic, spec.partition) for spec in closed]
        bases = await store.offload.run(_all_segments, store.disk, [store.data.path_of(key) for key in keys])
        empty = {key for key, found in zip(keys, bases, strict=True) if not found}
        ours = set(keys) - empty
        logs = []
        for spec in specs:
            key = spec.topic, spec.partition
            if key in empty and not store.is_open(spec):
                self._retention_due[key] = NEVER  # until something is appended
                continue
            with contextlib.suppress(KafkaError):  # one that cannot be opened is offline, and says so elsewhere
                face = store.log(spec)
                already = face.opened
                logs.append((face, face.open()))
                if already is None and face.opened is not None:
                    face.opened.used = False
        await self._expire(logs, now)
        for face, log in logs:
            if (
                face.key in ours
                and face.opened is log
                and not (log.used or log.failure or face in self.dirty or store.cleaner.is_cleaning(face))
                and log.synced_end == log.end
            ):
                store.data.recovery_points[face.key] = log.end
                log.abandon()
                face.opened = None

    def _may_expire(self, key: Key, now: int) -> bool:
        return key in self._store.data.present and self._retention_due.get(key, 0) <= now

    async def _expire(self, logs: list[tuple[LocalLog, Log]], now: int) -> None:
        verdicts = await self._store.offload.run(_judge_all, [log for _, log in logs], now)
        starts = []
        for (face, log), verdict in zip(logs, verdicts, strict=True):
            if isinstance(verdict, Exception):
                face.unreadable(str(verdict))
                continue
            start, ask_again = verdict
            if log.config.retention_bytes < 0:
                self._retention_due[face.key] = ask_again
            if start > log.start and face.opened is log:
                starts.append((face, start))
        if not starts:
            return
        try:
            for face, start in starts:
                await self._store.flusher.wait(face, start)
            await self._store.move_log_starts([(face, start) for face, start in starts if not face.is_deleted])
        except KafkaError as error:
            self._log.error("retention failed, it will be tried again", reason=str(error))
            for face, _ in starts:
                self._retention_due.pop(face.key, None)
            return
        for face, start in starts:
            self._log.info("expired", topic=face.spec.topic, partition=face.spec.partition, log_start_offset=start)

    async def remove_segments(self, segments: Sequence[Segment], config: LogConfig) -> None:
        """Segments have been taken out of a log: mark their files as deleted, remove them later."""
        if not segments:
            return
        try:
            paths = await self._store.offload.run(_rename_segments, self._store.disk, segments)
        except OSError as error:
            self._log.warning("a deleted segment could not be renamed", reason=str(error))
            return
        for segment in segments:
            self._store.descriptors.forget(segment)
        self.remove_later(paths, config.file_delete_delay_ms)


def _all_segments(disk: Disk, directories: list[str]) -> list[list[int]]:
    """Base offsets of the segments in each of these. In a thread."""
    return [segments_of(disk, directory) for directory in directories]


def _judge_all(logs: list[Log], now: int) -> list[tuple[int, int] | Exception]:
    """What retention says of each log. In a thread."""
    verdicts: list[tuple[int, int] | Exception] = []
    for log in logs:
        try:
            verdicts.append(log.judge_retention(now))
        except (OSError, Corrupt, DamagedIndex) as error:
            verdicts.append(error)
    return verdicts


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
            if path.endswith("-delete"):
                disk.remove_tree(path)
            else:
                disk.remove(path)
        except OSError as error:
            failed.append((path, str(error)))
    return failed
