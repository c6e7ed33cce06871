"""What is measured, and how much is asked of it.

Each scenario gives one figure per round and contender, bigger is better unless it says otherwise. `TARGETS` are the
promises of the foundation, relative to Apache Kafka in the same run; a scenario without one is printed for information.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from tools.trials.benchmark import load
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.brokers import Contender

FETCHED_BYTES = 512 << 20


@dataclass(frozen=True)
class Target:
    """What a figure, or its ratio to Apache Kafka's, must be at least (or at most)."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Whether `value` keeps the promise."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


TARGETS = {
    "produce 1,000 B, 1 MB requests: MB/s": Target(at_least=1.2),
    "produce 1,000 B, 1 MB requests: CPU s/GB": Target(at_most=0.7),
    "produce 1,000 B, 12 partitions: MB/s": Target(at_least=1.2),
    "produce 1,000 B, 12 partitions: CPU s/GB": Target(at_most=0.7),
    "produce 100 B, one a request: requests/s": Target(at_least=1.2),
    "fetch, hot: MB/s": Target(at_least=0.9),
    "fetch, hot: CPU s/GB": Target(at_most=1.0),
}

ABOVE_TRIO = "the same above import trio: s"
LIMITS = {ABOVE_TRIO: Target(at_most=0.2), "idle memory: MB": Target(at_most=60.0)}
"""Promises that are not relative to anybody: Ottla's figure stays at or below."""


