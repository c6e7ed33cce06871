"""kcat as a scenario's client.

Records go to its standard input between delimiters that no record contains, in one process for each run of records that
agree in partition, headers and kind; `-vv` makes it say where they were stored. Consumers print each record with the
lengths of its parts in front, so that any bytes come through.
"""

from __future__ import annotations

import itertools
import json
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO

from compat_tests.clients.contract import (
    PATIENCE,
    Admin,
    Cluster,
    Committed,
    Config,
    Consumer,
    ConsumerSettings,
    Driver,
    Failed,
    Group,
    Headers,
    Outcome,
    Position,
    Producer,
    ProducerSettings,
    Received,
    Record,
    ResourceKind,
    Stored,
    TopicPartition,
)

END_OF_KEY, END_OF_RECORD = b"\x1f~key~\x1f", b"\x1e~record~\x1e"
SETTLED = re.compile(r"Message delivered to partition (\d+) \(offset (-?\d+)\)|Delivery failed for message: (.*)")
REBALANCED = re.compile(r"rebalanced.*?(assign|revoke).*?: (\S+ \[.*)")
PARTITION = re.compile(r"(\S+) \[(\d+)\]")
FORMAT = "%t|%p|%o|%T|%K|%S|%h\\n%k%s"
ASSIGNORS = {"range": "range", "roundrobin": "roundrobin", "cooperative": "cooperative-sticky"}


def options(settings: Mapping[str, object]) -> list[str]:
    """librdkafka's settings as words of the command."""
    words: list[str] = []
    for key, value in settings.items():
        words += ["-X", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    return words


class KcatProducer(Producer):
    """`kcat -P`, once for each run of like records."""

    def __init__(self, bootstrap: str, settings: ProducerSettings) -> None:
        self._command = ["kcat", "-P", "-b", bootstrap, "-z", settings.codec, "-vv"]
        self._command += options(
            {
                "acks": settings.acks,
                "enable.idempotence": settings.idempotent,
                "linger.ms": settings.linger_ms,
                "batch.size": settings.batch_bytes,
                "message.max.bytes": settings.max_request_bytes,
                "max.in.flight.requests.per.connection": settings.in_flight,
                "message.timeout.ms": int(settings.timeout * 1000),
            }
        )
        self._work: queue.SimpleQueue[tuple[str, list[Record], list[Outcome]] | None] = queue.SimpleQueue()
        self._pending: list[tuple[list[int], list[Outcome]]] = []
        self._expected = 0
        self._settled = threading.Condition()
        self._running: subprocess.Popen[bytes] | None = None
        self._worker = threading.Thread(target=self._send_all, name="kcat -P", daemon=True)
        self._worker.start()

    def send(self, topic: str, records: Sequence[Record]) -> None:
        order = list(range(len(records)))
        if all(record.partition is not None for record in records):
            # Between partitions there is no order to keep, and a process for each run of records is slow.
            order.sort(key=lambda number: records[number].partition or 0)
        for _, alike in itertools.groupby(order, lambda number: likeness(records[number])):
            run = list(alike)
            outcomes: list[Outcome] = []
            self._pending.append(([self._expected + number for number in run], outcomes))
            self._work.put((topic, [records[number] for number in run], outcomes))
        self._expected += len(records)

    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        with self._settled:
            self._settled.wait_for(lambda: sum(len(found) for _, found in self._pending) == self._expected, within)
        settled: list[Outcome] = [Failed("no answer in time")] * self._expected
        for places, found in self._pending:
            for place, outcome in zip(places, found, strict=False):
                settled[place] = outcome
        self._pending, self._expected = [], 0
        return settled

    def init_transactions(self) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        raise NotImplementedError

    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        raise NotImplementedError

    def commit(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def _send_all(self) -> None:
        while work := self._work.get():
            topic, records, outcomes = work
            found = self._send(topic, records)
            with self._settled:
                outcomes += found
                self._settled.notify_all()

    def _send(self, topic: str, records: list[Record]) -> list[Outcome]:
        first = records[0]
        words = [*self._command, "-t", topic, "-D", END_OF_RECORD.decode()]
        if first.key is not None:
            words += ["-K", END_OF_KEY.decode()]
        if first.partition is not None:
            words += ["-p", str(first.partition)]
        if first.value is None:
            words += ["-Z"]
        for name, value in first.headers:
            words += ["-H", name if value is None else f"{name}={value.decode()}"]
        body = END_OF_RECORD.join(map(wire, records))
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._running = process
        said = process.communicate(body)[1].decode(errors="replace")
        if process.returncode == 0 and "acks=0" in self._command:
            return [Stored(-1, -1)] * len(records)
        # In the order of sending where all go to one partition; a failure in the midst keeps its place.
        settled: list[Outcome] = [
            Failed(reason) if reason else Stored(int(partition), int(offset))
            for partition, offset, reason in SETTLED.findall(said)[: len(records)]
        ]
        failed = Failed(said.strip()[-500:] or f"exit status {process.returncode}")
        return [*settled, *[failed] * (len(records) - len(settled))]

    def close(self) -> None:
        self._work.put(None)
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
        self._worker.join(5)


def likeness(record: Record) -> object:
    """What one process is given for all of its records: the form of its input, the partition, the headers."""
    return record.key is None, record.value is None, record.partition, record.headers


def wire(record: Record) -> bytes:
    """A record as kcat reads it."""
    value = record.value or b""
    assert END_OF_RECORD not in value and END_OF_KEY not in value
    return value if record.key is None else record.key + END_OF_KEY + value


class Reader:
    """One consuming process, its records in a queue as they come."""

    def __init__(self, words: Sequence[str], received: queue.SimpleQueue[Received | Failed]) -> None:
        self.assigned: set[TopicPartition] = set()
        self._received = received
        self._said: list[str] = []
        self._closing = False
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout,), name="kcat records", daemon=True),
            threading.Thread(target=self._listen, args=(self._process.stderr,), name="kcat words", daemon=True),
        ]
        for thread in reversed(self._threads):  # the first waits for the second
            thread.start()

    def _read(self, output: IO[bytes]) -> None:
        while line := output.readline():
            topic, partition, offset, timestamp, key_size, value_size, headers = line[:-1].decode().split("|", 6)
            key = None if key_size == "-1" else output.read(int(key_size))
            value = None if value_size == "-1" else output.read(int(value_size))
            received = Received(topic, int(partition), int(offset), key, value, headers_from(headers), int(timestamp))
            self._received.put(received)
        if self._process.wait() and not self._closing:
            self._threads[1].join(5)
            self._received.put(Failed("".join(self._said)[-500:]))

    def _listen(self, output: IO[bytes]) -> None:
        for line in output:
            words = line.decode(errors="replace")
            self._said.append(words)
            if found := REBALANCED.search(words):
                named = {TopicPartition(topic, int(number)) for topic, number in PARTITION.findall(found[2])}
                self.assigned = self.assigned | named if found[1] == "assign" else self.assigned - named

    def close(self) -> None:
        """Let it leave its group; by force if that takes long."""
        self._closing = True
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        for thread in self._threads:
            thread.join(5)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()


