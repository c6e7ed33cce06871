"""The lanes: threads that send and poll in transactions, with librdkafka, and write down what they did.

A lane keeps its transactional id and its group forever. Its clients it loses: on purpose now and then, as a process
that dies does, and whenever an error leaves them of no use. Then it goes on as another process, which reads from where
the group's committed offsets say, for every poll commits its offsets, in its transaction or by itself.

How an operation ended is judged strictly. `fail` is only what was certainly not done: the commit was never asked for.
Whatever happened after that, and is not a success, is `info`. After both the consumer goes back to where the operation
began to read.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tools.trials.brokers import pause
from tools.trials.transaction_test.history import HistoryWriter, Kind, Operation

TOPICS: Final = 16
PARTITIONS: Final = 16
VALUES_PER_KEY: Final = 1024
ACTIVE_KEYS: Final = 8
STEPS: Final = 4
ABORTED_SHARE: Final = 0.1
TRANSACTIONS_SHARE: Final = 0.75
ASSIGNED_ONCE_IN: Final = 64
CRASHED_ONCE_IN: Final = 300
PATIENCE: Final = 10.0
TRANSACTION_MS: Final = 40_000
COMMITS: Final = 4
POLLED: Final = 50
COMMON: Final[dict[str, Any]] = {
    "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20, "log_level": 0,
    "topic.metadata.refresh.fast.interval.ms": 50, "socket.timeout.ms": 10_000,
}  # fmt: skip


class Keys:
    """Which keys are in use, and the next value of each. A key that has had its share gives way to another."""

    def __init__(self, prefix: str) -> None:
        self.topics = [f"{prefix}-{number}" for number in range(TOPICS)]
        # Neighbours are in different topics.
        self._fresh = [f"{topic}/{partition}" for partition in reversed(range(PARTITIONS)) for topic in self.topics]
        self._active: list[str] = []
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, chance: random.Random) -> tuple[str, int]:
        """A key and its next value."""
        with self._lock:
            self._fill()
            key = chance.choice(self._active)
            value = self._next[key] = self._next.get(key, -1) + 1
            if value + 1 >= VALUES_PER_KEY:
                self._active.remove(key)
            return key, value

    def active(self) -> list[str]:
        """The keys in use."""
        with self._lock:
            self._fill()
            return list(self._active)

    def used(self) -> list[str]:
        """Every key that has got a value."""
        with self._lock:
            return list(self._next)

    def _fill(self) -> None:
        while len(self._active) < ACTIVE_KEYS:
            assert self._fresh, f"more than {TOPICS * PARTITIONS * VALUES_PER_KEY} values"
            self._active.append(self._fresh.pop())


def place_of(key: str, offset: int | None = None) -> TopicPartition:
    """librdkafka's name for a key, with an offset if there is one."""
    topic, _, partition = key.rpartition("/")
    return TopicPartition(topic, int(partition)) if offset is None else TopicPartition(topic, int(partition), offset)


def key_of(place: Any) -> str:
    """The key of a partition, or of a message's."""
    topic, partition = (place.topic, place.partition) if isinstance(place, TopicPartition) else (
        place.topic(), place.partition(),
    )  # fmt: skip
    return f"{topic}/{partition}"


def payload(key: str, value: int) -> bytes:
    """A value with what shows that it is whole, and where it belongs."""
    return b"%d %d" % (value, zlib.crc32(f"{key} {value}".encode()))


def value_in(key: str, data: bytes | None) -> int:
    """The value of a payload; -1 if it is damaged or belongs elsewhere, which no lane sends."""
    number = (data or b"").partition(b" ")[0]
    return int(number) if number.isdigit() and payload(key, int(number)) == data else -1


class Lost(Exception):
    """The lane's clients are of no use any more."""


