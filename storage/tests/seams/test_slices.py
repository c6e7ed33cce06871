"""Giving way: work in slices lets other tasks run, however long it is."""

from __future__ import annotations

import time

import pytest
import trio

from storage.seams.slices import Slices


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of slices, in seconds, for the test to move."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


async def test_other_tasks_run_between_slices(clock: list[float]) -> None:
    """Each element takes 3 ms, and a slice 5: others run after two of them."""
    seen: list[str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        async for element in Slices().over("abcde"):
            seen.append(element)
            clock[0] += 0.003
        nursery.cancel_scope.cancel()
    assert [each for each in seen if each != "other"] == list("abcde")
    assert seen[:2] == ["a", "b"]
    assert "other" in seen[: seen.index("e")]


async def test_slices_are_shared_by_nested_loops(clock: list[float]) -> None:
    """It is the task that gives way, wherever it is when its slice ends."""
    slices = Slices()
    found = [inner async for outer in slices.over(["ab", "", "c"]) async for inner in slices.over(outer)]
    assert found == ["a", "b", "c"]


async def test_a_loop_may_be_left_early() -> None:
    """There is nothing to close."""
    async for element in Slices().over([1, 2]):
        assert element == 1
        break
