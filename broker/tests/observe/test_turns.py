"""The watchdog of the event loop: which turns it finds too long, and what it says of them."""

from __future__ import annotations

import trio

from broker.observe.turns import Turns


class Clocks:
    """Two clocks that a test moves: the wall's, and the processor's time of the loop's thread."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.processor = 0.0

    def work(self, seconds: float) -> None:
        """The thread works: both move."""
        self.wall += seconds
        self.processor += seconds

    def wait_for_the_machine(self, seconds: float) -> None:
        """The thread does not run: only the wall's clock moves."""
        self.wall += seconds


def run(*steps: float, waiting: float = 0.0, describe: bool = False) -> Turns:
    """A task whose turns take so many seconds of work each, on a machine that makes each wait besides."""
    clocks = Clocks()
    turns = Turns(lambda: clocks.wall, lambda: clocks.processor)

    async def main() -> None:
        if describe:
            turns.describe(lambda: {"api": "metadata"})
        for seconds in steps:
            clocks.work(seconds)
            clocks.wait_for_the_machine(waiting)
            await trio.lowlevel.checkpoint()

    trio.run(main, instruments=[turns])
    return turns


def test_short_turns_are_no_finding() -> None:
    """However many there are."""
    assert run(*[0.019] * 100).statistics().too_long == 0


def test_a_turn_that_takes_too_long_is_counted_and_named() -> None:
    """With its length, and with what its task said it was doing."""
    seen = run(0.001, 0.050, 0.001, describe=True).statistics()
    assert seen.too_long == 1
    assert round(seen.longest_ms) == 50
    assert [(turn.doing, round(turn.milliseconds)) for turn in seen.last] == [({"api": "metadata"}, 50)]


def test_a_busy_machine_is_not_blamed_on_a_task() -> None:
    """Time in which the thread did not run does not count."""
    assert run(0.001, 0.002, 0.001, waiting=3.0).statistics().too_long == 0


def test_the_last_ones_are_kept_and_no_more() -> None:
    """The memory of the watchdog is bounded."""
    seen = run(*[0.030] * 100).statistics()
    assert seen.too_long == 100
    assert len(seen.last) == 16


def test_the_last_turn_of_a_task_is_named_too() -> None:
    """A turn is measured when the next one begins: a task that has ended is still known by what it said."""
    clocks = Clocks()
    turns = Turns(lambda: clocks.wall, lambda: clocks.processor)

    async def child() -> None:
        turns.describe(lambda: {"api": "fetch"})
        clocks.work(0.030)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(trio.sleep, 0)

    trio.run(main, instruments=[turns])
    assert [turn.doing for turn in turns.statistics().last] == [{"api": "fetch"}]


def test_many_short_turns_are_a_long_round() -> None:
    """What a client waits is the sum of the turns of all tasks that are ready."""
    clocks = Clocks()
    turns = Turns(lambda: clocks.wall, lambda: clocks.processor)

    async def step() -> None:
        clocks.work(0.002)

    async def main() -> None:
        for tasks in (20, 60, 20):
            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(step)

    trio.run(main, instruments=[turns])
    seen = turns.statistics()
    assert (seen.too_long, seen.long_rounds, round(seen.longest_round_ms)) == (0, 1, 120)
