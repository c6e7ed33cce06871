"""Answering reads: from memory at once, else by asking the control plane where the records are.

A read walks over the runs in memory, from the one that covers its start, neighbour by neighbour, and its answer is
slices of them. Where none is in memory, `read_now` gives up and `read_many` loads: one question to the control plane
for all logs of the read that need it (where the runs are, and what was aborted in them, as of one moment), one request
per object to the bucket. Loaded runs are pinned for the answer, so that no eviction takes them from under it.

**The end of what is known is not the end of the log.** Another broker may have appended. A read beyond the known end
asks the control plane before it says OFFSET_OUT_OF_RANGE, for that answer lets consumers lose their place. A read at
the known end finds nothing yet, and the log is watched from then on.

**Readers of committed data** need the aborted transactions in what they get. What a run in memory knows of them counts
for offsets that were stable when it was planned; beyond that it is planned again, and a run whose row is still the same
is not loaded again for it. A run that has been compacted since is: its aborted transactions are forgotten with their
records, and without these it must not be read on.
"""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from kproto.errors import ErrorCode, KafkaError
from storage.engine import AbortedTransaction, FetchedRecords, PartitionLog, Read, RecordParts
from storage.object.bucket import BucketError, ObjectMissing
from storage.object.cache import CachedRun, RunCache, merged
from storage.object.control_plane import AbortedSpan, ControlPlane, ControlPlaneError, LogRuns, RunsQuestion, StoredRun
from storage.object.limits import Limits
from storage.object.loading import Loading
from storage.object.partition_log import ObjectLog

T = TypeVar("T")

MOST_PARTS: Final = 1000
"""Runs of one answer: a log of very small ones is read in several."""

ROUNDS: Final = 4
"""Plans for one read, until it is given up: each but the first because objects have gone, or logs have moved."""

_NO_BYTES: Final = memoryview(b"")

Pinned = Mapping[ObjectLog, Sequence[CachedRun]]
Failures = Mapping[tuple[ObjectLog, int], KafkaError]
"""Of reads: their log and start."""


class _Missing(NamedTuple):
    """What the read of this log from `start` lacks: its runs from offset `at` on; or only how far the log is, if
    `beyond`."""

    log: ObjectLog
    start: int
    at: int
    max_bytes: int
    upto: int
    committed: bool
    beyond: bool = False


