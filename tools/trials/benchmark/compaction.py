"""`python -m tools.trials bench-compaction`: how fast a log is compacted, and what producers feel of it.

A topic is filled with uncompressed records of 1,000 bytes with 16-byte keys, in batches of sixteen, while compaction
waits. Then compaction is let go, once with nothing else to do and once while a client produces to another topic, one
request at a time at a steady rate, every other one with acks=all. The same load without compaction is measured before.

The figures are megabytes of input per second, by the broker's own account in its log, and latencies.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kproto.batches.records import RecordData, build_batch
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.command import machine
from tools.trials.benchmark.load import PRODUCE_VERSION, create_topic
from tools.trials.brokers import ottla, pause
from tools.trials.wire.client import WireClient

RECORD_BYTES = 1000
RECORDS = 16
REQUESTS_PER_SECOND = 250
TARGET_SPEED = 100.0
TARGET_RATIO = 2.0
PATIENCE = 300.0
TOPIC_RESOURCE = 2


class Latencies(NamedTuple):
    """Seconds, by acks."""

    acks_1: list[float]
    acks_all: list[float]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench-compaction", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="input of each compaction (default 1000)")
    parser.add_argument("--keys", type=int, default=100_000, help="different keys (default 100000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="load without compaction (default 10)")
    options = parser.parse_args(arguments)
    print(machine())
    print(f"{options.megabytes} MB of records of {RECORD_BYTES} bytes, {options.keys} keys of 16 bytes")
    with BrokerProcess(ottla("log.cleaner.backoff.ms=100", "ottla.log.format=json")) as broker:
        create_topic(broker, "load", 1)
        for name in ("alone", "loaded"):
            create_topic(
                broker, name, 1, cleanup_policy="compact", segment_bytes=str(100 << 20), min_cleanable_dirty_ratio="1"
            )
            fill(broker, name, options.megabytes, options.keys)
        pause(2.0)
        let_go(broker, "alone")
        alone = until_compacted(broker, "alone")
        produce(broker, lambda sent: sent < REQUESTS_PER_SECOND)  # warm
        before = produce(broker, lambda sent: sent < options.seconds * REQUESTS_PER_SECOND)
        let_go(broker, "loaded")
        meanwhile = produce(broker, lambda _: compacted(broker, "loaded") is None)
        loaded = compacted(broker, "loaded")
        assert loaded is not None
    return report(alone, loaded, before, meanwhile)


def fill(broker: BrokerProcess, topic: str, megabytes: int, keys: int) -> None:
    """Write so much, and enough to begin another segment behind it."""
    chance = random.Random(topic)
    value = chance.randbytes(RECORD_BYTES - 16)
    now = int(time.time() * 1000)
    with WireClient(broker.port) as client:
        for _ in range((megabytes + 110) * 1_000_000 // (RECORDS * RECORD_BYTES) // 8):
            batches = [
                bytes(
                    build_batch([RecordData(0, now, b"%016d" % chance.randrange(keys), value) for _ in range(RECORDS)])
                )
                for _ in range(8)
            ]
            for batch in batches:
                client.socket.sendall(produce_request(client, topic, batch, acks=1))
            for _ in batches:
                reply: Any = client.reply()
                assert reply.responses[0].partition_responses[0].error_code == 0, reply


def produce_request(client: WireClient, topic: str, batch: bytes, *, acks: int) -> bytes:
    """One batch to partition 0."""
    data = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=0, records=batch)])
    return client.encode(ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[data]), PRODUCE_VERSION)


def let_go(broker: BrokerProcess, topic: str) -> None:
    """Make the topic due for compaction."""
    wanted = AlterableConfig(name="min.cleanable.dirty.ratio", config_operation=0, value="0.01")
    resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configs=[wanted])
    with WireClient(broker.port) as client:
        reply: Any = client.call(IncrementalAlterConfigsRequest(resources=[resource]), 1)
        assert reply.responses[0].error_code == 0, reply


def compacted(broker: BrokerProcess, topic: str) -> dict[str, Any] | None:
    """What the broker has said of the first compaction of a topic."""
    for line in broker.log.read_text().splitlines():
        if '"compacted"' in line and (said := json.loads(line))["topic"] == topic:
            assert isinstance(said, dict)
            return said
    return None


def until_compacted(broker: BrokerProcess, topic: str) -> dict[str, Any]:
    """Wait for that."""
    deadline = time.monotonic() + PATIENCE
    while (said := compacted(broker, topic)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(broker.log.read_text()[-2000:])
        pause(0.2)
    return said


def produce(broker: BrokerProcess, more: Callable[[int], bool]) -> Latencies:
    """Requests of sixteen records at a steady rate, one at a time, as long as `more` of the number sent."""
    found = Latencies([], [])
    record = RecordData(0, int(time.time() * 1000), None, bytes(RECORD_BYTES))
    batch = bytes(build_batch([record] * RECORDS))
    with WireClient(broker.port) as client:
        sent, due = 0, time.perf_counter()
        while sent % 50 or more(sent):
            due = max(due + 1 / REQUESTS_PER_SECOND, time.perf_counter() - 1)
            pause(max(0.0, due - time.perf_counter()))
            request = produce_request(client, "load", batch, acks=-1 if sent % 2 else 1)
            began = time.perf_counter()
            client.socket.sendall(request)
            client.reply()
            found[sent % 2].append(time.perf_counter() - began)
            sent += 1
    return found


def report(alone: dict[str, Any], loaded: dict[str, Any], before: Latencies, meanwhile: Latencies) -> int:
    """Print; 1 if a target is missed."""
    missed = False
    for name, said in (("alone", alone), ("beside a producer", loaded)):
        speed = said["bytes"] / max(said["millis"], 1) / 1000
        missed |= speed < TARGET_SPEED
        met = "met" if speed >= TARGET_SPEED else "MISSED"
        print(f"compaction {name}: {speed:.0f} MB/s of input (target {TARGET_SPEED:.0f}: {met})")
    for name, without, beside in (
        ("acks=1", before.acks_1, meanwhile.acks_1),
        ("acks=all", before.acks_all, meanwhile.acks_all),
    ):
        (p50, p99), (p50_beside, p99_beside) = (
            (percentile(latencies, 0.5), percentile(latencies, 0.99)) for latencies in (without, beside)
        )
        ratio = p99_beside / p99
        missed |= ratio > TARGET_RATIO
        met = "met" if ratio <= TARGET_RATIO else "MISSED"
        print(f"produce {name}: p50 {p50:.0f} us, during compaction {p50_beside:.0f} us")
        print(
            f"produce {name}: p99 {p99:.0f} us, during compaction {p99_beside:.0f} us, {ratio:.2f}x "
            f"(target {TARGET_RATIO:.0f}x: {met}; {len(without)} and {len(beside)} requests)"
        )
    return 1 if missed else 0


def percentile(latencies: Sequence[float], share: float) -> float:
    """In microseconds."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
