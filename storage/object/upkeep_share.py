"""How much of a broker's time its upkeep takes: work in steps, and a rest behind each that is in proportion to it.

Merging and compaction use what producers and consumers need too: the bucket, the network, the interpreter. All of it is
bounded by one rule: of any longer time at most `share` is spent in steps, whatever a step costs. A bucket that is slow
because clients use it makes steps long, and so rests as well; there is no rate to choose, that would be too much for
one machine and too little for another. One step is made at a time, of all kinds of upkeep together.

A step may have a rate besides, which is Kafka's `log.cleaner.io.max.bytes.per.second` for compaction: it is followed by
a rest until its bytes are due. A rest is at most `LONGEST_REST` of the share's; a step that took minutes had a bucket
that did not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

LONGEST_REST: Final = 10.0
"""Seconds."""


class UpkeepShare:
    """Lets work take `share` of the time, more than 0 and at most 1."""

    def __init__(self, share: float) -> None:
        assert 0 < share <= 1, "work that never comes about, or takes more time than there is"
        self._rest_of_work = 1 / share - 1
        self._lock = trio.Lock()

    @asynccontextmanager
    async def step(self, size: int = 0, bytes_per_second: float = float("inf")) -> AsyncIterator[None]:
        """The block is a step of `size` bytes, read and written, for which a rate holds as well."""
        async with self._lock:
            began = trio.current_time()
            try:
                yield
            finally:
                took = trio.current_time() - began
                await trio.sleep(max(min(took * self._rest_of_work, LONGEST_REST), size / bytes_per_second - took))
