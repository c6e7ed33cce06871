"""The local engine: one directory of logs in Kafka's format, on this machine's disk.

This is the face of the folder. `LocalStore` brings the parts together: the directory (`directory.py`), its logs
(`partition_log.py`, and behind them `log.py`), the group commit (`flusher.py`), reads (`reading.py`), the upkeep
(`upkeep.py`). Work that waits for the disk goes to threads through the injected `Offload`; appends and reads of what is
in memory happen in the event loop, where they cost microseconds.

**Start.** Take the lock; read whose directory it is; list it once. After a clean stop that is all, however many logs
there are. Otherwise those that may have grown since the last checkpoint (`dirty_logs.py`) are recovered in worker
threads (`recovery.py`), and what is damaged stays offline. The others are *unverified*: each is held against its
recovery point when it is first opened.

**Stop.** Sync everything, complete indexes and snapshots, write the checkpoints, and last of all the marker; unless
there is damage, or logs are left that nobody has verified: then the next start is one after a crash, and as quick.

**Failure.** A sync that fails, or a write that fails for another reason than a full disk, stops the directory: appends
are refused with KAFKA_STORAGE_ERROR until the broker is started anew, reads go on, and no clean marker is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import FetchedRecords, LogDirectory, LogSpec, Read, StoreError
from storage.local import recovery
from storage.local.cleaner import Cleaner, CleanerSettings
from storage.local.descriptors import Descriptors
from storage.local.directory import DataDirectory, Key
from storage.local.flusher import Flusher
from storage.local.index_file import DamagedIndex, WouldWait
from storage.local.log import Log, Surroundings
from storage.local.partition_log import LocalLog, own
from storage.local.quorum_files import LocalQuorumFiles
from storage.local.reading import answer, answer_and_warm, rebuild_written
from storage.local.reserve import is_internal
from storage.local.segment import Corrupt
from storage.local.upkeep import Upkeep
from storage.log_config import LogConfig
from storage.producers import EXPIRATION_MS
from storage.progress import LoggedProgress, Progress, Recovered
from storage.seams.apart import Apart, ThreadApart
from storage.seams.clock import Clock
from storage.seams.disk import PASSING_ERRORS, Disk, InUse
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.offload import Offload

RETENTION_CHECK_MS: Final = 5 * 60 * 1000
"""Kafka's default of `log.retention.check.interval.ms`."""

DEFAULT_OPEN_FILES: Final = 1000
RECOVERY_CHUNK: Final = 8
RECOVERY_THREADS: Final = 4
PROGRESS_SECONDS: Final = 0.2
SYNC_CHUNK: Final = 32
VERIFY_CHUNK: Final = 64
VERIFY_AT_STOP_MS: Final = 2000
"""How long a stop may take to verify what is left, so that it is a clean one."""


