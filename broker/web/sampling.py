"""What the event loop's thread is at, found by looking at it from another thread.

To measure every request would cost each of them something, all the time. So nothing is measured until a person looks:
then a thread takes the stack of the loop's thread `RATE` times a second for a moment, and each sample counts for the
innermost thing on it that has a name: the API whose handler runs, or the part of the broker.

A sample falls where the interpreter can change threads, which is more often at a system call than between two. So the
shares are rough, and right about what matters: which of them is large.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Final, NamedTuple

RATE: Final = 250
SECONDS: Final = 0.4
DEEPEST: Final = 100

PARTS: Final = (
    ("/broker/web/", "metrics and the page"),
    ("/broker/coordinators/", "coordinators"),
    ("/broker/network/", "connections"),
    ("/storage/", "logs and their upkeep"),
    ("/kproto/", "encoding and decoding"),
    ("/broker/", "other parts of the broker"),
    ("/trio/", "the event loop itself"),
)
"""Where a file lies, and what its work is called."""
IDLE: Final = "waiting for something to do"
OTHER: Final = "anything else"
_HANDLERS: Final = "/broker/handlers/"


class Sampled(NamedTuple):
    """Shares of the samples by what was found, the largest first; `samples` is how many there were."""

    shares: list[tuple[str, float]]
    samples: int
    seconds: float


def this_thread() -> int:
    """The identifier of the thread that calls."""
    return threading.get_ident()


def watched(thread: int, seconds: float = SECONDS) -> Sampled:
    """Look at the thread with this identifier; blocks for `seconds`."""
    found: Counter[str] = Counter()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        frame = sys._current_frames().get(thread)
        if frame is not None:
            found[work_of(frame)] += 1
        time.sleep(1 / RATE)
    count = sum(found.values())
    return Sampled([(name, times / count) for name, times in found.most_common()], count, seconds)


def work_of(innermost: FrameType) -> str:
    """What a stack is at work on."""
    if innermost.f_code.co_name in ("get_events", "epoll_wait", "kqueue") and "trio" in innermost.f_code.co_filename:
        return IDLE
    part = None
    for path in _paths(innermost):
        if _HANDLERS in path:
            module = path.rpartition("/")[2].removesuffix(".py")
            return "".join(word.capitalize() for word in module.split("_"))
        if part is None:
            part = next((name for folder, name in PARTS if folder in path), None)
    return part or OTHER


def _paths(frame: FrameType | None) -> Iterator[str]:
    """The files of a stack's frames, the innermost first."""
    for _ in range(DEEPEST):
        if frame is None:
            return
        yield frame.f_code.co_filename.replace("\\", "/")
        frame = frame.f_back
