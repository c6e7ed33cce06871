"""Brokers of one cluster on the bench: what the conformance suites of control planes work with.

    class TestPostgres(ControlPlaneConformance):
        @asynccontextmanager
        async def planes(self) -> AsyncIterator[Planes]:
            ...

`Planes.plane(node_id)` is an open control plane for one broker of a cluster over a fresh database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from storage.object.control_plane import (
    Buried,
    Commit,
    ControlPlane,
    LogPositions,
    RunAppend,
    RunOutcome,
    RunsQuestion,
    StoredRun,
    Taken,
)
from storage.testing.commit_builder import commit, name, shown

END = 1 << 62


class Planes(ABC):
    """The brokers of one cluster over one database."""

    @abstractmethod
    async def plane(self, node_id: int = 1, incarnation: bytes = bytes(16)) -> ControlPlane:
        """An open control plane for this broker."""

    @abstractmethod
    async def check(self) -> None:
        """Assert that the rows are in order, whatever has happened."""


class PlaneBench(ABC):
    """What a suite needs to know about a control plane, and short names for what tests do with it."""

    @abstractmethod
    def planes(self) -> AbstractAsyncContextManager[Planes]:
        """A fresh database."""

    @asynccontextmanager
    async def logs(self, count: int = 1) -> AsyncIterator[tuple[ControlPlane, list[int]]]:
        """A broker, and so many logs; the rows are checked at the end."""
        async with self.planes() as planes:
            plane = await planes.plane()
            yield plane, await plane.create_logs([name(partition) for partition in range(count)])
            await planes.check()

    async def done(self, plane: ControlPlane, *commits: Commit) -> list[list[object]]:
        """Commit; per run the base offset, or the outcomes of its appends."""
        outcomes: list[list[object]] = []
        for answer in await plane.commit(commits):
            assert not isinstance(answer, Buried)
            outcomes.append([run.base_offset if run.appends is None else [*map(shown, run.appends)] for run in answer])
        return outcomes

    async def one(self, plane: ControlPlane, key: str, log_id: int, *appends: RunAppend) -> list[object]:
        """Commit one run; the outcome of each append, taken ones with their base offset."""
        [[answer]] = await plane.commit([commit(key, (log_id, appends))])  # type: ignore[misc]  # not buried
        assert isinstance(answer, RunOutcome)
        if answer.appends is not None:
            return [shown(outcome) for outcome in answer.appends]
        base, outcomes = answer.base_offset, []
        for piece in appends:
            outcomes.append(Taken(base))
            base += piece.offsets
        return list(outcomes)

    async def ends(self, plane: ControlPlane, log_id: int) -> LogPositions:
        [positions] = await plane.positions([log_id])
        assert positions is not None
        return positions

    async def rows(self, plane: ControlPlane, log_id: int, start: int = 0) -> list[StoredRun]:
        [found] = await plane.runs([RunsQuestion(log_id, start, 1 << 40, END)])
        assert found is not None
        return list(found.runs)
