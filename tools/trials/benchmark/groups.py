"""`trials bench groups`: what consumer groups cost, beside Apache Kafka if a command for it is given.

joins         so many members join one group at once, of each protocol: seconds until it is stable
heartbeats    so many idle members, a hundred to a group, beat as often as clients do: the broker's share of one core
first record  a client that is made, subscribes in a new group and polls: milliseconds until it has the first record
commits       OffsetCommit of one partition each, from 64 connections, each with two under way, and with ten: commits a
              second, and a second of CPU
load          so many groups with ten offsets each are committed, the broker is killed and started: seconds until each
              shard answers for its groups (less what a start takes that has nothing to load); bytes of memory an offset

Kafka holds the first generation of a group back for `group.initial.rebalance.delay.ms`, 3 s, and Ottla for a tenth of a
second (decision 37): both run with their own defaults.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from kproto.ids import TopicPartition
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from tools.trials.benchmark import group_members as crowd
from tools.trials.benchmark import load as loads
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.partitions import read_frame
from tools.trials.benchmark.suite import Results, Target
from tools.trials.brokers import Contender, kafka, ottla, pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

PARTITIONS: Final = 1_000
TO_A_GROUP: Final = 100
BEATS_SECONDS: Final = 15.0
SETTLING_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 240.0
OFFSETS: Final = 10
"""Partitions of each group in `load`, all of one request."""
CONNECTIONS: Final = 64
IN_FLIGHT: Final = 2
BUSY_IN_FLIGHT: Final = 10
"""Of clients that commit without waiting for the answer of the commit before."""
COMMIT: Final = 8
SAMPLES: Final = 200
"""Groups that are asked whether they are loaded: enough to be of every shard."""
CORE: Final = "% of one core"
TARGETS: Final = {
    "join, classic: s": Target(at_most=1.0),
    "join, consumer: s": Target(at_most=1.0),
    "first record, kafka-python, classic: ms": Target(at_most=0.8),
    "first record, librdkafka, classic: ms": Target(at_most=0.8),
    "first record, librdkafka, consumer: ms": Target(at_most=0.8),
}
LIMITS: Final = {
    f"heartbeats, classic: {CORE}": Target(at_most=20.0),
    f"heartbeats, consumer: {CORE}": Target(at_most=12.0),
    "load: s more than a start with nothing": Target(at_most=12.0),
    f"commits a second of CPU, {BUSY_IN_FLIGHT} under way": Target(at_least=10_000.0),
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    options = parse(arguments)
    from tools.trials.benchmark.command import machine, report

    print(machine())
    contenders = [ottla()] + ([kafka(options.kafka)] if options.kafka else [])
    results = Results()
    for name in options.what:
        for _ in range(options.rounds):
            for contender in contenders:
                print(f"\r{name}, {contender.name}".ljust(50), end="", file=sys.stderr, flush=True)
                MEASUREMENTS[name](contender, results, options)
    print("\r".ljust(50), end="\r", file=sys.stderr)
    return report(results, [contender.name for contender in contenders], TARGETS, LIMITS)


# --- joining, and staying


def joins(contender: Contender, results: Results, options: argparse.Namespace) -> None:
    """One group of each protocol."""
    with BrokerProcess(contender) as broker:
        loads.create_topic(broker, "t", PARTITIONS)
        for protocol in ("classic", "consumer"):
            crowd.find_coordinator(broker.port, [protocol])
            with ExitStack() as stack:
                members = make(broker.port, protocol, [protocol], options.members)
                stack.callback(crowd.part, members)
                for member in members:
                    member.join()
                took = crowd.drive(members, stable(members, protocol), seconds=PATIENCE_SECONDS)
                results.add(f"join, {protocol}: s", broker.name, took)


def heartbeats(contender: Contender, results: Results, options: argparse.Namespace) -> None:
    """Members of many groups that do nothing but beat."""
    with BrokerProcess(contender) as broker:
        loads.create_topic(broker, "t", PARTITIONS)
        for protocol in ("classic", "consumer"):
            names = [f"{protocol}-{number}" for number in range(max(1, options.idle // TO_A_GROUP))]
            crowd.find_coordinator(broker.port, names[:1])
            with ExitStack() as stack:
                members = make(broker.port, protocol, names, min(options.idle, TO_A_GROUP))
                stack.callback(crowd.part, members)
                apart = [members[at : at + TO_A_GROUP] for at in range(0, len(members), TO_A_GROUP)]
                checks = [stable(group, protocol) for group in apart]
                for member in members:
                    member.join()
                crowd.drive(members, partial(all_of, checks), seconds=PATIENCE_SECONDS)
                spread(members)
                crowd.drive(members, after(SETTLING_SECONDS), seconds=PATIENCE_SECONDS)
                before = broker.cpu_seconds()
                took = crowd.drive(members, after(BEATS_SECONDS), seconds=PATIENCE_SECONDS)
                share = 100 * (broker.cpu_seconds() - before) / took
                results.add(f"heartbeats, {protocol}: {CORE}", broker.name, share)


def all_of(checks: Sequence[Callable[[], bool]]) -> bool:
    """Whether each of them is true now."""
    return all(check() for check in checks)


def make(port: int, protocol: str, groups: Sequence[str], each: int) -> list[Any]:
    """So many members for each group; they have a connection, and nothing more."""
    if protocol == "classic":
        return [crowd.ClassicMember(port, group, "t") for group in groups for _ in range(each)]
    return [crowd.ConsumerMember(port, group, "t", number) for group in groups for number in range(each)]


def stable(members: Sequence[Any], protocol: str) -> Callable[[], bool]:
    """Whether these members of one group are all there."""
    if protocol == "classic":
        return lambda: crowd.classic_is_stable(members)
    return lambda: crowd.consumer_is_stable(members, PARTITIONS)


def spread(members: Sequence[crowd.Member]) -> None:
    """Let their heartbeats come one after the other, as those of clients that were not started together."""
    now = time.perf_counter()
    for number, member in enumerate(members):
        member.due = now + member.interval * number / len(members)


def after(seconds: float) -> Callable[[], bool]:
    """True once so many seconds are over."""
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= until


# --- the first record of real clients


def first_record(contender: Contender, results: Results, options: argparse.Namespace) -> None:
    """Each client a few times, each time in a new group."""
    with BrokerProcess(contender) as broker:
        loads.create_topic(broker, "t", 3)
        with WireClient(broker.port) as client:
            for partition in range(3):
                place = TopicPartition("t", partition)
                client.socket.sendall(wire.produce_request(client, place, loads_batch(), 1))
                assert wire.produced(client)[0] == 0
        for name, poll in CLIENTS.items():
            poll(broker.port, "warm-up")
            for _ in range(options.polls):
                took = poll(broker.port, f"g-{uuid.uuid4()}")
                results.add(f"first record, {name}: ms", broker.name, took * 1e3)


def loads_batch() -> bytes:
    """A batch of a few records."""
    from kproto.batches.records import RecordData, build_batch

    now = int(time.time() * 1000)
    return bytes(build_batch([RecordData(number, now, None, b"value", ()) for number in range(3)]))


def kafka_python(port: int, group: str) -> float:
    """Seconds that kafka-python takes."""
    from kafka import KafkaConsumer

    began = time.perf_counter()
    consumer = KafkaConsumer("t", bootstrap_servers=f"127.0.0.1:{port}", group_id=group, auto_offset_reset="earliest")
    try:
        while not consumer.poll(timeout_ms=10_000, max_records=1):
            pass
        return time.perf_counter() - began
    finally:
        consumer.close()


def librdkafka(port: int, group: str, protocol: str) -> float:
    """Seconds that librdkafka takes, by confluent-kafka."""
    from confluent_kafka import Consumer

    settings = {
        "bootstrap.servers": f"127.0.0.1:{port}", "group.id": group, "auto.offset.reset": "earliest",
        "group.protocol": protocol,
    }  # fmt: skip
    began = time.perf_counter()
    consumer = Consumer(settings)
    try:
        consumer.subscribe(["t"])
        while (found := consumer.poll(10.0)) is None or found.error():
            pass
        return time.perf_counter() - began
    finally:
        consumer.close()


CLIENTS: Final[dict[str, Callable[[int, str], float]]] = {
    "kafka-python, classic": kafka_python,
    "librdkafka, classic": lambda port, group: librdkafka(port, group, "classic"),
    "librdkafka, consumer": lambda port, group: librdkafka(port, group, "consumer"),
}


# --- offsets


def commits(contender: Contender, results: Results, options: argparse.Namespace) -> None:
    """A group for each connection, with few requests under way and with more."""
    with BrokerProcess(contender) as broker, ExitStack() as stack:
        loads.create_topic(broker, "t", OFFSETS)
        clients = [stack.enter_context(WireClient(broker.port)) for _ in range(CONNECTIONS)]
        frames = [encoded_commit(client, f"commits-{number}", 1) for number, client in enumerate(clients)]
        for number, client in enumerate(clients):
            crowd.find_coordinator(broker.port, [f"commits-{number}"])
            wire.commit_offset(client, f"commits-{number}", TopicPartition("t", 0), 1)
        for in_flight in (IN_FLIGHT, BUSY_IN_FLIGHT):
            rounds(clients, frames, in_flight, after(SETTLING_SECONDS))
            cpu, began = broker.cpu_seconds(), time.perf_counter()
            count = rounds(clients, frames, in_flight, after(options.seconds))
            took, used = time.perf_counter() - began, broker.cpu_seconds() - cpu
            results.add(f"commits a second, {in_flight} under way", broker.name, count / took)
            results.add(f"commits a second of CPU, {in_flight} under way", broker.name, count / used)


def rounds(clients: Sequence[WireClient], frames: Sequence[bytes], in_flight: int, done: Callable[[], bool]) -> int:
    """Keep each connection busy until `done`; how many commits were answered."""
    count = 0
    for client, frame in zip(clients, frames, strict=True):
        client.socket.sendall(frame * in_flight)
    while not done():
        for client, frame in zip(clients, frames, strict=True):
            for _ in range(in_flight):
                read_frame(client)
            count += in_flight
            client.socket.sendall(frame * in_flight)
    for client in clients:
        for _ in range(in_flight):
            read_frame(client)
    return count + in_flight * len(clients)


def encoded_commit(client: WireClient, group: str, partitions: int) -> bytes:
    """The bytes of an OffsetCommit of a consumer without a group protocol."""
    parts = [
        OffsetCommitRequestPartition(partition_index=index, committed_offset=1, committed_metadata="")
        for index in range(partitions)
    ]
    request = OffsetCommitRequest(group_id=group, topics=[OffsetCommitRequestTopic(name="t", partitions=parts)])
    return client.encode(request, COMMIT, expect_reply=False)


def load(contender: Contender, results: Results, options: argparse.Namespace) -> None:
    """Commit, kill, start, ask."""
    with BrokerProcess(contender) as broker:
        loads.create_topic(broker, "t", OFFSETS)
        sample = [group_name(number) for number in range(0, options.groups, max(1, options.groups // SAMPLES))]
        crowd.find_coordinator(broker.port, sample[:1])
        with WireClient(broker.port) as client:
            wire.commit_offset(client, "first", TopicPartition("t", 0), 1)
        broker.kill()
        nothing = broker.start() + until_answered(broker, ["first"])
        before = broker.resident_bytes()
        began = time.perf_counter()
        commit_all(broker.port, options.groups)
        results.add(
            "load: committing, offsets/s", broker.name, options.groups * OFFSETS / (time.perf_counter() - began)
        )
        broker.kill()
        took = broker.start() + until_answered(broker, sample)
        results.add("load: s more than a start with nothing", broker.name, took - nothing)
        each = (broker.resident_bytes() - before) / (options.groups * OFFSETS)
        results.add("load: bytes of memory an offset, its group included", broker.name, each)


def group_name(number: int) -> str:
    """Nine letters."""
    return f"g-{number:07}"


def commit_all(port: int, groups: int) -> None:
    """Ten offsets for each group, over a few connections."""
    with ExitStack() as stack:
        clients = [stack.enter_context(WireClient(port, timeout=120.0)) for _ in range(4)]
        waiting = [0] * len(clients)
        for number in range(groups):
            at = number % len(clients)
            if waiting[at] == 4 * IN_FLIGHT:
                read_frame(clients[at])
                waiting[at] -= 1
            clients[at].socket.sendall(encoded_commit(clients[at], group_name(number), OFFSETS))
            waiting[at] += 1
        for client, count in zip(clients, waiting, strict=True):
            for _ in range(count):
                read_frame(client)


def until_answered(broker: BrokerProcess, groups: Sequence[str]) -> float:
    """Seconds until the coordinators of all these groups answer with what has been committed. Raises TimeoutError."""
    began = time.perf_counter()
    with WireClient(broker.port) as client:
        left: Iterator[str] = iter(groups)
        group = next(left, None)
        while group is not None:
            if wire.committed_error(client, group) == 0:
                group = next(left, None)
            elif time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"group {group} is not loaded after {PATIENCE_SECONDS:g} s")
            else:
                pause(0.01)
        took = time.perf_counter() - began
        found = wire.committed_offsets(client, groups)
    assert all(found[group] for group in groups), "each has its offsets"
    return took


MEASUREMENTS: Final[dict[str, Callable[[Contender, Results, argparse.Namespace], None]]] = {
    "joins": joins,
    "heartbeats": heartbeats,
    "first-record": first_record,
    "commits": commits,
    "load": load,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials bench groups", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "what", nargs="*", metavar="WHAT", default=list(MEASUREMENTS), help=f"{', '.join(MEASUREMENTS)} (default: all)"
    )
    parser.add_argument("--kafka", metavar="COMMAND", help="also Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--rounds", type=int, default=1, help="rounds per broker, alternating (default 1)")
    parser.add_argument("--members", type=int, default=1_000, help="that join one group (default 1,000)")
    parser.add_argument("--idle", type=int, default=10_000, help="members that beat (default 10,000)")
    parser.add_argument("--groups", type=int, default=100_000, help="of ten offsets each (default 100,000)")
    parser.add_argument("--polls", type=int, default=5, help="new groups for each client (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of commits (default 5)")
    options = parser.parse_args(arguments)
    if unknown := set(options.what) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
