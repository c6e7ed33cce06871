"""Producers and consumers on librdkafka, the client library that most of Kafka's other languages share.

Producers retry until they succeed, as applications have them do. Without a producer id they keep one request in flight,
so that a retry does not change the order; it may write a record twice, and that is allowed. An error that librdkafka
calls fatal, or a record given up, is a complaint: nothing that a broker does by dying entitles it to that.

Consumers are a group that shares the topics. They commit what they have been given, by themselves, many times a second,
and wait for the answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import Producer as LibrdkafkaProducer
from confluent_kafka import TopicPartition as CommittedPosition

from kproto.ids import TopicPartition
from tools.trials.kill_test.ledger import (
    AcknowledgedRuns,
    CommitAcknowledged,
    Complaint,
    Consumed,
    LedgerWriter,
    PositionsTaken,
    Producer,
    Sent,
)
from tools.trials.kill_test.values import make_value

Settings = dict[str, str | int | float | bool]

BURST_SECONDS: Final = 0.02
FLUSH_SECONDS: Final = 120.0
COMMIT_SECONDS: Final = 0.1

SILENT = logging.getLogger("kill-test.librdkafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False

RECONNECTING: Settings = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 100,
    "broker.address.family": "v4",
    "topic.metadata.refresh.fast.interval.ms": 50,
}
PRODUCING: Settings = RECONNECTING | {
    "linger.ms": 5,
    "batch.num.messages": 200,
    "message.timeout.ms": 110_000,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 200,
}
PRODUCERS: dict[str, Settings] = {
    "idempotent": PRODUCING | {"enable.idempotence": True},
    "acks-all": PRODUCING | {"acks": "all", "max.in.flight": 1},
    "acks-1": PRODUCING | {"acks": "1", "max.in.flight": 1, "compression.type": "lz4"},
    "acks-0": PRODUCING | {"acks": "0", "compression.type": "zstd"},
}
"""Settings of each kind; the number of retries is unlimited by default."""

CONSUMING: Settings = RECONNECTING | {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 20,
    "check.crcs": True,
}


class ClientProducer(threading.Thread):
    """Sends to all partitions in turn at a steady pace until `until` is set, then waits for what it sent."""

    def __init__(
        self,
        name: str,
        kind: str,
        places: Sequence[TopicPartition],
        port: int,
        ledger: LedgerWriter,
        until: threading.Event,
        records_per_second: float,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._places = places
        self._ledger = ledger
        self._until = until
        self._burst = max(1, round(records_per_second * BURST_SECONDS))
        self._runs = AcknowledgedRuns(ledger, name)
        self._broken = threading.Event()
        self._settings = PRODUCERS[kind] | {"bootstrap.servers": f"127.0.0.1:{port}", "client.id": name}
        self._counts_acknowledgements = kind != "acks-0"
        ledger.write(Producer(name, kind))

    def run(self) -> None:
        """Send, wait, say how much was sent."""
        counts = dict.fromkeys(self._places, 0)
        producer = LibrdkafkaProducer({**self._settings, "error_cb": self._error, "logger": SILENT})
        turn = 0
        while not self._until.is_set() and not self._broken.is_set():
            began = time.monotonic()
            for _ in range(self._burst):
                # Several records in a row go to one partition: batches, as with keys that come in swarms.
                place = self._places[turn // 10 % len(self._places)]
                turn += 1
                value = make_value(self.name, *place, counts[place])
                try:
                    producer.produce(place.topic, value, partition=place.partition, on_delivery=self._delivered)
                except BufferError:
                    producer.poll(0.1)  # the queue is full while the broker is away
                    continue
                counts[place] += 1
            producer.poll(max(0.0, began + BURST_SECONDS - time.monotonic()))
            self._until.wait(max(0.0, began + BURST_SECONDS - time.monotonic()))
        left = 0 if self._broken.is_set() else producer.flush(FLUSH_SECONDS)
        if left:
            self._ledger.write(Complaint(self.name, f"{left} records are not delivered after {FLUSH_SECONDS:g} s"))
        self._runs.close()
        self._ledger.write(*(Sent(self.name, *place, count) for place, count in counts.items()))

    def _delivered(self, error: KafkaError | None, message: Message[Any, Any]) -> None:
        if error is not None:
            if self._counts_acknowledgements:
                self._ledger.write(Complaint(self.name, f"gives up a record: {error.name()}: {error.str()}"))
            return
        if self._counts_acknowledgements:
            value, topic, partition, offset = message.value(), message.topic(), message.partition(), message.offset()
            assert value is not None and topic is not None and partition is not None and offset is not None
            self._runs.add(topic, partition, int(value.split(b"|", 4)[3]), offset)

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self._ledger.write(Complaint(self.name, f"fatal: {error.name()}: {error.str()}"))
            self._broken.set()


class Progress:
    """How far the group as a whole has come in each partition."""

    def __init__(self) -> None:
        self._reached: dict[TopicPartition, int] = {}

    def reach(self, place: TopicPartition, end: int) -> None:
        """A consumer was given everything below `end`."""
        self._reached[place] = max(end, self._reached.get(place, 0))

    def behind(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Partitions where records are left that no consumer was given, and how many of them."""
        missing = {place: end - self._reached.get(place, 0) for place, end in ends.items()}
        return {place: count for place, count in missing.items() if count > 0}


