"""`trials bench crowds`: honest clients in great number, beside Apache Kafka if a command for it is given.

connections  so many connect at once, and ask for ApiVersions and Metadata: seconds until the last has its answers; one
             that the broker ends is made again, and counted
patterns     consumers that subscribe by a regular expression which matches thousands of topics (KIP-848: the broker
             matches): seconds until every partition is owned
wide         consumers that each read thousands of partitions in one fetch session: seconds until each has heard of all,
             and, once a record is written to each partition, until each has all of them

The longest turn of Ottla's event loop is printed too, as its watchdog names it in the log.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

from broker.observe.turns import HELD
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.metadata import MetadataRequest
from tools.trials.benchmark import group_members as crowd
from tools.trials.benchmark import load as loads
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.suite import Results, Target
from tools.trials.brokers import kafka, ottla, pause
from tools.trials.wire.client import WireClient

API_VERSIONS, METADATA, FETCH, CREATE = 3, 9, 12, 5
PATIENCE_SECONDS: Final = 300.0
TOPICS_IN_A_REQUEST: Final = 500
PARTITION_BYTES: Final = 1 << 20
CONNECTED: Final = "connections: s until all are answered"
LOST: Final = "connections: ended by the broker"
MATCHED: Final = "patterns: s until all partitions are owned"
HEARD: Final = "wide: s until all have heard of all partitions"
READ: Final = "wide: s until all have a record of each"
TARGETS: Final = {each: Target(at_most=1.0) for each in (MATCHED, HEARD, READ)}
LIMITS: Final = {CONNECTED: Target(at_most=5.0), LOST: Target(at_most=0)}
LONGEST_TURN: Final = Target(at_most=20.0)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    options = parse(arguments)
    from tools.trials.benchmark.command import machine, report

    print(machine())
    contenders = [ottla("ottla.log.format=json")] + ([kafka(options.kafka)] if options.kafka else [])
    results = Results()
    for contender in contenders:
        for name in options.what:
            print(f"\r{name}, {contender.name}".ljust(50), end="", file=sys.stderr, flush=True)
            with BrokerProcess(contender) as broker:
                MEASUREMENTS[name](broker, results, options)
                if contender.name == "ottla":
                    results.add(turn_of(name), broker.name, longest_turn(broker))
    print("\r".ljust(50), end="\r", file=sys.stderr)
    turns = {turn_of(name): LONGEST_TURN for name in options.what}
    return report(results, [contender.name for contender in contenders], TARGETS, LIMITS | turns)


def turn_of(name: str) -> str:
    """The figure for the event loop."""
    return f"{name}: longest turn, ms (0: none above 20)"


def longest_turn(broker: BrokerProcess) -> float:
    """Milliseconds, by the broker's own log; 0 if none was too long."""
    said = [json.loads(line) for line in broker.log.read_text().splitlines() if HELD in line]
    return max((line["milliseconds"] for line in said), default=0.0)


# --- connections


def connections(broker: BrokerProcess, results: Results, options: argparse.Namespace) -> None:
    """Each says what clients say first."""
    with WireClient(broker.port) as client:
        asked = [(ApiVersionsRequest(client_software_name="crowd", client_software_version="1"), API_VERSIONS)]
        words = b"".join(client.encode(*each) for each in [*asked, (MetadataRequest(topics=[]), METADATA)])
    lost = 0
    began = time.perf_counter()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def connect() -> None:
            peer = stack.enter_context(socket.socket())
            peer.setblocking(False)
            peer.connect_ex(("127.0.0.1", broker.port))
            selector.register(peer, selectors.EVENT_WRITE, b"")

        for _ in range(options.connections):
            connect()
        while selector.get_map():
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError("connections that are not answered")
            for key, events in selector.select(1.0):
                try:
                    _go_on(selector, key, events, words)
                except ConnectionError:
                    lost += 1
                    selector.unregister(key.fileobj)
                    connect()
        results.add(CONNECTED, broker.name, time.perf_counter() - began)
        results.add(LOST, broker.name, lost)


def _go_on(selector: selectors.BaseSelector, key: selectors.SelectorKey, events: int, words: bytes) -> None:
    """A connection is there: ask. Or an answer has come: two frames are the end of it. Raises ConnectionError if the
    broker has ended it."""
    peer = key.fileobj
    assert isinstance(peer, socket.socket)
    if events & selectors.EVENT_WRITE:
        peer.sendall(words)
        selector.modify(peer, selectors.EVENT_READ, b"")
        return
    if not (come := peer.recv(1 << 16)):
        raise ConnectionResetError
    received = key.data + come
    if _frames(received) < 2:
        selector.modify(peer, selectors.EVENT_READ, received)
    else:
        selector.unregister(peer)


def _frames(received: bytes) -> int:
    """How many whole frames these bytes are."""
    at = count = 0
    while at + 4 <= len(received) and (at := at + 4 + int.from_bytes(received[at : at + 4], "big")) <= len(received):
        count += 1
    return count


# --- patterns


class PatternMember(crowd.ConsumerMember):
    """A member that subscribes by an expression."""

    def join(self) -> None:
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group, member_id=self.member_id, member_epoch=0, rebalance_timeout_ms=crowd.REBALANCE_MS,
            subscribed_topic_regex=self.topic, topic_partitions=[],
        )  # fmt: skip
        self.send(request, crowd.CONSUMER_HEARTBEAT)


