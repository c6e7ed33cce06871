"""A database in memory, as naive as can be: what PostgreSQL has to do for the distributed engine, in plain lists.

Every method is one transaction: it runs to its end without giving way, so there is nothing to lock. What it does is
what `storage/object/control_plane.py` says; who asks, and what can go wrong on the way, is the matter of
`storage/testing/control_plane.py`. Several engines in one process share one of these, as brokers share a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from kproto.errors import ErrorCode, KafkaError
from kproto.ids import format_uuid
from storage.aborted_transactions import CompletedTransaction
from storage.blobs import StoredBlob
from storage.engine import WrongEnd
from storage.log_config import LogConfig
from storage.object.control_plane import (
    DELETION_GRACE_MS,
    INLINE_KEY_MS,
    TOMBSTONE_MS,
    AbortedSpan,
    Adoption,
    AppendOutcome,
    Buried,
    Commit,
    CommitRun,
    Fenced,
    LogName,
    LogPositions,
    LogRow,
    LogRuns,
    LogSwap,
    MergeCandidate,
    NewRun,
    ObjectCounts,
    Retention,
    RunKind,
    RunOutcome,
    RunsQuestion,
    StoredRun,
    Swap,
    Taken,
)
from storage.object.judgement import LogLedger, all_taken, behind, broken_logs, refusal, unknown_log
from storage.producers import LogProducers, ProducerState
from storage.retention import SegmentAge, judge
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy
from storage.store_settings import DEFAULT_RULES, ProducerRules

CLAIM_MS: Final = 60_000


class ObjectState(Enum):
    """What an object's row says of it."""

    LIVE = "live"
    DELETING = "deleting"
    TOMBSTONE = "tombstone"
    INLINE = "inline"  # a commit without an object: the row remembers what came of it


@dataclass
class StoredObject:
    """The row of an object, and of a commit. `due`: when the next thing happens to it."""

    object_id: int
    key: str
    size: int
    state: ObjectState
    live: int = 0
    due: int = 0
    outcomes: list[RunOutcome] | None = None
    swapped: list[bool] | None = None
    adopted: list[WrongEnd | KafkaError | None] | None = None


@dataclass
class StoredLog:
    """A log: rows of runs in order, and what its producers are."""

    log_id: int
    name: LogName
    ledger: LogLedger
    start: int = 0
    deleted: bool = False
    runs: list[StoredRun] = field(default_factory=list)
    aborted: list[CompletedTransaction] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def positions(self) -> LogPositions:
        return LogPositions(
            self.start,
            self.ledger.end,
            self.ledger.last_stable_offset(self.start),
            sum(run.length for run in self.runs),
        )


def _stored(new: NewRun, stored: StoredObject) -> StoredRun:
    """The row of a run that was not committed batch by batch."""
    inline = new.inline is not None
    return StoredRun(
        new.base_offset,
        new.last_offset,
        0 if inline else stored.object_id,
        "" if inline else stored.key,
        new.position,
        new.length,
        new.max_timestamp,
        RunKind.ABSOLUTE,
        new.inline,
    )