class Reader:
    """Answers questions about all logs. `refresh` learns where logs end; it raises KafkaError."""

    def __init__(
        self,
        control: ControlPlane,
        cache: RunCache,
        loading: Loading,
        limits: Limits,
        refresh: Callable[[Sequence[ObjectLog]], Awaitable[None]],
        watch: Callable[[ObjectLog], None],
    ) -> None:
        self._control = control
        self._cache = cache
        self._loading = loading
        self._limits = limits
        self._refresh = refresh
        self._watch = watch

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool
    ) -> list[FetchedRecords | KafkaError] | None:
        """As `LogStore.read_now`."""
        answers, missing = self._answer(reads, max_bytes, whole_batch, {}, {}, patient=True)
        return None if missing else answers

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool
    ) -> list[FetchedRecords | KafkaError]:
        """As `LogStore.read_many`."""
        pinned: dict[ObjectLog, list[CachedRun]] = {}
        failed: dict[tuple[ObjectLog, int], KafkaError] = {}
        for number in range(ROUNDS):
            answers, missing = self._answer(reads, max_bytes, whole_batch, pinned, failed, patient=number == 0)
            if not missing:
                return answers
            try:
                await self._load(missing, pinned, failed)
            except KafkaError as error:
                failed |= {(each.log, each.start): error for each in missing}
        lost = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the records are moved faster than they can be read")
        failed |= {(each.log, each.start): lost for each in missing}
        return self._answer(reads, max_bytes, whole_batch, pinned, failed, patient=False)[0]

    # -- from memory ---------------------------------------------------------------------------------------------------

    def _answer(
        self,
        reads: Sequence[Read],
        max_bytes: int,
        whole_batch: bool,
        pinned: Pinned,
        failed: Failures,
        *,
        patient: bool,
    ) -> tuple[list[FetchedRecords | KafkaError], list[_Missing]]:
        """What there is, and what is missing; a `patient` read wants all that fits, another is content with a part."""
        answers: list[FetchedRecords | KafkaError] = []
        missing: list[_Missing] = []
        for read in reads:
            log = own(read.log)
            if failed and (log, read.start) in failed:
                answers.append(failed[log, read.start])
                continue
            found = self._read(log, read, min(read.max_bytes, max_bytes), whole_batch, pinned.get(log, ()), patient)
            if isinstance(found, _Missing):
                missing.append(found)
                continue
            if isinstance(found, FetchedRecords) and found.records:
                whole_batch = False
                max_bytes = max(0, max_bytes - len(found.records))
            answers.append(found)
        return answers, missing

    def _read(
        self, log: ObjectLog, read: Read, limit: int, whole_batch: bool, pinned: Sequence[CachedRun], patient: bool
    ) -> FetchedRecords | KafkaError | _Missing:
        start, upto, end = read.start, read.upto, log.log_end_offset
        if log.deleted:
            return log.gone()
        if start < log.log_start_offset:
            return out_of_range(log, start)
        if start > end:
            return _Missing(log, start, start, limit, upto, read.committed, beyond=True)
        if start >= upto or start == end:
            self._watch(log)
            return _found(log, _NO_BYTES)
        parts: list[memoryview] = []
        spans: Sequence[AbortedSpan] = ()
        size, at, stop, complete = 0, start, start, False
        for run in _runs_from(log, start, pinned):
            # Beyond what is stable nothing is final: there it is the plan of this very read that counts.
            planned = upto > log.last_stable_offset and run in pinned
            if read.committed and not planned and not run.knows_aborted(start, upto):
                break
            if at == start and not parts:
                part = run.slice(start, limit, upto, whole_batch)
                begin = run.position_of(start)
            else:
                part, begin = run.head(limit - size, upto), 0
            self._cache.touch(run)
            if part:
                parts.append(part)
                size += len(part)
                stop = run.offset_beyond(begin + len(part))
                if read.committed:
                    spans = merged(spans, run.aborted)
            at = run.end
            complete = at >= upto or size >= limit or (not part and begin < len(run.data))
            if complete or len(parts) == MOST_PARTS:
                break
        if not complete and (not parts or (patient and len(parts) < MOST_PARTS)):
            return _Missing(log, start, at, limit, upto, read.committed)
        if complete and size < limit:
            self._watch(log)
        aborted = [
            AbortedTransaction(span.producer_id, span.first_offset)
            for span in spans
            if span.last_offset >= start and span.first_offset < stop
        ]
        records = RecordParts(parts) if len(parts) > 1 else parts[0] if parts else _NO_BYTES
        return _found(log, records, more=not complete, aborted=aborted)

    # -- from the bucket -----------------------------------------------------------------------------------------------

    async def _load(
        self,
        missing: Sequence[_Missing],
        pinned: dict[ObjectLog, list[CachedRun]],
        failed: dict[tuple[ObjectLog, int], KafkaError],
    ) -> None:
        """Bring into memory what is missing. Raises KafkaError when the control plane has no answer."""
        beyond = [each.log for each in missing if each.beyond]
        if beyond:
            await self._refresh(beyond)
            for each in missing:
                if each.beyond and each.at > each.log.log_end_offset:
                    failed[each.log, each.start] = out_of_range(each.log, each.at)
        wanted = [each for each in missing if not each.beyond]
        if not wanted:
            return
        questions = [
            RunsQuestion(
                _id(each.log), each.at, min(each.max_bytes, self._limits.read_bytes), each.upto, each.committed
            )
            for each in wanted
        ]
        answers = await asked(self._control.runs(questions))
        planned: list[tuple[_Missing, StoredRun, int]] = []
        plans: list[tuple[_Missing, LogRuns]] = []
        for each, answer in zip(wanted, answers, strict=True):
            if answer is None:
                failed[each.log, each.start] = each.log.gone()
                continue
            each.log.learn(answer.positions)
            plans.append((each, answer))
            try:
                planned += [(each, run, start) for run, start in await self._plan(each, answer)]
            except KafkaError as error:
                failed[each.log, each.start] = error
        lacking = [(each, stored, start) for each, stored, start in planned if self._held(each.log, stored) is None]
        loaded = await self._loading.load([stored for _, stored, _ in lacking])
        fresh: dict[tuple[ObjectLog, StoredRun], CachedRun] = {}
        for (each, stored, start), run in zip(lacking, loaded, strict=True):
            if isinstance(run, KafkaError):
                failed.setdefault((each.log, each.start), run)
            elif isinstance(run, CachedRun):
                fresh[each.log, stored] = run.from_offset(start)
        for each, stored, _ in planned:
            found = self._held(each.log, stored) or fresh.get((each.log, stored))
            if found is None:
                continue  # the reader plans again
            pinned.setdefault(each.log, []).append(found)
        self._cache.add([(log, run) for (log, _), run in fresh.items()])
        for each, answer in plans:
            self._note_aborted(each, answer, pinned.setdefault(each.log, []))

    async def _plan(self, missing: _Missing, answer: LogRuns) -> list[tuple[StoredRun, int]]:
        """Which runs to load for a read, each with the offset that it covers from; of a long segment, a piece."""
        planned: list[tuple[StoredRun, int]] = []
        at, size = missing.at, 0
        for stored in answer.runs:
            if planned and size >= min(missing.max_bytes, self._limits.read_bytes):
                break
            piece = stored
            if self._loading.indexes.is_long(stored):
                try:
                    piece = await self._loading.indexes.piece(stored, max(at, stored.base_offset))
                except ObjectMissing:
                    break
                except BucketError as error:
                    raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
            planned.append((piece, min(at, piece.base_offset)))
            at = piece.last_offset + 1
            size += piece.length
            if piece.last_offset != stored.last_offset:
                break
        return planned

    @staticmethod
    def _held(log: ObjectLog, stored: StoredRun) -> CachedRun | None:
        """The run in memory that this row stands for."""
        run = log.runs.covering(stored.base_offset)
        if run is None or run.end != stored.last_offset + 1:
            return None
        key, position, length = run.identity
        same = (key, length) == (stored.key, stored.length) and (position == stored.position or not key)
        return run if same else None

    @staticmethod
    def _note_aborted(missing: _Missing, answer: LogRuns, runs: list[CachedRun]) -> None:
        """Write into the runs what the control plane has said of aborted transactions."""
        if not answer.runs:
            # Nothing is left there, though offsets are: compaction has taken it all.
            end = min(missing.upto, max(missing.at + 1, answer.positions.end_offset))
            runs.append(CachedRun(missing.at, end, _NO_BYTES, array("q"), array("q"), False, ("", -1, 0)))
        if not missing.committed:
            return
        stable = answer.positions.last_stable_offset
        for run in runs:
            if run.transactional and not run.knows_aborted(missing.at, missing.upto):
                run.aborted = [span for span in answer.aborted if span.first_offset < run.end]
                run.aborted_from = max(run.start, missing.at)
                run.aborted_upto = min(run.end, stable, missing.upto)


