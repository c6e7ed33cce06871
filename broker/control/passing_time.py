"""Time on command: the clock of state moves forward, and all that is due by it happens before the command is answered.

**Two times.** *State's time* is the broker's clock (`AdvancingClock`): sessions and rebalances of groups, time-outs of
transactions, when committed offsets, transactional ids, producers and delegation tokens expire, which records are too
old, the windows of quotas, and the timestamps that the broker writes. *The world's time* is trio's: how long a Fetch
waits, a Produce for the disk, a client for another in the midst of a request; idle and stuck connections, sessions of
SASL, pauses between tries. So a client sees a broker that is late by a week and does not miss it. What others have
issued by the world's clock, certificates and signed tokens, is looked at by that clock, and log lines carry it.

**As if it had passed.** The time is not moved in one leap: a group whose members' sessions end is empty from then on,
and its offsets expire a week after *that*. So it goes from one deadline of a coordinator to the next, and what each
causes is settled before the next: decisions are durable, and transactions that were aborted have their markers. What
lies closer together than a thousandth of the way is done together, so a year takes no more steps than a minute. In the
end retention, compaction and the sweep of tokens are done, which go by time alone.

**Forward only**, and across restarts: how far state is ahead of the world stands in a file beside the data, written
before the clock moves. A reset begins a state without a past, and with it at the world's time again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from broker.config.settings import ConfigError
from storage.catching_up import CatchesUp
from storage.seams.clock import AHEAD_FILE, AdvancingClock

if TYPE_CHECKING:
    from broker.context import Services
    from storage.seams.clock import Clock
    from storage.seams.disk import Disk

MOST_STEPS: Final = 1000
LONGEST_AHEAD: Final = 100 * 366 * 86_400_000
"""A hundred years, in milliseconds."""
PATIENCE_SECONDS: Final = 30.0
"""What cannot happen by then, because a disk is full or a partition offline, is not waited for longer."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What one command came to. `settled`: all that was due has happened."""

    steps: int
    settled: bool


class PassingTime:
    """Moves one broker's clock. `keep` is given how far ahead it is to be, before it moves; in a thread."""

    def __init__(self, clock: AdvancingClock, keep: Callable[[int], None]) -> None:
        self._clock = clock
        self._keep = keep
        self._target = 0
        self._one_at_a_time = trio.Lock()

    @property
    def ahead(self) -> int:
        """Milliseconds by which state is ahead of the world."""
        return self._clock.ahead

    async def advance(self, services: Services, millis: int) -> Advance:
        """Let so many milliseconds pass for the state of these services; at most LONGEST_AHEAD in all. Raises OSError
        if it cannot be written down; then nothing has moved."""
        async with self._one_at_a_time:
            assert 0 <= millis <= LONGEST_AHEAD - self.ahead, "the caller has looked"
            await services.offload.run(partial(self._keep, self.ahead + millis))
            self._target, steps = self.ahead + millis, 0
            try:
                with trio.move_on_after(PATIENCE_SECONDS) as patience:
                    steps = await self._pass(services, millis // MOST_STEPS)
                    await self._finish(services)
            finally:  # what has been written down is so, though what is due on the way has to happen by itself
                self._clock.advance(max(0, self._target - self.ahead))
            return Advance(steps, not patience.cancelled_caught)

    def begin_again(self) -> None:
        """A state begins that has no past. Call it where waiting does no harm; raises OSError."""
        if self.ahead:
            self._keep(0)
        self._target = 0
        self._clock.begin_again()

    async def _pass(self, services: Services, stride: int) -> int:
        """Go from deadline to deadline; the number of steps."""
        clock, shards = self._clock, (services.groups.shards, services.transactions.shards)
        steps = 0
        while True:
            steps += 1
            due = min(filter(None, (each.next_deadline() for each in shards)), default=None)
            left = max(0, self._target - clock.ahead)
            if due is not None and steps < MOST_STEPS:
                left = min(left, max(0, due - clock.monotonic_millis()) + stride)
            clock.advance(left)
            await self._settle(services)
            if clock.ahead >= self._target:
                return steps

    async def _settle(self, services: Services) -> None:
        """Let what is due by now happen, and what follows from it."""
        for shards in (services.transactions.shards, services.groups.shards):
            await shards.catch_up(self._clock.monotonic_millis())
        await services.transactions.all_completed()

    async def _finish(self, services: Services) -> None:
        """What goes by time alone."""
        await services.tokens.catch_up()
        if isinstance(services.store, CatchesUp):
            await services.store.catch_up(services.partitions.specs)


def passing_time(world: Clock, disk: Disk, directory: str | None) -> tuple[AdvancingClock, PassingTime]:
    """The clock of a broker whose time can be moved, as far ahead as it was when it stopped, and what moves it.
    None for a directory: nothing is kept. Raises ConfigError for a file that cannot be read."""
    if directory is None:
        clock = AdvancingClock(world)
        return clock, PassingTime(clock, lambda ahead: None)
    path = f"{directory}/{AHEAD_FILE}"
    try:
        data = disk.read_file(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    text = "0" if data is None else data.decode("ascii", "replace").strip()
    if not re.fullmatch("[0-9]{1,13}", text) or int(text) > LONGEST_AHEAD:
        raise ConfigError(f"{path} does not say by how many milliseconds this broker's clock is ahead; remove it")
    clock = AdvancingClock(world, int(text))
    return clock, PassingTime(clock, lambda ahead: disk.write_file_atomically(path, f"{ahead}\n".encode()))
