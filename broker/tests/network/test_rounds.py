"""Turns of connections that have much to do: a few in a round, in the order in which they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing

from broker.network.rounds import AT_ONCE, Rounds
from broker.observe.turns import Turns

MANY = 25


def nothing() -> None:
    """There is nothing to let go."""


class Count(trio.abc.Instrument):
    """Numbers the rounds."""

    def __init__(self) -> None:
        self.now = 0

    def after_io_wait(self, timeout: float) -> None:
        self.now += 1


@asynccontextmanager
async def going() -> AsyncIterator[tuple[Rounds, Count, trio.Nursery]]:
    """Rounds of the test's own event loop."""
    turns, count = Turns(), Count()
    rounds = Rounds(turns)
    trio.lowlevel.add_instrument(turns)
    trio.lowlevel.add_instrument(count)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        await trio.testing.wait_all_tasks_blocked()
        yield rounds, count, nursery
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(turns)
    trio.lowlevel.remove_instrument(count)


async def test_only_a_few_go_on_in_one_round() -> None:
    """C17: however many connections have more to do, a round is made longer by `AT_ONCE` of them."""
    seen: Counter[int] = Counter()
    async with going() as (rounds, count, _):

        async def busy() -> None:
            for _ in range(5):
                await rounds.turn(nothing)
                seen[count.now] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(busy)
        assert sum(seen.values()) == 5 * MANY
        assert max(seen.values()) <= AT_ONCE
        assert len(seen) <= 5 * MANY // AT_ONCE + 5, "and no round goes by unused"


async def test_turns_come_in_order() -> None:
    """None goes on twice while another one waits."""
    order: list[int] = []
    async with going() as (rounds, _, _):

        async def busy(number: int) -> None:
            for _ in range(3):
                await rounds.turn(nothing)
                order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(busy, number)
        for number in range(MANY):
            places = [place for place, each in enumerate(order) if each == number]
            assert all(later - earlier >= MANY // 2 for earlier, later in pairwise(places))


async def test_one_that_ends_leaves_the_queue() -> None:
    """Its turn is not waited for."""
    async with going() as (rounds, _, _):
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(rounds.turn, nothing)
            while not rounds.waiting:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert rounds.waiting == 0


async def test_alone_it_is_a_checkpoint() -> None:
    """A connection that is the only busy one goes on in the next round."""
    async with going() as (rounds, count, _):
        for _ in range(10):
            before = count.now
            await rounds.turn(pytest.fail)
            assert count.now == before + 1
