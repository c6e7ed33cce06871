"""The distributed engine: logs whose order is a database's and whose bytes are in a bucket. `LogStore` for one broker.

Any number of brokers have a store like this over the same control plane and the same bucket, and each may append to any
log. README.md beside this file says how the parts work together and what they promise each other; this is the face that
brings them together:

* `writer.py` takes appends to their commits, through windows and uploads;
* `reader.py` answers reads from `cache.py`, or with what `loading.py` brings;
* `watch.py` notices what others append; `look_ups.py` finds records by their time;
* `upkeep.py` deletes, collects, merges and compacts.

**Tasks.** Appends are carried out by a task of the store's own, which the first of them starts. So a store works
wherever it is opened, and no caller has to wait for an append to come about. The task ends with `close`, which lets
everything that was begun come to its end first.

**What is known at the start** is where every log begins and ends: one question to the database. What a log is known to
have is not less than what this broker has told its clients; `refresh` learns what others have added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, TypeVar

import trio

from kproto.errors import ErrorCode, KafkaError
from kproto.ids import format_uuid
from storage.engine import (
    AbortedTransaction,
    Append,
    FetchedRecords,
    LogAppend,
    LogDirectory,
    LogSpec,
    OpenProducer,
    PartitionLog,
    Read,
    StoreError,
    TimestampOffset,
    WrongEnd,
)
from storage.membership import Membership
from storage.object.blobs import ObjectBlobs
from storage.object.bucket import Bucket
from storage.object.cache import RunCache
from storage.object.control_plane import (
    ControlPlane,
    ControlPlaneError,
    LogName,
    LogPositions,
    OutcomeUnknown,
    Unavailable,
)
from storage.object.limits import Limits
from storage.object.loading import Loading
from storage.object.look_ups import LookUps
from storage.object.partition_log import NOTHING, ObjectLog
from storage.object.pending_append import PendingAppend
from storage.object.reader import Reader, asked, out_of_range, own
from storage.object.rewriting import KeptLog, Rewriting
from storage.object.upkeep import KeptLogs, Upkeep
from storage.object.watch import Watch
from storage.object.window import WrittenLog
from storage.object.writer import Writer
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.offload import Offload
from storage.seams.slices import Slices
from storage.several_logs import append_each
from storage.statistics import DatabaseStatistics, SharedStatistics, StoreStatistics
from storage.store_settings import ProducerRules, StoreSettings

T = TypeVar("T")

TOGETHER: Final = 1000
"""Logs of one question that changes something."""

DIRECTORY_ID: Final = "directory.id"

ATTEMPTS: Final = 8
"""Times that the control plane is asked for a change before its caller learns of the failure: some ten seconds."""

Key = tuple[bytes, int]
"""Topic id and partition."""


class _Row(NamedTuple):
    """A log that was not asked for yet."""

    name: LogName
    log_id: int
    positions: LogPositions


class ObjectStore:
    """All logs, as one broker sees them. `LogStore` says what its methods promise."""

    def __init__(
        self,
        control: ControlPlane,
        bucket: Bucket,
        *,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        settings: StoreSettings | None = None,
        limits: Limits | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.membership = membership
        self.settings = settings or StoreSettings()
        self.limits = limits or Limits()
        self._control = control
        self._bucket = bucket
        self._clock = clock
        self._entropy = entropy
        self._offload = offload
        self._rows: dict[Key, _Row] = {}
        self._logs: dict[Key, ObjectLog] = {}
        self._directory_id = ""
        self.cache = RunCache(self.limits.cache_bytes)
        self._loading = Loading(bucket, offload, self.limits)
        self._look_ups = LookUps(control, self._loading, offload)
        self._watch = Watch(self.refresh_known, self.limits.poll_ms)
        self._reader = Reader(control, self.cache, self._loading, self.limits, self.refresh_known, self._watch.add)
        self.writer = Writer(control, bucket, self.cache, clock, entropy, self.limits, self._make)
        self._rewriting = Rewriting(control, bucket, self._loading, offload, entropy, self.limits, self._change)
        self._upkeep = Upkeep(
            control,
            bucket,
            self._rewriting,
            self.limits,
            KeptLogs(lambda: self.settings, self._kept, lambda: self._tidies(), self._moved, self._rewritten),
        )
        self._every_log: Callable[[], Iterable[LogSpec]] | None = None
        self._keeps: Callable[[bytes, int], bool] = lambda topic_id, partition: True
        self._tidies: Callable[[], bool] = lambda: True
        self._working: trio.CancelScope | None = None
        self._worked = trio.Event()
        self._logger = get_logger("storage")

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._control.configure(self.settings.producers)
        try:
            await self._control.open()
            found = await self._control.settle(DIRECTORY_ID, self._entropy.uuid())
            await self._loading.learn_epoch(self._control)
            rows = await self._control.list_logs()
            positions = await self._control.positions([row.log_id for row in rows])
        except ControlPlaneError as error:
            raise StoreError(f"the cluster's database cannot be used: {error}") from error
        self._directory_id = format_uuid(found)
        async for row, where in Slices().over(list(zip(rows, positions, strict=True))):
            if where is not None:
                self._rows[row.name.topic_id, row.name.partition] = _Row(row.name, row.log_id, where)

    async def close(self) -> None:
        with trio.move_on_after(self.limits.give_up_ms / 1000):
            await self.writer.drain()
        self.writer.stop("the store has been closed")
        if self._working is not None:
            self._working.cancel()
            with trio.CancelScope(shield=True):
                await self._worked.wait()
        self.cache.clear()
        await self._control.close()

    async def _work(self, scope: trio.CancelScope) -> None:
        """Carry appends out. A fault of ours ends the store for good, but no other task of the process."""
        try:
            with scope:
                await self.writer.run()
        except Exception as error:
            self._logger.error("the store has stopped", exc_info=error)
            self.writer.stop(f"the store has stopped: {error}")
        finally:
            if self._working is scope:
                self._working = None
            self._worked.set()

    def configure(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._control.configure(settings.producers)

    async def maintain(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        self._every_log = every_log
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.run)
            nursery.start_soon(self._upkeep.run)

    async def merge(self) -> None:
        """What `maintain` does with small runs, now."""
        await self._upkeep.merge()

    def share_upkeep(self, keeps: Callable[[bytes, int], bool], tidies: Callable[[], bool]) -> None:
        """As `storage.membership.SharesUpkeep`."""
        self._keeps, self._tidies = keeps, tidies

    async def _kept(self) -> AsyncIterator[KeptLog]:
        """The logs that this broker looks after, as far as they exist."""
        every = self._every_log() if self._every_log is not None else [log.spec for log in self._logs.values()]
        unknown: list[LogSpec] = []
        async for spec in Slices().over(list(every)):
            if self._keeps(spec.topic_id, spec.partition):
                log_id = self._log_id(spec)
                if log_id is None:
                    unknown.append(spec)
                else:
                    yield KeptLog(log_id, _name(spec), spec)
        for start in range(0, len(unknown), TOGETHER):  # made by other brokers, since this store was opened
            part = unknown[start : start + TOGETHER]
            found = await asked(self._control.find_logs(list(map(_name, part))))
            known = [(spec, log_id) for spec, log_id in zip(part, found, strict=True) if log_id is not None]
            positions = await asked(self._control.positions([log_id for _, log_id in known])) if known else []
            for (spec, log_id), where in zip(known, positions, strict=True):
                if where is not None:
                    self._found(spec, log_id, where)
                    yield KeptLog(log_id, _name(spec), spec)

    def _log_id(self, spec: LogSpec) -> int | None:
        key = spec.topic_id, spec.partition
        log, row = self._logs.get(key), self._rows.get(key)
        return log.log_id if log is not None else row.log_id if row is not None else None

    def _found(self, spec: LogSpec, log_id: int, where: LogPositions) -> None:
        """The log is there, and has this number."""
        key = spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is not None:
            log.log_id = log_id
            log.learn(where)
        elif key not in self._rows:
            self._rows[key] = _Row(_name(spec), log_id, where)

    def _moved(self, spec: LogSpec, positions: LogPositions) -> None:
        key = spec.topic_id, spec.partition
        log, row = self._logs.get(key), self._rows.get(key)
        if log is not None:
            log.learn(positions)
        elif row is not None:
            self._rows[key] = row._replace(positions=positions)

    def _rewritten(self, spec: LogSpec, start: int, end: int) -> None:
        log = self._logs.get((spec.topic_id, spec.partition))
        if log is not None:
            log.runs.drop(start, end)

    @property
    def cluster_id(self) -> str:
        return self._control.cluster_id

    @property
    def directory_id(self) -> str:
        return self._directory_id

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log(self, spec: LogSpec) -> ObjectLog:
        key = spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            row = self._rows.pop(key, None)
            log = ObjectLog(self, spec, None, None) if row is None else ObjectLog(self, spec, row.log_id, row.positions)
            self._logs[key] = log
        return log

    def blobs(self, spec: LogSpec) -> ObjectBlobs:
        return ObjectBlobs(self.log(spec), self._control, self._offload)

    def existing(self) -> Collection[tuple[str, int]]:
        found = {(row.name.topic, row.name.partition) for row in self._rows.values()}
        found.update((log.spec.topic, log.spec.partition) for log in self._logs.values() if log.exists)
        return found

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        slices = Slices()
        for start in range(0, len(specs), TOGETHER):
            part = specs[start : start + TOGETHER]
            ids = await self._change(partial(self._control.create_logs, list(map(_name, part))))
            positions = await asked(self._control.positions(ids))
            async for spec, log_id, where in slices.over(list(zip(part, ids, positions, strict=True))):
                self._found(spec, log_id, where or NOTHING)

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        for start in range(0, len(specs), TOGETHER):
            part = specs[start : start + TOGETHER]
            names = list(map(_name, part))
            ids = [log_id for log_id in await asked(self._control.find_logs(names)) if log_id is not None]
            if ids:
                await self._change(partial(self._control.delete_logs, ids))
            for spec in part:
                self._forget((spec.topic_id, spec.partition))

    def _forget(self, key: Key) -> None:
        self._rows.pop(key, None)
        log = self._logs.pop(key, None)
        if log is not None:
            log.delete()

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        closed = [log for log in map(own, logs) if not log.is_open and not log.deleted]
        if closed:
            with suppress(KafkaError):  # the one that cannot be opened is refused where it is used
                await self.refresh_known(closed)
            for log in closed:
                log.is_open = True

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        await self.open_logs(logs)
        if not self.writer.has_room:
            await self.writer.wait_for_room()

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        await self.refresh_known([own(log) for log in logs])

    async def refresh_known(self, logs: Sequence[ObjectLog]) -> None:
        """Learn where these logs end now. Raises KafkaError."""
        unknown = [log for log in logs if log.log_id is None and not log.deleted]
        if unknown:
            found = await asked(self._control.find_logs([log.name for log in unknown]))
            for log, log_id in zip(unknown, found, strict=True):
                if log.log_id is None:
                    log.log_id = log_id
        known = [log for log in logs if log.log_id is not None and not log.deleted]
        if not known:
            return
        ids = [log.log_id for log in known if log.log_id is not None]
        positions = await asked(self._control.positions(ids))
        async for log, where in Slices().over(list(zip(known, positions, strict=True))):
            if where is not None:
                log.learn(where)
            elif not log.deleted:
                self._forget((log.spec.topic_id, log.spec.partition))

    async def _make(self, logs: Sequence[WrittenLog]) -> None:
        """Give these logs, which their first append makes, a number. Raises ControlPlaneError."""
        unique = list(dict.fromkeys(logs))
        if unique:
            for log, log_id in zip(unique, await self._control.create_logs([log.name for log in unique]), strict=True):
                log.log_id = log_id

    async def _change(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the control plane for a change that may be asked for again. Raises KafkaError when it does not answer."""
        delay = self.limits.first_retry_ms
        for _ in range(ATTEMPTS):
            try:
                return await ask()
            except (Unavailable, OutcomeUnknown):
                await trio.sleep(delay / 1000)
                delay = min(2 * delay, self.limits.longest_retry_ms)
            except ControlPlaneError as error:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return await asked(ask())

    # -- appending -----------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> ProducerRules:
        return self.settings.producers

    @property
    def leader_epoch(self) -> int:
        return self._loading.leader_epoch

    @property
    def has_room(self) -> bool:
        return self.writer.has_room

    def monotonic_millis(self) -> int:
        return self._clock.monotonic_millis()

    def begin(
        self, log: ObjectLog, append: PendingAppend, data: Sequence[memoryview], *, after: Append | None = None
    ) -> None:
        if self._working is None and self.writer.stopped is None:
            self._working = scope = trio.CancelScope()
            self._worked = trio.Event()
            trio.lowlevel.spawn_system_task(self._work, scope, name="storage of appends")
        tied = after if isinstance(after, PendingAppend) else None
        self.writer.begin(log, append, data, inline=tied is not None or self._is_urgent(log, append), after=tied)

    def _is_urgent(self, log: ObjectLog, append: PendingAppend) -> bool:
        """Whether an append goes inline: it is small, a coordinator waits for it, and it overtakes none of its log."""
        if append.size > self.limits.inline_bytes or log.gathering:
            return False
        batches = append.request.batches
        return log.spec.internal or (len(batches) > 0 and all(marker is not None for _, marker in batches))

    @property
    def overlaps_appends(self) -> bool:
        return True

    @property
    def commits_together(self) -> bool:
        return True

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        if after is None or not self.writer.is_queued(after):
            if after is not None:
                await after.wait_durable()
            return await append_each(appends)
        results: list[Append | KafkaError | WrongEnd] = []
        for log, batches, expected_end, transaction_version in appends:  # nothing is awaited: it is one commit
            try:
                results.append(own(log).append_after(after, batches, expected_end, transaction_version))
            except KafkaError as error:
                results.append(error.with_traceback(None))
        await trio.lowlevel.checkpoint()
        return results

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        failure: KafkaError | WrongEnd | None = None
        for append in appends:
            if not append.durable:
                try:
                    await append.wait_durable()
                except (KafkaError, WrongEnd) as error:
                    failure = failure or error
        if failure is not None:
            raise failure.with_traceback(None)

    # -- reading -------------------------------------------------------------------------------------------------------

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError] | None:
        return self._reader.read_now(reads, max_bytes, whole_batch)

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        await trio.lowlevel.checkpoint()
        return await self._reader.read_many(reads, max_bytes, whole_batch)

    async def offset_for_time(self, log: ObjectLog, timestamp: int) -> TimestampOffset | None:
        self._check(log)
        return await self._look_ups.first_at(log, timestamp)

    async def offset_of_max_timestamp(self, log: ObjectLog) -> TimestampOffset | None:
        self._check(log)
        return await self._look_ups.latest(log)

    async def aborted_transactions(self, log: ObjectLog, start: int, upto: int) -> Sequence[AbortedTransaction]:
        self._check(log)
        if log.log_id is None:
            return []
        spans = await asked(self._control.aborted(log.log_id, start, upto))
        return [AbortedTransaction(span.producer_id, span.first_offset) for span in spans]

    async def producers(self, log: ObjectLog) -> Sequence[OpenProducer]:
        self._check(log)
        if log.log_id is None:
            return []
        newest = {state.producer_id: state for state in await asked(self._control.producers(log.log_id))}
        return [
            OpenProducer(
                state.producer_id,
                state.producer_epoch,
                state.last_sequence,
                state.timestamp,
                state.coordinator_epoch,
                state.transaction_first_offset,
            )
            for state in newest.values()
        ]

    async def delete_before(self, log: ObjectLog, offset: int) -> int:
        self._check(log)
        if log.log_id is None or offset < 0:
            if offset:
                raise out_of_range(log, offset)
            return 0
        log_id = log.log_id
        log.advance(await self._change(lambda: self._control.delete_before(log_id, offset)))
        return log.log_start_offset

    @staticmethod
    def _check(log: ObjectLog) -> None:
        if log.deleted:
            raise log.gone()

    # -- numbers -------------------------------------------------------------------------------------------------------

    def statistics(self) -> StoreStatistics:
        held = sum(log.exists for log in self._logs.values())
        stopped = self.writer.stopped is not None
        return StoreStatistics(
            len(self._rows) + held,
            held,
            0,
            stopped,
            self.writer.statistics(),
            self._rewriting.statistics(),
            self._upkeep.statistics(),
            self._shared_statistics(),
        )

    def _shared_statistics(self) -> SharedStatistics:
        commits = self.writer.counts
        objects = self._upkeep.objects
        live, live_bytes, deleting = (-1, -1, -1) if objects is None else objects[:3]
        return SharedStatistics(
            self._bucket.statistics(),
            DatabaseStatistics(
                self._control.location, commits.of("commit"), self._control.questions(), commits.last_error
            ),
            self.writer.buffered,
            self.cache.size,
            live,
            live_bytes,
            deleting,
            self._upkeep.unmerged,
            self._upkeep.rounds,
        )

    async def log_directories(self) -> Sequence[LogDirectory]:
        slices = Slices()
        logs = [log async for log in slices.over(list(self._logs.values())) if log.exists]
        sizes = {(log.spec.topic, log.spec.partition): log.size async for log in slices.over(logs)}
        async for row in slices.over(list(self._rows.values())):
            sizes[row.name.topic, row.name.partition] = row.positions.size
        return [LogDirectory(self._bucket.location, -1, -1, self.writer.stopped, sizes)]


def _name(spec: LogSpec) -> LogName:
    return LogName(spec.topic, spec.topic_id, spec.partition, spec.internal)
