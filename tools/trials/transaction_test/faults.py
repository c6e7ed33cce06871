"""The faults: a broker's process that is killed and started again, or stopped for a while and continued.

Of several brokers one at a time has a fault, a random one."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Final

from tools.trials.brokers import BrokerFailed, Process

QUIET_SECONDS: Final = (1.0, 4.0)
PAUSE_SECONDS: Final = (0.3, 3.0)
KILLED_SHARE: Final = 0.6


class Faults(threading.Thread):
    """Plays one fault after another, and leaves a broker that serves."""

    def __init__(
        self, brokers: Sequence[Process], chance: random.Random, until: threading.Event, say: Callable[[str], None]
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.kills = 0
        self.pauses = 0
        self.failed: BrokerFailed | None = None
        self._brokers = brokers
        self._chance = chance
        self._until = until
        self._say = say

    def run(self) -> None:
        """Until the end is asked for."""
        try:
            while not self._until.wait(self._chance.uniform(*QUIET_SECONDS)):
                for broker in self._brokers:
                    broker.check_alive()
                broker = self._chance.choice(self._brokers)
                if self._chance.random() < KILLED_SHARE:
                    broker.kill()
                    self.kills += 1
                    broker.start()
                    broker.wait_until()
                else:
                    self._pause(broker, self._chance.uniform(*PAUSE_SECONDS))
        except BrokerFailed as error:
            self.failed = error
            self._say(str(error))

    def _pause(self, broker: Process, seconds: float) -> None:
        self.pauses += 1
        os.killpg(broker.pid, signal.SIGSTOP)
        try:
            self._until.wait(seconds)
        finally:
            os.killpg(broker.pid, signal.SIGCONT)
