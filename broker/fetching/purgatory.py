"""Requests that wait until there is enough to answer, or their time is over (Kafka: DelayedFetch and its purgatory).

A waiting request watches the partitions it has looked at and sleeps. The first move of any of them wakes it, it looks
again at what has moved, and watches on. An append thus costs nothing for those who wait elsewhere, and each of them is
woken once however much is appended before it runs. When the time is over it looks once more, so that every number of
its answer is of that moment: the start of a log that has been cut meanwhile, a partition that has gone.
"""

from __future__ import annotations

from typing import NamedTuple

import trio

from broker.fetching.look import Look


class PurgatoryStatistics(NamedTuple):
    """Requests that wait now, and those that have: until there was enough, or until their time was over."""

    waiting: int
    satisfied: int
    expired: int


class Purgatory:
    """Counts those who wait."""

    def __init__(self) -> None:
        self._waiting = 0
        self._satisfied = 0
        self._expired = 0

    async def wait(self, look: Look) -> None:
        """Look until that is enough, as long as was asked for; the last look is of the moment of returning."""
        session = look.session
        self._waiting += 1
        session.waiting += 1
        look.watches = True
        try:
            with trio.move_on_after(look.asked.max_wait_ms / 1000):
                moved = session.expect()
                await look.later()  # watching: a move in between is seen now, or wakes
                while not look.enough:
                    await moved.wait()
                    moved = session.expect()
                    await look.later()
            if look.enough:
                self._satisfied += 1
            else:
                self._expired += 1
                await look.later()
        finally:
            self._waiting -= 1
            session.leave()

    def statistics(self) -> PurgatoryStatistics:
        """Counts now."""
        return PurgatoryStatistics(self._waiting, self._satisfied, self._expired)
