"""The client that feels it: asks Metadata, and produces with acks=all, all the time; its longest waits are the result.

Run as a process: `python -m tools.trials.abuse.witness PORT TOPIC`. It prints `ready`, and then one line of JSON,
`[metadata milliseconds, acks=all milliseconds, answers]`, for each line it reads: the longest waits since the line
before, with those that are still going on, and how many answers there were. It ends at the end of its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.ids import TopicPartition
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from tools.trials.brokers import ROOT, pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

PAUSE_SECONDS = 0.002
PATIENCE_SECONDS = 120.0


class Waits:
    """The longest wait for one kind of question, also while the question is open. Shared by two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._longest = 0.0
        self._asked: float | None = None
        self.answers = 0

    def asked(self) -> None:
        """A question has been sent."""
        with self._lock:
            self._asked = time.perf_counter()

    def answered(self) -> None:
        """Its answer has come."""
        with self._lock:
            assert self._asked is not None
            self._longest = max(self._longest, time.perf_counter() - self._asked)
            self._asked = None
            self.answers += 1

    def take(self) -> float:
        """The longest wait since the last call, in milliseconds; a wait that goes on counts as far as it has come."""
        with self._lock:
            now = time.perf_counter()
            longest = max(self._longest, now - self._asked if self._asked is not None else 0.0)
            self._longest = 0.0
            if self._asked is not None:
                self._asked = now
        return longest * 1000


def ask_forever(port: int, waits: Waits, ask: Callable[[WireClient], Any]) -> None:
    """Ask on one connection, and on another one when that fails."""
    while True:
        waits.asked()
        try:
            with WireClient(port, timeout=PATIENCE_SECONDS) as client:
                while True:
                    ask(client)
                    waits.answered()
                    pause(PAUSE_SECONDS)
                    waits.asked()
        except (OSError, wire.Refusal):
            pause(PAUSE_SECONDS)


def main(port: int, topic: str) -> None:
    """Ask until the input ends."""
    place = TopicPartition(topic, 0)

    def metadata(client: WireClient) -> None:
        client.call(MetadataRequest(topics=[MetadataRequestTopic(name=topic)]), 12)

    def durable(client: WireClient) -> None:
        batch = build_batch([RecordData(0, int(time.time() * 1000), None, b"witness")])
        client.socket.sendall(wire.produce_request(client, place, batch, -1))
        wire.accept("Produce", wire.produced(client)[0])

    kinds = [(Waits(), metadata), (Waits(), durable)]
    for waits, ask in kinds:
        threading.Thread(target=ask_forever, args=(port, waits, ask), daemon=True).start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps([*(waits.take() for waits, _ in kinds), sum(waits.answers for waits, _ in kinds)]), flush=True)


class Witness:
    """That process, from outside. A context manager."""

    def __init__(self, port: int, topic: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.trials.abuse.witness", str(port), topic],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def take(self) -> tuple[float, float, int]:
        """Longest waits for Metadata and for acks=all since the last call, in milliseconds; answers since the start."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        metadata, durable, answers = json.loads(self._process.stdout.readline())
        return metadata, durable, answers

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
