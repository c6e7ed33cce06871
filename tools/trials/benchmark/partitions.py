"""`python -m tools.trials bench partitions`: what a hundred thousand partitions cost.

So many topics of so many partitions are created. Then, in turn: memory and descriptors; one answer to Metadata for all
topics; one record to each of some partitions, all over the place; the latency of producing to one partition, beside the
same with a broker of ten partitions, one request to each in turn, so that both feel the same machine; a clean restart;
a restart after SIGKILL with some logs written to. Each is printed as it is measured, and checked against its target.

With --kafka the same is done to Apache Kafka, with --kafka-topics topics, for which there are no targets.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from struct import Struct
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.load import CREATE_VERSION, PRODUCE_VERSION, create_topic
from tools.trials.brokers import Contender, kafka, ottla, pause
from tools.trials.wire.client import WireClient

METADATA_VERSION = 12
TOPICS_PER_REQUEST = 50
IN_FLIGHT = 64
ROUNDS = 5
RETRIABLE = frozenset({3, 5, 6})
"""What Kafka says of partitions that it is still making: unknown, no leader yet, not the leader yet."""

_LENGTH = Struct(">i")


class Report:
    """Prints figures, and counts the targets that they miss."""

    def __init__(self) -> None:
        self.missed = 0

    def tell(self, name: str, value: float, unit: str, at_most: float | None = None) -> None:
        """One line. Within `at_most`, if there is one, the target is met."""
        verdict = ""
        if at_most is not None:
            met = value < at_most
            self.missed += not met
            verdict = f"   target < {at_most:,g} {unit}: {'met' if met else 'MISSED'}"
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        load = os.getloadavg()[0]
        print(f"  {name:58}{shown:>9} {unit:4}{verdict}   (load {load:.1f})", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    options = parse(arguments)
    from tools.trials.benchmark.command import machine

    print(machine())
    report = Report()
    measure(ottla(), options.topics, options, report, targets=True)
    if options.kafka:
        measure(kafka(options.kafka), options.kafka_topics, options, report, targets=False)
    return 1 if report.missed else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials bench partitions`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench partitions", description=__doc__)
    parser.add_argument("--topics", type=int, default=1000, help="how many topics (default 1000)")
    parser.add_argument("--partitions", type=int, default=100, help="of so many partitions each (default 100)")
    parser.add_argument("--touched", type=int, default=20_000, help="partitions that get a record (default 20000)")
    parser.add_argument("--killed", type=int, default=1000, help="logs written to before SIGKILL (default 1000)")
    parser.add_argument("--requests", type=int, default=2000, help="requests per latency (default 2000)")
    parser.add_argument("--kafka", metavar="COMMAND", help="runs Apache Kafka; {port} and {dir} are filled in")
    parser.add_argument("--kafka-topics", type=int, default=50, help="topics for Apache Kafka (default 50)")
    return parser.parse_args(arguments)


def measure(contender: Contender, topics: int, options: argparse.Namespace, report: Report, *, targets: bool) -> None:
    """Everything, with one broker."""
    count = topics * options.partitions

    def tell(name: str, value: float, unit: str, at_most: float | None = None) -> None:
        report.tell(name, value, unit, at_most if targets else None)

    print(f"{contender.name}: {topics} topics of {options.partitions} partitions, {count:,} in all")
    with BrokerProcess(contender) as broker:
        tell("memory before", broker.resident_bytes() / 1e6, "MB")
        tell("creating them", timed(lambda: create(broker, topics, options.partitions)), "s")
        tell("creating them: CPU time", broker.cpu_seconds(), "s")
        weigh(broker, "when they are there", tell)
        answers = [metadata_seconds(broker) for _ in range(3)]
        tell("Metadata of all, first time", answers[0], "s", 0.5)
        tell("Metadata of all, again", min(answers[1:]), "s", 0.5)
        touched = spread(topics, options.partitions, options.touched)
        tell(f"one record to each of {len(touched):,} partitions", timed(lambda: touch(broker, touched)), "s")
        weigh(broker, "after that", tell)
        if targets:
            with BrokerProcess(contender) as small:
                create_topic(small, name_of(0), 10)
                here, there = latencies(broker, small, options.requests)
            tell("produce latency, ten partitions: p50", there[0], "us")
            tell("produce latency, all: p50", here[0], "us")
            tell("produce latency, ratio of the p50", here[0] / there[0], "x", 1.2)
            tell("produce latency, ten partitions: p99", there[1], "us")
            tell("produce latency, all: p99", here[1], "us")
        tell("stop", timed(broker.stop), "s")
        tell("clean restart: to the first answer", broker.start(), "s", 5)
        tell("clean restart: CPU time", broker.cpu_seconds(), "s")
        weigh(broker, "after a clean restart", tell)
        touched = spread(topics, options.partitions, options.killed)
        touch(broker, touched)
        broker.kill()
        tell(f"restart after SIGKILL, {len(touched):,} logs written to", broker.start(), "s", 15)
        tell("restart after SIGKILL: CPU time", broker.cpu_seconds(), "s")
        weigh(broker, "after that", tell)
        assert answers_all(broker, touched), "a record is missing"
        print("  every record that was acknowledged is there", flush=True)


def timed(action: Callable[[], object]) -> float:
    """How many seconds it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def weigh(broker: BrokerProcess, when: str, tell: Callable[..., None]) -> None:
    """Memory and descriptors."""
    tell(f"memory {when}", broker.resident_bytes() / 1e6, "MB", 600)
    tell(f"descriptors {when}", broker.descriptors(), "", 4000)


