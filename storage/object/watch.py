"""Noticing what other brokers have appended: the ends of watched logs, asked for again and again.

A log is watched from the read on that has found its end, until it advances: that is as long as a reader may be waiting
for it, and it costs nothing to watch what does not grow but one row of a question. All watched logs are one question.
The pause between two questions is `poll_ms` while logs advance, and grows to four times that while none does; it is
never less than ten times what the question took, so that a broker with very many waiting readers does not do nothing
else. What this broker itself commits it knows without asking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from kproto.errors import KafkaError
from storage.object.partition_log import ObjectLog
from storage.seams.logging import get_logger

SLOWEST = 4
"""Times `poll_ms`."""

LONGEST_SECONDS = 1.0
"""Between two questions, however long the last one took: a database that stood still answers at once when it goes on,
and brokers must not be behind for ten times as long."""


class Watch:
    """The watched logs. `refresh` learns where logs end; it raises KafkaError."""

    def __init__(self, refresh: Callable[[Sequence[ObjectLog]], Awaitable[None]], poll_ms: int) -> None:
        self._refresh = refresh
        self._poll = poll_ms / 1000
        self._watched: dict[ObjectLog, None] = {}
        self._begun = trio.Event()
        self._logger = get_logger("storage")

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, log: ObjectLog) -> None:
        """A reader has found the end of this log."""
        if not log.watched:
            log.watched = True
            self._watched[log] = None
            self._begun.set()

    async def run(self) -> None:
        """Ask, forever."""
        pause, failing = self._poll, False
        while True:
            if not self._watched:
                self._begun = trio.Event()
                await self._begun.wait()
            began = trio.current_time()
            logs = list(self._watched)
            try:
                await self._refresh(logs)
                failing = False
            except KafkaError as error:
                if not failing:
                    self._logger.warning("appends of other brokers are not seen", reason=str(error))
                failing = True
            gone = [log for log in logs if not log.watched]
            for log in gone:
                self._watched.pop(log, None)
            pause = self._poll if gone else min(2 * pause, SLOWEST * self._poll)
            await trio.sleep(max(pause, min(10 * (trio.current_time() - began), LONGEST_SECONDS)))
