"""The distributed engine's database, in memory: shared by several engines of one process, and able to fail on request.

    database = MemoryDatabase(clock, entropy)
    line = Line()
    plane = MemoryControlPlane(database, 1, line=line)
    line.plant("commit", Fault.LOST_REPLY)

A `Line` is the way from a broker to the database. Whatever is asked goes through it, and it can refuse, lose what was
asked or what was answered, let it happen late, or take its time. Delays are trio's, so a virtual
clock plays them. `chance` makes a line fail by itself, the same way for the same seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import trio

from kproto.errors import KafkaError
from storage.blobs import StoredBlob
from storage.engine import WrongEnd
from storage.object.control_plane import (
    AbortedSpan,
    Adoption,
    Buried,
    Commit,
    ControlPlaneError,
    LogName,
    LogPositions,
    LogRow,
    LogRuns,
    MergeCandidate,
    ObjectCounts,
    OutcomeUnknown,
    Retention,
    RunOutcome,
    RunsQuestion,
    StoredRun,
    Swap,
    Unavailable,
)
from storage.object.request_counts import RequestCounts
from storage.producers import ProducerState
from storage.seams.entropy import Entropy
from storage.statistics import RequestStatistics
from storage.store_settings import ProducerRules
from storage.testing.database import MemoryDatabase

T = TypeVar("T")


class Fault(Enum):
    """What can go wrong between a broker and its database."""

    REFUSED = "refused"
    """Unavailable: nothing has happened."""

    LOST_REQUEST = "lost request"
    """OutcomeUnknown, and nothing has happened."""

    LOST_REPLY = "lost reply"
    """OutcomeUnknown, and it has happened."""

    LATE = "late"
    """OutcomeUnknown, and it happens `Line.late_ms` from now, or when the same key is asked for."""


@dataclass
class _Planned:
    operation: str
    fault: Fault
    times: int | None


@dataclass
class _Late:
    keys: frozenset[str]
    due: float
    act: Callable[[], object]


class Line:
    """The way of one broker to the database, or of several."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.delay_ms: Callable[[str], float] = lambda operation: 0.0
        """How long an operation takes: half on the way there, half on the way back."""
        self.late_ms = 500.0
        self.down = False
        """Whether everything is refused."""
        self._planned: list[_Planned] = []
        self._chance: Callable[[str], Fault | None] = lambda operation: None

    def plant(self, operation: str, fault: Fault, *, times: int | None = 1) -> None:
        """Let the next `times` calls of `operation` (a method of `ControlPlane`) go wrong; None: until `heal`."""
        self._planned.append(_Planned(operation, fault, times))

    def chance(self, entropy: Entropy, per_thousand: int) -> None:
        """From now on, let so many of a thousand operations fail in one of the four ways."""
        faults = list(Fault)

        def roll(operation: str) -> Fault | None:
            first, second, which = entropy.bytes(3)
            return faults[which % len(faults)] if (first << 8 | second) % 1000 < per_thousand else None

        self._chance = roll

    def heal(self) -> None:
        """Fail no more."""
        self._planned.clear()
        self._chance = lambda operation: None
        self.down = False

    def fault(self, operation: str) -> Fault | None:
        """Count an operation; the fault that applies to it."""
        self.calls[operation] += 1
        if self.down:
            return Fault.REFUSED
        for planned in self._planned:
            if planned.operation == operation:
                if planned.times is not None:
                    planned.times -= 1
                    if planned.times <= 0:
                        self._planned.remove(planned)
                return planned.fault
        return self._chance(operation)


