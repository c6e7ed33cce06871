"""How much memory requests may take in all, of all connections (`queued.max.request.bytes`).

A connection that learns from its length that a large request is arriving takes what the request claims before it reads
on, and gives it back when the request has been handled. While everything is taken, it waits and does not read: the
peer's own TCP window fills, and the peer slows down. Small requests fit into the buffer that a connection has anyway
and are not counted, so heartbeats pass while bulk waits.

As in Kafka's `SimpleMemoryPool`, a caller that asks while anything is left gets all that it asks for, so the limit can
be overdrawn by one request: otherwise a request larger than what happens to be left could starve. Waiting callers are
served in the order in which they came. A peer that takes and then does not send is closed in the end
(`Connection.overdue`), which gives back what it took.

Kafka's default is no limit at all. Ours is `UNLESS_SAID`: a hundred connections that announce 100 MiB each would
otherwise take the machine.
"""

from __future__ import annotations

from collections import deque

import trio

UNLESS_SAID = 1 << 30
"""The limit where `queued.max.request.bytes` says none (-1)."""


class RequestMemory:
    """Counts bytes. `limit` 0 or less means UNLESS_SAID."""

    def __init__(self, limit: int) -> None:
        self.limit = limit if limit > 0 else UNLESS_SAID
        self.taken = 0
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    @property
    def waiting(self) -> int:
        """How many connections wait."""
        return len(self._waiting)

    async def take(self, size: int) -> None:
        """Take `size` bytes, after those who asked before."""
        if self.taken < self.limit and not self._waiting:
            self.taken += size
            return
        turn = (size, trio.Event())
        self._waiting.append(turn)
        try:
            await turn[1].wait()  # the task that sets it has taken the bytes for this one
        except trio.Cancelled:
            self._waiting.remove(turn)
            raise

    def give_back(self, size: int) -> None:
        """Give back `size` bytes taken, to those who wait."""
        self.taken -= size
        assert self.taken >= 0
        while self._waiting and self.taken < self.limit:
            wanted, turn = self._waiting.popleft()
            self.taken += wanted
            turn.set()
