"""The control plane on PostgreSQL: `ControlPlane`'s questions as statements, and its promises about failures.

A **commit** goes the shortest way that fits:

1. Those that are given together are tried as one transaction, in the plain way (`plain_commits.py`, `sql/commits.sql`),
   with the rows of all their logs locked first, in order.
2. If something in it is not plain, each is carried out by itself: plainly, else judged (`judged_commits.py`).
3. If its key is known, the answer is what its row says.

A deadlock, a serialisation failure or a lock that is not to be had for two seconds has changed nothing: what was asked
is asked again a few times, and is then Unavailable. Everything that changes something is done under the fence: the row
of this broker is locked against a change of its incarnation until the transaction ends.

Sources: PostgreSQL's documentation, Appendix A (Error Codes).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

import trio

from kproto.errors import ErrorCode, KafkaError
from kproto.ids import format_uuid
from storage.blobs import StoredBlob
from storage.engine import StoreError, WrongEnd
from storage.membership import LEASE_MS
from storage.object.control_plane import (
    DELETION_GRACE_MS,
    INLINE_KEY_MS,
    TOMBSTONE_MS,
    AbortedSpan,
    Adoption,
    Buried,
    Commit,
    ControlPlaneError,
    Fenced,
    LogName,
    LogPositions,
    LogRow,
    LogRuns,
    MergeCandidate,
    ObjectCounts,
    Retention,
    RunKind,
    RunOutcome,
    RunsQuestion,
    StoredRun,
    Swap,
    Unavailable,
)
from storage.object.judgement import behind, broken_logs, unknown_log
from storage.object.postgres import statements as sql
from storage.object.postgres.adoption import adopt, answers_of
from storage.object.postgres.connection import ANSWER_SECONDS, Call, Connection, Refused, Statement
from storage.object.postgres.conninfo import parse
from storage.object.postgres.judged_commits import Known, commit_judged, expired, states
from storage.object.postgres.outcomes import unpack
from storage.object.postgres.plain_commits import plain
from storage.object.postgres.pool import Pool
from storage.object.postgres.schema import prepare
from storage.object.postgres.values import (
    Parameter,
    Row,
    number,
    numbers,
    raw,
    raws,
    text,
    texts,
    truth,
    truths,
    uuid,
    uuids,
)
from storage.object.request_counts import RequestCounts
from storage.producers import MAX_PRODUCERS, ProducerState
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.statistics import RequestStatistics
from storage.store_settings import DEFAULT_RULES, ProducerRules

T = TypeVar("T")

NOT_PLAIN: Final = "OT001"
KNOWN: Final = "OT002"
FENCED: Final = "OT003"

_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialisation failure, deadlock: nothing has happened, and at once again it may go well."""

_LATER: Final = frozenset({"55P03", "57014", "25006", "53000", "53100", "53200", "53300", "53400", "57P05", "25P03"})
"""A lock not to be had, cancelled, read-only, out of resources, idle for too long: nothing has happened."""

_DONE, _NOT_PLAIN, _KNOWN = range(3)
"""What `ottla.commit_runs` says."""

_ATTEMPTS: Final = 5

TAKING_OVER_LEASES: Final = 5
"""For so many leases, `open` waits for an older process of the same node id to be dead."""