class LocalStore:
    """All logs in one directory. `LogStore` says what its methods promise.

    `open_files` bounds the descriptors of segments; `producer_expiration` and `retention_check_ms` are Kafka's
    `producer.id.expiration.ms` and `log.retention.check.interval.ms`; `cleaner` says how logs are compacted, `apart`
    where that is done; `progress` is shown how far recovery is. With `cluster_id`, a directory of another cluster is
    refused and a new one belongs to this one; without, a new one gets a random id.
    """

    def __init__(
        self,
        directory: str,
        *,
        node_id: int,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        cluster_id: str | None = None,
        open_files: int = DEFAULT_OPEN_FILES,
        producer_expiration: int = EXPIRATION_MS,
        retention_check_ms: int = RETENTION_CHECK_MS,
        cleaner: CleanerSettings | None = None,
        apart: Apart | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.disk = disk
        self.offload = offload
        self.data = DataDirectory(directory, disk, entropy, node_id, cluster_id)
        self.flusher = Flusher(disk, offload)
        self.upkeep = Upkeep(self, retention_check_ms)
        self.flusher.on_synced = self.upkeep.on_synced
        self.cleaner = Cleaner(self, cleaner or CleanerSettings(), apart or ThreadApart(offload))
        self.reshaping = trio.Lock()
        """Held while files of closed segments are renamed, so that only one at a time does."""
        self.every_log: Callable[[], Iterable[LogSpec]] | None = None
        """The logs of the whole cluster, which the broker knows: retention looks at those too that nobody has asked
        for since the start. Without it, at the others only."""
        self.checkpoints_changed = False
        self._clock = clock
        self._progress = progress or LoggedProgress()
        self._around = Surroundings(disk, clock, entropy, Descriptors(open_files), producer_expiration)
        self._log = get_logger("storage")
        self._failure: str | None = None
        self._logs: dict[tuple[str, bytes, int], LocalLog] = {}
        self._recovered: dict[Key, Log | recovery.Damaged] = {}
        self.unverified: set[Key] = set()
        """After an unclean stop: logs that should end at their recovery points, but nobody has looked."""
        self._checkpointing = trio.Lock()

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        path = self.data.path
        try:
            clean = await self.offload.run(self.data.take_possession)
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
        self.upkeep.remove_later(self.data.leftovers)
        if not clean:
            listed = self.data.listed
            if listed is not None:
                self.unverified = self.data.present.keys() - listed
            await self._recover(list(self.data.present if listed is None else listed))
            await self.offload.run(self.data.replace_dirty_logs, set(self._recovered))
        self.data.dirty_logs.finish(set(self._recovered))

    async def _recover(self, keys: list[Key]) -> None:
        """After an unclean stop: recover these logs, in a few threads."""
        self._log.warning("unclean stop: recovering logs", logs=len(keys), of=len(self.data.present))
        chunks = [keys[first : first + RECOVERY_CHUNK] for first in range(0, len(keys), RECOVERY_CHUNK)]
        chunks.reverse()
        started = self._clock.monotonic_millis()
        done = checked = 0

        def scanned(size: int) -> None:
            nonlocal checked
            checked += size  # in threads, where an addition may get lost: nobody counts on it

        def so_far() -> Recovered:
            return Recovered(done, len(keys), checked, self._clock.monotonic_millis() - started)

        async def recover_some() -> None:
            nonlocal done
            while chunks:
                chunk = chunks.pop()
                await self.offload.run(self._recover_chunk, chunk, started, scanned)
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
        end = so_far()
        self._log.warning(
            "recovered",
            logs=len(keys), offline=len(damaged), checked_mb=end.checked_bytes // 1_000_000, millis=end.millis,
        )  # fmt: skip
        self.checkpoints_changed = True

    def _recover_chunk(self, keys: list[Key], now: int, scanned: Callable[[int], None]) -> None:
        """Recover these logs; keep those with something left to do. In a thread."""
        config = LogConfig()
        for key in keys:
            try:
                log = self._load(key, config, recovery.Trust.NONE, now, scanned)
            except recovery.Damaged as error:
                self._recovered[key] = error
            except (OSError, Corrupt, DamagedIndex) as error:
                if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
                    self.unverified.add(key)  # who opens it may have more luck
                    continue
                self._recovered[key] = recovery.Damaged(f"{self.data.path_of(key)}: {error}")
            else:
                if log.synced_end < log.end:
                    self._recovered[key] = log
                else:
                    self.data.recovery_points[key] = log.end

    async def sync_recovered(self) -> None:
        """Sync the logs that were recovered and that nobody has asked for since."""
        waiting = [(key, log) for key, log in self._recovered.items() if isinstance(log, Log)]
        for first in range(0, len(waiting), SYNC_CHUNK):
            part = waiting[first : first + SYNC_CHUNK]
            for key, log in part:
                if self._recovered.get(key) is log:
                    log.finish()
            jobs = [log.take_unsynced() for _, log in part]
            results = await self.offload.run(self.flusher.sync, jobs)
            for (key, log), job, error in zip(part, jobs, results, strict=True):
                if error is not None:
                    self.stop(f"{log.directory}: sync failed: {error}")
                    return
                log.synced(job)
                if self._recovered.get(key) is log:  # from now on it can be opened like any other
                    del self._recovered[key]
                    self.data.recovery_points[key] = log.end
                    self.checkpoints_changed = True

    async def verify_rest(self, millis: int) -> None:
        """Hold logs that nobody has opened since an unclean stop against their recovery points; no longer than that."""
        keys = list(self.unverified)
        deadline = self._clock.monotonic_millis() + millis
        for first in range(0, len(keys), VERIFY_CHUNK):
            if self._clock.monotonic_millis() > deadline:
                return
            part = [key for key in keys[first : first + VERIFY_CHUNK] if key in self.unverified]
            for key, sound in zip(part, await self.offload.run(self._end_where_they_should, part), strict=True):
                if sound:
                    self.unverified.discard(key)
                else:
                    self.data.dirty_logs.add(key)  # so that the next start looks at it, wherever it ends now

    def _end_where_they_should(self, keys: list[Key]) -> list[bool]:
        data = self.data
        return [recovery.ends_at(self._around, data.path_of(key), data.recovery_points.get(key, 0)) for key in keys]

    async def close(self) -> None:
        if not self.data.is_held:
            return
        try:
            await self.upkeep.sync_dirty()
            await self.upkeep.learn_timestamps()
            await self.offload.run(self._finish_logs)
            await self.sync_recovered()
            if not self.has_stopped:
                await self.write_recovery_points()
                await self._write_log_starts()
                await self.verify_rest(VERIFY_AT_STOP_MS)
            await self.upkeep.remove_doomed(float("inf"))
            damaged = any(isinstance(found, recovery.Damaged) for found in self._recovered.values())
            if not self.has_stopped and not damaged and not self.upkeep.dirty and not self.unverified:
                await self.offload.run(self.data.mark_clean)
        except OSError as error:
            self._log.error("the stop is not clean", reason=str(error))
        finally:
            for log in self._logs.values():
                log.opened = None
            self.data.give_up()

    def _finish_logs(self) -> None:
        for log in list(self._logs.values()):
            if log.opened is not None:
                log.opened.finish()

    @property
    def cluster_id(self) -> str:
        assert self.data.identity is not None, "the store must be open"
        return self.data.identity.cluster_id

    async def maintain(self) -> None:
        """Upkeep, for ever: run it as a task beside the broker, cancel it to stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.cleaner.run)
            await self.upkeep.run()

    async def apply_retention(self) -> None:
        """Delete the segments that have expired. `maintain` does it every `retention_check_ms`."""
        await self.upkeep.apply_retention()

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log(self, spec: LogSpec) -> LocalLog:
        key = spec.topic, spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = LocalLog(self, spec)
        return log

    def logs(self) -> list[LocalLog]:
        """Every log that somebody has asked for."""
        return list(self._logs.values())

    def quorum_files(self, spec: LogSpec) -> LocalQuorumFiles:
        return LocalQuorumFiles(self, spec)

    def is_open(self, spec: LogSpec) -> bool:
        """Whether somebody has this log open."""
        log = self._logs.get((spec.topic, spec.topic_id, spec.partition))
        return log is not None and log.opened is not None

    def existing(self) -> Collection[tuple[str, int]]:
        return self.data.present.keys()

    def open_log(self, spec: LogSpec) -> Log:
        """Open a log, empty if there is none. Raises Damaged, Corrupt, OSError."""
        self.descriptors.trim()
        key = spec.topic, spec.partition
        if self.data.belongs_to_another(key, spec.topic_id):
            self._recovered.pop(key, None)
            self.unverified.discard(key)
            self.data.set_aside(key)
        log = self._recovered.get(key)
        if isinstance(log, recovery.Damaged):
            raise log
        if log is not None:
            del self._recovered[key]
            log.configure(spec.config)
        else:
            trust = recovery.Trust.VERIFY if key in self.unverified else recovery.Trust.CLEAN
            log = self._load(key, spec.config, trust, self._clock.monotonic_millis())
            self.unverified.discard(key)
        log.on_failure = self.stop
        if is_internal(spec.topic):
            log.on_full = self.data.reserve.spend
        log.failure = log.failure or self._failure
        log.on_create = partial(self.data.note_topic, key, spec.topic_id)
        if log.segments and self.data.topic_id_of(key) is None:
            self.data.note_topic(key, spec.topic_id)
        return log

    def _load(
        self,
        key: Key,
        config: LogConfig,
        trust: recovery.Trust,
        now: int,
        scanned: Callable[[int], None] | None = None,
    ) -> Log:
        return recovery.load(
            self._around,
            self.data.path_of(key),
            config,
            trust=trust,
            recovery_point=self.data.recovery_points.get(key),
            log_start=self.data.log_starts.get(key, 0),
            now=now,
            scanned=scanned,
        )

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        if self._failure is not None:
            raise self._stopped()
        try:
            await self.offload.run(self.data.make, [((spec.topic, spec.partition), spec.topic_id) for spec in specs])
        except OSError as error:
            raise self._refused(error) from error

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        doomed = []
        for spec in specs:
            log = self._logs.pop((spec.topic, spec.topic_id, spec.partition), None)
            if log is not None:
                log.deleted()
                self.upkeep.forget(log)
                self.cleaner.forget(log)
            key = spec.topic, spec.partition
            if key in self.data.present and not self.data.belongs_to_another(key, spec.topic_id):
                doomed.append((key, self.data.name_aside(key, "delete")))
        if not doomed:
            return
        try:
            async with self.reshaping, self._checkpointing:
                await self.offload.run(self.data.rename_all, doomed)
        except OSError as error:
            if error.errno not in PASSING_ERRORS:
                self.stop(f"{self.data.path}: {error}")
            raise self._refused(error) from error
        for key, _ in doomed:
            self.data.present.pop(key, None)
            self._recovered.pop(key, None)
            self.unverified.discard(key)
        self.upkeep.remove_later([path for _, path in doomed])

    async def move_log_starts(self, starts: Sequence[tuple[LocalLog, int]]) -> None:
        """Let these logs start at these offsets, whatever happens after the return; remove what lies before.

        Everything below the offsets must be synced. Raises KafkaError.
        """
        opened = [(face, face.open(), offset) for face, offset in starts]
        for face, _, offset in opened:
            self.data.log_starts[face.key] = max(offset, self.data.log_starts.get(face.key, 0))
        try:
            await self._write_log_starts()
        except OSError as error:
            raise self._refused(error) from error
        for face, log, offset in opened:
            if face.is_deleted:
                continue
            log.advance_start(offset)
            async with self.reshaping:
                try:
                    gone = log.drop_segments()
                except OSError as error:
                    raise self._refused(error) from error
                await self.upkeep.remove_segments(gone, face.spec.config)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def note_recovery_points(self) -> None:
        """Note how far each open log is synced."""
        for log in self._logs.values():
            if log.opened is not None and log.opened.segments:
                self.data.recovery_points[log.key] = log.opened.synced_end

    async def write_recovery_points(self) -> None:
        """Bring the recovery points to disk, and begin another list of dirty logs. Raises OSError."""
        self.checkpoints_changed = False
        async with self._checkpointing:  # one after the other, so that the newest is what remains
            # From here on it is remembered which logs are touched. Of the others those that are synced end where their
            # recovery points, noted now or later, say.
            self.data.dirty_logs.begin()
            self.note_recovery_points()
            dirty = {log.key for log in self.upkeep.dirty} | self._recovered.keys()
            await self.offload.run(self._write_recovery_points, dirty)
            self.data.dirty_logs.finish(dirty)

    async def settle_recovery_points(self) -> None:
        """Return when the recovery points on disk tell of every sync that is over. Raises OSError."""
        async with self._checkpointing:
            pass  # one that is under way may be the one
        if self.checkpoints_changed:
            await self.write_recovery_points()

    def _write_recovery_points(self, dirty: set[Key]) -> None:
        self.data.write_recovery_points()
        self.data.replace_dirty_logs(dirty)

    async def write_clean_offsets(self) -> None:
        """Bring to disk up to where logs are clean. Raises OSError."""
        async with self._checkpointing:
            await self.offload.run(self.data.write_clean_offsets)

    async def _write_log_starts(self) -> None:
        async with self._checkpointing:
            await self.offload.run(self.data.write_log_starts)

    # -- failure -------------------------------------------------------------------------------------------------------

    @property
    def has_stopped(self) -> bool:
        """True after a disk error that nothing can make good."""
        return self._failure is not None

    def stop(self, reason: str) -> None:
        """The disk cannot be trusted any more: refuse every append from now on."""
        if self._failure is None:
            self._failure = reason
            self._log.error("log directory stopped", directory=self.data.path, reason=reason)
        for log in self._logs.values():
            if log.opened is not None:
                log.opened.failure = self._failure

    def full(self) -> KafkaError:
        """The refusal of a producer while the reserve is spent; the upkeep is told to look for room."""
        self.upkeep.look_for_room()
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk is full")

    def _stopped(self) -> KafkaError:
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log directory has stopped because of a disk error")

    def _refused(self, error: OSError) -> KafkaError:
        self._log.error("disk error", directory=self.data.path, reason=str(error))
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the log directory cannot be written: {error.strerror}")

    # -- reading -------------------------------------------------------------------------------------------------------

    def read_now(self, reads: Sequence[Read], max_bytes: int) -> list[FetchedRecords | KafkaError] | None:
        try:
            return answer(reads, max_bytes, wait=False)
        except (WouldWait, DamagedIndex):
            return None

    async def read_many(self, reads: Sequence[Read], max_bytes: int) -> list[FetchedRecords | KafkaError]:
        self.descriptors.trim()
        for read in reads:
            log = own(read.log)
            if log.opened is not None:
                log.opened.used = True  # so that upkeep does not let go of it before the thread has looked
                continue
            with contextlib.suppress(KafkaError):  # it is refused below, in its place
                log.open()
        try:
            return await self.offload.run(answer_and_warm, reads, max_bytes, False)
        except DamagedIndex as error:
            rebuild_written(reads, str(error))
            return await self.offload.run(answer_and_warm, reads, max_bytes, True)

    @property
    def descriptors(self) -> Descriptors:
        """The files that are open."""
        return self._around.descriptors

    def monotonic_millis(self) -> int:
        """Milliseconds since some start, by a clock that never jumps."""
        return self._clock.monotonic_millis()

    def wall_millis(self) -> int:
        """The time of day, in milliseconds since 1970."""
        return self._clock.wall_millis()

    def log_directories(self) -> Sequence[LogDirectory]:
        sizes = {log.key: log.opened.size for log in self._logs.values() if log.opened is not None}
        for key in self.data.present:
            if key not in sizes:
                sizes[key] = self.data.size_of(key)
        try:
            total, usable = self.disk.space(self.data.path)
        except OSError:
            total = usable = -1
        error = self._stopped() if self.has_stopped else None
        return [LogDirectory(self.data.path, total, usable, error, sizes)]
