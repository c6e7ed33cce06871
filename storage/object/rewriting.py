"""Runs put in the place of others: merging many small ones, and compaction. Work in the background, log by log.

**Merging.** A log that is written to in small pieces has a row for each, and a read of it a request for each. When a
log has `merge_from` runs as they were committed, they are read, written as one segment, and swapped. Several logs share
an object. A small segment that lies right before is merged with them, so that segments grow.

**Compaction** is decided by `storage/compaction.py`, to which each run is a segment: the newest run is never touched,
nor what is not stable yet. It goes through the log twice, as everywhere: learn the keys of the dirty part, then judge
all of it, group by group; each group becomes one segment and is swapped by itself. How far the log is clean is kept in
a blob of the log's.

**In steps**, each of some megabytes and followed by a rest (`upkeep_share.py`). A log that is being compacted is not
merged, since the plan of the one would not survive the other.

**Swaps** happen only where exactly the planned runs are still there. If two brokers rewrite the same log, one of them
has worked in vain, and no more than that; so who rewrites which log is a hint. The new object is durable
before the swap, and the old ones outlive it by a grace, for readers that have planned before.

What is damaged is left as it is: such a log is not rewritten before the next start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from kproto.batches.header import read_header
from kproto.batches.record_spans import place_holder
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.compaction import Compaction, LastOfProducer, SegmentState, judge
from storage.engine import LogSpec
from storage.log_config import LogConfig
from storage.object.blobs import CLEANER_OFFSET
from storage.object.bucket import Bucket, BucketError
from storage.object.cache import CachedRun
from storage.object.control_plane import (
    AbortedSpan,
    Buried,
    ControlPlane,
    LogName,
    LogPositions,
    RunKind,
    RunsQuestion,
    StoredRun,
    Swap,
)
from storage.object.limits import Limits
from storage.object.loading import Loading, Vanished
from storage.object.reader import asked
from storage.object.segment_objects import Segment, SegmentObject
from storage.object.upkeep_share import UpkeepShare
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.offload import Lane, Offload
from storage.statistics import CleanerStatistics
from storage.store_settings import CleanerSettings

T = TypeVar("T")

TOGETHER: Final = 50
"""Logs that are merged into one object and swapped in one transaction, at the most."""

ROWS_BYTES: Final = 1 << 30
"""Rows of so many bytes of runs are asked for at a time."""


class KeptLog(NamedTuple):
    """A log that there is, and how it is to be kept."""

    log_id: int
    name: LogName
    spec: LogSpec


class Rewriting:
    """Merges and compacts. `change` asks the control plane for a change until it is answered."""

    def __init__(
        self,
        control: ControlPlane,
        bucket: Bucket,
        loading: Loading,
        offload: Offload,
        entropy: Entropy,
        limits: Limits,
        change: Callable[[Callable[[], Awaitable[list[bool] | Buried]]], Awaitable[list[bool] | Buried]],
    ) -> None:
        self._control = control
        self._bucket = bucket
        self._loading = loading
        self._offload = offload
        self._entropy = entropy
        self._limits = limits
        self._change = change
        self._share = UpkeepShare(limits.upkeep_share)
        self._damaged: set[int] = set()
        self._cleanings = self._cleaned_bytes = 0
        self._compacting: int | None = None
        self._logger = get_logger("storage")

    def statistics(self) -> CleanerStatistics:
        """Compactions so far."""
        return CleanerStatistics(self._cleanings, self._cleaned_bytes, len(self._damaged), self._compacting is not None)

    # -- merging -------------------------------------------------------------------------------------------------------

    async def merge(self, logs: deque[KeptLog]) -> list[int]:
        """One step: take logs off the front, and merge what they have, until an object is full; the numbers of those
        that were merged.

        Raises KafkaError when the control plane or the bucket does not answer.
        """
        async with self._share.step():
            made = self._new_object()
            looked_at = 0
            while logs and looked_at < TOGETHER and made.length < self._limits.merge_bytes:
                log_id, name, spec = logs.popleft()
                looked_at += 1
                if log_id in self._damaged or log_id == self._compacting:
                    continue
                rows = await self._to_merge(log_id, spec.config)
                if len(rows) < 2:
                    continue
                try:
                    runs = await self._load(rows)
                except KafkaError as error:
                    self._give_up(log_id, name, error)
                    continue
                segment = await self._offload.run(_side_by_side, rows, runs, lane=Lane.DISK)
                made.add(log_id, name, rows, segment)
            return await self._swap(made)

    async def _to_merge(self, log_id: int, config: LogConfig) -> list[StoredRun]:
        """Consecutive runs that are better one: from the first as it was committed on, and not more than a segment of
        the log's may have, in bytes and in time, because retention takes away runs as a whole."""
        limit = min(self._limits.merge_bytes, config.segment_bytes)
        found: list[StoredRun] = []
        size = earliest = 0
        _, rows = await self._rows(log_id, whole=False)
        for row in rows:
            fits = size + row.length <= limit and row.max_timestamp - earliest <= config.segment_ms
            if len(found) > 1 and (row.kind is RunKind.ABSOLUTE or not fits):
                break
            if row.kind is RunKind.RELATIVE and found and fits:
                found.append(row)
                size, earliest = size + row.length, min(earliest, row.max_timestamp)
            else:
                found = [row] if row.kind is RunKind.RELATIVE or row.length < limit // 4 else []
                size, earliest = row.length, row.max_timestamp
        return found

    async def _rows(self, log_id: int, *, whole: bool) -> tuple[LogPositions | None, list[StoredRun]]:
        """The runs of a log from its start on: all, or as far as the first `merge_bytes` that were never merged."""
        start, fresh = 0, 0
        rows: list[StoredRun] = []
        positions: LogPositions | None = None
        while whole or fresh < self._limits.merge_bytes:
            [answer] = await asked(self._control.runs([RunsQuestion(log_id, start, ROWS_BYTES, 1 << 62)]))
            if answer is None:
                return None, []
            positions = answer.positions
            rows += [row for row in answer.runs if row.last_offset >= positions.log_start_offset]
            if not answer.runs:
                break
            fresh += sum(row.length for row in answer.runs if row.kind is RunKind.RELATIVE)
            start = answer.runs[-1].last_offset + 1
        return positions, rows

    # -- compaction ----------------------------------------------------------------------------------------------------

    async def compact(self, log: KeptLog, settings: CleanerSettings, now: int) -> tuple[int, int] | None:
        """Clean a log, if it is due; the offsets that were gone through. Raises KafkaError as `merge`."""
        log_id, name, config = log.log_id, log.name, log.spec.config
        if log_id in self._damaged:
            return None
        positions, rows = await self._rows(log_id, whole=True)
        if positions is None or len(rows) < 2:
            return None
        noted = await asked(self._control.read_blob(log_id, CLEANER_OFFSET))
        verdict = judge(
            [SegmentState(row.base_offset, row.length, row.max_timestamp, row.max_timestamp) for row in rows],
            clean_upto=None if noted is None else int(noted),
            start=positions.log_start_offset,
            stable=positions.last_stable_offset,
            config=config,
            now=now,
        )
        if not verdict.due:
            return None
        rows = [row for row in rows if row.base_offset < verdict.upto]
        aborted = await asked(self._control.aborted(log_id, positions.log_start_offset, verdict.upto))
        compaction = Compaction(
            first_dirty=verdict.first_dirty,
            upto=verdict.upto,
            now=now,
            delete_retention_ms=config.delete_retention_ms,
            aborted=[_completed(span) for span in aborted],
            producers=await self._last_of_producers(log_id),
            memory=settings.memory,
            load_factor=settings.load_factor,
        )
        self._compacting = log_id
        rate = settings.bytes_per_second
        try:
            await self._learn(compaction, [row for row in rows if row.last_offset >= verdict.first_dirty], rate)
            await self._rewrite(compaction, log, rows, aborted, rate)
        except KafkaError as error:
            if error.code is not ErrorCode.CORRUPT_MESSAGE:
                raise
            self._give_up(log_id, name, error)
            return None
        finally:
            self._compacting = None
        await asked(self._control.write_blob(log_id, CLEANER_OFFSET, b"%d" % compaction.end))
        self._cleanings += 1
        return rows[0].base_offset, compaction.end

    async def _last_of_producers(self, log_id: int) -> dict[int, LastOfProducer]:
        states = await asked(self._control.producers(log_id))
        return {state.producer_id: LastOfProducer(state.last_offset, state.producer_epoch) for state in states}

    async def _learn(self, compaction: Compaction, rows: Sequence[StoredRun], rate: float) -> None:
        for part in _in_parts(rows, self._limits.window_bytes):
            async with self._share.step(_size(part), rate):
                runs = await self._load(part)
                if not await self._offload.run(_learned, compaction, runs, lane=Lane.DISK):
                    return
        compaction.learned_all()

    async def _rewrite(
        self,
        compaction: Compaction,
        log: KeptLog,
        rows: Sequence[StoredRun],
        aborted: Sequence[AbortedSpan],
        rate: float,
    ) -> None:
        limit = min(self._limits.merge_bytes, log.spec.config.segment_bytes)
        for part in _in_parts([row for row in rows if row.base_offset < compaction.end], limit):
            async with self._share.step(2 * _size(part), rate):  # read, and written
                await self._rewrite_part(compaction, log, part, aborted)

    async def _rewrite_part(
        self, compaction: Compaction, log: KeptLog, part: Sequence[StoredRun], aborted: Sequence[AbortedSpan]
    ) -> None:
        runs = await self._load(part)
        self._cleaned_bytes += _size(part)
        segment, changed = await self._offload.run(_survivors, compaction, part, runs, lane=Lane.DISK)
        first, end = segment.base_offset, segment.last_offset + 1
        kept = {span.last_offset for span in compaction.take_aborted(first, end)}
        forgotten = [span.last_offset for span in aborted if first <= span.last_offset < end]
        forgotten = [offset for offset in forgotten if offset not in kept]
        if not changed and not forgotten and len(part) == 1:
            return
        made = self._new_object()
        made.add(log.log_id, log.name, part, segment, forgotten)
        if not await self._swap(made):
            raise KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR, f"another broker rewrites {log.name.topic}-{log.name.partition}"
            )

    # -- what both do --------------------------------------------------------------------------------------------------

    async def _load(self, rows: Sequence[StoredRun]) -> list[CachedRun]:
        """These runs, not kept in memory. Raises KafkaError."""
        runs = []
        for run in await self._loading.load(rows, background=True):
            if isinstance(run, Vanished):
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"object {run} is not there any more")
            if isinstance(run, KafkaError):
                raise run
            runs.append(run)
        return runs

    async def _swap(self, made: SegmentObject) -> list[int]:
        """Put an object and swap its runs in; the logs where that was done."""
        if not made.swaps:
            return []
        size = made.finish()
        try:
            if size:
                await self._bucket.put(made.key, made.pieces, background=True)
        except BucketError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        swap = Swap(made.key, size, made.swaps)
        outcome = await self._change(lambda: self._control.swap(swap))
        if isinstance(outcome, Buried):
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(outcome))
        return [log.log_id for log, done in zip(made.swaps, outcome, strict=True) if done]

    def _new_object(self) -> SegmentObject:
        hour = datetime.fromtimestamp(self._control.wall_millis() / 1000, UTC).strftime("%Y%m%d%H")
        return SegmentObject(f"m/{hour}/{self._control.node_id}-{self._entropy.uuid().hex()}")

    def _give_up(self, log_id: int, name: LogName, error: KafkaError) -> None:
        if error.code is ErrorCode.CORRUPT_MESSAGE:
            self._damaged.add(log_id)
        self._logger.error("a log is not rewritten", topic=name.topic, partition=name.partition, reason=str(error))