class Lane(threading.Thread):
    """One of the threads."""

    def __init__(
        self, number: int, bootstrap: str, prefix: str, keys: Keys, history: HistoryWriter, chance: random.Random,
        next_process: Callable[[], int], until: threading.Event,
    ) -> None:  # fmt: skip
        super().__init__(name=f"lane-{number}", daemon=True)
        self._number = number
        self._servers = bootstrap
        self._names = {"transactional.id": f"{prefix}-{number}", "group.id": f"{prefix}-{number}"}
        self._keys = keys
        self._history = history
        self._chance = chance
        self._next_process = next_process
        self._until = until
        self._process = -1
        self._producer: Any = None
        self._consumer: Any = None

    def run(self) -> None:
        """Operate until the end is asked for."""
        while not self._until.is_set():
            try:
                self._open()
                while not self._until.is_set():
                    self._operate()
            except Lost:
                pass
            except KafkaException:
                pause(0.05)  # no client could be made; the broker is away
            finally:
                self._drop()

    def _operate(self) -> None:
        if self._chance.randrange(CRASHED_ONCE_IN) == 0:
            raise Lost
        if self._chance.randrange(ASSIGNED_ONCE_IN) == 0:
            self._assign()
        elif self._chance.random() < TRANSACTIONS_SHARE:
            self._transact()
        else:
            self._poll_alone()

    # -- Clients.

    def _open(self) -> None:
        self._process = self._next_process()
        self._producer = Producer(
            {
                **COMMON, "bootstrap.servers": self._servers, "transactional.id": self._names["transactional.id"],
                "transaction.timeout.ms": TRANSACTION_MS, "message.timeout.ms": TRANSACTION_MS // 2, "linger.ms": 1,
            }
        )  # fmt: skip
        self._consumer = Consumer(
            {
                **COMMON, "bootstrap.servers": self._servers, "group.id": self._names["group.id"],
                "isolation.level": "read_committed", "enable.auto.commit": False, "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 20,
            }
        )  # fmt: skip
        deadline = time.monotonic() + 6 * PATIENCE
        while True:
            try:
                self._producer.init_transactions(PATIENCE)
                break
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline or self._until.is_set():
                    raise
        self._assign()

    def _drop(self) -> None:
        """Let go of the clients as a process does that dies: without a word about an open transaction."""
        if self._producer is not None:
            self._producer.purge()
        consumer, self._producer, self._consumer = self._consumer, None, None
        if consumer is not None:
            with suppress(KafkaException, RuntimeError):
                consumer.close()

    def _assign(self) -> None:
        """Read some of the keys in use from where the group has committed, or else from their start."""
        began = time.monotonic()
        active = self._keys.active()
        chosen = self._chance.sample(active, self._chance.randint(2, len(active)))
        operation = Operation(self._process, "ok", "assign", lane=self._number, resumed=True, began=began)
        deadline = time.monotonic() + 3 * PATIENCE
        while True:
            try:
                found = self._consumer.committed([place_of(key) for key in chosen], PATIENCE)
                if all(place.error is None for place in found):
                    break
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                self._write(operation, "fail", "no committed offsets")
                raise Lost
            pause(0.02)
        operation.positions = {key_of(place): place.offset if place.offset >= 0 else -1 for place in found}
        starts = [place_of(key, max(0, offset)) for key, offset in operation.positions.items()]
        self._consumer.assign(starts)
        self._write(operation, "ok")

    # -- Operations.

    def _transact(self) -> None:
        operation = Operation(self._process, "ok", "txn", lane=self._number, began=time.monotonic())
        aborted_before = self._chance.randrange(STEPS + 1) if self._chance.random() < ABORTED_SHARE else -1
        offsets: dict[tuple[str, int], int] = {}
        failed: list[str] = []
        asked = False
        try:
            self._producer.begin_transaction()
            steps = self._chance.randint(1, STEPS)
            for step in range(steps):
                if step == aborted_before:
                    break
                if self._chance.random() < 0.5:
                    self._send(operation, offsets, failed)
                else:
                    self._poll(operation)
            if self._producer.flush(PATIENCE) or failed:
                failed.append("not all was delivered")
            if aborted_before >= 0 or failed:
                self._abort(operation, "; ".join(failed))
                return
            self._send_offsets(operation)
            asked = True
            self._commit()
        except KafkaException as error:
            self._after(error.args[0], operation, offsets, asked)
            return
        self._learn(operation, offsets)
        self._write(operation, "ok")

    def _send(self, operation: Operation, offsets: dict[tuple[str, int], int], failed: list[str]) -> None:
        key, value = self._keys.take(self._chance)
        operation.sends.append((key, None, value))

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                offsets[key, value] = message.offset()
            else:
                failed.append(str(error))

        place = place_of(key)
        self._producer.produce(place.topic, payload(key, value), partition=place.partition, on_delivery=delivered)

    def _poll(self, operation: Operation) -> None:
        for message in self._consumer.consume(POLLED, 0.03):
            if message.error() is None:
                key = key_of(message)
                operation.polls.append((key, message.offset(), value_in(key, message.value())))

    def _send_offsets(self, operation: Operation) -> None:
        if operation.polls:
            metadata = self._consumer.consumer_group_metadata()
            self._producer.send_offsets_to_transaction(self._behind(operation), metadata, PATIENCE)

    @staticmethod
    def _behind(operation: Operation) -> list[TopicPartition]:
        ends = {key: offset + 1 for key, offset, _ in operation.polls}
        return [place_of(key, end) for key, end in ends.items()]

    def _commit(self) -> None:
        for left in reversed(range(COMMITS)):
            try:
                self._producer.commit_transaction(PATIENCE)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or not left:
                    raise

    def _abort(self, operation: Operation, error: str) -> None:
        """The commit was not asked for, so it has failed whatever becomes of the abort."""
        self._write(operation, "fail", error)
        try:
            self._producer.abort_transaction(PATIENCE)
        except KafkaException as raised:
            raise Lost from raised
        self._go_back(operation)

    def _after(self, error: KafkaError, operation: Operation, offsets: dict[tuple[str, int], int], asked: bool) -> None:
        """A transaction that has met an error."""
        if not asked:
            self._abort(operation, str(error))
            return
        self._learn(operation, offsets)
        self._write(operation, "info", str(error))
        raise Lost

    def _poll_alone(self) -> None:
        operation = Operation(self._process, "ok", "poll", lane=self._number, began=time.monotonic())
        try:
            self._poll(operation)
            if not operation.polls:
                return
            done = self._consumer.commit(offsets=self._behind(operation), asynchronous=False)
            errors = [str(place.error) for place in done if place.error is not None]
        except KafkaException as error:
            errors = [str(error.args[0])]
        if errors:
            self._write(operation, "info", errors[0])
            raise Lost
        self._write(operation, "ok")

    def _learn(self, operation: Operation, offsets: dict[tuple[str, int], int]) -> None:
        operation.sends = [(key, offsets.get((key, value)), value) for key, _, value in operation.sends]

    def _go_back(self, operation: Operation) -> None:
        first: dict[str, int] = {}
        for key, offset, _ in operation.polls:
            first.setdefault(key, offset)
        try:
            for key, offset in first.items():
                self._consumer.seek(place_of(key, offset))
        except KafkaException as raised:
            raise Lost from raised

    def _write(self, operation: Operation, kind: Kind, error: str = "") -> None:
        operation.kind, operation.error, operation.ended = kind, error, time.monotonic()
        self._history.write(operation)
