"""The faults: something is killed and brought back, or stopped for a while and continued, one thing at a time.

What can have a fault is a `Target`: a broker's process here; `trials cluster-test` has others. The thread that starts
a database must live as long as that does, so faults are played in the thread that started it (`play` blocks).
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tools.trials.brokers import Process

QUIET_SECONDS: Final = (1.0, 4.0)
PAUSE_SECONDS: Final = (0.3, 3.0)
KILLED_SHARE: Final = 0.6


class Target(Protocol):
    """What can be killed and paused. Every method may raise BrokerFailed."""

    @property
    def role(self) -> str:
        """What it is: faults are counted by it."""

    def check_alive(self) -> None:
        """Raise BrokerFailed if it has ended by itself."""

    def kill(self) -> None:
        """End it with SIGKILL, start it again, and return when it serves."""

    def pause(self, paused: bool) -> None:
        """Stop it where it is, or let it go on."""


class BrokerTarget:
    """A broker."""

    role = "broker"

    def __init__(self, process: Process) -> None:
        self._process = process

    def check_alive(self) -> None:
        """Raise BrokerFailed if it has ended by itself."""
        self._process.check_alive()

    def kill(self) -> None:
        """SIGKILL, and a start."""
        self._process.kill()
        self._process.start()
        self._process.wait_until()

    def pause(self, paused: bool) -> None:
        """SIGSTOP, SIGCONT."""
        os.killpg(self._process.pid, signal.SIGSTOP if paused else signal.SIGCONT)


class Faults:
    """Plays one fault after another, of a target by chance, and leaves all of them serving."""

    def __init__(
        self, targets: Sequence[Target], chance: random.Random, until: threading.Event, say: Callable[[str], None]
    ) -> None:
        self.played: Counter[str] = Counter()
        self._targets = targets
        self._chance = chance
        self._until = until
        self._say = say

    def play(self) -> None:
        """Until the end is asked for. Raises BrokerFailed."""
        while not self._until.wait(self._chance.uniform(*QUIET_SECONDS)):
            for target in self._targets:
                target.check_alive()
            target = self._chance.choice(self._targets)
            if self._chance.random() < KILLED_SHARE:
                self.played[f"{target.role} killed"] += 1
                target.kill()
            else:
                self._pause(target, self._chance.uniform(*PAUSE_SECONDS))

    def _pause(self, target: Target, seconds: float) -> None:
        self.played[f"{target.role} paused"] += 1
        target.pause(True)
        try:
            self._until.wait(seconds)
        finally:
            target.pause(False)

    def __str__(self) -> str:
        return ", ".join(f"{what} {count} times" for what, count in sorted(self.played.items())) or "no faults"
