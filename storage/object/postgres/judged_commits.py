"""A commit that is not plain: judged here, append by append, by the rules that every engine has.

Two ways there and back, in one transaction. The first makes the object's row, locks the rows of its logs and brings
what there is to know of them: ends, the producers that the commit names, all open transactions. Then the appends are
judged (`storage/object/judgement.py`), while the locks are held, and the second writes what has come of it and commits.

It is slower than the plain case (some 2 ms instead of one, more for hundreds of logs), and right in every case: a
repetition beside new batches, a wrong end, a deleted log, a fenced producer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from kproto.errors import KafkaError
from storage.object.control_plane import (
    AppendOutcome,
    Commit,
    CommitRun,
    Fenced,
    LogPositions,
    RunAppend,
    RunKind,
    RunOutcome,
    Taken,
)
from storage.object.judgement import LogLedger, all_taken, refusal, unknown_log
from storage.object.postgres.connection import Call, Connection, Statement
from storage.object.postgres.outcomes import pack
from storage.object.postgres.values import Parameter, Row, number, numbers, optional_numbers, raw, raws, text
from storage.producers import MAX_PRODUCERS, LogProducers, ProducerState
from storage.store_settings import ProducerRules

_SEQUENCE_MASK: Final = 0x7FFF_FFFF

_BEGIN: Final = Statement("begin", "BEGIN")
COMMIT: Final[Call] = (Statement("commit", "COMMIT"), ())
_ROLLBACK: Final = Statement("rollback", "ROLLBACK")
_OBJECT: Final = Statement(
    "judged_object",
    "INSERT INTO ottla.obj (key, state, node_id, bytes, live, due) VALUES "
    "($1::text, CASE WHEN $2::bigint > 0 THEN 1 ELSE 3 END, $3::int, $2::bigint, 0, ottla.now_ms() + $4::bigint) "
    "ON CONFLICT DO NOTHING RETURNING obj_id",
)
_BROKER: Final = Statement(
    "judged_broker",
    "SELECT ottla.now_ms() FROM ottla.broker WHERE node_id = $1::int AND incarnation = $2::uuid FOR KEY SHARE",
)
_LOCK: Final = Statement("lock_parts", "SELECT ottla.lock_parts($1::bigint[])")
_PARTS: Final = Statement(
    "judged_parts",
    "SELECT part_id, log_start, next_offset, first_unstable, bytes, cum_max_ts FROM ottla.part "
    "WHERE part_id = ANY ($1::bigint[]) AND NOT deleted",
)
PRODUCER_COLUMNS: Final = (
    "pid, epoch, next_seq, last_ts, seen, txn_start, marker, coordinator_epoch, s1, s2, s3, s4, s5, o1, o2, o3, o4, o5"
)
_PRODUCERS: Final = Statement(
    "judged_producers",
    f"SELECT part_id, {PRODUCER_COLUMNS} FROM ottla.prod WHERE part_id = ANY ($1::bigint[]) "
    "AND (pid = ANY ($2::bigint[]) OR txn_start IS NOT NULL)",
)
RUNS: Final = Statement(
    "judged_runs",
    "INSERT INTO ottla.run (part_id, last, base, obj_id, max_ts, cum_max_ts, pos, len, kind, inline) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], "
    "$7::int[], $8::int[], $9::smallint[], $10::bytea[])",
)
_ADVANCE: Final = Statement(
    "judged_advance",
    "UPDATE ottla.part p SET next_offset = u.next_offset, first_unstable = u.first_unstable, bytes = u.bytes, "
    "cum_max_ts = u.cum_max_ts, loose = p.loose + u.runs "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[]) "
    "AS u (part_id, next_offset, first_unstable, bytes, cum_max_ts, runs) WHERE p.part_id = u.part_id",
)
REMEMBER: Final = Statement(
    "judged_remember",
    f"INSERT INTO ottla.prod (part_id, {PRODUCER_COLUMNS}) SELECT * FROM unnest("
    "$1::bigint[], $2::bigint[], $3::smallint[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], "
    "$9::int[], $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], "
    "$15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[]) "
    "ON CONFLICT (part_id, pid) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in PRODUCER_COLUMNS.split(", ")[1:]),
)
ABORTED: Final = Statement(
    "judged_aborted",
    "INSERT INTO ottla.aborted (part_id, last_off, first_off, stable, pid) SELECT * FROM unnest("
    "$1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])",
)
_OUTCOMES: Final = Statement(
    "judged_outcomes",
    "UPDATE ottla.obj SET live = $2::int, outcomes = $3::bytea, "
    "state = CASE WHEN state = 1 AND $2::int = 0 THEN 2 ELSE state END, "
    "due = CASE WHEN state = 1 AND $2::int = 0 THEN ottla.now_ms() ELSE due END WHERE obj_id = $1::bigint",
)


def outcome_call(object_id: int, live: int, outcomes: bytes) -> Call:
    """What has come of it, with so many runs in the object."""
    return _OUTCOMES, (number(object_id), number(live), raw(outcomes))


class Known(Exception):
    """The key of the commit is known: what has become of it stands in its row."""


class _Log:
    """A log's row, locked, and what the commit makes of it."""

    def __init__(self, row: Row, producers: LogProducers) -> None:
        self.log_id, self.start, end, _, self.size, self.newest = row
        self.ledger = LogLedger(end, producers)
        self.first_end = end
        self.runs = 0
        self.touched: set[int] = set()

    @property
    def positions(self) -> LogPositions:
        return LogPositions(self.start, self.ledger.end, self.ledger.last_stable_offset(self.start), self.size)


