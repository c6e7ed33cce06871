"""Python's search for cycles, kept out of the way of requests.

Memory is given back when the last reference to it goes. Only objects that refer to each other in a circle (an exception
and its frames, a connection and its tasks) wait for a search, and all other work waits for the search. A search through
all objects takes 25 ms in a broker that does nothing, and a second for some millions of offsets; and Python begins one
whenever the objects have become a quarter more, as they do when one request brings 100,000 of them.

So only the youngest objects are searched as Python sees fit, which takes a millisecond or two. All of them are searched
here, and seldom: `LEAST_SECONDS` after the search before, twice as long each time that one has found little, and never
for more than `SHARE` of the time. A search that is due waits for a second in which the event loop has next to nothing
to do, so that no client waits for it; a broker that is never idle is searched all the same, after `MOST_SECONDS`. What
the start has made is there to stay, and is left out of every search.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import trio

YOUNGEST: Final = 2000
"""Objects made, less those that have gone, before the youngest are searched."""
YOUNG_ROUNDS: Final = 10
"""Such searches before the next older objects are searched with them."""
NEVER: Final = 1 << 30

LEAST_SECONDS: Final = 60.0
MOST_SECONDS: Final = 3600.0
SHARE: Final = 0.01
IDLE_SECONDS: Final = 1.0
IDLE_SHARE: Final = 0.05
"""Of a second, the processor's time of the loop's thread below which the broker is idle."""
LITTLE: Final = 10_000
"""Objects: what a search finds below this was hardly worth it."""


async def search_now_and_then(
    search: Callable[[], int] = gc.collect, processor: Callable[[], float] = time.thread_time
) -> None:
    """Keep searches short until cancelled; started once the start is over.

    `search` goes through all objects and returns how many it found; `processor` is a clock in seconds.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNGEST, YOUNG_ROUNDS, NEVER)
    try:
        pause = LEAST_SECONDS
        while True:
            await trio.sleep(pause)
            with trio.move_on_after(MOST_SECONDS):
                await idle(processor)
            began = processor()
            found = search()
            took = processor() - began
            pause = LEAST_SECONDS if found >= LITTLE else min(2 * pause, MOST_SECONDS)
            pause = max(pause, took / SHARE)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def idle(processor: Callable[[], float]) -> None:
    """Return after a second in which the thread has had next to nothing to do."""
    while True:
        before = processor()
        await trio.sleep(IDLE_SECONDS)
        if processor() - before < IDLE_SHARE * IDLE_SECONDS:
            return