def patterns(broker: BrokerProcess, results: Results, options: argparse.Namespace) -> None:
    """All in one group."""
    create(broker, "orders", options.topics)
    crowd.find_coordinator(broker.port, ["patterns"])
    with ExitStack() as stack:
        members = [PatternMember(broker.port, "patterns", "orders-.*", each) for each in range(options.subscribers)]
        stack.callback(crowd.part, members)
        for member in members:
            member.join()

        def owned() -> bool:
            matched: int = options.topics
            return len({topic_id for each in members for topic_id, _ in each.owns}) == matched

        results.add(MATCHED, broker.name, crowd.drive(members, owned, seconds=PATIENCE_SECONDS))


def create(broker: BrokerProcess, prefix: str, topics: int) -> None:
    """So many topics of one partition, and wait until they can be read."""
    names = [f"{prefix}-{number}" for number in range(topics)]
    with WireClient(broker.port, timeout=PATIENCE_SECONDS) as client:
        for at in range(0, topics, TOPICS_IN_A_REQUEST):
            some = [
                CreatableTopic(name=name, num_partitions=1, replication_factor=1)
                for name in names[at : at + TOPICS_IN_A_REQUEST]
            ]
            reply: Any = client.call(CreateTopicsRequest(topics=some, timeout_ms=60_000), CREATE)
            assert {each.error_code for each in reply.topics} == {0}, reply
        while loads.client_error(client, names[-1], 0):
            pause(0.05)


# --- wide fetches


def wide(broker: BrokerProcess, results: Results, options: argparse.Namespace) -> None:
    """Consumers in threads, each with a session of its own."""
    loads.create_topic(broker, "wide", options.partitions)
    readers = [WideReader(broker.port, options.partitions) for _ in range(options.readers)]
    try:
        results.add(HEARD, broker.name, together(readers, WideReader.hear_of_all))
        write_to_each(broker, options.partitions)
        results.add(READ, broker.name, together(readers, WideReader.read_all))
    finally:
        for reader in readers:
            reader.client.close()


class WideReader:
    """A consumer that reads all partitions of one topic."""

    def __init__(self, port: int, partitions: int) -> None:
        self.client = WireClient(port, timeout=PATIENCE_SECONDS)
        self.partitions = partitions
        self.session = 0
        self.epoch = 0

    def hear_of_all(self) -> None:
        """The first fetch, which names every partition and answers each."""
        parts = [
            FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=PARTITION_BYTES)
            for index in range(self.partitions)
        ]
        reply = self._fetch([FetchTopic(topic="wide", partitions=parts)], wait=0)
        assert sum(len(topic.partitions) for topic in reply.responses) == self.partitions
        self.session = reply.session_id

    def read_all(self) -> None:
        """Fetch on, until every partition has brought its record."""
        moved: list[FetchTopic] = []
        missing = set(range(self.partitions))
        while missing:
            reply = self._fetch(moved, wait=500)
            found = [part.partition_index for topic in reply.responses for part in topic.partitions if part.records]
            missing -= set(found)
            parts = [
                FetchPartition(partition=index, fetch_offset=1, partition_max_bytes=PARTITION_BYTES) for index in found
            ]
            moved = [FetchTopic(topic="wide", partitions=parts)] if parts else []

    def _fetch(self, topics: list[FetchTopic], wait: int) -> Any:
        request = FetchRequest(
            max_wait_ms=wait, min_bytes=1, max_bytes=50 << 20, topics=topics, session_id=self.session,
            session_epoch=self.epoch,
        )  # fmt: skip
        reply: Any = self.client.call(request, FETCH)
        assert reply.error_code == 0, reply
        self.epoch += 1
        return reply


def together(readers: Sequence[WideReader], work: Callable[[WideReader], None]) -> float:
    """Let each do it in a thread; seconds until all are done. Raises what one of them has raised."""
    failures: list[BaseException] = []

    def do(reader: WideReader) -> None:
        try:
            work(reader)
        except BaseException as error:
            failures.append(error)

    began = time.perf_counter()
    threads = [threading.Thread(target=do, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - began


def write_to_each(broker: BrokerProcess, partitions: int) -> None:
    """One record for each partition."""
    with WireClient(broker.port, timeout=PATIENCE_SECONDS) as client:
        request = loads.produce_request(client, "wide", partitions=partitions, records=1, record_bytes=100, acks=1)
        client.socket.sendall(request)
        reply: Any = client.reply()
        assert {part.error_code for topic in reply.responses for part in topic.partition_responses} == {0}


MEASUREMENTS: Final[dict[str, Callable[[BrokerProcess, Results, argparse.Namespace], None]]] = {
    "connections": connections,
    "patterns": patterns,
    "wide": wide,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials bench crowds", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "what", nargs="*", metavar="WHAT", default=list(MEASUREMENTS), help=f"{', '.join(MEASUREMENTS)} (default: all)"
    )
    parser.add_argument("--kafka", metavar="COMMAND", help="also Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--connections", type=int, default=5_000, help="at once (default 5,000)")
    parser.add_argument("--subscribers", type=int, default=50, help="by an expression (default 50)")
    parser.add_argument("--topics", type=int, default=3_000, help="that it matches (default 3,000)")
    parser.add_argument("--readers", type=int, default=10, help="of many partitions (default 10)")
    parser.add_argument("--partitions", type=int, default=9_000, help="that each of them reads (default 9,000)")
    options = parser.parse_args(arguments)
    if unknown := set(options.what) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
