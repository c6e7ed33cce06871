"""`trials abuse-crowd`: thousands of connections of every bad kind at once, and honest clients beside them.

    python -m tools.trials abuse-crowd                          1,000 of each kind, against Ottla
    python -m tools.trials abuse-crowd --kafka 'COMMAND'        the same against Apache Kafka beside it
    python -m tools.trials abuse-crowd --address HOST:PORT      against a broker that runs

The kinds: **idle** (have asked one thing, and stay), **trickling** (a byte a second of a request that never is
complete), **not reading** (ask for much, again and again, and never look at an answer), **half closed**, **parked and
gone** (wait in JoinGroup or in Fetch for half an hour, and have closed).

Producers and consumers (`honest.py`) are measured alone, while the crowd comes, and while it is there. Goal: while
it is there their median and their 99th percentile are at most `SLOWER` times what they were alone. Exit status 1:
missed.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.metadata import MetadataRequest
from tools.trials.abuse.attack import Site, framed
from tools.trials.abuse.command import Memory, running, served
from tools.trials.abuse.honest import Figures, HonestClients
from tools.trials.abuse.members import join
from tools.trials.brokers import Contender, kafka, ottla, pause

PAIRS = 4
SLOWER = 2.0
LEAST_MS = 2.0
"""Differences below this are the noise of a machine that other processes share."""

HALF_AN_HOUR = 1_800_000

Kind = Callable[[Site, Sequence[socket.socket]], None]


def idle(site: Site, peers: Sequence[socket.socket]) -> None:
    """They ask one thing."""
    for peer in peers:
        peer.sendall(framed(MetadataRequest(topics=[]), 12))


def trickling(site: Site, peers: Sequence[socket.socket]) -> None:
    """A byte a second each."""
    request = framed(MetadataRequest(topics=[]), 12)

    def trickle() -> None:
        at = 0
        while not site.over.wait(1.0):
            at = (at + 1) % (len(request) - 1)
            for peer in peers:
                with suppress(OSError):
                    peer.send(request[at : at + 1] if at else request[:1])

    for peer in peers:
        peer.sendall((1 << 20).to_bytes(4, "big"))
    threading.Thread(target=trickle, daemon=True).start()


def not_reading(site: Site, peers: Sequence[socket.socket]) -> None:
    """A hundred requests with large answers each."""
    parts = [FetchPartition(partition=0, partition_max_bytes=1 << 20)]
    fetch = FetchRequest(max_wait_ms=0, max_bytes=1 << 20, topics=[FetchTopic(topic=site.topic(), partitions=parts)])
    ask = framed(MetadataRequest(topics=None), 12) * 50 + framed(fetch, 12) * 50
    for peer in peers:
        peer.setblocking(False)
        with suppress(OSError):
            peer.send(ask)


def half_closed(site: Site, peers: Sequence[socket.socket]) -> None:
    """They say that they will say no more."""
    for peer in peers:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_WR)


def parked_and_gone(site: Site, peers: Sequence[socket.socket]) -> None:
    """Half of them in JoinGroup, half behind seventy Fetches."""
    group, topic = site.group(), site.topic()
    joining = framed(join(group, rebalance_timeout_ms=HALF_AN_HOUR, session_timeout_ms=HALF_AN_HOUR), 3)
    parts = [FetchPartition(partition=0, partition_max_bytes=1 << 20)]
    waiting = FetchRequest(
        max_wait_ms=HALF_AN_HOUR, min_bytes=1, max_bytes=1 << 20, topics=[FetchTopic(topic=topic, partitions=parts)]
    )
    fetches = framed(waiting, 12) * 70
    for number, peer in enumerate(peers):
        with suppress(OSError):
            peer.sendall(joining if number % 2 else fetches)
    pause(0.5)
    for peer in peers:
        peer.close()


KINDS: Mapping[str, Kind] = {
    "idle": idle,
    "trickling": trickling,
    "not reading": not_reading,
    "half closed": half_closed,
    "parked and gone": parked_and_gone,
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(prog="trials abuse-crowd", description="Honest clients beside a crowd.")
    parser.add_argument("--kafka", metavar="COMMAND", help="also against Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--address", metavar="HOST:PORT", help="against this broker of this machine, which runs")
    parser.add_argument("--connections", type=int, default=1_000, help="of each kind (default 1,000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default 10)")
    options = parser.parse_args(arguments)
    contenders: list[Contender | None] = [None] if options.address else [ottla()]
    if options.kafka:
        contenders.append(kafka(options.kafka))
    missed = False
    for contender in contenders:
        print(f"\n{contender.name if contender else options.address}, {options.connections} of each kind")
        missed |= not measured(contender, options) and (contender is None or contender.name == "ottla")
    return 1 if missed else 0


def measured(contender: Contender | None, options: argparse.Namespace) -> bool:
    """One broker; whether the goal is met."""
    with running(contender, options, ()) as (port, process, _), Memory(process) as memory:
        site = Site(port, served(port))
        with HonestClients(port, site.topic(PAIRS), PAIRS) as honest:
            try:
                pause(2.0)
                honest.take()
                pause(options.seconds)
                alone = honest.take()
                show("alone", alone)
                memory.begin()
                complete = True
                for name, kind in KINDS.items():
                    try:
                        kind(site, [site.socket() for _ in range(options.connections)])
                    except OSError as error:
                        print(f"{name}: not all of them came: {str(error) or type(error).__name__}")
                        complete = False
                    show(f"while they come: {name}", honest.take())
                pause(2.0)
                honest.take()
                pause(options.seconds)
                beside = honest.take()
                show("while they are there", beside)
                print(f"the broker took {memory.peak_megabytes:.0f} MB")
            finally:
                site.close()
    return complete and all(slower_at_most(alone[what], beside[what]) for what in alone)


def slower_at_most(alone: Figures, beside: Figures) -> bool:
    """Whether median and 99th percentile are within the goal."""
    return all(
        then <= max(SLOWER * before, before + LEAST_MS) for before, then in zip(alone[:2], beside[:2], strict=True)
    )


def show(what: str, found: Mapping[str, Figures]) -> None:
    """One line."""
    words = [
        f"{name} p50 {median:.1f} p99 {late:.1f} max {most:.0f} ms ({count:.0f})"
        for name, (median, late, most, count) in found.items()
    ]
    print(f"{what:<36} {'   '.join(words)}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
