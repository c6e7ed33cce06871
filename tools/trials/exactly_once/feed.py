"""The feed: numbered records into the sources, an equal share for each, as steadily as the broker lets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

EVERY_SECONDS: Final = 0.1
PATIENCE: Final = 120.0


class Feed(threading.Thread):
    """Sends until every source has `records` more; `next_number` says where their numbers go on."""

    def __init__(
        self, bootstrap: str, sources: Sequence[str], partitions: int, records: int, seconds: float,
        next_number: Callable[[str], int],
    ) -> None:  # fmt: skip
        super().__init__(name="feed", daemon=True)
        self.failed: list[str] = []
        self._sources = sources
        self._partitions = partitions
        self._records = records
        self._seconds = seconds
        self._first = {source: next_number(source) for source in sources}
        options: dict[str, Any] = {
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 0,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0,
        }  # fmt: skip
        self._producer = Producer(options)

    def run(self) -> None:
        """Send everything, and wait until it is acknowledged."""
        began, sent = time.monotonic(), 0
        try:
            while sent < self._records:
                due = self._records if not self._seconds else int(
                    self._records * min(1.0, (time.monotonic() - began) / self._seconds)
                )  # fmt: skip
                for number in range(sent, due):
                    for source in self._sources:
                        self._send(source, self._first[source] + number)
                sent = due
                self._producer.poll(EVERY_SECONDS)
            left = self._producer.flush(PATIENCE)
            if left:
                self.failed.append(f"{left} records were not acknowledged within {PATIENCE:g} s")
        except KafkaException as error:
            self.failed.append(str(error))

    def _send(self, source: str, number: int) -> None:
        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                self.failed.append(str(error))

        while True:
            try:
                self._producer.produce(
                    source, b"%d" % number, b"key %d" % number, partition=number % self._partitions,
                    on_delivery=delivered,
                )  # fmt: skip
            except BufferError:  # the broker is away for longer than the queue can bear
                self._producer.poll(EVERY_SECONDS)
            else:
                return