def name_of(number: int) -> str:
    """What a topic is called."""
    return f"topic-{number:04d}"


def create(broker: BrokerProcess, topics: int, partitions: int) -> None:
    """Create them, some in each request."""
    with WireClient(broker.port, timeout=600) as client:
        for first in range(0, topics, TOPICS_PER_REQUEST):
            wanted = [
                CreatableTopic(name=name_of(number), num_partitions=partitions, replication_factor=1)
                for number in range(first, min(topics, first + TOPICS_PER_REQUEST))
            ]
            reply: Any = client.call(CreateTopicsRequest(topics=wanted, timeout_ms=600_000), CREATE_VERSION)
            assert {topic.error_code for topic in reply.topics} == {0}, reply.topics[0]
        last = spread(topics, partitions, topics * partitions)[-1:]
        while retriable := {error for error in produce_each(client, last) if error in RETRIABLE}:
            assert retriable <= RETRIABLE
            pause(0.1)


def metadata_seconds(broker: BrokerProcess) -> float:
    """From a request for all topics to the last byte of the answer, which is not decoded."""
    with WireClient(broker.port, timeout=60) as client:
        request = client.encode(MetadataRequest(topics=None), METADATA_VERSION, expect_reply=False)
        began = time.perf_counter()
        client.socket.sendall(request)
        read_frame(client)
        return time.perf_counter() - began


def read_frame(client: WireClient) -> int:
    """Receive one frame and forget it; its size."""
    head = b""
    while len(head) < 4:
        head += client.socket.recv(4 - len(head)) or fail()
    left = size = int(_LENGTH.unpack(head)[0])
    while left:
        left -= len(client.socket.recv(min(left, 1 << 20)) or fail())
    return size


def fail() -> bytes:
    """The connection was closed."""
    raise ConnectionError("the broker closed the connection")


def spread(topics: int, partitions: int, count: int) -> list[tuple[str, int]]:
    """So many partitions, evenly spread over all."""
    every = topics * partitions
    step = max(1, every // count)
    return [(name_of(number // partitions), number % partitions) for number in range(0, every, step)][:count]


def touch(broker: BrokerProcess, partitions: Sequence[tuple[str, int]]) -> None:
    """One record to each."""
    with WireClient(broker.port, timeout=120) as client:
        left = list(partitions)
        while left:
            errors = produce_each(client, left)
            assert not {*errors} - RETRIABLE - {0}, errors
            left = [partition for partition, error in zip(left, errors, strict=True) if error]


def produce_each(client: WireClient, partitions: Sequence[tuple[str, int]]) -> list[int]:
    """One record to each partition, acks=1, a few dozen in flight; the errors."""
    batch = one_record()
    errors = []
    for first in range(0, len(partitions), IN_FLIGHT):
        part = partitions[first : first + IN_FLIGHT]
        client.socket.sendall(b"".join([produce_request(client, *partition, batch) for partition in part]))
        for _ in part:
            reply: Any = client.reply()
            errors.append(reply.responses[0].partition_responses[0].error_code)
    return errors


def one_record() -> bytes:
    """A batch of one record of a hundred bytes."""
    return bytes(build_batch([RecordData(0, int(time.time() * 1000), None, bytes(100), ())]))


def produce_request(client: WireClient, topic: str, partition: int, batch: bytes) -> bytes:
    """One batch to one partition, acks=1."""
    data = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=partition, records=batch)])
    return client.encode(ProduceRequest(acks=1, timeout_ms=30_000, topic_data=[data]), PRODUCE_VERSION)


def latencies(
    one: BrokerProcess, other: BrokerProcess, requests: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """p50 and p99 in microseconds of producing one record to one partition, of both brokers, request by request.

    Medians over rounds.
    """
    batch = one_record()
    rounds: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    with WireClient(one.port) as first, WireClient(other.port) as second:
        for _ in range(ROUNDS):
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(requests // ROUNDS):
                for client, seconds in zip((first, second), taken, strict=True):
                    request = produce_request(client, name_of(0), 1, batch)
                    began = time.perf_counter()
                    client.socket.sendall(request)
                    client.reply()
                    seconds.append(time.perf_counter() - began)
            for found, seconds in zip(rounds, taken, strict=True):
                seconds.sort()
                found.append((seconds[len(seconds) // 2] * 1e6, seconds[len(seconds) * 99 // 100] * 1e6))
    (here, there) = [(median(p50 for p50, _ in found), median(p99 for _, p99 in found)) for found in rounds]
    return here, there


def answers_all(broker: BrokerProcess, partitions: Sequence[tuple[str, int]]) -> bool:
    """Whether each of these has at least one record."""
    from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
    from tools.trials.benchmark.load import LIST_OFFSETS_VERSION

    with WireClient(broker.port, timeout=120) as client:
        topics: dict[str, list[ListOffsetsPartition]] = {}
        for topic, partition in partitions:
            topics.setdefault(topic, []).append(ListOffsetsPartition(partition_index=partition, timestamp=-1))
        asked = [ListOffsetsTopic(name=name, partitions=wanted) for name, wanted in topics.items()]
        while True:
            reply: Any = client.call(ListOffsetsRequest(replica_id=-1, topics=asked), LIST_OFFSETS_VERSION)
            found = [partition for topic in reply.topics for partition in topic.partitions]
            if not any(partition.error_code in RETRIABLE for partition in found):
                break
            pause(0.1)  # Kafka answers before it leads its partitions again
    return len(found) == len(partitions) and all(part.error_code == 0 and part.offset > 0 for part in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
