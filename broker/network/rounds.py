"""Fair turns: how long a connection goes on with requests that are there, when a thousand others have some too.

Trio runs in rounds: it looks for events, then runs each task that is ready once, in any order. So what a client waits
for its answer is a round, and a round takes what all tasks together take in it. A connection that answers requests for
five milliseconds before it gives way is a good neighbour; a thousand such neighbours, each with a hundred requests sent
ahead, make a round of five seconds.

Hence the five milliseconds are those of the round, for all connections together (`used_up`):

* a connection whose peer has been waited for answers **one request in any case**, and one in each round if the next
  comes as soon as it has its answer. A client that asks one thing at a time never waits here, and of such clients a
  round may have as many as there are;
* it goes on with what was sent ahead as long as the round has time, then it waits for its turn (`turn`). At most
  `AT_ONCE` of those that have waited go on in one round; the others stand in a queue, each in its place.

So a round takes `ROUND_SECONDS`, and one request of each client that has just asked. With few busy connections nothing
stands in the queue, and waiting for a turn is a plain checkpoint.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from broker.observe.turns import Turns

ROUND_SECONDS: Final = 0.005
AT_ONCE: Final = 4
"""Connections that go on with what their peers have sent ahead in one round."""


class Rounds:
    """The turns of connections in the rounds of this event loop. `run` is a task that lives as long as they do.

    Where `turns` is not an instrument of the loop, rounds have time without end: for tests of single connections.
    """

    __slots__ = ("_going_on", "_queue", "_round", "_turns", "_wanted")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._round = 0.0  # the one of which `_going_on` speaks
        self._going_on = 0  # connections that go on in the next round
        self._queue: deque[trio.Event] = deque()
        self._wanted = trio.Event()

    @property
    def used_up(self) -> bool:
        """Whether the round has taken its time."""
        turns = self._turns
        return turns.wall() - turns.round_began >= ROUND_SECONDS

    @property
    def waiting(self) -> int:
        """How many connections stand in the queue."""
        return len(self._queue)

    async def turn(self, let_go: Callable[[], None]) -> None:
        """Return in a later round, when it is the caller's turn. `let_go` is called first if others are before it: a
        thousand that stand in the queue must not hold a buffer each."""
        began = self._turns.round_began
        if self._round != began:
            self._round = began
            self._going_on = AT_ONCE if self._queue else 0  # who stands in the queue comes first
        if began == math.inf or (self._going_on < AT_ONCE and not self._queue):
            self._going_on += 1
            await trio.lowlevel.checkpoint()
            return
        let_go()
        mine = trio.Event()
        self._queue.append(mine)
        self._wanted.set()
        try:
            await mine.wait()
        finally:
            if not mine.is_set():
                self._queue.remove(mine)

    async def run(self) -> None:
        """In each round, let the next ones of the queue go on in the one after it."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while self._queue:
                for _ in range(min(AT_ONCE, len(self._queue))):
                    self._queue.popleft().set()
                await trio.lowlevel.checkpoint()
