"""Which logs are opened how: at once, after a look at where they end, or recovered.

After a clean stop every log is opened when it is first asked for, and believed. After an unclean one, those that may
have grown since the last checkpoint (`dirty_logs.py`) are recovered at the start, in worker threads (`recovery.py`).
The others are *unverified*: each is held against its recovery point when it is first opened. What is damaged stays
offline.

A recovered log with bytes that are not synced is kept, without an owner, until it is asked for or the upkeep has synced
it. One that has nothing to sync is let go of: it can be opened like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogSpec
from storage.local import recovery
from storage.local.directory import Key
from storage.local.index_file import DamagedIndex
from storage.local.log import UNOWNED, Log, LogOwner
from storage.local.segment import Corrupt
from storage.local.syncing import Lost, Postponed
from storage.local.volume import Volume
from storage.log_config import LogConfig
from storage.progress import Progress, Recovered
from storage.seams.disk import PASSING_ERRORS
from storage.seams.logging import get_logger
from storage.seams.offload import Once

RECOVERY_CHUNK: Final = 8
RECOVERY_THREADS: Final = 4
PROGRESS_SECONDS: Final = 0.2
SYNC_CHUNK: Final = 32
VERIFY_CHUNK: Final = 64


class AnotherTopics:
    """There is a log of this name, of another topic: it is to be set aside first, which the event loop does."""


class Found:
    """The log was recovered at the start, and is kept in memory."""


Opened = Log | AnotherTopics | Found | Exception
Opening = Once[Opened]


class Loader:
    """Opens the logs of one directory. `progress` is shown how far a recovery is."""

    def __init__(self, volume: Volume, progress: Progress) -> None:
        self._volume = volume
        self._progress = progress
        self._log = get_logger("storage")
        self._recovered: dict[Key, Log | recovery.Damaged] = {}
        self.unverified: set[Key] = set()
        """After an unclean stop: logs that should end at their recovery points, and have not been looked at."""

    # -- the start -----------------------------------------------------------------------------------------------------

    async def begin(self, clean: bool) -> None:
        """The directory has been taken possession of: recover what an unclean stop has left."""
        data = self._volume.data
        if not clean:
            listed = data.listed
            if listed is not None:
                self.unverified = data.present.keys() - listed
            await self._recover(list(data.present if listed is None else listed))
            await self._volume.offload.run(data.replace_dirty_logs, set(self._volume.unsettled))
        data.dirty_logs.finish(set(self._volume.unsettled))

    async def _recover(self, keys: list[Key]) -> None:
        """Recover these logs, in a few threads."""
        volume = self._volume
        self._log.warning("unclean stop: recovering logs", logs=len(keys), of=len(volume.data.present))
        chunks = [keys[first : first + RECOVERY_CHUNK] for first in range(0, len(keys), RECOVERY_CHUNK)]
        chunks.reverse()
        started = volume.clock.monotonic_millis()
        done = checked = 0

        def scanned(size: int) -> None:
            nonlocal checked
            checked += size  # in threads, where an addition may get lost: only people look at it

        def so_far() -> Recovered:
            return Recovered(done, len(keys), checked, volume.clock.monotonic_millis() - started)

        async def recover_some() -> None:
            nonlocal done
            while chunks:
                chunk = chunks.pop()
                await volume.offload.run(self._recover_chunk, chunk, started, scanned)
                done += len(chunk)

        async def show() -> None:
            while True:
                await trio.sleep(PROGRESS_SECONDS)
                self._progress.show(so_far())

        try:
            async with trio.open_nursery() as showing:
                showing.start_soon(show)
                async with trio.open_nursery() as nursery:
                    for _ in range(RECOVERY_THREADS):
                        nursery.start_soon(recover_some)
                showing.cancel_scope.cancel()
        finally:
            self._progress.close()
        damaged = [str(found) for found in self._recovered.values() if isinstance(found, recovery.Damaged)]
        for reason in damaged:
            self._log.error("partition offline", reason=reason)
        volume.unsettled.update(self._recovered)
        end = so_far()
        self._log.warning(
            "recovered",
            logs=len(keys), offline=len(damaged), checked_mb=end.checked_bytes // 1_000_000, millis=end.millis,
        )  # fmt: skip

    def _recover_chunk(self, keys: list[Key], now: int, scanned: Callable[[int], None]) -> None:
        """Recover these logs; keep those with something left to do. In a thread."""
        config = LogConfig()
        for key in keys:
            try:
                log = self._load(key, config, UNOWNED, recovery.Trust.NONE, now, scanned)
            except recovery.Damaged as error:
                self._recovered[key] = error
            except (OSError, Corrupt, DamagedIndex) as error:
                if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
                    self.unverified.add(key)  # the next to open it may have more luck
                    continue
                self._recovered[key] = recovery.Damaged(f"{self._volume.data.path_of(key)}: {error}")
            else:
                if log.synced_end < log.end:
                    self._recovered[key] = log
                else:
                    self._volume.note_recovery_point(key, log.end)

    # -- opening one ---------------------------------------------------------------------------------------------------

    def begin_opening(self, spec: LogSpec, owner: LogOwner) -> Opening:
        """What opens a log, empty if there is none: in any thread or here, but once (`Once.run`). Then comes
        `finish_opening`, which says what has come of it."""
        self._volume.descriptors.trim()
        return Once(partial(self._open, spec, owner, self._volume.clock.monotonic_millis()))

    def _open(self, spec: LogSpec, owner: LogOwner, now: int) -> Opened:
        """In any thread, on behalf of a loop that does not touch the log meanwhile."""
        volume, key = self._volume, (spec.topic, spec.partition)
        try:
            if volume.data.belongs_to_another(key, spec.topic_id):
                return AnotherTopics()
            if key in self._recovered:
                return Found()
            trust = recovery.Trust.VERIFY if key in self.unverified else recovery.Trust.CLEAN
            log = self._load(key, spec.config, owner, trust, now)
            if log.segments and volume.data.topic_id_of(key) is None:
                volume.data.note_topic(key, spec.topic_id)
            return log
        except (recovery.Damaged, OSError, Corrupt, DamagedIndex, KafkaError) as error:
            return error

    def finish_opening(self, spec: LogSpec, owner: LogOwner, opened: Opened) -> Log:
        """Take what an opening has come to. Raises Damaged, Corrupt, OSError; KafkaError for what passes."""
        volume, key = self._volume, (spec.topic, spec.partition)
        if isinstance(opened, AnotherTopics):
            if volume.reshaping.locked() or volume.checkpointing.locked():  # which an open cannot wait for (K2)
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR, f"{volume.data.path_of(key)} has yet to be set aside, try again"
                )
            self.forget(key)
            volume.data.set_aside(key)
            opened = self._open(spec, owner, volume.clock.monotonic_millis())  # of a new log: nothing is there
        if isinstance(opened, Found):
            recovered = self._recovered.get(key)
            if recovered is None:  # and has been synced meanwhile: from now on it is opened like any other
                opened = self._open(spec, owner, volume.clock.monotonic_millis())
            elif isinstance(recovered, recovery.Damaged):
                raise recovered
            else:
                del self._recovered[key]
                recovered.claim(owner, spec.config)
                opened = recovered
        if isinstance(opened, Exception):
            raise opened
        assert isinstance(opened, Log)
        self.unverified.discard(key)
        if opened.segments:
            volume.note_recovery_point(key, opened.synced_end)
        return opened

    def _load(
        self,
        key: Key,
        config: LogConfig,
        owner: LogOwner,
        trust: recovery.Trust,
        now: int,
        scanned: Callable[[int], None] | None = None,
    ) -> Log:
        data = self._volume.data
        return recovery.load(
            self._volume.surroundings,
            data.path_of(key),
            config,
            owner,
            trust=trust,
            recovery_point=data.recovery_points.get(key),
            log_start=data.log_starts.get(key, 0),
            now=now,
            scanned=scanned,
        )

    def forget(self, key: Key) -> None:
        """The log is no more."""
        self._recovered.pop(key, None)
        self.unverified.discard(key)
        self._volume.unsettled.discard(key)

    # -- what is left to do --------------------------------------------------------------------------------------------

    async def sync_recovered(self) -> None:
        """Sync the logs that were recovered and that have not been asked for since."""
        volume = self._volume
        waiting = [(key, log) for key, log in self._recovered.items() if isinstance(log, Log)]
        for first in range(0, len(waiting), SYNC_CHUNK):
            part = waiting[first : first + SYNC_CHUNK]
            for key, log in part:
                if self._recovered.get(key) is log:
                    log.finish()
            jobs = [log.take_unsynced() for _, log in part]
            results = await volume.offload.run(volume.flusher.sync, jobs)
            for (key, log), job, error in zip(part, jobs, results, strict=True):
                if isinstance(error, Postponed):
                    continue  # the next checkpoint tries again
                if isinstance(error, Lost):
                    self._recovered[key] = recovery.Damaged(error.reason)
                    self._log.error("partition offline", reason=error.reason)
                    continue
                if error is not None:
                    volume.health.stop(f"{log.directory}: sync failed: {error}")
                    return
                log.synced(job)
                if self._recovered.get(key) is log:  # from now on it can be opened like any other
                    del self._recovered[key]
                    volume.unsettled.discard(key)
                    volume.note_recovery_point(key, log.end)

    async def verify_rest(self, millis: int) -> None:
        """Hold the unverified logs against their recovery points; no longer than `millis`."""
        volume = self._volume
        keys = list(self.unverified)
        deadline = volume.clock.monotonic_millis() + millis
        for first in range(0, len(keys), VERIFY_CHUNK):
            if volume.clock.monotonic_millis() > deadline:
                return
            part = [key for key in keys[first : first + VERIFY_CHUNK] if key in self.unverified]
            for key, sound in zip(part, await volume.offload.run(self._end_where_they_should, part), strict=True):
                if sound:
                    self.unverified.discard(key)
                else:
                    volume.data.dirty_logs.add(key)  # so that the next start looks at it, wherever it ends now

    def _end_where_they_should(self, keys: list[Key]) -> list[bool]:
        """In a thread."""
        around, data = self._volume.surroundings, self._volume.data
        return [recovery.ends_at(around, data.path_of(key), data.recovery_points.get(key, 0)) for key in keys]

    @property
    def is_settled(self) -> bool:
        """Whether every log is known to end where its recovery point says, or is open."""
        return not self.unverified and not self._recovered
