"""Producers that write down what was acknowledged, and a judge that compares it with what can be read.

Each producer is idempotent and has values of its own, numbered; a record is *acknowledged* when its callback says so,
with its offset. What was not may be there or not, once. Values of one producer in one partition come in their order.

Producers are patient: a client that gives a record up gives up its sequence, too, and sends what was behind it once
more in another epoch, so that some of it is there twice, which is not the brokers' doing.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

PARTITIONS = 4
PRODUCERS = 3
VALUE_BYTES = 200
PACE_SECONDS = 0.01
DELIVERY_MS = 300_000


@dataclass
class Written:
    """What one producer has written of one row's topic."""

    name: str
    acknowledged: dict[tuple[int, int], int | None] = field(default_factory=dict)  # (partition, number) -> offset
    failed: set[tuple[int, int]] = field(default_factory=set)
    moments: list[float] = field(default_factory=list)  # of acknowledgements
    has_begun: threading.Event = field(default_factory=threading.Event)  # set at the first of them


class Verdict(NamedTuple):
    """What the judge has counted."""

    acknowledged: int
    failed: int  # of which some may be there
    lost: int
    doubled: int
    reordered: int
    misplaced: int  # acknowledged with an offset that another record has
    silence: float  # seconds, the longest without an acknowledgement

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.reordered or self.misplaced)


class Load:
    """Producers that write to a topic in threads, from `start` to `stop`."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._stopping = threading.Event()
        self.written = [Written(f"p{number}") for number in range(PRODUCERS)]
        self._threads = [threading.Thread(target=self._write, args=(each,), daemon=True) for each in self.written]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait_until_acknowledged(self) -> None:
        """Return when each producer has got an answer: a failure before that would cost no silence that is seen.
        Raises AssertionError if that takes too long."""
        until = time.monotonic() + DELIVERY_MS / 1000
        for each in self.written:
            begun = each.has_begun.wait(until - time.monotonic())
            assert begun, f"producers of {self._topic} get no answer"

    def stop(self) -> None:
        """Write no more, and wait until every record has its answer."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, written: Written) -> None:
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": DELIVERY_MS,
                "request.timeout.ms": 10_000,
                "retry.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        number = 0
        while not self._stopping.is_set():
            for partition in range(PARTITIONS):
                key = (partition, number)

                def answered(error: Any, message: Any, key: tuple[int, int] = key) -> None:
                    if error is None:
                        written.acknowledged[key] = message.offset()
                        written.moments.append(time.monotonic())
                        written.has_begun.set()
                    else:
                        written.failed.add(key)

                value = f"{written.name}:{number}:".encode().ljust(VALUE_BYTES, b".")
                producer.produce(self._topic, value, partition=partition, on_delivery=answered)
            number += 1
            producer.poll(PACE_SECONDS)
        producer.flush(DELIVERY_MS / 1000 + 10)


def read_everything(
    bootstrap: str, topic: str, isolation: str = "read_committed"
) -> dict[int, list[tuple[int, bytes]]]:
    """Offset and value of all records, by partition. Raises AssertionError when it cannot be read to its end."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-judge",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )
    try:
        ends = {}
        for partition in range(PARTITIONS):
            ends[partition] = _end_of(consumer, TopicPartition(topic, partition))
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        found: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in range(PARTITIONS)}
        missing = {partition for partition, end in ends.items() if end}
        until = time.monotonic() + 60
        while missing:
            assert time.monotonic() < until, f"partitions {missing} of {topic} were not read to their ends"
            message = consumer.poll(1)
            if message is None:
                continue
            assert message.error() is None, str(message.error())
            place, offset, value = message.partition(), message.offset(), message.value()
            assert place is not None and offset is not None and value is not None
            found[place].append((offset, value))
            if offset + 1 >= ends[place]:
                missing.discard(place)
        return found
    finally:
        consumer.close()


def _end_of(consumer: Any, place: Any) -> int:
    """Where a partition ends. Asked again while its brokers come back: this client, unlike others, does not."""
    from confluent_kafka import KafkaException

    until = time.monotonic() + 30
    while True:
        try:
            _, end = consumer.get_watermark_offsets(place, timeout=30)
            return int(end)
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def judge(written: Sequence[Written], found: dict[int, list[tuple[int, bytes]]]) -> Verdict:
    """Hold what was read against what was acknowledged."""
    by_name = {each.name: each for each in written}
    offsets: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    reordered = 0
    for partition, records in found.items():
        last: dict[str, int] = {}
        for offset, value in records:
            written_by, position, _ = value.split(b":", 2)
            producer, count = written_by.decode(), int(position)
            offsets[producer, partition, count].append(offset)
            reordered += count <= last.get(producer, -1) and len(offsets[producer, partition, count]) == 1
            last[producer] = max(count, last.get(producer, -1))
    lost = misplaced = 0
    for name, each in by_name.items():
        for (partition, number), told in each.acknowledged.items():
            places = offsets.get((name, partition, number), [])
            lost += not places
            # Of a batch that was sent again, and whose first answer was lost, a client may know no offset.
            misplaced += bool(places) and told is not None and told not in places
    moments = sorted(moment for each in written for moment in each.moments)
    silence = max((after - before for before, after in pairwise(moments)), default=0.0)
    return Verdict(
        sum(len(each.acknowledged) for each in written),
        sum(len(each.failed) for each in written),
        lost,
        sum(len(places) - 1 for places in offsets.values()),
        reordered,
        misplaced,
        silence,
    )
