"""Records found by their time: the control plane knows how late each run gets, and the records say the rest.

Runs are rows with their largest timestamp, so the database finds the run; which record of it is meant is found as in
every engine (`storage/timestamps.py`), in a thread. A run whose late records have all been deleted, at the start of the
log, is found too; then the search goes on behind it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from kproto.batches.header import read_header
from kproto.errors import ErrorCode, KafkaError
from storage.engine import TimestampOffset
from storage.object.bucket import BucketError
from storage.object.cache import CachedRun
from storage.object.control_plane import ControlPlane, RunsQuestion, StoredRun
from storage.object.loading import Loading, Vanished
from storage.object.partition_log import ObjectLog
from storage.object.reader import asked
from storage.seams.offload import Lane, Offload, Pause
from storage.timestamps import first_record_at, latest_record, opened

T = TypeVar("T")

STEP_BYTES = 256 << 20
"""Rows of so many bytes of runs are asked for at a time, where all runs of a log are gone through."""


class LookUps:
    """Answers questions about times."""

    def __init__(self, control: ControlPlane, loading: Loading, offload: Offload) -> None:
        self._control = control
        self._loading = loading
        self._offload = offload

    async def first_at(self, log: ObjectLog, timestamp: int) -> TimestampOffset | None:
        """As `PartitionLog.offset_for_time`."""
        if log.log_id is None:
            return None
        stored = await asked(self._control.run_for_time(log.log_id, timestamp))
        if stored is None:
            return None
        if found := await self._first_in(log, stored, timestamp):
            return found
        async with aclosing(self._rows(log, stored.last_offset + 1)) as rows:
            async for behind in rows:
                if behind.max_timestamp >= timestamp and (found := await self._first_in(log, behind, timestamp)):
                    return found
        return None

    async def latest(self, log: ObjectLog) -> TimestampOffset | None:
        """As `PartitionLog.offset_of_max_timestamp`."""
        if log.log_id is None:
            return None
        stored = await asked(self._control.run_of_latest(log.log_id))
        if stored is None:
            return None
        best = await self._latest_in(log, stored, None)
        if best is not None and best.timestamp >= stored.max_timestamp:
            return best
        # What the row promises has been deleted at the start of the log: then another run may be better.
        rows = [row async for row in self._rows(log, log.log_start_offset)]
        for row in sorted(rows, key=lambda row: -row.max_timestamp):
            if best is not None and row.max_timestamp <= best.timestamp:
                break
            best = await self._latest_in(log, row, best)
        return best

    async def _rows(self, log: ObjectLog, start: int) -> AsyncGenerator[StoredRun]:
        """All runs from `start` on."""
        assert log.log_id is not None
        while True:
            question = RunsQuestion(log.log_id, start, STEP_BYTES, log.log_end_offset)
            [answer] = await asked(self._control.runs([question]))
            if answer is None or not answer.runs:
                return
            for row in answer.runs:
                yield row
            start = answer.runs[-1].last_offset + 1

    async def _first_in(self, log: ObjectLog, stored: StoredRun, timestamp: int) -> TimestampOffset | None:
        start = log.log_start_offset
        at = stored.base_offset
        if self._loading.indexes.is_long(stored):
            at = await _kafka(self._loading.indexes.offset_before(stored, timestamp))

        def look(run: CachedRun, pause: Pause) -> TimestampOffset | None:
            for batch in run.batches():
                if read_header(batch).max_timestamp >= timestamp:
                    found = first_record_at(*opened(batch), timestamp, start, pause).found
                    if found is not None:
                        return found
            return None

        async with aclosing(self._pieces(stored, at)) as pieces:
            async for run in pieces:
                work = partial(look, run)
                if found := await self._offload.compute(work, lane=Lane.LOOK_UPS, abandonable=True):
                    return found
        return None

    async def _latest_in(
        self, log: ObjectLog, stored: StoredRun, best: TimestampOffset | None
    ) -> TimestampOffset | None:
        start = log.log_start_offset

        def look(run: CachedRun, best: TimestampOffset | None, pause: Pause) -> TimestampOffset | None:
            for batch in sorted(run.batches(), key=lambda batch: -read_header(batch).max_timestamp):
                if best is not None and read_header(batch).max_timestamp <= best.timestamp:
                    break
                found = latest_record(*opened(batch), start, pause)
                if found is not None and (best is None or found.timestamp > best.timestamp):
                    best = found
            return best

        async with aclosing(self._pieces(stored, stored.base_offset)) as pieces:
            async for run in pieces:
                best = await self._offload.compute(partial(look, run, best), lane=Lane.LOOK_UPS, abandonable=True)
        return best

    async def _pieces(self, stored: StoredRun, at: int) -> AsyncGenerator[CachedRun]:
        """What is to be looked through of a run from `at` on: the run, or of a long one its pieces."""
        while at <= stored.last_offset:
            piece = stored
            if self._loading.indexes.is_long(stored):
                piece = await _kafka(self._loading.indexes.piece(stored, at))
            [run] = await self._loading.load([piece])
            if isinstance(run, KafkaError):
                raise run
            if isinstance(run, Vanished):
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"object {stored.key} is not there any more")
            yield run
            at = piece.last_offset + 1


async def _kafka(question: Awaitable[T]) -> T:
    """An answer of the bucket, whose failures are KafkaErrors here."""
    try:
        return await question
    except BucketError as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
