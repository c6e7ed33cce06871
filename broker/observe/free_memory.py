"""Memory that nothing uses goes back to the system, when the broker has nothing else to do.

Seen: eight minutes of large requests from six clients left a process of 420 MB in which Python's objects took 60; the
allocator held the rest (`storage/seams/process_memory.py` says why). That is bounded by what was in use at one moment,
but a broker beside other programs should not hold what it needed an hour ago.

Once a minute the resident memory is compared with the least seen since it was last given back. If it is `WORTH` more,
the broker waits for an idle second (`garbage.py`) and gives it back, in a thread. What then still is there is in use,
and becomes what the next minutes are compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import trio

from broker.observe.garbage import idle
from storage.seams.offload import Lane, Offload
from storage.seams.process_memory import give_back_free, resident_bytes

LOOK_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 600.0
"""A broker that is never idle gives it back all the same after so long: some milliseconds that a client may wait."""
WORTH: Final = 32 << 20


async def give_back_now_and_then(
    offload: Offload,
    resident: Callable[[], int | None] = resident_bytes,
    give_back: Callable[[], bool] = give_back_free,
    processor: Callable[[], float] = time.thread_time,
) -> None:
    """Run until cancelled; returns at once where the system offers nothing of this."""
    least = resident()
    while least is not None:
        await trio.sleep(LOOK_SECONDS)
        held = resident() or 0
        least = min(least, held)
        if held - least < WORTH:
            continue
        with trio.move_on_after(PATIENCE_SECONDS):
            await idle(processor)
        if not await offload.run(give_back, lane=Lane.DISK):
            return
        least = resident()