def _size(rows: Sequence[StoredRun]) -> int:
    return sum(row.length for row in rows)


def _in_parts(rows: Sequence[StoredRun], limit: int) -> list[list[StoredRun]]:
    """Neighbours together, as many as do not exceed `limit` bytes."""
    parts: list[list[StoredRun]] = []
    size = 0
    for row in rows:
        size += row.length
        if not parts or size > limit:
            parts.append([])
            size = row.length
        parts[-1].append(row)
    return parts


def _side_by_side(rows: Sequence[StoredRun], runs: Sequence[CachedRun]) -> Segment:
    segment = Segment(rows[0].base_offset, rows[-1].last_offset)
    for run in runs:
        for batch in run.batches():
            segment.add(read_header(batch), batch)
    return segment


def _learned(compaction: Compaction, runs: Sequence[CachedRun]) -> bool:
    """Whether there was room for the keys of all of these."""
    return all(compaction.learn(read_header(batch), batch) for run in runs for batch in run.batches())


def _survivors(compaction: Compaction, rows: Sequence[StoredRun], runs: Sequence[CachedRun]) -> tuple[Segment, bool]:
    """What is left of these runs, and whether that is not all."""
    segment = Segment(rows[0].base_offset, rows[-1].last_offset)
    changed = False
    last = None
    for run in runs:
        for batch in run.batches():
            header = last = read_header(batch)
            result = compaction.judge_batch(header, batch)
            changed = changed or result is not batch
            if result is not None:
                segment.add(header if result is batch else read_header(result), result)
    if not segment.length and last is not None:
        holder = place_holder(last)
        segment.add(read_header(holder), holder)
    return segment, changed


def _completed(span: AbortedSpan) -> CompletedTransaction:
    """As compaction knows it; where stable data ended then counts for look-ups only."""
    return CompletedTransaction(span.producer_id, span.first_offset, span.last_offset, True, span.last_offset + 1)
