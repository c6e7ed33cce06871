"""`trials bench page`: what metrics and the page cost while clients work, and how soon a large cluster shows.

Three brokers take the same load in turns, one connection's Produce requests as fast as they are answered: one plain,
one whose metrics are read every `EVERY` seconds, and one with a page besides, of which `VIEWS` are opened as often.
Each round's figures are divided by the plain broker's of the same round, since what else a machine does changes from
round to round, and the median of these ratios is what counts. CPU time is the broker's; the page is a process of its
own, and what it takes of the machine's cores shows in the throughput.

Then the last broker gets 10,000 topics, and its list of them is opened as a browser does first.

=====================================  =======================
figure                                 bound
=====================================  =======================
throughput beside the plain broker's   0.95 at least
CPU time a request, likewise           1.05 at most
first sight of 10,000 topics           1 s and 300 KB at most
=====================================  =======================
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from tools.trials.benchmark import load
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.brokers import ROOT, ottla, pause, quiet_port
from tools.trials.wire.client import WireClient

EVERY: Final = 5.0
VIEWS: Final = ("/", "/topics", "/groups", "/connections")
TOPICS: Final = 10_000
TOPICS_AT_ONCE: Final = 1_000
PLAIN, METRICS, PAGE = "plain", "with metrics", "with a page"
LEAST_THROUGHPUT: Final = 0.95
MOST_CPU: Final = 1.05
MOST_SECONDS: Final = 1.0
MOST_BYTES: Final = 300_000


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a bound is not kept."""
    options = parse(arguments)
    ports = {METRICS: quiet_port(), PAGE: quiet_port()}
    brokers = {PLAIN: BrokerProcess(ottla())}
    brokers |= {name: BrokerProcess(ottla(f"ottla.metrics.listener={port}")) for name, port in ports.items()}
    try:
        with page_of(brokers[PAGE].port, ports[PAGE]) as opened:
            visits: dict[str, Callable[[], object]] = {
                PLAIN: lambda: None,
                METRICS: lambda: read(f"http://127.0.0.1:{ports[METRICS]}/metrics"),
                PAGE: lambda: [opened(view) for view in VIEWS],
            }
            for broker in brokers.values():
                load.delete_files_soon(broker)
                one_round(broker, "warm-up", options.warm_up, visits[PLAIN])
            rounds = [
                {name: one_round(brokers[name], f"round-{number}", options.seconds, visit)
                 for name, visit in in_turns(visits, number)}
                for number in range(options.rounds)
            ]  # fmt: skip
            kept = report(rounds)
            make_topics(brokers[PAGE], TOPICS)
            return 0 if report_first_sight([first_sight(opened) for _ in range(options.rounds)]) and kept else 1
    finally:
        for broker in brokers.values():
            broker.stop()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials bench page`."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials bench page", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with every broker (9)")
    parser.add_argument("--seconds", type=float, default=EVERY, help=f"length of one measurement ({EVERY:g})")
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds of load before measuring (3)")
    return parser.parse_args(arguments)


def in_turns(visits: dict[str, Callable[[], object]], number: int) -> list[tuple[str, Callable[[], object]]]:
    """The brokers in this round's order: each is first as often as the others."""
    names = [*visits]
    first = number % len(names)
    return [(name, visits[name]) for name in (*names[first:], *names[:first])]


@contextmanager
def page_of(port: int, metrics: int) -> Iterator[Callable[[str], bytes]]:
    """A page beside the broker at `port`, and how to open a view of it."""
    words = ["-m", "ottla", "page", "--port", "0", "-b", f"127.0.0.1:{port}", "--metrics", f"127.0.0.1:{metrics}"]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        root, _, token = process.stdout.readline().rpartition(" ")[2].strip().partition("/?token=")
        yield lambda view: read(root + view, token)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def read(address: str, token: str = "") -> bytes:
    """What is there, with a token where one is asked for."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as response:
        body: bytes = response.read()
    return body


def one_round(broker: BrokerProcess, topic: str, seconds: float, visit: Callable[[], object]) -> load.Measured:
    """Load for so long, and a visit at its beginning and every `EVERY` seconds."""
    over = threading.Event()

    def visiting() -> None:
        visit()
        while not over.wait(EVERY):
            visit()

    visitor = threading.Thread(target=visiting)
    load.create_topic(broker, topic, 1)
    visitor.start()
    try:
        measured = load.produce(broker, topic, seconds=seconds, records=1, record_bytes=100)
    finally:
        over.set()
        visitor.join()
    load.delete_topic(broker, topic)
    pause(0.5)
    return measured


def make_topics(broker: BrokerProcess, count: int) -> None:
    """So many topics of one partition."""
    with WireClient(broker.port, timeout=600) as client:
        for first in range(0, count, TOPICS_AT_ONCE):
            names = (f"orders-{number:05}" for number in range(first, min(first + TOPICS_AT_ONCE, count)))
            topics = [CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in names]
            reply: Any = client.call(CreateTopicsRequest(topics=topics, timeout_ms=600_000), load.CREATE_VERSION)
            assert not any(each.error_code for each in reply.topics), reply


def first_sight(opened: Callable[[str], bytes]) -> tuple[float, int]:
    """Seconds until the list of topics and its style are there, and their bytes."""
    began = time.perf_counter()
    size = len(opened("/topics")) + len(opened("/static/page.css"))
    return time.perf_counter() - began, size


def report(rounds: Sequence[dict[str, load.Measured]]) -> bool:
    """Print figures, and return whether the bounds are kept."""
    kept = True
    for name in (PLAIN, METRICS, PAGE):
        rates = [each[name].requests / each[name].seconds for each in rounds]
        micros = [each[name].cpu_micros_per_request for each in rounds]
        line = f"{name:<14}{median(rates):9.0f} requests/s{median(micros):8.1f} us of CPU a request"
        if name != PLAIN:
            plain = [each[PLAIN] for each in rounds]
            rate = median(one / (each.requests / each.seconds) for one, each in zip(rates, plain, strict=True))
            cost = median(one / each.cpu_micros_per_request for one, each in zip(micros, plain, strict=True))
            is_kept = rate >= LEAST_THROUGHPUT and cost <= MOST_CPU
            kept &= is_kept
            line += f"   {rate:.3f} and {cost:.3f} of the plain: {'kept' if is_kept else 'MISSED'}"
        print(line, flush=True)
    return kept


def report_first_sight(sights: Sequence[tuple[float, int]]) -> bool:
    """Print how soon 10,000 topics show, and return whether that is within its bounds."""
    seconds, size = median(each[0] for each in sights), sights[-1][1]
    kept = seconds <= MOST_SECONDS and size <= MOST_BYTES
    print(f"first sight of {TOPICS:,} topics: {seconds:.2f} s, {size:,} bytes: {'kept' if kept else 'MISSED'}")
    return kept
