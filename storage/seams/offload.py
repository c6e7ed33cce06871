"""The door to threads: what would hold up the event loop (fdatasync, cold reads, decompression) is handed over here.

One rule decides what happens when the task that waits is cancelled:

* work with an **effect** (a write, a sync, a rename) is never left alone: `run` returns only when it is over: no task
  closes, deletes or appends under a thread that is still at it, and after a cancellation the state is known;
* work that only **looks** may be abandoned (`abandonable=True`): the task goes on at once, the thread ends in its own
  time and its result is thrown away. Such work must own, or keep alive, everything it touches.

**Lanes.** Work of a lane waits for work of its own lane only: what many clients ask for does not stand in front of
the sync that one acks=all waits for. In each lane a number of threads run at once (`THREADS`); later work waits its
turn in order, so a thousand cold readers take neither a thousand threads nor all of the disk. A connection has one
piece of work in a lane, since it waits for it, so the order is fair between connections. A hop costs 60 to 100
microseconds: it is for what takes longer or may block.

**Work that computes** (`compute`) is taken apart by time, for its length is its client's choice: a batch of a kilobyte
may stand for gigabytes. It first runs on the lane's *express* threads, for `EXPRESS_SECONDS` at most. What is not over
by then is dropped and begun again on the lane's other threads, as long as it takes. So work that is short waits for
short turns only, however much of the other kind is there, and the memory of decoders is that of a few. Such work is
given a `pause` and calls it again and again, every millisecond or so:

* Python computes with the interpreter's lock, which a thread would give up only every five milliseconds, each time that
  the event loop comes back from a system call. In a pause, a short sleep, the loop takes the lock.
* A pause raises `trio.Cancelled` when the task that waits is cancelled, as it is when its client has gone. So the
  work ends there, and nothing is computed that no task waits for.

`InlineOffload` is the simulated twin. It runs the work in the event loop, after a moment in which other tasks run, as
they would meanwhile: no threads, so the same seed gives the same run.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from enum import Enum
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, TypeVarTuple, cast

import trio

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


GIVE_WAY_SECONDS: Final = 50e-6
EXPRESS_SECONDS: Final = 0.1


class Lane(Enum):
    """What shares threads."""

    SYNC = "sync"
    """Group commit: what an acks=all waits for, and nothing else."""
    READS = "reads"
    """Fetches of what is not in memory."""
    DISK = "disk"
    """Everything else that waits for the disk: checkpoints, retention, names, recovery."""
    LOOK_UPS = "look-ups"
    """Records found by their time: headers are read one after the other, and records walked through."""
    BATCHES = "batches"
    """Batches that unpack to much, or hold very many records."""
    REQUESTS = "requests"
    """Requests that take long to decode."""
    OPENING = "opening"
    """Logs that are opened, by the thousand if a client names so many."""
    LOOKING = "looking"
    """What looks at the event loop from beside it, when a person asks. One at a time."""
    HANDSHAKES = "handshakes"
    """The arithmetic of TLS handshakes. One at a time: however many peers want one, a core stays for the others."""
    BACKUP = "backup"
    """Copies of all logs, written or read: as long as there are bytes."""
    KEYS = "keys"
    """What asks another server for the keys of tokens, and may wait for it for long. One at a time."""
    UPLOADS = "uploads"
    """Objects put into a bucket, which an acks=all waits for."""
    DOWNLOADS = "downloads"
    """Objects read from a bucket, which a fetch waits for."""
    BUCKET_UPKEEP = "bucket upkeep"
    """What is done to a bucket and no client waits for: merging, listing, deleting."""


THREADS: Final = {
    Lane.SYNC: 4, Lane.READS: 4, Lane.DISK: 4, Lane.LOOK_UPS: 2, Lane.BATCHES: 2, Lane.REQUESTS: 2,
    Lane.OPENING: 2, Lane.LOOKING: 1, Lane.HANDSHAKES: 1, Lane.BACKUP: 2,
    Lane.KEYS: 1, Lane.UPLOADS: 8, Lane.DOWNLOADS: 8, Lane.BUCKET_UPKEEP: 4,
}  # fmt: skip

Pause: TypeAlias = Callable[[], None]
"""What work that computes calls every millisecond or so."""


class Once(Generic[Result]):
    """Work that a thread or the event loop does, whichever comes first; the other waits until it is done.

    The loop waits only where it cannot do without, since a thread may be at it for long.
    """

    __slots__ = ("_lock", "_work", "outcome")

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work: Callable[[], Result] | None = work
        self._lock = threading.Lock()
        self.outcome: Result | None = None

    def run(self) -> Result:
        """Do the work, if it has not been done; what it returned. It must not raise."""
        with self._lock:
            if self._work is not None:
                self.outcome = self._work()
                self._work = None
        return cast(Result, self.outcome)


class Offload(Protocol):
    """Where blocking work goes."""

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        """Call `work(*arguments)` outside the event loop and return, or raise, what it does.

        Cancellation is noticed before the work starts, and after that only if it is `abandonable`.
        """
        ...

    async def compute(
        self,
        work: Callable[[Pause], Result],
        *,
        lane: Lane,
        abandonable: bool = False,
        alone: trio.Lock | None = None,
    ) -> Result:
        """Call `work(pause)` outside the event loop and return, or raise, what it does.

        `work` calls `pause` often and lets through what that raises. It may be begun, left at a pause and begun again,
        so up to its last pause it has no effect. Cancellation is noticed before it starts and at each pause, or at once
        if it is `abandonable`. Of work that lasts and has the same lock, `alone`, one piece runs at a time: for work
        that finds done what the one before it has done.
        """
        ...


class _NotShort(Exception):
    """Work on an express thread has had its time."""


class ThreadOffload:
    """Real threads, reused; as many of each lane at once as `threads` says, and as many express ones."""

    def __init__(self, threads: Mapping[Lane, int] = THREADS, *, express_seconds: float = EXPRESS_SECONDS) -> None:
        self._limiters = {lane: trio.CapacityLimiter(threads[lane]) for lane in threads}
        self._express = {lane: trio.CapacityLimiter(threads[lane]) for lane in threads}
        self._express_seconds = express_seconds

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        return await trio.to_thread.run_sync(
            functools.partial(work, *arguments), abandon_on_cancel=abandonable, limiter=self._limiters[lane]
        )

    async def compute(
        self,
        work: Callable[[Pause], Result],
        *,
        lane: Lane,
        abandonable: bool = False,
        alone: trio.Lock | None = None,
    ) -> Result:
        def soon() -> Result:
            until = time.perf_counter() + self._express_seconds

            def pause() -> None:
                _pause()
                if time.perf_counter() >= until:
                    raise _NotShort

            return work(pause)

        try:
            return await trio.to_thread.run_sync(soon, abandon_on_cancel=abandonable, limiter=self._express[lane])
        except _NotShort:
            pass
        async with alone or nullcontext():
            return await trio.to_thread.run_sync(
                functools.partial(work, _pause), abandon_on_cancel=abandonable, limiter=self._limiters[lane]
            )


def _pause() -> None:
    """In a thread: let the event loop have the interpreter for a moment. Raises Cancelled if no task waits any more."""
    trio.from_thread.check_cancelled()
    time.sleep(GIVE_WAY_SECONDS)


class InlineOffload:
    """No threads: the calling task does the work, after `delay()` seconds of virtual time or one scheduling round.

    `delay` stands for what the work would have taken; a simulation draws it from its seed.
    """

    def __init__(self, delay: Callable[[], float] | None = None) -> None:
        self._delay = delay

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        await trio.lowlevel.checkpoint()
        if self._delay is not None:
            # Work with an effect cannot be called back once it has begun, which here is before the delay.
            with trio.CancelScope(shield=not abandonable):
                await trio.sleep(self._delay())
        return work(*arguments)

    async def compute(
        self,
        work: Callable[[Pause], Result],
        *,
        lane: Lane,
        abandonable: bool = False,
        alone: trio.Lock | None = None,
    ) -> Result:
        return await self.run(work, _no_pause, abandonable=True, lane=lane)


def _no_pause() -> None:
    """No other task waits beside the calling one."""