@asynccontextmanager
async def locked(
    connection: Connection,
    key: str,
    size: int,
    log_ids: Sequence[int],
    node: Parameter,
    incarnation: Parameter,
    inline_key_ms: Parameter,
    *further: Call,
) -> AsyncIterator[tuple[int, int, list[list[Row]]]]:
    """A transaction that has made the object's row and locked its logs: the object's number, the time, the rows of the
    logs, and what `further` asks. It is open at the end; the last statement of the context is a commit.

    Raises Known, Fenced, and what `Connection.run` does. After any other failure the connection is closed.
    """
    parts = numbers(sorted(set(log_ids)))
    done = False
    try:
        _, made, broker, _, *answers = await connection.run(
            [
                (_BEGIN, ()),
                (_OBJECT, (text(key), number(size), node, inline_key_ms)),
                (_BROKER, (node, incarnation)),
                (_LOCK, (parts,)),
                (_PARTS, (parts,)),
                *further,
            ],
            changes=False,
        )
        if not broker or not made:
            await connection.run([(_ROLLBACK, ())], changes=False)
            done = True
            raise Known() if broker else Fenced("another process has taken this node id")
        ((object_id,),), ((now,),) = made, broker
        yield object_id, now, answers
        done = True
    finally:
        if not done:
            connection.close()


async def commit_judged(
    connection: Connection,
    commit: Commit,
    node: Parameter,
    incarnation: Parameter,
    rules: ProducerRules,
    inline_key_ms: Parameter,
) -> list[RunOutcome]:
    """Carry it out on a connection that no other task uses. Raises Known, Fenced, and what `Connection.run` does."""
    log_ids = [run.log_id for run in commit.runs]
    producer_ids = {header.producer_id for run in commit.runs for append in run.appends for header, _ in append.batches}
    producers = _PRODUCERS, (numbers(sorted(set(log_ids))), numbers(sorted(producer_ids)))
    begun = locked(connection, commit.key, commit.size, log_ids, node, incarnation, inline_key_ms, producers)
    async with begun as (object_id, now, [parts, known]):
        judged = _Judgement(commit, object_id, _logs(parts, known, now, rules), now)
        await connection.run([*judged.calls(), COMMIT], changes=True)
        return judged.outcomes