def headers_from(printed: str) -> Headers:
    """kcat prints `a=1,b=,c=NULL`: enough for values without commas that are not the word NULL."""
    pairs = [pair.partition("=") for pair in printed.split(",") if pair]
    return tuple((name, None if value == "NULL" else value.encode()) for name, _, value in pairs)


class KcatConsumer(Consumer):
    """`kcat -C` for each assigned partition, or one `kcat -G` as a member of a group."""

    def __init__(self, bootstrap: str, settings: ConsumerSettings) -> None:
        self._bootstrap = bootstrap
        self._settings = settings
        self._received: queue.SimpleQueue[Received | Failed] = queue.SimpleQueue()
        self._standing: Failed | None = None  # an error that came after records, for the next poll
        self._readers: list[Reader] = []
        self._positions: dict[TopicPartition, Reader] = {}
        self._options = {
            "auto.offset.reset": "error" if settings.reset == "none" else settings.reset,
            "isolation.level": "read_committed" if settings.read_committed else "read_uncommitted",
            "message.max.bytes": min(settings.fetch_max_bytes, 1_000_000),
            "fetch.max.bytes": settings.fetch_max_bytes,
            "fetch.message.max.bytes": settings.partition_max_bytes,
            "fetch.wait.max.ms": settings.max_wait_ms,
            "fetch.min.bytes": settings.min_bytes,
            "topic.metadata.refresh.interval.ms": 500,
        }

    def _start(self, words: Sequence[str], more: Mapping[str, object]) -> None:
        command = ["kcat", "-b", self._bootstrap, "-u", "-f", FORMAT, *options({**self._options, **more}), *words]
        self._readers.append(Reader(command, self._received))

    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        for partition, position in positions.items():
            words = ["-C", "-t", partition.topic, "-p", str(partition.partition), "-o", str(position or 0)]
            self._start(words, {})

    def subscribe(self, topics: Sequence[str]) -> None:
        group = self._settings.group
        assert group is not None
        more: dict[str, object] = {
            "session.timeout.ms": int(self._settings.session_timeout * 1000),
            "heartbeat.interval.ms": 200,
            "partition.assignment.strategy": ASSIGNORS[self._settings.assignor],
            "enable.auto.commit": self._settings.auto_commit,
        }
        if self._settings.instance_id is not None:
            more["group.instance.id"] = self._settings.instance_id
        self._start(["-G", group, *topics], more)

    def poll(self, within: float) -> list[Received]:
        standing, self._standing = self._standing, None
        if standing is not None:
            raise standing
        received: list[Received] = []
        deadline = time.monotonic() + within
        while True:
            try:
                left = 0.0 if received else deadline - time.monotonic()
                found = self._received.get(timeout=left) if left > 0 else self._received.get_nowait()
            except queue.Empty:
                return received
            if not isinstance(found, Failed):
                received.append(found)
            elif received:
                self._standing = found
                return received
            else:
                raise found

    def assignment(self) -> set[TopicPartition]:
        return set().union(*(reader.assigned for reader in self._readers))

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        return {partition: self._query(partition, at) for partition, at in times.items()}

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._query(partition, -2) or 0 for partition in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._query(partition, -1) or 0 for partition in partitions}

    def _query(self, partition: TopicPartition, at: int) -> int | None:
        said = run(["-Q", "-b", self._bootstrap, "-t", f"{partition.topic}:{partition.partition}:{at}"])
        offset = int(said.rsplit(" ", 1)[1])
        return None if offset < 0 else offset

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def subscribe_pattern(self, pattern: str) -> None:
        raise NotImplementedError

    def seek(self, partition: TopicPartition, position: Position) -> None:
        raise NotImplementedError

    def position(self, partition: TopicPartition) -> int:
        raise NotImplementedError

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        raise NotImplementedError

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        raise NotImplementedError

    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        raise NotImplementedError

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        raise NotImplementedError