class MemoryDatabase:
    """All rows. `check` says what they promise."""

    def __init__(self, clock: Clock, entropy: Entropy, *, cluster_id: str | None = None) -> None:
        self.clock = clock
        self.cluster_id = cluster_id or format_uuid(entropy.uuid())
        self.logs: dict[int, StoredLog] = {}
        self.objects: dict[str, StoredObject] = {}
        self.brokers: dict[int, bytes] = {}
        self.settings: dict[str, bytes] = {}
        self.rules: ProducerRules = DEFAULT_RULES
        self._by_place: dict[tuple[bytes, int], StoredLog] = {}
        self._numbers = 0

    # -- brokers and logs ----------------------------------------------------------------------------------------------

    def take(self, node_id: int, incarnation: bytes) -> None:
        """From now on, this is the process of the node id."""
        self.brokers[node_id] = incarnation

    def check_fence(self, node_id: int, incarnation: bytes) -> None:
        """Raises Fenced when another process has the node id."""
        if self.brokers.get(node_id) != incarnation:
            raise Fenced(f"another process has taken node id {node_id}")

    def create_logs(self, names: Sequence[LogName]) -> list[int]:
        return [self._create(name).log_id for name in names]

    def _create(self, name: LogName) -> StoredLog:
        place = name.topic_id, name.partition
        log = self._by_place.get(place)
        if log is None:
            self._numbers += 1
            producers = LogProducers(self.rules._replace(verify=False))
            log = StoredLog(self._numbers, name, LogLedger(0, producers))
            self._by_place[place] = self.logs[log.log_id] = log
        return log

    def find_logs(self, names: Sequence[LogName]) -> list[int | None]:
        found = (self._by_place.get((name.topic_id, name.partition)) for name in names)
        return [None if log is None else log.log_id for log in found]

    def list_logs(self) -> list[LogRow]:
        return [LogRow(log.log_id, log.name) for log in self._by_place.values()]

    def delete_logs(self, log_ids: Sequence[int]) -> None:
        for log_id in log_ids:
            log = self._log(log_id)
            if log is not None:
                log.deleted = True
                log.blobs.clear()
                del self._by_place[log.name.topic_id, log.name.partition]

    def _log(self, log_id: int) -> StoredLog | None:
        log = self.logs.get(log_id)
        return None if log is None or log.deleted else log

    def positions(self, log_ids: Sequence[int]) -> list[LogPositions | None]:
        logs = (self._log(log_id) for log_id in log_ids)
        return [None if log is None else log.positions for log in logs]

    def configure(self, rules: ProducerRules) -> None:
        """Other rules, for all brokers."""
        self.rules = rules
        for log in self.logs.values():
            log.ledger.producers.configure(rules._replace(verify=False))

    # -- commits -------------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> list[RunOutcome] | Buried:
        """One commit, or what came of it before."""
        known = self.objects.get(commit.key)
        if known is not None:
            if known.state is ObjectState.TOMBSTONE:
                return Buried(commit.key)
            assert known.outcomes is not None, "the key of a merge is no commit's"
            return [outcome._replace(positions=None) for outcome in known.outcomes]
        stored = self._add_object(commit.key, commit.size)
        now = self.clock.wall_millis()
        for run in commit.runs:
            if run.log_id in self.logs:
                self.logs[run.log_id].ledger.broken = False
        results: list[list[AppendOutcome]] = []
        for run in commit.runs:
            results.append(self._commit_run(run, results, stored, now))
        outcomes = []
        for run, appends in zip(commit.runs, results, strict=True):
            log = self._log(run.log_id)
            positions = None if log is None else log.positions
            first = appends[0]
            if isinstance(first, Taken) and all_taken(appends):
                outcomes.append(RunOutcome(first.base_offset, None, positions))
            else:
                outcomes.append(RunOutcome(-1, appends, positions))
        stored.outcomes = outcomes
        self._release(stored, 0, grace=0)
        return outcomes

    def commit_all(self, commits: Sequence[Commit]) -> list[list[RunOutcome] | Buried]:
        """Several commits, one after the other."""
        answers: list[list[RunOutcome] | Buried] = []
        broken: set[int] = set()
        for commit in commits:
            answer = self.commit(behind(commit, broken))
            if not isinstance(answer, Buried):
                broken |= broken_logs(commit, answer)
            answers.append(answer)
        return answers

    def _commit_run(
        self, run: CommitRun, before: Sequence[Sequence[AppendOutcome]], stored: StoredObject, now: int
    ) -> list[AppendOutcome]:
        log = self._log(run.log_id)
        refused: KafkaError | WrongEnd | None = unknown_log(run.log_id) if log is None else None
        if run.after is not None:
            refused = refusal(before[run.after]) or refused
        if log is None or refused is not None:
            assert refused is not None
            return [refused for _ in run.appends]
        outcomes: list[AppendOutcome] = []
        position = 0
        row: StoredRun | None = None  # of the appends taken without one refused between them
        for append in run.appends:
            outcome = log.ledger.judge(append, now)
            outcomes.append(outcome)
            if not isinstance(outcome, Taken):
                row = None
            else:
                inline = None if run.inline is None else bytes(run.inline[position : position + append.length])
                if row is not None:
                    log.runs.pop()
                    row = row._replace(
                        last_offset=row.last_offset + append.offsets,
                        length=row.length + append.length,
                        max_timestamp=max(row.max_timestamp, append.max_timestamp),
                        inline=None if inline is None or row.inline is None else row.inline + inline,
                    )
                else:
                    stored.live += inline is None
                    row = StoredRun(
                        outcome.base_offset,
                        outcome.base_offset + append.offsets - 1,
                        0 if inline is not None else stored.object_id,
                        "" if inline is not None else stored.key,
                        0 if inline is not None else run.position + position,
                        append.length,
                        append.max_timestamp,
                        RunKind.RELATIVE,
                        inline,
                    )
                log.runs.append(row)
            position += append.length
        log.aborted += [completed for completed in log.ledger.completed if completed.aborted]
        log.ledger.completed.clear()
        return outcomes

    def _add_object(self, key: str, size: int) -> StoredObject:
        self._numbers += 1
        state = ObjectState.LIVE if size else ObjectState.INLINE
        stored = StoredObject(self._numbers, key, size, state, due=self.clock.wall_millis() + INLINE_KEY_MS)
        self.objects[key] = stored
        return stored

    def _release(self, stored: StoredObject, runs: int, grace: int = DELETION_GRACE_MS) -> None:
        """So many runs less lie in this object; with the last one its end begins."""
        stored.live -= runs
        assert stored.live >= 0
        if stored.live == 0 and stored.state is ObjectState.LIVE:
            stored.state = ObjectState.DELETING
            stored.due = self.clock.wall_millis() + grace

    # -- reading -------------------------------------------------------------------------------------------------------

    def runs(self, question: RunsQuestion) -> LogRuns | None:
        log = self._log(question.log_id)
        if log is None:
            return None
        found: list[StoredRun] = []
        size = 0
        for run in log.runs:
            if run.last_offset < question.start:
                continue
            if run.base_offset >= question.upto or (found and size >= question.max_bytes):
                break
            found.append(run)
            size += run.length
        aborted: list[AbortedSpan] = []
        if question.committed and found:
            aborted = self._overlapping(log, question.start, min(question.upto, found[-1].last_offset + 1))
        return LogRuns(log.positions, found, aborted)

    def _overlapping(self, log: StoredLog, start: int, upto: int) -> list[AbortedSpan]:
        return [
            AbortedSpan(span.producer_id, span.first_offset, span.last_offset)
            for span in log.aborted
            if span.last_offset >= start and span.first_offset < upto
        ]

    def aborted(self, log_id: int, start: int, upto: int) -> list[AbortedSpan]:
        log = self._log(log_id)
        return [] if log is None else self._overlapping(log, start, upto)

    def _readable(self, log_id: int) -> Iterable[StoredRun]:
        log = self._log(log_id)
        return () if log is None else (run for run in log.runs if run.last_offset >= log.start)

    def run_for_time(self, log_id: int, timestamp: int) -> StoredRun | None:
        return next((run for run in self._readable(log_id) if run.max_timestamp >= timestamp), None)

    def run_of_latest(self, log_id: int) -> StoredRun | None:
        return max(self._readable(log_id), key=lambda run: run.max_timestamp, default=None)

    def producers(self, log_id: int, producer_ids: Sequence[int] | None) -> list[ProducerState]:
        log = self._log(log_id)
        if log is None:
            return []
        producers = log.ledger.producers
        producers.expire(self.clock.wall_millis())
        return [s for s in producers.snapshot() if producer_ids is None or s.producer_id in producer_ids]

    # -- log starts, retention -----------------------------------------------------------------------------------------

    def delete_before(self, log_id: int, offset: int) -> LogPositions:
        log = self._log(log_id)
        if log is None:
            raise unknown_log(log_id)
        if not 0 <= offset <= log.ledger.end:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, f"offset {offset} of a log that ends at {log.ledger.end}")
        log.start = max(log.start, offset)
        return log.positions

    def expire(self, limits: Sequence[Retention]) -> list[tuple[int, LogPositions]]:
        now = self.clock.wall_millis()
        moved = []
        for log_id, retention_ms, retention_bytes in limits:
            log = self._log(log_id)
            if log is None:
                continue
            runs = [run for run in log.runs if run.last_offset >= log.start]
            ages, newest = [], -1
            for run in runs:
                newest = max(newest, run.max_timestamp)
                ages.append(SegmentAge(run.length, newest if newest >= 0 else now))
            config = LogConfig(retention_ms=retention_ms, retention_bytes=retention_bytes)
            verdict = judge(ages, sum(run.length for run in runs), config, now)
            if verdict.expired:
                log.start = max(log.start, runs[verdict.expired - 1].last_offset + 1)
                moved.append((log_id, log.positions))
        return moved

    def trim(self, limit: int) -> int:
        count = 0
        for log in list(self.logs.values()):
            while log.runs and count < limit and (log.deleted or log.runs[0].last_offset < log.start):
                self._drop(log.runs.pop(0))
                count += 1
            log.aborted = [span for span in log.aborted if span.last_offset >= log.start]
            if log.deleted and not log.runs:
                del self.logs[log.log_id]
        return count

    def _drop(self, run: StoredRun) -> None:
        if run.inline is None:
            self._release(self.objects[run.key], 1)

    def expire_producers(self, limit: int) -> int:
        now = self.clock.wall_millis()
        return sum(log.ledger.producers.expire(now) for log in self.logs.values())

    # -- merging and compaction ----------------------------------------------------------------------------------------

    def merge_candidates(self, least_runs: int, limit: int) -> list[MergeCandidate]:
        candidates = []
        for log in self._by_place.values():
            loose = sum(run.kind is RunKind.RELATIVE for run in log.runs)
            if loose >= least_runs:
                candidates.append(MergeCandidate(log.log_id, loose))
        return sorted(candidates, key=lambda candidate: -candidate.runs)[:limit]

    def swap(self, swap: Swap) -> list[bool] | Buried:
        known = self.objects.get(swap.key)
        if known is not None:
            return Buried(swap.key) if known.swapped is None else known.swapped
        stored = self._add_object(swap.key, swap.size)
        stored.swapped = [self._swap_in(log_swap, stored) for log_swap in swap.logs]
        self._release(stored, 0, grace=0)
        return stored.swapped

    def _swap_in(self, swap: LogSwap, stored: StoredObject) -> bool:
        log = self._log(swap.log_id)
        if log is None or swap.planned[0] not in log.runs:
            return False
        first = log.runs.index(swap.planned[0])
        end = first + len(swap.planned)
        if log.runs[first:end] != list(swap.planned):
            return False
        replaced = log.runs[first:end]
        log.runs[first:end] = [_stored(new, stored) for new in swap.new]
        stored.live += sum(new.inline is None for new in swap.new)
        for run in replaced:
            self._drop(run)
        log.aborted = [span for span in log.aborted if span.last_offset not in swap.forgotten]
        return True

    def adopt(self, key: str, size: int, logs: Sequence[Adoption]) -> list[WrongEnd | KafkaError | None] | Buried:
        known = self.objects.get(key)
        if known is not None:
            return Buried(key) if known.adopted is None else known.adopted
        stored = self._add_object(key, size)
        stored.adopted = [self._adopt(adoption, stored) for adoption in logs]
        self._release(stored, 0, grace=0)
        return stored.adopted

    def _adopt(self, adoption: Adoption, stored: StoredObject) -> WrongEnd | KafkaError | None:
        log = self._log(adoption.log_id)
        if log is None:
            return unknown_log(adoption.log_id)
        if log.ledger.end != adoption.expected_end:
            return WrongEnd(adoption.expected_end, log.ledger.end)
        log.runs += [_stored(new, stored) for new in adoption.runs]
        stored.live += sum(new.inline is None for new in adoption.runs)
        producers = LogProducers(self.rules._replace(verify=False))
        producers.restore(adoption.producers, self.clock.wall_millis())
        log.ledger = LogLedger(adoption.end, producers)
        log.start = adoption.start
        log.aborted += [
            CompletedTransaction(span.producer_id, span.first_offset, span.last_offset, True, span.first_offset)
            for span in adoption.aborted
        ]
        return None

    # -- objects -------------------------------------------------------------------------------------------------------

    def deletable(self, limit: int) -> list[str]:
        now = self.clock.wall_millis()
        due = [stored for stored in self.objects.values() if stored.state is ObjectState.DELETING and stored.due <= now]
        due = sorted(due, key=lambda stored: stored.due)[:limit]
        for stored in due:
            stored.due = now + CLAIM_MS
        return [stored.key for stored in due]

    def deleted(self, keys: Sequence[str]) -> None:
        for key in keys:
            stored = self.objects.get(key)
            if stored is not None and stored.state is ObjectState.DELETING:
                stored.state = ObjectState.TOMBSTONE
                stored.due = self.clock.wall_millis() + TOMBSTONE_MS
                stored.outcomes = stored.swapped = stored.adopted = None

    def bury(self, keys: Sequence[str]) -> list[str]:
        buried = []
        for key in keys:
            stored = self.objects.get(key)
            if stored is None:
                stored = self._add_object(key, 0)
                stored.state, stored.due = ObjectState.TOMBSTONE, self.clock.wall_millis() + TOMBSTONE_MS
            if stored.state is ObjectState.TOMBSTONE:
                buried.append(key)
        return buried

    def forget_tombstones(self, limit: int) -> int:
        now = self.clock.wall_millis()
        gone = [
            stored.key
            for stored in self.objects.values()
            if stored.state in (ObjectState.TOMBSTONE, ObjectState.INLINE) and stored.due <= now
        ][:limit]
        for key in gone:
            del self.objects[key]
        return len(gone)

    def object_counts(self) -> ObjectCounts:
        of = {
            state: [stored.size for stored in self.objects.values() if stored.state is state] for state in ObjectState
        }
        live, deleting = of[ObjectState.LIVE], of[ObjectState.DELETING]
        return ObjectCounts(len(live), sum(live), len(deleting), sum(deleting), len(of[ObjectState.TOMBSTONE]))

    # -- beside the logs -----------------------------------------------------------------------------------------------

    def blobs(self, log_id: int) -> list[StoredBlob]:
        log = self._log(log_id)
        return [] if log is None else [StoredBlob(name, len(log.blobs[name])) for name in sorted(log.blobs)]

    def read_blob(self, log_id: int, name: str) -> bytes | None:
        log = self._log(log_id)
        return None if log is None else log.blobs.get(name)

    def write_blob(self, log_id: int, name: str, content: bytes) -> bool:
        log = self._log(log_id)
        if log is None:
            return False
        log.blobs[name] = content
        return True

    def remove_blobs(self, log_id: int, names: Sequence[str]) -> None:
        log = self._log(log_id)
        if log is not None:
            for name in names:
                log.blobs.pop(name, None)

    def setting(self, name: str) -> bytes | None:
        return self.settings.get(name)

    def settle(self, name: str, value: bytes) -> bytes:
        return self.settings.setdefault(name, value)

    # -- for tests -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what the rows promise: runs in order and without overlap, live counts, producers."""
        live: dict[str, int] = {}
        for log in self.logs.values():
            end = 0
            for run in log.runs:
                assert end <= run.base_offset <= run.last_offset, "runs lie one behind the other"
                end = run.last_offset + 1
                if run.inline is None:
                    live[run.key] = live.get(run.key, 0) + 1
            assert end <= log.ledger.end, "the log ends behind its last run"
            assert log.start <= log.ledger.end, "the log starts before its end"
            log.ledger.producers.check_invariants()
        for stored in self.objects.values():
            assert stored.live == live.pop(stored.key, 0), f"{stored.key} knows how many runs lie in it"
            assert (stored.live > 0) == (stored.state is ObjectState.LIVE), f"{stored.key} is live while it has runs"
        assert not live, f"no run lies in an object without a row: {live}"