def _logs(parts: list[Row], known: list[Row], now: int, rules: ProducerRules) -> dict[int, _Log]:
    """What there is to know of the logs."""
    rules = rules._replace(verify=False)
    logs = {row[0]: _Log(row, LogProducers(rules, max_producers=MAX_PRODUCERS)) for row in parts}
    for log_id, rows in groupby(sorted(known, key=lambda row: row[:2]), key=lambda row: row[0]):
        log = logs.get(log_id)
        if log is not None:
            remembered = [row[1:] for row in rows if not expired(row[1:], now, rules)]
            log.ledger.producers.restore((state for row in remembered for state in states(row)), now)
            log.ledger.markers = {row[0]: row[6] for row in remembered if row[6] is not None}
    return logs


@dataclass(slots=True)
class _Run:
    """A row of `ottla.run` to be."""

    log_id: int
    base: int
    position: int
    last: int = 0
    length: int = 0
    object_id: int = 0
    max_timestamp: int = -1
    newest: int = -1
    inline: bytes | None = None

    @property
    def columns(self) -> tuple[Any, ...]:
        return (
            self.log_id, self.last, self.base, self.object_id, self.max_timestamp, self.newest, self.position,
            self.length, int(RunKind.RELATIVE), self.inline,
        )  # fmt: skip


class _Judgement:
    """What becomes of each append, and the rows that follow from it."""

    def __init__(self, commit: Commit, object_id: int, logs: dict[int, _Log], now: int) -> None:
        self._object_id = object_id
        self._logs = logs
        self._now = now
        self._runs: list[_Run] = []
        self._live = 0
        judged: list[list[AppendOutcome]] = []
        for run in commit.runs:
            judged.append(self._judge(run, judged))
        self.outcomes = [self._outcome(run, appends) for run, appends in zip(commit.runs, judged, strict=True)]

    def _judge(self, run: CommitRun, before: Sequence[Sequence[AppendOutcome]]) -> list[AppendOutcome]:
        log = self._logs.get(run.log_id)
        refused: KafkaError | Exception | None = unknown_log(run.log_id) if log is None else None
        if run.after is not None:
            refused = refusal(before[run.after]) or refused
        if log is None or refused is not None:
            assert refused is not None
            return [refused for _ in run.appends]  # type: ignore[misc]  # a KafkaError or WrongEnd
        outcomes: list[AppendOutcome] = []
        position = 0
        row: _Run | None = None  # of the appends taken without one refused between them
        for append in run.appends:
            outcome = log.ledger.judge(append, self._now)
            outcomes.append(outcome)
            if isinstance(outcome, Taken):
                row = self._lay(log, run, append, outcome.base_offset, position, row)
            else:
                row = None
            position += append.length
        return outcomes

    def _lay(self, log: _Log, run: CommitRun, append: RunAppend, base: int, position: int, row: _Run | None) -> _Run:
        """The row of an append that is taken: `row`, if that ends where this begins, or a new one."""
        log.newest = max(log.newest, append.max_timestamp)
        log.size += append.length
        log.touched.update(header.producer_id for header, _ in append.batches if header.producer_id >= 0)
        if row is None:
            row = _Run(log.log_id, base, run.position + position)
            if run.inline is not None:
                row.position, row.inline = 0, b""
            else:
                row.object_id = self._object_id
                self._live += 1
            log.runs += 1
            self._runs.append(row)
        row.last = base + append.offsets - 1
        row.length += append.length
        row.max_timestamp = max(row.max_timestamp, append.max_timestamp)
        row.newest = log.newest
        if run.inline is not None and row.inline is not None:
            row.inline += bytes(run.inline[position : position + append.length])
        return row

    def _outcome(self, run: CommitRun, appends: Sequence[AppendOutcome]) -> RunOutcome:
        log = self._logs.get(run.log_id)
        positions = None if log is None else log.positions
        first = appends[0]
        if isinstance(first, Taken) and all_taken(appends):
            return RunOutcome(first.base_offset, None, positions)
        return RunOutcome(-1, appends, positions)

    def calls(self) -> list[Call]:
        """The rows, as statements."""
        calls: list[Call] = []
        changed = [log for log in self._logs.values() if log.runs]
        if self._runs:
            *columns, inline = zip(*(run.columns for run in self._runs), strict=True)
            calls.append((RUNS, (*map(numbers, columns), raws(inline))))
            calls.append(
                (
                    _ADVANCE,
                    (
                        numbers(log.log_id for log in changed),
                        numbers(log.ledger.end for log in changed),
                        optional_numbers(_first_unstable(log) for log in changed),
                        numbers(log.size for log in changed),
                        numbers(log.newest for log in changed),
                        numbers(log.runs for log in changed),
                    ),
                )
            )
        remembered = [
            (log.log_id, *row)
            for log in changed
            for row in producer_rows(log.ledger, log.touched, self._now)
        ]  # fmt: skip
        if remembered:
            calls.append((REMEMBER, tuple(map(optional_numbers, zip(*remembered, strict=True)))))
        aborted = [
            (log.log_id, span.last_offset, span.first_offset, span.last_stable_offset, span.producer_id)
            for log in changed
            for span in log.ledger.completed
            if span.aborted
        ]
        if aborted:
            calls.append((ABORTED, tuple(map(numbers, zip(*aborted, strict=True)))))
        calls.append(outcome_call(self._object_id, self._live, pack(self.outcomes)))
        return calls


