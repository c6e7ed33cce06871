"""The local engine: one directory of logs in Kafka's format, on this machine's disk.

This is the face of the folder. `LocalStore` brings the parts together; each knows only those above it in this list:

* the directory (`directory.py`) and the floor that all parts stand on (`volume.py`): disk, threads, locks, checkpoints;
* how its logs are opened (`loading.py`), what has to be done for them (`schedule.py`) and is removed (`removal.py`);
* the partitions (`partition_log.py`, and behind them `log.py`), and which of them there are (`catalog.py`);
* reads (`reading.py`), retention (`expiry.py`), the upkeep's task (`upkeep.py`), the cleaner (`cleaner.py`).

Work that waits for the disk goes to threads through the injected `Offload`; appends and reads of what is in memory
happen in the event loop, where they cost microseconds. What must be held to touch which file stands in README.md.

**Start.** Take the lock; read whose directory it is; list it once. After a clean stop that is all, however many logs
there are. After an unclean one `loading.py` recovers what may have grown since the last checkpoint.

**Stop.** Sync everything, complete indexes and snapshots, write the checkpoints, and last of all the marker; unless
there is damage, or logs are left that have not been verified: then the next start is one after a crash, and as quick.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import trio

from kproto.errors import KafkaError
from storage.copies import StoreCopy
from storage.engine import (
    Append,
    FetchedRecords,
    LogAppend,
    LogDirectory,
    LogSpec,
    PartitionLog,
    Read,
    StoreError,
    WrongEnd,
)
from storage.local import succession
from storage.local.blobs import LocalBlobs
from storage.local.catalog import Catalog, EveryLog
from storage.local.cleaner import Cleaner
from storage.local.copying import Copies
from storage.local.descriptors import Descriptors
from storage.local.directory import DataDirectory, Key
from storage.local.expiry import Expiry
from storage.local.index_file import DamagedIndex, WouldWait
from storage.local.loading import Loader, Opening
from storage.local.log import GONE
from storage.local.partition_log import LocalAppend, LocalLog, Parts, own
from storage.local.reading import answer, answer_and_warm, rebuild_written
from storage.local.removal import Removal
from storage.local.schedule import INFINITE, Schedule
from storage.local.succession import Prepared
from storage.local.upkeep import Upkeep
from storage.local.volume import DEFAULT_OPEN_FILES, Volume
from storage.misbehaving import Misbehaviour
from storage.progress import LoggedProgress, Progress
from storage.seams.apart import Apart, ThreadApart
from storage.seams.clock import Clock
from storage.seams.commanded_disk import CommandedDisk
from storage.seams.disk import PASSING_ERRORS, Disk
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.offload import Lane, Offload
from storage.seams.slices import Slices
from storage.several_logs import append_each
from storage.statistics import StoreStatistics
from storage.store_settings import StoreSettings

FINISHED_TOGETHER: Final = 64
"""Logs whose files are completed in one go, which cannot be interrupted."""

OPENED_TOGETHER: Final = 32
"""Logs that are opened in one hop to a thread: some milliseconds."""

OPENING_ATTEMPTS: Final = 50
OPENING_PAUSE: Final = 0.1
"""Seconds until logs are tried again that could not be opened for want of descriptors, and how often that is done."""

VERIFY_AT_STOP_MS: Final = 2000
"""How long a stop may take to verify what is left, so that it is a clean one."""


def _run_all(openings: Sequence[Opening]) -> None:
    """In a thread."""
    for opening in openings:
        opening.run()


class LocalStore:
    """All logs in one directory. `LogStore` says what its methods promise.

    `open_files` bounds the descriptors of segments, `lent_files` those of slices in replies.
    `settings` may be replaced later (`configure`); `apart` is where logs are compacted; `progress` is shown how far
    recovery is. With `cluster_id`, a directory of another cluster is
    refused and a new one belongs to this one; without, a new one gets a random id. `elsewhere` names the directories of
    topics whose logs are not kept in `directory`.
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
        elsewhere: Mapping[str, str] | None = None,
        open_files: int = DEFAULT_OPEN_FILES,
        lent_files: int = DEFAULT_OPEN_FILES,
        settings: StoreSettings | None = None,
        apart: Apart | None = None,
        progress: Progress | None = None,
    ) -> None:
        settings = settings or StoreSettings()
        self._successor = partial(
            LocalStore,
            directory,
            node_id=node_id,
            disk=disk,
            clock=clock,
            entropy=entropy,
            offload=offload,
            elsewhere=elsewhere,
            open_files=open_files,
            lent_files=lent_files,
            apart=apart,
            progress=progress,
        )
        self._node_id = node_id
        self._settings = settings
        self.volume = Volume(
            DataDirectory(directory, disk, entropy, node_id, cluster_id, elsewhere),
            disk=disk,
            clock=clock,
            entropy=entropy,
            offload=offload,
            open_files=open_files,
            lent_files=lent_files,
            producer_rules=settings.producers,
        )
        self.schedule = Schedule(self.volume)
        self.loader = Loader(self.volume, progress or LoggedProgress())
        self.removal = Removal(self.volume, self.schedule)
        self.catalog = Catalog(Parts(self.volume, self.loader, self.schedule, self.removal))
        self.expiry = Expiry(self.volume, self.schedule, self.removal, self.catalog)
        self.upkeep = Upkeep(
            self.volume,
            self.loader,
            self.schedule,
            self.removal,
            self.catalog,
            self.expiry,
            settings.retention_check_ms,
        )
        self.cleaner = Cleaner(self.volume, self.catalog, self.removal, settings.cleaner, apart or ThreadApart(offload))
        self._copies = Copies(self.volume, self.catalog, self.open_logs)
        self._prepared: Prepared | None = None
        self._log = get_logger("storage")

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        clean = await self.volume.open()
        self.removal.remove_later(self.data.leftovers)
        await self.loader.begin(clean)

    async def close(self) -> None:
        try:
            if self.data.is_held and await self._settle():
                await self.volume.offload.run(self.data.mark_clean)
        except OSError as error:
            self._log.error("the stop is not clean", reason=str(error))
        except Exception as error:  # a mistake of ours: the next start looks at what is there
            self._log.error("the stop is not clean", exc_info=error)
        except trio.Cancelled:
            self._log.warning("the stop is not clean: its time is over")
            raise
        finally:
            try:
                for log in self.catalog:
                    log.close()
            finally:
                self.data.give_up()

    async def _settle(self) -> bool:
        """Make everything durable and write it down. Returns whether all of it is; raises OSError."""
        volume = self.volume
        await self.upkeep.sync_dirty()
        await self.upkeep.learn_timestamps()
        logs = [log for log in self.catalog if log.opened is not None]
        for first in range(0, len(logs), FINISHED_TOGETHER):
            await volume.offload.run(self._finish_logs, logs[first : first + FINISHED_TOGETHER])
        await self.loader.sync_recovered()
        if not volume.health.has_stopped:
            await volume.write_recovery_points()
            await volume.write_log_starts()
            await self.loader.verify_rest(VERIFY_AT_STOP_MS)
        await self.removal.remove_due(INFINITE)
        sound = not any(log.opened is not None and log.opened.failure for log in self.catalog)
        return sound and not volume.health.has_stopped and not self.schedule.dirty and self.loader.is_settled

    def _finish_logs(self, logs: Sequence[LocalLog]) -> None:
        for log in logs:
            if log.opened is not None:
                try:
                    log.opened.finish()
                except OSError as error:
                    if error.errno not in GONE:
                        raise
                    log.fail(error)

    @property
    def cluster_id(self) -> str:
        assert self.data.identity is not None, "the store must be open"
        return self.data.identity.cluster_id

    @property
    def directory_id(self) -> str:
        assert self.data.identity is not None, "the store must be open"
        return self.data.identity.directory_id

    def configure(self, settings: StoreSettings) -> None:
        self._settings = settings
        self.cleaner.configure(settings.cleaner)
        self.upkeep.configure(settings.retention_check_ms)
        self.volume.surroundings.configure(settings.producers)
        for log in self.catalog:
            if log.opened is not None:
                log.opened.producers.configure(settings.producers)

    async def maintain(self, every_log: EveryLog | None = None) -> None:
        """Upkeep, forever: run it as a task beside the broker, cancel it to stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.cleaner.run, every_log)
            await self.upkeep.run(every_log)

    def misbehave(self, misbehaviour: Misbehaviour | None) -> None:
        """As commanded (`storage/misbehaving.py`), on a disk that was made for that."""
        disk = self.volume.disk
        if not isinstance(disk, CommandedDisk):
            raise StoreError("this broker's disk takes no commands: it is to be started with --control")
        disk.misbehave(misbehaviour)

    async def catch_up(self, every_log: EveryLog | None = None) -> None:
        """Retention and compaction as they are due now (`storage/catching_up.py`)."""
        await self.expiry.apply(every_log)
        await self.cleaner.clean_what_is_due(every_log)

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log(self, spec: LogSpec) -> LocalLog:
        return self.catalog.log(spec)

    def blobs(self, spec: LogSpec) -> LocalBlobs:
        return LocalBlobs(self.volume, spec)

    def existing(self) -> Collection[tuple[str, int]]:
        return self.data.present.keys()

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        volume = self.volume
        if volume.health.has_stopped:
            raise volume.health.stopped()
        wanted = [((spec.topic, spec.partition), spec.topic_id) for spec in specs]
        try:
            async with volume.reshaping, volume.checkpointing:  # a log of another topic may have to be set aside
                await volume.check_possession()
                await volume.offload.run(self.data.make, wanted)
        except OSError as error:
            raise volume.health.refused(error) from error

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        try:
            async for spec in Slices().over(specs):
                # It stays in the catalog, deleted, until its directory has another name: so no task opens it again.
                log = self.catalog.log(spec)
                log.delete()
                self.cleaner.forget(log)
            await self._await_openings([self.catalog.log(spec) for spec in specs])
            await self._delete_directories(specs)
        finally:
            for spec in specs:
                self.catalog.remove(spec)

    async def _delete_directories(self, specs: Sequence[LogSpec]) -> None:
        volume, data = self.volume, self.data
        doomed = []
        async for spec in Slices().over(specs):
            key = spec.topic, spec.partition
            if key in data.present and not data.belongs_to_another(key, spec.topic_id):
                doomed.append((key, data.name_aside(key, "delete")))
        missing = [key for spec in specs if (key := (spec.topic, spec.partition)) not in data.present]
        missing = [key for key in missing if key in data.recovery_points or key in data.log_starts]
        if not doomed and not missing:
            return
        try:
            async with volume.reshaping, volume.checkpointing:
                await volume.check_possession()
                await volume.offload.run(data.drop_offsets, missing)
                await volume.offload.run(data.rename_all, doomed)
        except OSError as error:
            if error.errno not in PASSING_ERRORS:
                volume.health.stop(f"{data.path}: {error}")
            raise volume.health.refused(error) from error
        for key, _ in doomed:
            data.present.pop(key, None)
            self.loader.forget(key)
        self.removal.remove_later([path for _, path in doomed])

    # -- opening -------------------------------------------------------------------------------------------------------

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        closed = [log for log in map(own, logs) if log.opened is None]
        for first in range(0, len(closed), OPENED_TOGETHER):
            some = closed[first : first + OPENED_TOGETHER]
            for _ in range(OPENING_ATTEMPTS):
                some = await self._open_some(some)
                if not some:
                    break
                await trio.sleep(OPENING_PAUSE)

    async def _open_some(self, logs: Sequence[LocalLog]) -> list[LocalLog]:
        """Open these in a thread. Returns those that could not be for lack of something that will come back."""
        begun = [(log, opening) for log in logs if (opening := log.begin_opening()) is not None]
        if not begun:
            return []
        try:
            await self.volume.offload.run(_run_all, [opening for _, opening in begun], lane=Lane.OPENING)
        finally:
            short = [log for log, opening in begun if log.finish_opening(opening) is not None]
        return short

    async def _await_openings(self, logs: Sequence[LocalLog]) -> None:
        """These have been deleted: return when no thread opens one any more."""
        begun = [(log, opening) for log in logs if (opening := log.opening) is not None]
        if begun:
            await self.volume.offload.run(_run_all, [opening for _, opening in begun], lane=Lane.OPENING)
        for log, opening in begun:
            log.finish_opening(opening)

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        await self.open_logs(logs)
        await self.upkeep.make_room()  # last, and nothing is awaited behind it if there is room

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        """No other broker appends to them."""

    # -- reading -------------------------------------------------------------------------------------------------------

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError] | None:
        try:
            return answer(reads, max_bytes, whole_batch, self.volume.may_lend, wait=False)
        except (WouldWait, DamagedIndex):
            return None

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        self.descriptors.trim()
        await self.open_logs([read.log for read in reads])
        for read in reads:
            log = own(read.log)
            log.note_use()  # so that upkeep does not let go of it before the thread has looked
            if log.opened is None:
                with contextlib.suppress(KafkaError):  # it is refused below, in its place
                    log.open()
        offload, may_lend = self.volume.offload, self.volume.may_lend
        try:
            return await offload.run(answer_and_warm, reads, max_bytes, whole_batch, may_lend, False, lane=Lane.READS)
        except DamagedIndex as error:
            rebuild_written(reads, str(error))
            return await offload.run(answer_and_warm, reads, max_bytes, whole_batch, may_lend, True, lane=Lane.READS)

    # -- several logs at once ------------------------------------------------------------------------------------------

    @property
    def overlaps_appends(self) -> bool:
        return False  # of what is written while a sync runs, none is covered

    @property
    def commits_together(self) -> bool:
        return False

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        if after is not None and not after.durable:
            await after.wait_durable()
        return await append_each(appends)

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        waiting: dict[LocalLog, int] = {}
        for append in appends:
            assert isinstance(append, LocalAppend), "an engine waits for its own appends"
            if not append.durable:
                waiting[append.log] = max(append.last_offset + 1, waiting.get(append.log, 0))
        await self.volume.flusher.wait_all(list(waiting.items()))

    # -- copies --------------------------------------------------------------------------------------------------------

    async def copy(self, every_log: EveryLog | None = None) -> StoreCopy:
        return await self._copies.copy(every_log)

    async def let_go(self, copy: StoreCopy) -> None:
        await self._copies.let_go(copy)

    async def prepare(self, copy: StoreCopy | None) -> None:
        self._prepared = None
        try:
            self._prepared = await self.volume.offload.run(succession.prepare, self.data.place, copy, self._node_id)
        except OSError as error:
            raise StoreError(f"what is to come cannot be written to {self.data.path}: {error}") from error

    async def give_way(self) -> LocalStore:
        volume, prepared = self.volume, self._prepared or Prepared(None, ())
        if volume.health.failure is not None:
            raise StoreError(volume.health.failure)
        try:
            await volume.check_possession()
            await volume.offload.run(succession.begin, self.data.place, prepared)
        except OSError as error:
            raise StoreError(f"{self.data.path} cannot be given up: {error}") from error
        for log in self.catalog:
            log.close()
        self.data.give_up()
        cluster_id = None if prepared.identity is not None else self.cluster_id
        return self._successor(cluster_id=cluster_id, settings=self._settings)

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def data(self) -> DataDirectory:
        """The directory."""
        return self.volume.data

    @property
    def descriptors(self) -> Descriptors:
        """The files that are open."""
        return self.volume.descriptors

    @property
    def has_stopped(self) -> bool:
        """True after a disk error that nothing can make good."""
        return self.volume.health.has_stopped

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            logs=len(self.data.present),
            open_logs=sum([log.opened is not None for log in self.catalog]),
            open_files=len(self.descriptors),
            has_stopped=self.has_stopped,
            flushes=self.volume.flusher.statistics(),
            cleaner=self.cleaner.statistics(),
            upkeep=self.upkeep.statistics(),
        )

    async def log_directories(self) -> Sequence[LogDirectory]:
        data, slices = self.data, Slices()
        sizes: dict[Key, int] = {}
        async for log in slices.over(self.catalog):
            if log.opened is not None and log.key[0] not in data.elsewhere:
                sizes[log.key] = log.opened.size
        others = [key for key in data.present if key not in sizes and key[0] not in data.elsewhere]
        if others:
            sizes |= await self.volume.offload.run(data.sizes_of, others, abandonable=True)
        try:
            total, usable = self.volume.disk.space(data.path)
        except OSError:
            total = usable = -1
        error = self.volume.health.stopped() if self.has_stopped else None
        return [LogDirectory(data.path, total, usable, error, sizes)]