class GroupMember(threading.Thread):
    """Consumes and commits until `until` is set."""

    def __init__(
        self,
        name: str,
        group: str,
        topics: Sequence[str],
        port: int,
        ledger: LedgerWriter,
        until: threading.Event,
        progress: Progress,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._group = group
        self._topics = list(topics)
        self._ledger = ledger
        self._until = until
        self._progress = progress
        self._settings = CONSUMING | {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": group,
            "client.id": name,
        }
        self._positions: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def run(self) -> None:
        """Consume, commit, leave."""
        consumer = Consumer({**self._settings, "error_cb": self._error, "logger": SILENT})
        changed: Callable[[Consumer, list[CommittedPosition]], None] = self._changed
        consumer.subscribe(self._topics, on_assign=changed, on_revoke=changed, on_lost=changed)
        commit_at = 0.0
        while not self._until.is_set():
            messages = consumer.consume(500, 0.05)
            self._note([message for message in messages if message.error() is None])
            if time.monotonic() >= commit_at:
                self._commit(consumer)
                commit_at = time.monotonic() + COMMIT_SECONDS
        self._commit(consumer)
        consumer.close()

    def _note(self, messages: Sequence[Message[Any, Any]]) -> None:
        """Write down runs of consecutive offsets of one partition."""
        runs: dict[TopicPartition, tuple[int, int, int]] = {}
        entries: list[Consumed] = []
        for message in messages:
            topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
            assert topic is not None and partition is not None and offset is not None
            place = TopicPartition(topic, partition)
            first, count, digest = runs.get(place, (offset, 0, 0))
            if offset != first + count:
                entries.append(Consumed(self.name, *place, first, count, digest))
                first, count, digest = offset, 0, 0
            runs[place] = (first, count + 1, crc32(value or b"", digest))
        entries += (Consumed(self.name, *place, *run) for place, run in runs.items())
        self._ledger.write(*entries)
        for place, (first, count, _) in runs.items():
            self._positions[place] = first + count
            self._progress.reach(place, first + count)

    def _commit(self, consumer: Consumer) -> None:
        """Commit what is new. A commit without an answer is unknown: it is made again with the next one."""
        new = {place: position for place, position in self._positions.items() if self._committed.get(place) != position}
        if not new:
            return
        asked = time.monotonic()
        try:
            offsets = [CommittedPosition(*place, position) for place, position in new.items()]
            answer = consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return
        answered = time.monotonic()
        for part in answer or ():
            if part.error is None:
                place = TopicPartition(part.topic, part.partition)
                self._committed[place] = part.offset
                self._ledger.write(CommitAcknowledged(self._group, *place, part.offset, asked, answered))

    def _changed(self, consumer: Consumer, parts: list[CommittedPosition]) -> None:
        """Partitions come or go; either way positions start over."""
        self._positions.clear()
        self._committed.clear()
        self._ledger.write(PositionsTaken(self.name))

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            with suppress(ValueError):
                self._ledger.write(Complaint(self.name, f"fatal: {error.name()}: {error.str()}"))