def _first_unstable(log: _Log) -> int | None:
    stable = log.ledger.producers.last_stable_offset(log.ledger.end)
    return stable if log.ledger.producers.has_open_transactions else None


# -- rows of producers -------------------------------------------------------------------------------------------------


def expired(row: Sequence[Any], now: int, rules: ProducerRules) -> bool:
    """Whether a row of `PRODUCER_COLUMNS` is as good as none."""
    return row[5] is None and now - row[4] >= rules.expiration


def states(row: Sequence[Any]) -> list[ProducerState]:
    """What a row of `PRODUCER_COLUMNS` says, as `LogProducers.restore` takes it."""
    pid, epoch, following, last_ts, _, txn_start, _, coordinator_epoch = row[:8]
    start = -1 if txn_start is None else txn_start
    window = [(s, o) for s, o in zip(row[8:13], row[13:18], strict=True) if s is not None]
    if not window:
        return [ProducerState(pid, epoch, -1, -1, 0, last_ts, coordinator_epoch, start)]
    found = []
    for first, offset in window:
        if first < 0:
            found.append(ProducerState(pid, epoch, -1, offset, 0, last_ts, coordinator_epoch, start))
            break
        last = (following - 1) & _SEQUENCE_MASK
        delta = (last - first) & _SEQUENCE_MASK
        found.append(ProducerState(pid, epoch, last, offset + delta, delta, last_ts, coordinator_epoch, start))
        following = first
    return found[::-1]


def producer_rows(ledger: LogLedger, producer_ids: Iterable[int], now: int) -> list[tuple[int | None, ...]]:
    """Rows of `PRODUCER_COLUMNS` for these producers, as the ledger has them now."""
    wanted = set(producer_ids)
    found = []
    snapshot = (state for state in ledger.producers.snapshot() if state.producer_id in wanted)
    for producer_id, group in groupby(snapshot, key=lambda state: state.producer_id):
        of_one = list(group)
        last = of_one[-1]
        window: list[tuple[int, int]] = []
        for state in of_one:
            if state.last_offset < 0:
                continue
            if state.last_sequence < 0:
                window = [(-1, state.last_offset)]
                continue
            if window and window[0][0] < 0:
                window = []
            window.insert(
                0, ((state.last_sequence - state.offset_delta) & _SEQUENCE_MASK, state.last_offset - state.offset_delta)
            )
        following = (last.last_sequence + 1) & _SEQUENCE_MASK if window and last.last_sequence >= 0 else 0
        start = last.transaction_first_offset
        blank: list[int | None] = [None] * (5 - len(window))
        found.append(
            (
                producer_id,
                last.producer_epoch,
                following,
                last.timestamp,
                now,
                start if start >= 0 else None,
                ledger.markers.get(producer_id),
                last.coordinator_epoch,
                *[sequence for sequence, _ in window],
                *blank,
                *[offset for _, offset in window],
                *blank,
            )
        )
    return found
