"""`trials bench daily`: what a developer waits for all day: starts, stops, resets, snapshots, and tests with brokers.

Each figure is a median, beside what it stands on: a start beside `import trio` in a process of its own, in turns, since
a machine that is busy is busy for both. The broker is `ottla.Broker`'s, as in tests: memory, settings of its own.

What starts is an installation's, whose modules an installer has compiled: the compiled ones of this run are in a folder
of its own, which the first start of each fills. A checkout where PYTHONDONTWRITEBYTECODE is set compiles thirty
thousand lines each time instead; `from sources` says what that takes.

======================================  =======  ==================================================================
figure                                  at most  what is measured
======================================  =======  ==================================================================
ready above import trio: ms             200      from the start of a process until `start` returns, less the other's
stopped: ms                             50       from SIGTERM until the process has ended, no client connected
five tests, a broker each: s            2.5      `Broker` started, a topic made, stopped, five times
reset: ms                               50       of a broker with topics, records, a group: memory, and with data
snapshot, restore: ms                   100      of the same, which is a hundred kilobytes
======================================  =======  ==================================================================
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import cache_from_source
from statistics import median

import ottla

LIMITS = {
    "ready above import trio: ms": 200.0,
    "stopped: ms": 50.0,
    "five tests, a broker each: s": 2.5,
    "reset, memory: ms": 50.0,
    "reset, data: ms": 50.0,
    "snapshot, memory: ms": 100.0,
    "snapshot, data: ms": 100.0,
    "restore, memory: ms": 100.0,
    "restore, data: ms": 100.0,
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a figure is above its limit."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        from_sources = starts(max(1, options.rounds // 4))["ready above import trio: ms"] if is_uncompiled() else []
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        starts(1)
        missed = report(starts(options.rounds))
        missed += report({"ready from sources: ms": from_sources} if from_sources else {})
        missed += report({"five tests, a broker each: s": [five_tests() / 1000 for _ in range(3)]})
        for kind, data in (("memory", None), ("data", f"{folder}/data")):
            missed += report(states(kind, data, options.rounds))
    return 1 if missed else 0


def is_uncompiled() -> bool:
    """Whether a start of this checkout compiles what it imports, each time."""
    return sys.dont_write_bytecode and not os.path.exists(cache_from_source(__file__))


def report(figures: dict[str, list[float]]) -> int:
    """Print figures, and return how many are above their limits."""
    missed = 0
    for name, values in figures.items():
        limit = LIMITS.get(name)
        found = median(values)
        missed += limit is not None and found > limit
        verdict = "" if limit is None else f"   at most {limit:g}: {'kept' if found <= limit else 'MISSED'}"
        print(f"{name:<34}{found:9.1f}   ({min(values):.1f} to {max(values):.1f}){verdict}", flush=True)
    return missed


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials bench daily`."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials bench daily", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each figure (20)")
    return parser.parse_args(arguments)


def millis(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def starts(rounds: int) -> dict[str, list[float]]:
    """Starts and stops, in turns with what every program of trio's takes."""
    trio, ready, stopped = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        trio.append(millis(lambda: subprocess.run([sys.executable, "-P", "-c", "import trio"], check=True)))
        broker = ottla.Broker()
        ready.append(millis(broker.start))
        stopped.append(millis(broker.stop))
    above = [one - median(trio) for one in ready]
    return {
        "import trio: ms": trio,
        "ready: ms": ready,
        "ready above import trio: ms": above,
        "stopped: ms": stopped,
    }


def five_tests() -> float:
    """Five brokers, one after the other, each used once."""

    def run() -> None:
        for _ in range(5):
            with ottla.Broker() as broker:
                broker.new_topic("orders")

    return millis(run)


def states(kind: str, data: str | None, rounds: int) -> dict[str, list[float]]:
    """Resets, snapshots and their return, of a broker with some of everything."""
    resets, snapshots, restores = list[float](), list[float](), list[float]()
    with ottla.Broker(data=data) as broker:
        fill(broker)
        filled = broker.snapshot()
        for _ in range(rounds):
            broker.restore(filled)
            snapshots.append(millis(broker.snapshot))
            resets.append(millis(broker.reset))
            restores.append(millis(lambda: broker.restore(filled)))
    return {f"reset, {kind}: ms": resets, f"snapshot, {kind}: ms": snapshots, f"restore, {kind}: ms": restores}


def fill(broker: ottla.Broker) -> None:
    """Ten topics, a thousand records, and a group that has read some of them."""
    from kafka import KafkaConsumer, KafkaProducer

    topics = [broker.new_topic("orders", partitions=2) for _ in range(10)]
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for number in range(1000):
        producer.send(topics[number % 10], f"record {number} ".encode() * 5)
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(
        *topics, bootstrap_servers=broker.bootstrap_servers, group_id="billing", auto_offset_reset="earliest"
    )
    for _ in zip(range(100), consumer, strict=False):
        pass
    consumer.commit()
    consumer.close()