@dataclass
class Results:
    """Figures by name and contender, one per round."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, name: str, contender: str, value: float) -> None:
        self.figures.setdefault(name, {}).setdefault(contender, []).append(value)

    def medians(self) -> Iterator[tuple[str, dict[str, float]]]:
        for name, by_contender in self.figures.items():
            yield name, {contender: median(values) for contender, values in by_contender.items()}


Scenario = Callable[[BrokerProcess, Results, float, str], None]


def produce_large(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """Batches of a thousand 1,000-byte records to one partition, acks=1."""
    load.create_topic(broker, topic, 1, retention_bytes="1073741824", segment_bytes="268435456")
    done = load.produce(broker, topic, seconds=seconds, records=1000, record_bytes=1000)
    results.add("produce 1,000 B, 1 MB requests: MB/s", broker.name, done.megabytes_per_second)
    results.add("produce 1,000 B, 1 MB requests: CPU s/GB", broker.name, done.cpu_per_gigabyte)
    results.add("produce 1,000 B, 1 MB requests: user CPU s/GB", broker.name, done.user_per_gigabyte)


def produce_java_sized(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """Batches of sixteen 1,000-byte records (the Java client's 16 KiB) to one partition, acks=1."""
    load.create_topic(broker, topic, 1)
    done = load.produce(broker, topic, seconds=seconds, records=16, record_bytes=1000)
    results.add("produce 1,000 B, 16 kB requests: MB/s", broker.name, done.megabytes_per_second)
    results.add("produce 1,000 B, 16 kB requests: CPU s/GB", broker.name, done.cpu_per_gigabyte)


def produce_spread(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """Requests with 80 records of 1,000 bytes for each of twelve partitions, acks=1."""
    load.create_topic(broker, topic, 12)
    done = load.produce(broker, topic, seconds=seconds, partitions=12, records=80, record_bytes=1000)
    results.add("produce 1,000 B, 12 partitions: MB/s", broker.name, done.megabytes_per_second)
    results.add("produce 1,000 B, 12 partitions: CPU s/GB", broker.name, done.cpu_per_gigabyte)
    results.add("produce 1,000 B, 12 partitions: user CPU s/GB", broker.name, done.user_per_gigabyte)


def produce_single(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """One 100-byte record per request, five requests in flight, acks=1."""
    load.create_topic(broker, topic, 1)
    done = load.produce(broker, topic, seconds=seconds, records=1, record_bytes=100)
    results.add("produce 100 B, one a request: requests/s", broker.name, done.requests / done.seconds)
    results.add("produce 100 B, one a request: CPU us/request", broker.name, done.cpu_micros_per_request)


def round_trip(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """One 100-byte record, one request at a time, acks=1: latency."""
    load.create_topic(broker, topic, 1)
    done = load.produce(broker, topic, seconds=seconds, records=1, record_bytes=100, in_flight=1)
    for share, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")):
        results.add(f"round trip, acks=1: {name} us", broker.name, done.percentile(share))


def durable(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """acks=all, one 100-byte record per request: Ottla as it comes (fsync before the ack), Kafka with
    flush.messages=1.
    """
    configs = {} if broker.name == "ottla" else {"flush_messages": "1"}
    load.create_topic(broker, topic, 1, **configs)
    for in_flight in (1, 5):
        done = load.produce(
            broker, topic, seconds=seconds / 2, records=1, record_bytes=100, acks=-1, in_flight=in_flight
        )
        results.add(f"durable, {in_flight} in flight: requests/s", broker.name, done.requests / done.seconds)
        results.add(f"durable, {in_flight} in flight: p99 us", broker.name, done.percentile(0.99))


def fetch_hot(broker: BrokerProcess, results: Results, seconds: float, topic: str) -> None:
    """Half a gigabyte that is in the page cache, read by one consumer with 1 MiB a partition."""
    load.create_topic(broker, topic, 1)
    end = load.fill(broker, topic, FETCHED_BYTES)
    load.fetch(broker, topic, end, seconds=min(seconds, 1.0))
    done = load.fetch(broker, topic, end, seconds=seconds)
    results.add("fetch, hot: MB/s", broker.name, done.megabytes_per_second)
    results.add("fetch, hot: CPU s/GB", broker.name, done.cpu_per_gigabyte)


SCENARIOS: dict[str, Scenario] = {
    "large": produce_large,
    "java": produce_java_sized,
    "spread": produce_spread,
    "single": produce_single,
    "latency": round_trip,
    "durable": durable,
    "fetch": fetch_hot,
}


def warm_up(broker: BrokerProcess, seconds: float) -> None:
    """Let a just-in-time compiler see the work before it is measured."""
    load.create_topic(broker, "warm-up", 1)
    half = seconds / 2
    load.produce(broker, "warm-up", seconds=half, records=1, record_bytes=100)
    load.produce(broker, "warm-up", seconds=half, records=100, record_bytes=1000)


def start_up(contender: Contender, results: Results) -> None:
    """Process start to an accepted connection and to the first answer, idle memory, and the time until a group has
    consumed its first record. Before each start of our own: what the interpreter needs for trio alone.
    """
    floor = import_trio_seconds()
    with BrokerProcess(contender) as broker:
        results.add("start to accepted connection: s", contender.name, broker.accepted_seconds)
        if contender.name == "ottla":
            results.add("python -c 'import trio': s", contender.name, floor)
            results.add(ABOVE_TRIO, contender.name, broker.accepted_seconds - floor)
        results.add("start to first answer: s", contender.name, broker.started_seconds)
        results.add("idle memory: MB", contender.name, broker.resident_bytes() / 1e6)
    began = time.perf_counter()
    with BrokerProcess(contender) as broker:
        first_record(broker.port)
        results.add("start to first record consumed in a group: s", contender.name, time.perf_counter() - began)


def import_trio_seconds() -> float:
    """What `python -c "import trio"` takes with this interpreter: the floor under our own start."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import trio"], check=True)
    return time.perf_counter() - began


def first_record(port: int) -> None:
    """Produce one record and read it through a group, with librdkafka."""
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    servers: dict[str, str | int | float | bool] = {"bootstrap.servers": f"127.0.0.1:{port}"}
    admin = AdminClient(servers)  # kept: its destruction would cancel the request
    for created in admin.create_topics([NewTopic("first", 1, 1)]).values():
        created.result(30)
    producer = Producer(servers)
    producer.produce("first", b"record")
    assert producer.flush(30) == 0
    consumer = Consumer({**servers, "group.id": "first", "auto.offset.reset": "earliest"})
    consumer.subscribe(["first"])
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            continue  # Kafka's metadata lags behind the creation
        assert error is None, error
        consumer.close()
        return
    raise TimeoutError("no record came through the group within a minute")
