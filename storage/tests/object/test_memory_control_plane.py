"""The double keeps the promises of a control plane, and fails as it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio.testing

from storage.object.control_plane import ControlPlane, LogName, OutcomeUnknown, Unavailable
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.commit_builder import commit, name, records
from storage.testing.conformance.control_planes import ControlPlaneConformance
from storage.testing.control_plane import Fault, Line, MemoryControlPlane
from storage.testing.database import MemoryDatabase
from storage.testing.planes import Planes


class MemoryPlanes(Planes):
    """Brokers in this process."""

    def __init__(self) -> None:
        self.database = MemoryDatabase(VirtualClock(), SeededEntropy(1))

    async def plane(self, node_id: int = 1, incarnation: bytes = bytes(16)) -> ControlPlane:
        plane = MemoryControlPlane(self.database, node_id, incarnation)
        await plane.open()
        return plane

    async def check(self) -> None:
        self.database.check()


class TestMemoryControlPlane(ControlPlaneConformance):
    """All promises."""

    @asynccontextmanager
    async def planes(self) -> AsyncIterator[Planes]:
        yield MemoryPlanes()


async def broken(line: Line) -> tuple[MemoryControlPlane, int]:
    """A broker behind this line, and a log."""
    plane = MemoryControlPlane(MemoryDatabase(VirtualClock(), SeededEntropy(1)), line=line)
    await plane.open()
    [log_id] = await plane.create_logs([name()])
    return plane, log_id


@pytest.mark.parametrize(
    ("fault", "raised", "happens"),
    [
        (Fault.REFUSED, Unavailable, False),
        (Fault.LOST_REQUEST, OutcomeUnknown, False),
        (Fault.LOST_REPLY, OutcomeUnknown, True),
    ],
)
async def test_a_commit_fails_as_planned(fault: Fault, raised: type[Exception], happens: bool) -> None:
    """Once, and asked for again it comes out right either way."""
    line = Line()
    plane, log_id = await broken(line)
    line.plant("commit", fault)
    with pytest.raises(raised):
        await plane.commit([commit("k", (log_id, [records(2)]))])
    [positions] = await plane.positions([log_id])
    assert positions is not None and positions.end_offset == (2 if happens else 0)
    [[outcome]] = await plane.commit([commit("k", (log_id, [records(2)]))])  # type: ignore[misc]  # not buried
    assert outcome.base_offset == 0
    assert line.calls["commit"] == 2


async def test_a_late_commit_happens_later(autojump_clock: trio.testing.MockClock) -> None:
    """When its time has come, or when its key is used again: by burying it, which then comes too late."""
    line = Line()
    plane, log_id = await broken(line)
    line.plant("commit", Fault.LATE, times=2)
    with pytest.raises(OutcomeUnknown):
        await plane.commit([commit("k", (log_id, [records(2)]))])
    [before] = await plane.positions([log_id])
    await trio.sleep(1)
    [after] = await plane.positions([log_id])
    assert before is not None and after is not None
    assert (before.end_offset, after.end_offset) == (0, 2)
    with pytest.raises(OutcomeUnknown):
        await plane.commit([commit("l", (log_id, [records(2)]))])
    assert await plane.bury(["l"]) == []


async def test_a_line_takes_its_time_and_fails_by_chance(autojump_clock: trio.testing.MockClock) -> None:
    """The same way for the same seed."""

    async def history(seed: int) -> list[str]:
        line = Line()
        plane, log_id = await broken(line)
        line.delay_ms = lambda operation: 10.0
        line.chance(SeededEntropy(seed), 300)
        seen = []
        for number in range(30):
            try:
                await plane.commit([commit(f"k{number}", (log_id, [records(1)]))])
                seen.append("done")
            except (Unavailable, OutcomeUnknown) as error:
                seen.append(str(error))
        return seen

    began = trio.current_time()
    first = await history(1)
    assert trio.current_time() - began >= 0.2
    assert first == await history(1) != await history(2)
    assert 3 < len([entry for entry in first if entry != "done"]) < 20


async def test_a_line_that_is_down_refuses_everything() -> None:
    """Until it heals."""
    line = Line()
    plane, _ = await broken(line)
    line.down = True
    with pytest.raises(Unavailable):
        await plane.find_logs([LogName("t", bytes(16), 0)])
    line.heal()
    assert await plane.find_logs([LogName("t", bytes(16), 0)]) == [None]