class PostgresControlPlane:
    """`ControlPlane` says what its methods promise."""

    def __init__(
        self,
        url: str,
        node_id: int,
        incarnation: bytes,
        *,
        clock: Clock,
        entropy: Entropy,
        rules: ProducerRules = DEFAULT_RULES,
        lease_ms: int = LEASE_MS,
        cluster_id: str | None = None,
    ) -> None:
        """`cluster_id` is what a database without a cluster gets; invented if it is None."""
        self.pool = Pool(parse(url), f"ottla {node_id}")
        self.lease_ms = lease_ms
        self._node_id = node_id
        self._incarnation = incarnation
        self._node = number(node_id)
        self._life = uuid(incarnation)
        self._clock = clock
        self._entropy = entropy
        self._rules = rules
        self._expiration = number(rules.expiration)
        self._counts = RequestCounts("question", failures=ControlPlaneError)
        self._log = get_logger("storage")
        self._cluster_id = ""
        self._wanted_id = cluster_id
        self._ahead = 0
        """How far the database's clock is ahead of our monotonic one."""

    @property
    def node_id(self) -> int:
        return self._node_id

    @property
    def incarnation(self) -> bytes:
        return self._incarnation

    @property
    def cluster_id(self) -> str:
        return self._cluster_id

    @property
    def location(self) -> str:
        return self.pool.place

    def questions(self) -> RequestStatistics:
        return self._counts.of("question")

    def wall_millis(self) -> int:
        return self._clock.monotonic_millis() + self._ahead

    def configure(self, rules: ProducerRules) -> None:
        self._rules = rules
        self._expiration = number(rules.expiration)

    async def open(self) -> None:
        try:
            async with self.pool.limit:
                connection = await self.pool.take()
                try:
                    self._cluster_id = await prepare(
                        connection, self.pool.place, lambda: self._wanted_id or format_uuid(self._entropy.uuid())
                    )
                finally:
                    self.pool.give_back(connection)
            await self._take_node()
            await self._warn()
        except ControlPlaneError as error:
            raise StoreError(str(error)) from None

    async def _warn(self) -> None:
        """Say once, where people look first, that what is acknowledged could be lost; `ottla doctor` says more."""
        ((durable, standbys),) = await self.ask(sql.DURABILITY)
        if not durable:
            self._log.warning("the database may lose what it has committed", database=self.pool.place)
        elif not standbys:
            self._log.warning("the database has no synchronous standby", database=self.pool.place)

    async def _take_node(self) -> None:
        deadline = trio.current_time() + TAKING_OVER_LEASES * self.lease_ms / 1000
        while True:
            call = sql.TAKE_NODE, (self._node, self._life, number(self.lease_ms))
            (((left,),), ((now,),)) = await self.run([call, (sql.NOW, ())], changes=True)
            self.note_time(now)
            if left == 0:
                return
            if trio.current_time() >= deadline:
                raise StoreError(
                    f"another process lives under node id {self._node_id} in the database {self.pool.place}: "
                    "each broker needs a node id of its own"
                )
            await trio.sleep(min(left + 10, self.lease_ms) / 1000)

    async def close(self) -> None:
        self.pool.close()

    # -- asking --------------------------------------------------------------------------------------------------------

    async def run(self, calls: Sequence[Call], *, changes: bool, within: float = ANSWER_SECONDS) -> list[list[Row]]:
        """One transaction, again where that is safe. Raises Unavailable, OutcomeUnknown, Fenced; Refused for an error
        that a caller has asked for by its own code (`OT001`, `OT002`)."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self.pool.run(calls, changes=changes, within=within)
            except Refused as error:
                if error.sqlstate not in _AGAIN or attempt == _ATTEMPTS:
                    raise meaning(error) from None
                await trio.sleep(0.005 * attempt)
        raise AssertionError("the last attempt has returned or raised")

    async def ask(self, statement: Statement, *parameters: Parameter) -> list[Row]:
        """One question; its rows."""
        with self._counts.counted("question"):
            (rows,) = await self.run([(statement, parameters)], changes=False)
        return rows

    async def change(self, statement: Statement, *parameters: Parameter) -> list[Row]:
        """One change, under the fence; its rows."""
        fence = sql.FENCE, (self._node, self._life)
        with self._counts.counted("question"):
            _, rows = await self.run([fence, (statement, parameters)], changes=True)
        return rows

    def note_time(self, now: int) -> None:
        """The database has said what time it is."""
        self._ahead = now - self._clock.monotonic_millis()

    # -- logs ----------------------------------------------------------------------------------------------------------

    async def create_logs(self, names: Sequence[LogName]) -> list[int]:
        wanted = list({(name.topic_id, name.partition): name for name in names}.values())
        wanted.sort(key=lambda name: (name.topic_id, name.partition))
        if not wanted:
            return []
        await self.change(
            sql.CREATE_LOGS,
            uuids([name.topic_id for name in wanted]),
            numbers(name.partition for name in wanted),
            texts([name.topic for name in wanted]),
            truths(name.internal for name in wanted),
        )
        found = await self.find_logs(names)
        if None in found:
            raise Unavailable("a log was deleted while it was made")
        return [log_id for log_id in found if log_id is not None]

    async def find_logs(self, names: Sequence[LogName]) -> list[int | None]:
        rows = await self.ask(
            sql.FIND_LOGS, uuids([name.topic_id for name in names]), numbers(name.partition for name in names)
        )
        found: dict[int, int] = dict(cast(Any, rows))
        return [found.get(place) for place in range(1, len(names) + 1)]

    async def list_logs(self) -> list[LogRow]:
        return [
            LogRow(log_id, LogName(topic, topic_id, partition, internal))
            for log_id, topic, topic_id, partition, internal in await self.ask(sql.LIST_LOGS)
        ]

    async def delete_logs(self, log_ids: Sequence[int]) -> None:
        await self.change(sql.DELETE_LOGS, numbers(sorted(log_ids)))

    async def positions(self, log_ids: Sequence[int]) -> list[LogPositions | None]:
        rows = await self.ask(sql.POSITIONS, numbers(log_ids))
        found = {row[0]: _positions(*row[1:]) for row in rows}
        return [found.get(log_id) for log_id in log_ids]

    # -- commits -------------------------------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[list[RunOutcome] | Buried]:
        if len(commits) > 1:
            together = await self._commit_together(commits)
            if together is not None:
                return together
        answers: list[list[RunOutcome] | Buried] = []
        broken: set[int] = set()
        for commit in commits:
            answer = await self._commit_one(behind(commit, broken))
            if not isinstance(answer, Buried):
                broken |= broken_logs(commit, answer)
            answers.append(answer)
        return answers

    async def _commit_together(self, commits: Sequence[Commit]) -> list[list[RunOutcome] | Buried] | None:
        """All of them in one transaction, if all are plain; else None, and nothing has happened."""
        calls: list[Call] = []
        for commit in commits:
            parameters = self._plain(commit)
            if parameters is None:
                return None
            calls.append((sql.COMMIT_RUNS, [*parameters, truth(True)]))
        log_ids = sorted({run.log_id for commit in commits for run in commit.runs})
        try:
            _, *answers = await self.run([(sql.LOCK_PARTS, (numbers(log_ids),)), *calls], changes=True)
        except Refused:
            return None
        return [self._plain_outcomes(commit, rows) for commit, rows in zip(commits, answers, strict=True)]

    async def _commit_one(self, commit: Commit) -> list[RunOutcome] | Buried:
        parameters = self._plain(commit)
        if parameters is not None:
            try:
                (rows,) = await self.run([(sql.COMMIT_RUNS, [*parameters, truth(False)])], changes=True)
            except Refused as error:
                if error.sqlstate != NOT_PLAIN:
                    raise
                rows = [(_NOT_PLAIN,)]
            if rows[0][0] == _DONE:
                return self._plain_outcomes(commit, rows)
            if rows[0][0] == _KNOWN:
                return await self._known(commit.key)

        async def carry_out(connection: Connection) -> list[RunOutcome]:
            return await commit_judged(connection, commit, self._node, self._life, self._rules, number(INLINE_KEY_MS))

        try:
            return await self._on_one_connection(carry_out)
        except Known:
            return await self._known(commit.key)

    async def _on_one_connection(self, carry_out: Callable[[Connection], Awaitable[T]]) -> T:
        """Several ways there and back in one transaction; again where that is safe."""
        for attempt in range(1, _ATTEMPTS + 1):
            async with self.pool.limit:
                connection = await self.pool.take()
                try:
                    return await carry_out(connection)
                except Refused as error:
                    if error.sqlstate not in _AGAIN or attempt == _ATTEMPTS:
                        raise meaning(error) from None
                finally:
                    self.pool.give_back(connection)
            await trio.sleep(0.005 * attempt)
        raise AssertionError("the last attempt has returned or raised")

    def _plain(self, commit: Commit) -> list[Parameter] | None:
        return plain(commit, self._node, self._life, self._expiration, number(INLINE_KEY_MS))

    def _plain_outcomes(self, commit: Commit, rows: list[Row]) -> list[RunOutcome]:
        ((_, bases, starts, unstables, sizes, now),) = rows
        self.note_time(now)
        outcomes = []
        for run, base, start, unstable, size in zip(commit.runs, bases, starts, unstables, sizes, strict=True):
            appends = run.appends
            end = base + (appends[0].offsets if len(appends) == 1 else sum(append.offsets for append in appends))
            outcomes.append(RunOutcome(base, None, _positions(start, end, unstable, size)))
        return outcomes

    async def _known(self, key: str) -> list[RunOutcome] | Buried:
        """What has become of a commit whose key is known."""
        rows = await self.ask(sql.KNOWN_COMMIT, text(key))
        if not rows:
            raise Unavailable(f"the row of {key} has just been forgotten")
        ((bases, outcomes),) = rows
        if outcomes is not None:
            return unpack(outcomes)
        if bases is not None:
            return [RunOutcome(base, None, None) for base in bases]
        return Buried(key)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def runs(self, questions: Sequence[RunsQuestion]) -> list[LogRuns | None]:
        rows = await self.ask(
            sql.RUNS,
            numbers(question.log_id for question in questions),
            numbers(question.start for question in questions),
            numbers(question.max_bytes for question in questions),
            numbers(question.upto for question in questions),
            truths(question.committed for question in questions),
        )
        answers: list[LogRuns | None] = [None] * len(questions)
        runs: list[StoredRun] = []
        aborted: list[AbortedSpan] = []
        for question, what, a, b, c, d, key, position, length, kind, inline in rows:
            if what == 0:
                runs, aborted = [], []
                answers[question - 1] = LogRuns(_positions(a, b, c, d), runs, aborted)
            elif what == 1:
                runs.append(StoredRun(a, b, c, key or "", position, length, d, RunKind(kind), inline))
            else:
                aborted.append(AbortedSpan(a, b, c))
        return answers

    async def run_for_time(self, log_id: int, timestamp: int) -> StoredRun | None:
        return _one_run(await self.ask(sql.RUN_FOR_TIME, number(log_id), number(timestamp)))

    async def run_of_latest(self, log_id: int) -> StoredRun | None:
        return _one_run(await self.ask(sql.RUN_OF_LATEST, number(log_id)))

    async def aborted(self, log_id: int, start: int, upto: int) -> list[AbortedSpan]:
        return [AbortedSpan(*row) for row in await self.ask(sql.ABORTED, number(log_id), number(start), number(upto))]

    async def producers(self, log_id: int, producer_ids: Sequence[int] | None = None) -> list[ProducerState]:
        if producer_ids is None:
            rows = await self.ask(sql.PRODUCERS, number(log_id))
        else:
            rows = await self.ask(sql.SOME_PRODUCERS, number(log_id), numbers(producer_ids))
        return [state for now, *row in rows if not expired(row, now, self._rules) for state in states(row)]

    # -- log starts, retention -----------------------------------------------------------------------------------------

    async def delete_before(self, log_id: int, offset: int) -> LogPositions:
        rows = await self.change(sql.DELETE_BEFORE, number(log_id), number(offset))
        if rows:
            return _positions(*rows[0])
        (positions,) = await self.positions([log_id])
        if positions is None:
            raise unknown_log(log_id)
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, f"offset {offset} of a log that ends at {positions.end_offset}")

    async def expire(self, limits: Sequence[Retention]) -> list[tuple[int, LogPositions]]:
        rows = await self.change(
            sql.EXPIRE,
            numbers(limit.log_id for limit in limits),
            numbers(limit.retention_ms for limit in limits),
            numbers(limit.retention_bytes for limit in limits),
        )
        return [(log_id, _positions(*row)) for log_id, *row in rows]

    async def trim(self, limit: int) -> int:
        ((count,),) = await self.change(sql.TRIM, number(limit), number(DELETION_GRACE_MS))
        return int(count)

    async def expire_producers(self, limit: int) -> int:
        ((count,),) = await self.change(sql.EXPIRE_PRODUCERS, self._expiration, number(MAX_PRODUCERS), number(limit))
        return int(count)

    # -- merging and compaction ----------------------------------------------------------------------------------------

    async def merge_candidates(self, least_runs: int, limit: int) -> list[MergeCandidate]:
        return [MergeCandidate(*row) for row in await self.ask(sql.CANDIDATES, number(least_runs), number(limit))]

    async def swap(self, swap: Swap) -> list[bool] | Buried:
        planned = [(index, run) for index, log in enumerate(swap.logs, 1) for run in log.planned]
        new = [(index, run) for index, log in enumerate(swap.logs, 1) for run in log.new]
        forgotten = [(index, offset) for index, log in enumerate(swap.logs, 1) for offset in log.forgotten]
        parameters = (
            self._node,
            self._life,
            text(swap.key),
            number(swap.size),
            number(INLINE_KEY_MS),
            number(DELETION_GRACE_MS),
            numbers(log.log_id for log in swap.logs),
            numbers(index for index, _ in planned),
            numbers(run.base_offset for _, run in planned),
            numbers(run.last_offset for _, run in planned),
            numbers(run.object_id for _, run in planned),
            numbers(run.position for _, run in planned),
            numbers(run.length for _, run in planned),
            numbers(index for index, _ in new),
            numbers(run.base_offset for _, run in new),
            numbers(run.last_offset for _, run in new),
            numbers(run.position for _, run in new),
            numbers(run.length for _, run in new),
            numbers(run.max_timestamp for _, run in new),
            raws([run.inline for _, run in new]),
            numbers(index for index, _ in forgotten),
            numbers(offset for _, offset in forgotten),
        )
        try:
            (((done,),),) = await self.run([(sql.SWAP, parameters)], changes=True)
        except Refused as error:
            assert error.sqlstate == KNOWN, str(error)
            rows = await self.ask(sql.KNOWN_COMMIT, text(swap.key))
            done = rows[0][0] if rows else None
            if done is None:
                return Buried(swap.key)
        return [flag == 1 for flag in done]

    async def adopt(self, key: str, size: int, logs: Sequence[Adoption]) -> list[WrongEnd | KafkaError | None] | Buried:
        async def carry_out(connection: Connection) -> list[WrongEnd | KafkaError | None]:
            return await adopt(connection, key, size, logs, self._node, self._life, number(INLINE_KEY_MS), self._rules)

        try:
            return await self._on_one_connection(carry_out)
        except Known:
            known = await self._known(key)
            return known if isinstance(known, Buried) else answers_of(known)

    # -- objects -------------------------------------------------------------------------------------------------------

    async def deletable(self, limit: int) -> list[str]:
        return [key for _, key in sorted(await self.change(sql.DELETABLE, number(limit)))]

    async def deleted(self, keys: Sequence[str]) -> None:
        await self.change(sql.DELETED, texts(sorted(keys)), number(TOMBSTONE_MS))

    async def bury(self, keys: Sequence[str]) -> list[str]:
        rows = await self.change(sql.BURY, texts(sorted(keys)), self._node, number(TOMBSTONE_MS))
        gone = {key for (key,) in rows}
        rows = await self.ask(sql.BURIED, texts(keys))
        gone.update(key for (key,) in rows)
        return [key for key in keys if key in gone]

    async def forget_tombstones(self, limit: int) -> int:
        return len(await self.change(sql.FORGET_TOMBSTONES, number(limit)))

    async def object_counts(self) -> ObjectCounts:
        ((live, live_bytes, deleting, deleting_bytes, tombstones),) = await self.ask(sql.OBJECT_COUNTS)
        return ObjectCounts(live, int(live_bytes), deleting, int(deleting_bytes), tombstones)

    # -- beside the logs -----------------------------------------------------------------------------------------------

    async def blobs(self, log_id: int) -> list[StoredBlob]:
        return [StoredBlob(*row) for row in await self.ask(sql.BLOBS, number(log_id))]

    async def read_blob(self, log_id: int, name: str) -> bytes | None:
        rows = await self.ask(sql.READ_BLOB, number(log_id), text(name))
        return rows[0][0] if rows else None

    async def write_blob(self, log_id: int, name: str, content: bytes) -> bool:
        return bool(await self.change(sql.WRITE_BLOB, number(log_id), text(name), raw(content)))

    async def remove_blobs(self, log_id: int, names: Sequence[str]) -> None:
        await self.change(sql.REMOVE_BLOBS, number(log_id), texts(names))

    async def setting(self, name: str) -> bytes | None:
        rows = await self.ask(sql.SETTING, text(name))
        return rows[0][0] if rows else None

    async def settle(self, name: str, value: bytes) -> bytes:
        await self.change(sql.SETTLE, text(name), raw(value))
        found = await self.setting(name)
        assert found is not None, "a setting that was given a value has one"
        return found


def _positions(start: int, end: int, unstable: int | None, size: int) -> LogPositions:
    return LogPositions(start, end, max(start, end if unstable is None else unstable), size)


def _one_run(rows: list[Row]) -> StoredRun | None:
    if not rows:
        return None
    ((base, last, object_id, key, position, length, timestamp, kind, inline),) = rows
    return StoredRun(base, last, object_id, key or "", position, length, timestamp, RunKind(kind), inline)


def meaning(error: Refused) -> ControlPlaneError:
    """What an error of a statement is to the caller: it has been rolled back in any case."""
    if error.sqlstate == FENCED:
        return Fenced("another process has taken this node id")
    if error.sqlstate in (NOT_PLAIN, KNOWN):
        return error
    if error.sqlstate in _AGAIN or error.sqlstate in _LATER or error.sqlstate[:2] in ("08", "53", "58", "XX"):
        return Unavailable(str(error))
    raise AssertionError(f"a statement is wrong, or the schema is: {error} {error.detail}")