class KcatAdmin(Admin):
    """`kcat -L`."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def _metadata(self) -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = json.loads(run(["-L", "-J", "-b", self._bootstrap]))
        return found

    def topics(self) -> dict[str, int]:
        listed = {str(topic["topic"]): topic["partitions"] for topic in self._metadata()["topics"]}
        return {
            name: len(partitions)
            for name, partitions in listed.items()
            if not name.startswith("__") and isinstance(partitions, list)
        }

    def cluster(self) -> Cluster:
        described = self._metadata()
        nodes = []
        for broker in described["brokers"]:
            host, port = str(broker["name"]).rsplit(":", 1)
            nodes.append((int(str(broker["id"])), host, int(port)))
        return Cluster(tuple(nodes), int(str(described["controllerid"])), None)

    def close(self) -> None:
        """There is nothing open."""

    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        raise NotImplementedError

    def delete_topic(self, name: str) -> None:
        raise NotImplementedError

    def create_partitions(self, topic: str, total: int) -> None:
        raise NotImplementedError

    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        raise NotImplementedError

    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        raise NotImplementedError

    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        raise NotImplementedError

    def groups(self) -> set[str]:
        raise NotImplementedError

    def describe_group(self, group: str) -> Group:
        raise NotImplementedError

    def delete_group(self, group: str) -> None:
        raise NotImplementedError

    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        raise NotImplementedError

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        raise NotImplementedError

    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        raise NotImplementedError

    def log_sizes(self) -> dict[TopicPartition, int]:
        raise NotImplementedError


def run(words: Sequence[str]) -> str:
    """What `kcat` prints. Raises Failed."""
    try:
        done = subprocess.run(["kcat", *words], capture_output=True, text=True, timeout=PATIENCE, check=True)
    except subprocess.CalledProcessError as error:
        raise Failed(error.stderr.strip()) from error
    except subprocess.TimeoutExpired as error:
        raise Failed("kcat did not end") from error
    return done.stdout.strip()


class Kcat(Driver):
    """Every producer and consumer is processes of its own."""

    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        return KcatProducer(bootstrap, settings)

    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        return KcatConsumer(bootstrap, settings)

    def admin(self, bootstrap: str) -> Admin:
        return KcatAdmin(bootstrap)


def version() -> str:
    """The command's, and that of librdkafka in it."""
    said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Version (\S+).*librdkafka ([\d.]+)", said)
    return f"{found[1]} (librdkafka {found[2]})" if found else ""


def open_driver() -> Driver:
    """The driver of this client. Raises ImportError when the command is not there."""
    if shutil.which("kcat") is None:
        raise ImportError("no such command on the path")
    return Kcat()