class MemoryControlPlane:
    """`ControlPlane` says what its methods promise."""

    def __init__(
        self, database: MemoryDatabase, node_id: int = 1, incarnation: bytes = bytes(16), *, line: Line | None = None
    ) -> None:
        self._database = database
        self._node_id = node_id
        self._incarnation = incarnation
        self.line = line or Line()
        self._late: list[_Late] = []
        self._counts = RequestCounts("question", failures=ControlPlaneError)

    @property
    def node_id(self) -> int:
        return self._node_id

    @property
    def incarnation(self) -> bytes:
        return self._incarnation

    @property
    def cluster_id(self) -> str:
        return self._database.cluster_id

    @property
    def location(self) -> str:
        return "memory"

    def questions(self) -> RequestStatistics:
        return self._counts.of("question")

    def wall_millis(self) -> int:
        return self._database.clock.wall_millis()

    def configure(self, rules: ProducerRules) -> None:
        self._database.configure(rules)

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()
        self._database.take(self._node_id, self._incarnation)

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    # -- the way there and back ----------------------------------------------------------------------------------------

    async def _look(self, operation: str, act: Callable[[], T]) -> T:
        """Ask something that changes nothing."""
        with self._counts.counted("question"):
            fault = self.line.fault(operation)
            await self._under_way(operation)
            if fault is not None:
                raise Unavailable(f"{operation}: the database was not reached ({fault.value})")
            self._let_happen(frozenset())
            answer = act()
            await self._under_way(operation)
            return answer

    async def _change(self, operation: str, act: Callable[[], T], keys: Sequence[str] = ()) -> T:
        """Ask for a change, under the fence; `keys` are those that make it happen once."""

        def fenced() -> T:
            self._database.check_fence(self._node_id, self._incarnation)
            return act()

        asked = frozenset(keys)
        fault = self.line.fault(operation)
        await self._under_way(operation)
        self._let_happen(asked)
        if fault is Fault.REFUSED:
            raise Unavailable(f"{operation}: the database has refused")
        if fault is Fault.LATE:
            self._late.append(_Late(asked, trio.current_time() + self.line.late_ms / 1000, fenced))
        if fault in (Fault.LATE, Fault.LOST_REQUEST):
            raise OutcomeUnknown(f"{operation}: no answer came ({fault.value})")
        answer = fenced()
        await self._under_way(operation)
        if fault is Fault.LOST_REPLY:
            raise OutcomeUnknown(f"{operation}: no answer came ({fault.value})")
        return answer

    async def _under_way(self, operation: str) -> None:
        await trio.sleep(self.line.delay_ms(operation) / 2000)

    def _let_happen(self, asked: frozenset[str]) -> None:
        """Carry out what is late: when its time has come, or before its key is used again."""
        due = [late for late in self._late if late.due <= trio.current_time() or late.keys & asked]
        for late in due:
            self._late.remove(late)
            with suppress(KafkaError, ControlPlaneError):  # its caller has gone, and learns of it by asking again
                late.act()

    # -- logs ----------------------------------------------------------------------------------------------------------

    async def create_logs(self, names: Sequence[LogName]) -> list[int]:
        return await self._change("create_logs", lambda: self._database.create_logs(names))

    async def find_logs(self, names: Sequence[LogName]) -> list[int | None]:
        return await self._look("find_logs", lambda: self._database.find_logs(names))

    async def list_logs(self) -> list[LogRow]:
        return await self._look("list_logs", self._database.list_logs)

    async def delete_logs(self, log_ids: Sequence[int]) -> None:
        await self._change("delete_logs", lambda: self._database.delete_logs(log_ids))

    async def positions(self, log_ids: Sequence[int]) -> list[LogPositions | None]:
        return await self._look("positions", lambda: self._database.positions(log_ids))

    # -- commits -------------------------------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[list[RunOutcome] | Buried]:
        return await self._change(
            "commit",
            lambda: self._database.commit_all(commits),
            [commit.key for commit in commits],
        )

    # -- reading -------------------------------------------------------------------------------------------------------

    async def runs(self, questions: Sequence[RunsQuestion]) -> list[LogRuns | None]:
        return await self._look("runs", lambda: [self._database.runs(question) for question in questions])

    async def run_for_time(self, log_id: int, timestamp: int) -> StoredRun | None:
        return await self._look("run_for_time", lambda: self._database.run_for_time(log_id, timestamp))

    async def run_of_latest(self, log_id: int) -> StoredRun | None:
        return await self._look("run_of_latest", lambda: self._database.run_of_latest(log_id))

    async def aborted(self, log_id: int, start: int, upto: int) -> list[AbortedSpan]:
        return await self._look("aborted", lambda: self._database.aborted(log_id, start, upto))

    async def producers(self, log_id: int, producer_ids: Sequence[int] | None = None) -> list[ProducerState]:
        return await self._look("producers", lambda: self._database.producers(log_id, producer_ids))

    # -- log starts, retention -----------------------------------------------------------------------------------------

    async def delete_before(self, log_id: int, offset: int) -> LogPositions:
        return await self._change("delete_before", lambda: self._database.delete_before(log_id, offset))

    async def expire(self, limits: Sequence[Retention]) -> list[tuple[int, LogPositions]]:
        return await self._change("expire", lambda: self._database.expire(limits))

    async def trim(self, limit: int) -> int:
        return await self._change("trim", lambda: self._database.trim(limit))

    async def expire_producers(self, limit: int) -> int:
        return await self._change("expire_producers", lambda: self._database.expire_producers(limit))

    # -- merging and compaction ----------------------------------------------------------------------------------------

    async def merge_candidates(self, least_runs: int, limit: int) -> list[MergeCandidate]:
        return await self._look("merge_candidates", lambda: self._database.merge_candidates(least_runs, limit))

    async def swap(self, swap: Swap) -> list[bool] | Buried:
        return await self._change("swap", lambda: self._database.swap(swap), [swap.key])

    async def adopt(self, key: str, size: int, logs: Sequence[Adoption]) -> list[WrongEnd | KafkaError | None] | Buried:
        return await self._change("adopt", lambda: self._database.adopt(key, size, logs), [key])

    # -- objects -------------------------------------------------------------------------------------------------------

    async def deletable(self, limit: int) -> list[str]:
        return await self._change("deletable", lambda: self._database.deletable(limit))

    async def deleted(self, keys: Sequence[str]) -> None:
        await self._change("deleted", lambda: self._database.deleted(keys), keys)

    async def bury(self, keys: Sequence[str]) -> list[str]:
        return await self._change("bury", lambda: self._database.bury(keys), keys)

    async def forget_tombstones(self, limit: int) -> int:
        return await self._change("forget_tombstones", lambda: self._database.forget_tombstones(limit))

    async def object_counts(self) -> ObjectCounts:
        return await self._look("object_counts", self._database.object_counts)

    # -- beside the logs -----------------------------------------------------------------------------------------------

    async def blobs(self, log_id: int) -> list[StoredBlob]:
        return await self._look("blobs", lambda: self._database.blobs(log_id))

    async def read_blob(self, log_id: int, name: str) -> bytes | None:
        return await self._look("read_blob", lambda: self._database.read_blob(log_id, name))

    async def write_blob(self, log_id: int, name: str, content: bytes) -> bool:
        return await self._change("write_blob", lambda: self._database.write_blob(log_id, name, content))

    async def remove_blobs(self, log_id: int, names: Sequence[str]) -> None:
        await self._change("remove_blobs", lambda: self._database.remove_blobs(log_id, names))

    async def setting(self, name: str) -> bytes | None:
        return await self._look("setting", lambda: self._database.setting(name))

    async def settle(self, name: str, value: bytes) -> bytes:
        return await self._change("settle", lambda: self._database.settle(name, value))
