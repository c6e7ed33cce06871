"""When the objects of the process are searched for cycles."""

from __future__ import annotations

import gc

import trio
import trio.testing
from trio.testing import MockClock

from broker.observe.garbage import (
    IDLE_SECONDS,
    LEAST_SECONDS,
    LITTLE,
    MOST_SECONDS,
    SHARE,
    search_now_and_then,
)

PAUSE = LEAST_SECONDS + IDLE_SECONDS
"""Between two searches of a broker that is idle."""


async def searches(seconds: float, found: int, took: float = 0.0, busy_until: float = 0.0) -> list[float]:
    """When there are searches, in the first so many seconds; the loop has all to do until `busy_until`."""
    times: list[float] = []
    spent = 0.0
    began = trio.current_time()

    def search() -> int:
        nonlocal spent
        times.append(trio.current_time() - began)
        spent += took
        return found

    def processor() -> float:
        return spent + min(trio.current_time() - began, busy_until)

    with trio.move_on_after(seconds):
        await search_now_and_then(search, processor)
    return times


async def test_searches_that_find_much_go_on(autojump_clock: MockClock) -> None:
    """Every minute."""
    assert await searches(3.5 * PAUSE, LITTLE) == [PAUSE, 2 * PAUSE, 3 * PAUSE]


async def test_searches_that_find_little_become_rare(autojump_clock: MockClock) -> None:
    """Each time twice as long after the one before, up to an hour."""
    times = await searches(10 * MOST_SECONDS, 0)
    assert times[:3] == [PAUSE, PAUSE + 2 * LEAST_SECONDS + IDLE_SECONDS, PAUSE + 6 * LEAST_SECONDS + 2 * IDLE_SECONDS]
    assert times[-1] - times[-2] == MOST_SECONDS + IDLE_SECONDS


async def test_searches_take_a_small_share_of_the_time(autojump_clock: MockClock) -> None:
    """A process with so many objects that a search takes seconds is searched less often."""
    first, second = await searches(5 / SHARE, LITTLE, took=3.0)
    assert second - first == 3.0 / SHARE + IDLE_SECONDS


async def test_a_search_waits_until_the_broker_is_idle(autojump_clock: MockClock) -> None:
    """No client waits for it: it comes after a second in which the loop had nothing to do."""
    busy_until = 10 * LEAST_SECONDS
    first, *_ = await searches(2 * busy_until, LITTLE, busy_until=busy_until)
    assert busy_until < first <= busy_until + 2 * IDLE_SECONDS


async def test_a_broker_that_is_never_idle_is_searched_too(autojump_clock: MockClock) -> None:
    """Within the longest pause, or what is in circles would never go."""
    first, *_ = await searches(2 * MOST_SECONDS, LITTLE, busy_until=10 * MOST_SECONDS)
    assert first == LEAST_SECONDS + MOST_SECONDS


async def test_no_search_through_everything_begins_by_itself() -> None:
    """However many objects come into being; afterwards the process is as Python makes it."""
    before = gc.get_threshold()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(search_now_and_then)
        await trio.testing.wait_all_tasks_blocked()
        young, full = (gc.get_stats()[age]["collections"] for age in (1, 2))
        kept: list[list[int]] = [[] for _ in range(300_000)]
        assert gc.get_stats()[1]["collections"] > young
        assert gc.get_stats()[2]["collections"] == full
        assert kept
        nursery.cancel_scope.cancel()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