def _runs_from(log: ObjectLog, start: int, pinned: Sequence[CachedRun]) -> Iterator[CachedRun]:
    """The run that covers `start` and those behind it, without a gap."""
    if not pinned:
        yield from log.runs.following(start)
        return
    at = start
    while True:
        run = next((run for run in pinned if run.start <= at < run.end), None) or log.runs.covering(at)
        if run is None:
            return
        yield run
        at = run.end


def _found(
    log: ObjectLog,
    records: memoryview | RecordParts,
    *,
    more: bool = False,
    aborted: Sequence[AbortedTransaction] = (),
) -> FetchedRecords:
    return FetchedRecords(
        records, log.high_watermark, log.last_stable_offset, log.log_start_offset, more=more, aborted=aborted
    )


def _id(log: ObjectLog) -> int:
    assert log.log_id is not None, "a log that has records has a number"
    return log.log_id


def own(log: PartitionLog) -> ObjectLog:
    """The log as this engine knows it."""
    assert isinstance(log, ObjectLog), "an engine reads its own logs"
    return log


def out_of_range(log: ObjectLog, offset: int) -> KafkaError:
    """What a reader gets that asks for what the log does not have."""
    return KafkaError(
        ErrorCode.OFFSET_OUT_OF_RANGE,
        f"offset {offset} of {log.spec.topic}-{log.spec.partition}, which has {log.log_start_offset} to "
        f"{log.log_end_offset}",
    )


async def asked(question: Awaitable[T]) -> T:
    """An answer of the control plane, whose failures are KafkaErrors here."""
    try:
        return await question
    except ControlPlaneError as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
