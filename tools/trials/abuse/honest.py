"""Honest clients: producers and consumers whose latency is measured, alone and beside others.

Run as a process: `python -m tools.trials.abuse.honest PORT TOPIC PAIRS`. Each pair is a producer, which writes records
with the time of now, each `PAUSE_SECONDS` after the acknowledgement of the one before, and a consumer, which waits
in Fetch for records of its partition.

The process prints `ready`, and then one line of JSON for each line it reads: `{"produce": [...], "fetch": [...]}`, each
with the median, the 99th percentile and the maximum in milliseconds since the line before, and how many there were. A
record's way to its consumer begins before it is sent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.ids import TopicPartition
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from tools.trials.brokers import ROOT, pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

PAUSE_SECONDS = 0.01
PATIENCE_SECONDS = 120.0

Figures = Sequence[float]


class Latencies:
    """What was measured since it was last taken. Shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[float] = []

    def add(self, seconds: float) -> None:
        """One more."""
        with self._lock:
            self._found.append(seconds * 1000)

    def take(self) -> Figures:
        """The median, the 99th percentile, the maximum and the number."""
        with self._lock:
            found, self._found = sorted(self._found), []
        if not found:
            return [0.0, 0.0, 0.0, 0]
        return [found[len(found) // 2], found[len(found) * 99 // 100], found[-1], len(found)]


def produce_forever(port: int, place: TopicPartition, latencies: Latencies) -> None:
    """Write a record, and wait for its acknowledgement."""
    with WireClient(port, timeout=PATIENCE_SECONDS) as client:
        while True:
            began = time.perf_counter()
            batch = build_batch([RecordData(0, int(time.time() * 1000), None, str(began).encode())])
            client.socket.sendall(wire.produce_request(client, place, batch, 1))
            wire.accept("Produce", wire.produced(client)[0])
            latencies.add(time.perf_counter() - began)
            pause(PAUSE_SECONDS)


def consume_forever(port: int, place: TopicPartition, latencies: Latencies) -> None:
    """Read each record, and see how old it is."""
    with WireClient(port, timeout=PATIENCE_SECONDS) as client:
        at = 0
        while True:
            part = FetchPartition(partition=place.partition, fetch_offset=at, partition_max_bytes=1 << 20)
            topic = FetchTopic(topic=place.topic, partitions=[part])
            request = FetchRequest(max_wait_ms=500, min_bytes=1, max_bytes=1 << 20, topics=[topic])
            reply: Any = client.call(request, 12)
            answer = reply.responses[0].partitions[0]
            wire.accept("Fetch", answer.error_code)
            now = time.perf_counter()
            data = memoryview(answer.records or b"")
            while data:
                size = 12 + int.from_bytes(data[8:12], "big")
                for record in iter_records(bytes(data[:size])):
                    assert record.value is not None
                    latencies.add(now - float(record.value))
                    at = record.offset + 1
                data = data[size:]


def main(port: int, topic: str, pairs: int) -> None:
    """Go on until the input ends."""
    produce, fetch = Latencies(), Latencies()
    for partition in range(pairs):
        place = TopicPartition(topic, partition)
        threading.Thread(target=consume_forever, args=(port, place, fetch), daemon=True).start()
        threading.Thread(target=produce_forever, args=(port, place, produce), daemon=True).start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps({"produce": produce.take(), "fetch": fetch.take()}), flush=True)


class HonestClients:
    """That process, from outside. A context manager."""

    def __init__(self, port: int, topic: str, pairs: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.trials.abuse.honest", str(port), topic, str(pairs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def take(self) -> Mapping[str, Figures]:
        """What they have measured since the last call."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: Mapping[str, Figures] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> HonestClients:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
