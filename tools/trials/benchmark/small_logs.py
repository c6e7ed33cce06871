"""`trials bench-small-logs`: how long many small logs take to be compacted, beside a light producer.

A topic of many partitions, compacted, gets a record of one key in each, three times, with a segment's life in between:
so each log has two closed segments, of whose records one will be left. Then compaction is let go, and the sizes that
DescribeLogDirs reports say when a log is done: it has become smaller. Meanwhile a client produces to another topic, one
record at a time, half of them with acks=all, as it did before. With `--kafka` the same is done on Apache Kafka.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.ids import TopicPartition
from kproto.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.command import machine
from tools.trials.benchmark.compaction import let_go, percentile
from tools.trials.benchmark.load import create_topic
from tools.trials.brokers import Contender, kafka, ottla, pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

BACKOFF = "log.cleaner.backoff.ms=100"
SEGMENT_MS = 1000
VALUE = bytes(500)
PATIENCE_SECONDS = 300.0
PAUSE_SECONDS = 0.004
TOPIC, LOAD = "small", "load"


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if Ottla takes longer than Kafka, or disturbs producers more than twice."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench-small-logs", description=__doc__)
    parser.add_argument("--logs", type=int, default=1000, help="how many logs (default 1000)")
    parser.add_argument("--kafka", metavar="COMMAND", help="also Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--seconds", type=float, default=5.0, help="load without compaction (default 5)")
    options = parser.parse_args(arguments)
    print(machine())
    contenders = [ottla(BACKOFF)]
    if options.kafka:
        contenders.append(kafka(options.kafka, BACKOFF))
    seconds, ratios = {}, {}
    for contender in contenders:
        seconds[contender.name], ratios[contender.name] = measure(contender, options.logs, options.seconds)
    slower = "kafka" in seconds and seconds["ottla"] > seconds["kafka"]
    return 1 if slower or max(ratios["ottla"]) > 2 else 0


def measure(contender: Contender, logs: int, undisturbed: float) -> tuple[float, tuple[float, float]]:
    """Seconds until all logs are compacted, and how many times as long the p99 of acks=1 and acks=all is meanwhile."""
    with BrokerProcess(contender) as broker:
        create_topic(broker, LOAD, 1)
        create_topic(
            broker, TOPIC, logs, cleanup_policy="compact", segment_ms=str(SEGMENT_MS), min_cleanable_dirty_ratio="1"
        )
        for _ in range(3):
            fill(broker.port, logs)
            pause(SEGMENT_MS / 1000 + 0.2)
        before = Load(broker.port)
        pause(undisturbed)
        alone = before.stop()
        large = sizes(broker.port)
        beside = Load(broker.port)
        began = time.perf_counter()
        let_go(broker, TOPIC)
        until_smaller(broker.port, large)
        took = time.perf_counter() - began
        meanwhile = beside.stop()
    print(f"{contender.name}: {logs} logs compacted in {took:.1f} s beside a producer")
    ratios = []
    for name, without, with_ in zip(("acks=1", "acks=all"), alone, meanwhile, strict=True):
        was, is_ = percentile(without, 0.99), percentile(with_, 0.99)
        ratios.append(is_ / was)
        figures = f"p99 {was:.0f} us, meanwhile {is_:.0f} us, {is_ / was:.2f}x"
        print(f"{contender.name}: {name} {figures} ({len(with_)} requests)")
    return took, (ratios[0], ratios[1])


def fill(port: int, logs: int) -> None:
    """A batch of one key into each log."""
    with WireClient(port, timeout=60) as client:
        for number in range(logs):
            batch = build_batch([RecordData(0, int(time.time() * 1000), b"key", VALUE)])
            client.socket.sendall(wire.produce_request(client, TopicPartition(TOPIC, number), batch, 1))
            wire.accept("Produce", wire.produced(client)[0])


def sizes(port: int) -> dict[int, int]:
    """The size of each log of the topic, by partition."""
    with WireClient(port, timeout=60) as client:
        topics = [DescribableLogDirTopic(topic=TOPIC, partitions=list(range(2000)))]
        reply: Any = client.call(DescribeLogDirsRequest(topics=topics), 4)
    return {
        part.partition_index: part.partition_size
        for result in reply.results
        for topic in result.topics
        for part in topic.partitions
    }


def until_smaller(port: int, before: dict[int, int]) -> None:
    """Wait until each log has become smaller. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := sum(size >= before[number] for number, size in sizes(port).items()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} of {len(before)} logs are not compacted after {PATIENCE_SECONDS:g} s")
        pause(0.1)


class Load:
    """A light producer in a thread: one record at a time, every other one with acks=all."""

    def __init__(self, port: int) -> None:
        self._over = threading.Event()
        self._latencies: tuple[list[float], list[float]] = ([], [])
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()

    def _run(self, port: int) -> None:
        batch = build_batch([RecordData(0, int(time.time() * 1000), None, VALUE)])
        place = TopicPartition(LOAD, 0)
        with WireClient(port) as client:
            while not self._over.wait(PAUSE_SECONDS):
                for number, acks in enumerate((1, -1)):
                    began = time.perf_counter()
                    client.socket.sendall(wire.produce_request(client, place, batch, acks))
                    wire.accept("Produce", wire.produced(client)[0])
                    self._latencies[number].append(time.perf_counter() - began)

    def stop(self) -> tuple[list[float], list[float]]:
        """Latencies in seconds: of acks=1, and of acks=all."""
        self._over.set()
        self._thread.join()
        return self._latencies


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
