"""Memory for requests is bounded, is given in order, and never gets lost."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from broker.request_memory import UNLESS_SAID, RequestMemory


async def test_a_request_that_finds_something_left_gets_all() -> None:
    """As in Kafka's pool: the limit may be overdrawn by one request, so that a large one is not starved."""
    memory = RequestMemory(100)
    await memory.take(99)
    await memory.take(1000)
    assert memory.taken == 1099


async def test_those_who_wait_are_served_in_order() -> None:
    """No request overtakes another, not even one that comes when there is room."""
    memory = RequestMemory(100)
    await memory.take(100)
    order: list[int] = []

    async def asker(number: int) -> None:
        await memory.take(60)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(asker, number)
            await trio.testing.wait_all_tasks_blocked()
        memory.give_back(100)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(order) == [0, 1]  # woken together, they run in any order
        for _ in range(5):
            memory.give_back(60)
            await trio.testing.wait_all_tasks_blocked()
    assert order[2:] == [2, 3, 4]
    assert memory.taken == 0


async def test_who_gives_up_waiting_takes_nothing() -> None:
    """A cancelled wait leaves the queue, and no bytes are given to it."""
    memory = RequestMemory(100)
    await memory.take(100)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(memory.take, 50)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    memory.give_back(100)
    assert (memory.waiting, memory.taken) == (0, 0)


@pytest.mark.parametrize(("said", "limit"), [(-1, UNLESS_SAID), (0, UNLESS_SAID), (5000, 5000)])
def test_there_is_always_a_limit(said: int, limit: int) -> None:
    """Kafka's -1 is a gibibyte here."""
    assert RequestMemory(said).limit == limit
