"""The cleaner: compacts the logs that want it, one after the other, while they are written and read.

`storage/compaction.py` says which logs are due and which records survive; `rewriting.py` makes new segments, in a
process of its own (`storage/seams/apart.py`); `swapping.py` puts them in place of the old ones. This module decides
when, keeps all others out of the way meanwhile, and informs the open log.

**A round**: every compacted log is looked at; those that are due are cleaned, the dirtiest first; then again, until
none is due; then the cleaner rests for `log.cleaner.backoff.ms`. A log that was not due is not looked at again before
it has another segment, or enough time has passed.

**One cleaning.** Everything that is going to be cleaned is synced first: an old value must not go because of a newer
one that a power cut may take. Then keys are learned, and group by group the segments are rewritten and exchanged, so
that no more than one segment is there twice. In the end the checkpoint says how far the log is clean.

**Many small logs** cost little each, because what is costly is shared. The other process is started for the first log
of a round and kept until none is due (`_Bench`). The logs of a batch of `TOGETHER` are synced side by side and their
recovery points settled once, before the first of them is cleaned. Where logs are clean is written once for a batch: a
crash before that loses nothing but work.

**Readers** feel nothing. What they have read is a slice of an old file, which stays open for them; old segments are
kept readable (`Segment.hold`) until the list of segments has been replaced. Files that are no longer used are removed
after `file.delete.delay.ms`.

**Failure.** A log in which something is damaged, or whose rewriting fails, is left as it is: said once, and not
tried again until the next start. When the disk is full, or the other process was killed, it is tried again after a
while. Only if an exchange fails half-way, the directory stops, for only the next start can bring its names to rights.

Source: org.apache.kafka.storage.internals.log.{LogCleaner, LogCleanerManager}.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final, NamedTuple

import trio

from kproto.errors import KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.compaction import LastOfProducer, SegmentState, Source, Verdict, group_segments, judge
from storage.local.catalog import Catalog, EveryLog
from storage.local.directory import Key, segments_of
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.partition_log import LocalLog
from storage.local.removal import Removal
from storage.local.rewriting import Job, Rewritten, Uncleanable, Workshop
from storage.local.segment import Corrupt, Segment
from storage.local.swapping import NotBegun, put_in_place, remove_unfinished
from storage.local.volume import Volume
from storage.log_config import NEVER, LogConfig
from storage.seams.apart import Apart, ProcessDied, State
from storage.seams.disk import PASSING_ERRORS, Disk
from storage.seams.logging import get_logger
from storage.seams.slices import Slices
from storage.statistics import CleanerStatistics
from storage.store_settings import CleanerSettings

TRY_AGAIN_MS: Final = 5 * 60 * 1000
"""After a failure that may pass."""

PAUSE_AFTER_FAILURE: Final = 60.0

TOGETHER: Final = 64
"""Logs that are prepared together, and whose new clean offsets are written together."""


class _Asked(NamedTuple):
    """What was found when a log was last looked at: unless one of these is another now, the answer is the same."""

    config: LogConfig
    active: int  # base offset of the segment being written
    again: int  # when to ask again (wall clock)


class Cleaner:
    """The cleaner of one store."""

    def __init__(
        self, volume: Volume, catalog: Catalog, removal: Removal, settings: CleanerSettings, apart: Apart
    ) -> None:
        self._volume = volume
        self._catalog = catalog
        self._removal = removal
        self._apart = apart
        self._settings = settings
        self._log = get_logger("storage")
        self._cleaning: LocalLog | None = None
        self._one_at_a_time = trio.Lock()
        self._scope = trio.CancelScope()
        self._cleanings = self._cleaned_bytes = 0
        self._asked: dict[Key, _Asked] = {}
        self._failed: dict[tuple[Key, bytes], int] = {}  # by log and topic id: when to try again (wall clock)

    def configure(self, settings: CleanerSettings) -> None:
        """New settings, from the next cleaning on."""
        self._settings = settings

    @property
    def settings(self) -> CleanerSettings:
        """The settings in force."""
        return self._settings

    def forget(self, log: LocalLog) -> None:
        """`log` is being deleted."""
        self._asked.pop(log.key, None)
        self._failed.pop((log.key, log.spec.topic_id), None)
        if self._cleaning is log:
            self._scope.cancel()

    def statistics(self) -> CleanerStatistics:
        """What has been cleaned, and what will not be."""
        running = self._cleaning is not None
        return CleanerStatistics(self._cleanings, self._cleaned_bytes, len(self.uncleanable), running)

    @property
    def uncleanable(self) -> list[Key]:
        """Logs that are not going to be cleaned any more, because that failed."""
        return [key for (key, _), again in self._failed.items() if again == NEVER]

    # -- rounds --------------------------------------------------------------------------------------------------------

    async def run(self, every_log: EveryLog | None = None) -> None:
        """Clean what is due of the logs that `every_log` names, forever."""
        while True:
            await trio.sleep(self._settings.backoff_ms / 1000)
            try:
                await self.clean_what_is_due(every_log)
            except Exception as error:  # a mistake of ours must not stop the broker; the next round tries again
                self._log.error("a round of the cleaner failed", exc_info=error)
                await trio.sleep(PAUSE_AFTER_FAILURE)

    async def clean_what_is_due(self, every_log: EveryLog | None = None) -> None:
        """Clean until nothing is due any more; nothing if the cleaner is switched off. One caller at a time."""
        async with self._one_at_a_time:
            while self._settings.enable and await self.clean_due(every_log):
                pass

    async def clean_due(self, every_log: EveryLog | None = None) -> int:
        """Clean every log that is due now, the dirtiest first. Returns how many were cleaned."""
        due = []
        for face in await self._candidates(every_log, self._volume.elapsed.at(self._volume.clock.now())):
            verdict = await self._look_at(face)
            if verdict is not None and verdict.due:
                due.append((verdict.ratio, face))
        due.sort(key=lambda found: -found[0])
        cleaned = 0
        bench = _Bench(self._apart, self._volume.disk, self._settings.bytes_per_second)
        try:
            for first in range(0, len(due), TOGETHER):
                cleaned += await self._clean_some([face for _, face in due[first : first + TOGETHER]], bench)
        finally:
            with trio.CancelScope(shield=True):
                await bench.close()
        return cleaned

    async def _clean_some(self, faces: Sequence[LocalLog], bench: _Bench) -> int:
        """Clean those that are still due; returns how many were cleaned."""
        cleanings = []
        for face in faces:
            verdict = await self._look_at(face)
            if verdict is not None and verdict.due:
                cleanings.append((face, verdict))
        cleaned = 0
        for face, verdict in await self._prepared(cleanings):
            cleaned += await self._clean(face, verdict, bench)
        if cleaned:
            try:
                await self._volume.write_clean_offsets()
            except OSError as error:
                self._log.error("where logs are clean could not be written", reason=str(error))
        return cleaned

    async def _prepared(self, cleanings: list[tuple[LocalLog, Verdict]]) -> list[tuple[LocalLog, Verdict]]:
        """Sync what is going to be cleaned, and have the recovery points on disk say so. Returns those that are ready.

        Its batches do not distinguish the end of a cleaned segment from lost bytes. Below the recovery point nothing is
        taken for lost, so that has to be on the disk first (L19).
        """
        ready = []

        async def sync(face: LocalLog, verdict: Verdict) -> None:
            with suppress(KafkaError), face.pinned():  # deleted meanwhile, or not to be written any more
                await face.wait_synced(verdict.upto)
                ready.append((face, verdict))

        async with trio.open_nursery() as nursery:
            for face, verdict in cleanings:
                nursery.start_soon(sync, face, verdict)
        try:
            await self._volume.settle_recovery_points()
        except OSError as error:
            for face, _ in ready:
                self._give_up(face, f"{self._volume.data.path}: {error}", passing=error.errno in PASSING_ERRORS)
            return []
        return [each for each in cleanings if each in ready]

    async def _candidates(self, every_log: EveryLog | None, now: int) -> list[LocalLog]:
        volume, catalog = self._volume, self._catalog
        if volume.health.has_stopped:
            return []
        found = []
        async for spec in Slices().over(catalog.known(every_log)):  # there may be a hundred thousand
            key = spec.topic, spec.partition
            if (
                spec.config.compact
                and key in volume.data.present
                and self._failed.get((key, spec.topic_id), 0) <= now
                and (face := catalog.look_up(spec)) is not None
                and self._may_be_due(face, now)
            ):
                found.append(face)
        return found

    def _may_be_due(self, face: LocalLog, now: int) -> bool:
        asked = self._asked.get(face.key)
        if asked is None or asked.again <= now or asked.config is not face.spec.config:
            return True
        log = face.opened
        return log is not None and bool(log.segments) and log.segments[-1].base_offset != asked.active

    async def _look_at(self, face: LocalLog) -> Verdict | None:
        """None: there is nothing to be had from this log."""
        volume = self._volume
        now = volume.elapsed.at(volume.clock.now())
        if face.is_deleted or volume.health.has_stopped:
            return None
        config = face.spec.config
        try:
            if face.opened is None:
                bases = await volume.offload.run(segments_of, volume.disk, volume.data.path_of(face.key))
                if len(bases) < 2:  # the only one is being written; no reason to open the log
                    self._asked[face.key] = _Asked(config, min(bases, default=0), NEVER)
                    return None
            log = face.open()
            active = log.segments[-1].base_offset if log.segments else 0
            if log.failure is not None or len(log.segments) < 2:
                self._asked[face.key] = _Asked(config, active, NEVER)
                return None
            clean_upto = volume.data.clean_offsets.get(face.key)
            verdict = await volume.offload.run(survey, log, clean_upto, log.stable, now)
        except KafkaError:
            return None  # it is offline, and has said so
        except (OSError, Corrupt, DamagedIndex) as error:
            self._give_up(face, str(error))
            return None
        self._asked[face.key] = _Asked(config, active, now if verdict.due else verdict.ask_again)
        return verdict

    # -- one log -------------------------------------------------------------------------------------------------------

    async def _clean(self, face: LocalLog, verdict: Verdict, bench: _Bench) -> bool:
        """Clean a log as the verdict says. False: it could not be done, which has been said."""
        volume = self._volume
        self._cleaning = face
        directory = volume.data.path_of(face.key)
        try:
            with trio.CancelScope() as self._scope, face.pinned():
                try:
                    return await self._clean_synced(face, verdict, bench)
                except (KafkaError, Stale):
                    return False  # deleted meanwhile, or not to be written any more
                except (Uncleanable, Corrupt, DamagedIndex) as error:
                    self._give_up(face, str(error))
                except OSError as error:
                    self._give_up(face, f"{directory}: {error}", passing=error.errno in PASSING_ERRORS)
                except ProcessDied as error:
                    await bench.close()
                    self._give_up(face, f"{directory}: {error}", passing=True)
                except Exception as error:  # a mistake of ours must not stop the broker, nor harm the log
                    self._give_up(face, f"{directory}: {type(error).__name__}: {error}")
            if self._scope.cancelled_caught:
                await bench.close()  # what was under way there is of no use, and its answer is not waited for
            return False
        finally:
            self._cleaning = None
            if not face.is_deleted:
                with trio.CancelScope(shield=True):
                    await volume.offload.run(_remove_unfinished, volume.disk, directory)

    async def _clean_synced(self, face: LocalLog, verdict: Verdict, bench: _Bench) -> bool:
        volume = self._volume
        log = face.open()
        aborted = log.aborted.ending_in(0, NEVER)
        producers = {number: LastOfProducer(*last) for number, last in log.producers.last_offsets().items()}
        job = await volume.offload.run(self._job, log, verdict, aborted, producers)
        started, rewritten = volume.clock.monotonic_millis(), 0
        workshop = await bench.workshop()
        try:
            end = await workshop.run(Workshop.begin, job)
            groups = group_segments(
                [source for source in job.sources if source.base_offset < end],
                upto=verdict.upto,
                segment_bytes=log.config.segment_bytes,
                index_bytes=log.config.segment_index_bytes,
            )
            for group in groups:
                made = await workshop.run(Workshop.rewrite, group)
                if made is not None:
                    await self._exchange(face, log, made)
                    rewritten += 1
            unreadable = await workshop.run(Workshop.end)
        except FileNotFoundError as error:
            if job.sources[0].base_offset < log.layout[0][0]:
                raise Stale from error  # retention was quicker
            raise
        volume.data.clean_offsets[face.key] = end
        self._asked.pop(face.key, None)
        self._cleanings += 1
        self._cleaned_bytes += sum([source.size for source in job.sources])
        self._log.info(
            "compacted",
            topic=face.spec.topic,
            partition=face.spec.partition,
            clean_offset=end,
            bytes=sum([source.size for source in job.sources]),
            segments=len(job.sources),
            rewritten=rewritten,
            unreadable_batches=unreadable,
            millis=volume.clock.monotonic_millis() - started,
        )
        return True

    def _job(
        self,
        log: Log,
        verdict: Verdict,
        aborted: list[CompletedTransaction],
        producers: dict[int, LastOfProducer],
    ) -> Job:
        """In a thread, which clears away what an earlier cleaning has left."""
        settings, disk = self._settings, self._volume.disk
        remove_unfinished(disk, log.directory)
        sources = [
            Source(segment.base_offset, segment.size, _index_size(disk, segment))
            for segment in log.segments[:-1]
            if segment.base_offset < verdict.upto
        ]
        return Job(
            directory=log.directory,
            sources=tuple(sources),
            first_dirty=verdict.first_dirty,
            upto=verdict.upto,
            now=self._volume.elapsed.latest,
            delete_retention_ms=log.config.delete_retention_ms,
            index_interval_bytes=log.config.index_interval_bytes,
            aborted=tuple(aborted),
            producers=producers,
            memory=settings.memory,
            load_factor=settings.load_factor,
            buffer_size=settings.buffer_size,
        )

    async def _exchange(self, face: LocalLog, log: Log, made: Rewritten) -> None:
        """Put a rewritten segment in the place of its sources. Raises Stale when these are no longer there."""
        volume = self._volume
        async with volume.reshaping:
            old = [segment for segment in log.segments[:-1] if segment.base_offset in made.sources]
            stopped = face.is_deleted or volume.health.has_stopped
            if face.opened is not log or stopped or len(old) < len(made.sources):
                raise Stale
            with trio.CancelScope(shield=True):
                try:
                    gone = await volume.offload.run(_exchange_files, volume.disk, log, old)
                except NotBegun as error:
                    raise error.args[0] from error
                except (Corrupt, DamagedIndex):
                    raise
                except OSError as error:
                    volume.health.stop(f"{log.directory}: segments could not be exchanged: {error}")
                    raise Stale from error
            newest = made.max_timestamp, made.max_timestamp_offset
            base_offset = made.sources[0]
            new = Segment(volume.disk, volume.descriptors, log.directory, base_offset, made.size, newest=newest)
            log.exchange(old, new, made.aborted)
            for segment in old:
                volume.descriptors.forget(segment)
        self._removal.remove_later(gone, log.config.file_delete_delay_ms)

    def _give_up(self, face: LocalLog, reason: str, *, passing: bool = False) -> None:
        again = self._volume.clock.wall_millis() + TRY_AGAIN_MS if passing else NEVER
        if not face.is_deleted:
            self._failed[face.key, face.spec.topic_id] = again
            self._log.error(
                "a log could not be compacted",
                again=passing,
                topic=face.spec.topic,
                partition=face.spec.partition,
                reason=reason,
            )


class _Bench:
    """The workshop of a round: opened when it is first needed, closed with the round or when it is of no more use."""

    def __init__(self, apart: Apart, disk: Disk, bytes_per_second: float) -> None:
        self._apart = apart
        self._arguments = disk, bytes_per_second
        self._opened = AsyncExitStack()
        self._workshop: State[Workshop] | None = None

    async def workshop(self) -> State[Workshop]:
        """The one that is open, or a new one. Raises ProcessDied."""
        if self._workshop is None:
            self._workshop = await self._opened.enter_async_context(self._apart.state(Workshop, *self._arguments))
        return self._workshop

    async def close(self) -> None:
        """End the process; the next call of `workshop` starts another."""
        self._workshop = None
        await self._opened.aclose()


class Stale(Exception):
    """The log has changed so that the cleaning is of no use."""


def survey(log: Log, clean_upto: int | None, stable: int, now: int) -> Verdict:
    """What compaction says of a log (waits for the disk). Raises OSError, Corrupt, DamagedIndex."""
    config = log.config
    bases, segments = log.layout
    states = []
    for number, segment in enumerate(segments):
        newest = oldest = 0
        if number + 1 < len(segments) and bases[number + 1] > (clean_upto or 0):
            if config.min_compaction_lag_ms > 0:
                newest = segment.newest()
            if config.max_compaction_lag_ms < NEVER:
                oldest = next((header.max_timestamp for _, header in segment.headers(0)), 0)
        states.append(SegmentState(bases[number], segment.size, newest, oldest))
    return judge(states, clean_upto=clean_upto, start=log.start, stable=stable, config=config, now=now)


def _index_size(disk: Disk, segment: Segment) -> int:
    return max(disk.file_size(segment.path(suffix)) or 0 for suffix in (".index", ".timeindex"))


def _remove_unfinished(disk: Disk, directory: str) -> None:
    try:
        remove_unfinished(disk, directory)
    except OSError:  # the next cleaning, or the next opening, finds them again
        return


def _exchange_files(disk: Disk, log: Log, old: Sequence[Segment]) -> list[str]:
    """In a thread: keep the old segments readable, exchange the files. Returns those that may be removed."""
    try:
        for segment in old:
            try:
                segment.hold()
            except DamagedIndex:
                segment.unhold()
                log.rebuild(segment)
                segment.hold()
        return put_in_place(disk, log.directory, [segment.base_offset for segment in old])
    except (NotBegun, Corrupt, DamagedIndex):
        for segment in old:
            segment.unhold()
        raise
