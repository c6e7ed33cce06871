"""The watchdog: how long any task holds the event loop in one go, and which one held it too long.

A *turn* is one step of one task, from when trio resumes it until the next task is resumed. While it lasts, no other
client is served, so no turn may take more than `LONGEST_SECONDS` of the processor's time. `Turns` is a trio instrument:
it sees every turn of every task, by construction.

Trio takes about a microsecond to call an instrument, and a request that comes alone is a turn of its own. So there is
one call for each turn, at its beginning, which is the end of the turn before. In between trio may have waited for
sockets and timers: time on the wall says too much then, and too much on a busy machine, where the loop's thread may not
run at all. The thread's own processor time says what the task took, and costs a system call. So the wall is asked for
each turn, and the processor only when a turn was long on the wall, with a sample taken now and then to count from: a
turn is blamed for at most `SAMPLE_SECONDS` of what ran before it, and for what trio itself does behind it.

A turn that was too long is counted and named in the log, by what the task had said about itself (`describe`): a
connection names the request at hand, its size and its peer.

What a client waits is not a turn but a *round*: from one look for events to the next, the turns of all tasks that were
ready. Many short turns make a long one, so rounds are measured as well, in the same way. Connections look at when the
present one began (`broker/network/rounds.py`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio

from storage.seams.logging import RateLimitedLogger, get_logger

LONGEST_SECONDS: Final = 0.020
LONGEST_ROUND_SECONDS: Final = 0.050
SAMPLE_SECONDS: Final = 0.005
KEPT: Final = 16
HELD: Final = "the event loop was held"
LONG_ROUND: Final = "a round of the event loop was long"
"""The events of the log's lines."""

Description = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class LongTurn:
    """A turn that was too long: which task, what it said it was doing, milliseconds of processor time."""

    task: str
    doing: Mapping[str, Any]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class TurnStatistics:
    """Turns that were too long, since the start: how many, the longest in milliseconds, and the last few. Likewise
    rounds."""

    too_long: int
    longest_ms: float
    last: tuple[LongTurn, ...]
    long_rounds: int
    longest_round_ms: float


class Turns(trio.abc.Instrument):
    """Measures every turn. `wall` and `processor` are clocks in seconds; tests bring their own."""

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self.wall = wall
        """The clock of turns and rounds, in seconds."""
        self._processor = processor
        self._began = float("inf")  # no turn has begun: the one that adds the instrument is not measured
        self._task: trio.lowlevel.Task | None = None  # whose turn it is
        self._exited: trio.lowlevel.Task | None = None  # the last to end
        self._sampled_at = float("-inf")
        self._sample = 0.0
        self._descriptions: dict[trio.lowlevel.Task | None, Description] = {}
        self._count = 0
        self._longest = 0.0
        self._last: deque[LongTurn] = deque(maxlen=KEPT)
        self.round_began = float("inf")
        """When the present round began, by `wall`; infinite as long as the instrument has not been added."""
        self._round_sampled_at = float("-inf")
        self._round_sample = 0.0
        self._long_rounds = 0
        self._longest_round = 0.0
        self._log = RateLimitedLogger(get_logger(__name__), wall)

    def describe(self, description: Description) -> None:
        """From now on the present task says by `description` what it is doing; asked for only when a turn was long."""
        self._descriptions[trio.lowlevel.current_task()] = description

    def statistics(self) -> TurnStatistics:
        """What has been seen so far."""
        return TurnStatistics(
            too_long=self._count,
            longest_ms=self._longest * 1000,
            last=tuple(self._last),
            long_rounds=self._long_rounds,
            longest_round_ms=self._longest_round * 1000,
        )

    def after_io_wait(self, timeout: float) -> None:
        """A round begins: the one before has ended."""
        now = self.wall()
        if now - self._round_sampled_at > SAMPLE_SECONDS:
            used = self._processor()
            took = min(now - self.round_began, used - self._round_sample)
            if took > LONGEST_ROUND_SECONDS:
                self._long_rounds += 1
                self._longest_round = max(self._longest_round, took)
                self._log.warning(LONG_ROUND, milliseconds=round(took * 1000, 1))
            self._round_sampled_at, self._round_sample = now, used
        self.round_began = now

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Trio resumes a task: the turn of the one before has ended."""
        now = self.wall()
        if now - self._sampled_at > SAMPLE_SECONDS:
            used = self._processor()
            held = min(now - self._began, used - self._sample)
            if held > LONGEST_SECONDS and self._task is not None:
                self._too_long(self._task, held)
            self._sampled_at, self._sample = now, used
        self._began = now
        self._task = task

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget what the task before this one said about itself; this one's turn has not been measured yet."""
        self._descriptions.pop(self._exited, None)
        self._exited = task

    def _too_long(self, task: trio.lowlevel.Task, seconds: float) -> None:
        description = self._descriptions.get(task)
        turn = LongTurn(task.name, {} if description is None else dict(description()), round(seconds * 1000, 1))
        self._count += 1
        self._longest = max(self._longest, seconds)
        self._last.append(turn)
        kind = f"{turn.task} {turn.doing.get('api', '')}"
        self._log.warning(HELD, kind=kind, task=turn.task, milliseconds=turn.milliseconds, **turn.doing)
