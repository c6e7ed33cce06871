"""`trials move-cluster`: a broker's directory goes into a cluster, is used there, and comes out again.

A broker of one machine, this one or (`--kafka`) Kafka, gets records, of which a group reads some, is started again, so
that its log has another leader epoch, gets more, and stops. Its directory is imported; the group, whose offsets carry
their epoch, has to go on at the next record, over three brokers, and sees no epoch that is older; more is written; an
export makes a directory of all. There the group has to go on again, and (`--dump`) Kafka's DumpLogSegments has nothing
to complain about.

Exit status 0: all of that is so; 1: something is not, with a sentence.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from storage.servers.postgres import PostgresServer
from storage.servers.seaweedfs import SeaweedFS, write_credentials
from tools.__main__ import main as ottla_command
from tools.trials.brokers import BrokerFailed, Contender, Process, kafka, ottla, pause
from tools.trials.cluster_test.several import Brokers
from tools.trials.places import folder

TOPIC = "moved"
GROUP = "movers"
RECORDS = 300
READ = 100
TOOL_SECONDS = 300.0
START_SECONDS = 240.0


class Broken(Exception):
    """A promise was not kept. One sentence."""


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials move-cluster`."""
    options = parse(arguments)
    directory = Path(tempfile.mkdtemp(prefix="cluster-moves-", dir=options.directory))
    print(f"files are in {directory}", flush=True)
    try:
        for sentence in _move(directory, kafka(options.kafka) if options.kafka else ottla(), options.dump):
            print(sentence, flush=True)
    except (Broken, BrokerFailed) as error:
        print(f"python -m tools.trials move-cluster: {error}", file=sys.stderr)
        return 1
    return 0


def _move(directory: Path, contender: Contender, dump: str | None) -> Iterator[str]:
    """Do it all; a sentence for each step. Raises Broken."""
    before = directory / "before"
    epoch = _fill(contender, before, directory / "before.log")
    data = next(path.parent for path in sorted(before.rglob("meta.properties")))
    yield f"{contender.name} has stopped with {RECORDS} records up to epoch {epoch}, {READ} of them read by the group"
    with ExitStack() as stack:
        database = PostgresServer(directory / "database", settings={})
        database.start()
        stack.callback(database.stop)
        bucket = stack.enter_context(SeaweedFS(directory / "bucket"))
        keys = directory / "credentials"
        write_credentials(keys)
        places = database.create_database(), f"{bucket.url()}&credentials={keys}"
        words = ("--cluster", places[0], "--objects", places[1])
        _command("cluster", "import", "--from", str(data), *words)
        with Brokers(3, *places, directory) as brokers:
            seen = _read(brokers.bootstrap, RECORDS - READ, committed=READ)
            _check("in the cluster the group goes on", seen, range(READ, RECORDS))
            _write(brokers.bootstrap, range(RECORDS, 2 * RECORDS))
            rest = range(2 * READ, 2 * RECORDS)
            now = _check("more is read there", _read(brokers.bootstrap, len(rest), committed=0), rest)
            if now < epoch:
                raise Broken(f"records of the cluster have epoch {now}, and clients have seen {epoch}")
        yield "the cluster has served the group where it was, and taken more records"
        after = directory / "after"
        _command("cluster", "export", "--to", str(after), *words)
    if dump:
        logs = ",".join(str(path) for path in sorted(after.glob(f"{TOPIC}-*/*.log")))
        done = subprocess.run(
            [*shlex.split(dump), "--deep-iteration", "--files", logs],
            capture_output=True, text=True, timeout=TOOL_SECONDS, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        if done.returncode or "isvalid: false" in said or "mismatch" in said or "Non-consecutive" in said:
            raise Broken(f"DumpLogSegments complains: {said[-500:]}")
        yield f"DumpLogSegments has found {said.count('isvalid: true')} sound batches, and nothing else"
    with Process(ottla(), after, directory / "after.log") as broker:
        broker.start()
        broker.wait_until(seconds=60)
        _check("in the export the group goes on", _read(f"127.0.0.1:{broker.port}", len(rest)), rest)
    yield f"the export has served the group to the end of its {2 * RECORDS} records"


def _fill(contender: Contender, data: Path, output: Path) -> int:
    """Records of two lives of a broker, some of them read; the newest epoch of a record. Raises Broken."""
    with Process(contender, data, output) as broker:
        broker.start()
        broker.wait_until(seconds=START_SECONDS)
        address = f"127.0.0.1:{broker.port}"
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, 1)])[TOPIC].result()
        _write(address, range(RECORDS // 2))
        _check("a group reads", _read(address, READ // 2), range(READ // 2))
        broker.stop()
        broker.start()
        broker.wait_until(seconds=START_SECONDS)
        _write(address, range(RECORDS // 2, RECORDS))
        rest = range(READ // 2, RECORDS)
        return _check("the group goes on", _read(address, len(rest), committed=READ // 2), rest)


def _write(address: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "log_level": 0})
    for number in numbers:
        producer.produce(TOPIC, str(number).encode(), partition=0)
    if producer.flush(60):
        raise Broken("records were not acknowledged")


class Seen(NamedTuple):
    """What a group has read: values, and the newest leader epoch of their batches."""

    values: list[int]
    epoch: int


def _read(address: str, count: int, *, committed: int = -1) -> Seen:
    """What the group reads next. So many of that are committed, all of it if the number is not given."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.assign([_resumed(consumer)])
    found: list[int] = []
    epochs: list[int] = []
    until = time.monotonic() + START_SECONDS
    while len(found) < count and time.monotonic() < until:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append(int(message.value() or b"-1"))
            epochs.append(message.leader_epoch() or 0)
    if epochs != sorted(epochs):
        raise Broken(f"the leader epochs of records fall: {list(dict.fromkeys(epochs))}")
    last = (len(found) if committed < 0 else committed) - 1
    if 0 <= last < len(found):
        place = TopicPartition(TOPIC, 0, found[last] + 1, leader_epoch=epochs[last])
        consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()
    return Seen(found, max(epochs, default=-1))


def _resumed(consumer: Consumer) -> TopicPartition:
    """Where the group goes on. Asked for here, since librdkafka asks once only, and forgets a partition whose
    coordinator has just come into being."""
    until = time.monotonic() + START_SECONDS
    reason: object = None
    while time.monotonic() < until:
        try:
            [place] = consumer.committed([TopicPartition(TOPIC, 0)], 10)
            if place.error is None:
                return place if place.offset >= 0 else TopicPartition(TOPIC, 0, 0)
            reason = place.error
        except KafkaException as error:
            reason = error
        pause(0.2)
    raise Broken(f"the group's offsets are not known: {reason}")


def _check(what: str, seen: Seen, wanted: range) -> int:
    """The newest epoch of what was seen. Raises Broken if that is not what was wanted."""
    found = seen.values
    if found != list(wanted):
        raise Broken(f"{what}: {found[:3]} ... {found[-3:]} ({len(found)}) in the place of {wanted}")
    return seen.epoch


def _command(*words: str) -> None:
    if ottla_command(words):
        raise Broken(f"ottla {' '.join(words[:2])} has failed")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials move-cluster",
        description="Import a broker's directory into a cluster, use it there, export it, use it again.",
    )
    parser.add_argument("--kafka", metavar="COMMAND", help="how Kafka is started, with {port} and {dir} in it")
    parser.add_argument("--dump", metavar="COMMAND", help="how Kafka's DumpLogSegments is started")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
