"""Clients that are not written in Python: a worker process for a whole test run, spoken to in lines of JSON.

A request is one line on the worker's standard input, an answer one line on its standard output, in any order:

    {"id": 7, "call": "consumer.poll", "handle": "c3", "within": 1.0}
    {"id": 7, "result": [{"topic": "t", "partition": 0, "offset": 0, "key": null, "value": "aGk=", ...}]}
    {"id": 8, "refused": 36, "message": "Topic 't' already exists."}        the broker's error code
    {"id": 9, "failed": "TimeoutException: ..."}                            the client gave up by itself

Calls are `<kind>.open` (`bootstrap`, `settings`: the fields of ProducerSettings, ConsumerSettings or CopySettings),
then the methods of the contract under their names and with its arguments' names, then `<kind>.close`; `kind` is
producer, consumer, admin or, where a library has something better than the contract's own, copier. `handle` names one
of them, by the caller's choice. Calls for one handle run in order, those for different ones at the same time: a member
of a group may wait for another one. What a worker writes to standard error is shown when it dies. It ends when its
standard input does.

Forms: bytes are base64 or null; a partition is `[topic, number]`; a map from partitions is a list of
`[topic, number, value]`, a committed offset in it `[topic, number, offset, metadata]`; a consumer among the arguments
is its handle, with its `group` beside it; headers are `[name, bytes]`; a position is a number, "beginning", "end" or
null. Outcomes are `{"partition", "offset"}`, `{"refused", "message"}` or `{"failed"}`. Configs are
`{name: {"value", "default", "read_only", "sensitive"}}`; a group is `{"state", "protocol", "members": [{"member_id",
"client_id", "instance_id", "partitions"}]}`; a cluster is `{"nodes": [[id, host, port]], "controller", "cluster_id"}`.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compat_tests.clients.contract import (
    PATIENCE,
    Admin,
    Cluster,
    Committed,
    Config,
    Consumer,
    ConsumerSettings,
    Copier,
    CopySettings,
    Driver,
    Failed,
    Group,
    Member,
    Outcome,
    Position,
    Producer,
    ProducerSettings,
    Received,
    Record,
    Refused,
    ResourceKind,
    Stored,
    TopicPartition,
)


def built_folder() -> Path:
    """Where `python -m compat_tests prepare` puts what it downloads and builds: the folder in OTTLA_COMPAT_FOLDER, or
    `.compat` of the source tree; of an installation, a folder among the user's cached files."""
    if chosen := os.environ.get("OTTLA_COMPAT_FOLDER"):
        return Path(chosen).resolve()
    above = Path(__file__).parents[2]
    if (above / "pyproject.toml").exists():
        return above / ".compat"
    cached = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(cached) if cached else Path.home() / ".cache") / "ottla" / "compat"


BUILT = built_folder()
# Each command of it may take this long, in seconds.
PREPARING = 180.0


# Beside what `prepare` has made: the digest of what it was made from. A time of change would not do, because a fresh
# checkout is younger than any product, and a scenario that is skipped for that looks like one that passed.
MADE_FROM = "made-from"


def built(product: Path, *sources: Path) -> None:
    """Note from which sources a product has just been made."""
    (product.parent / MADE_FROM).write_text(digest(*sources), encoding="utf-8")


def built_from(product: Path, *sources: Path) -> None:
    """Raise ImportError when what `prepare` makes is not there, or was made from other sources."""
    if not product.exists():
        raise ImportError("it is not prepared")
    stamp = product.parent / MADE_FROM
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest(*sources):
        raise ImportError("it has changed since it was prepared")


def digest(*sources: Path) -> str:
    """One for the names and the contents of these files."""
    found = hashlib.sha256()
    for source in sorted(sources):
        found.update(f"{source.name} {source.stat().st_size}\n".encode() + source.read_bytes())
    return found.hexdigest()


# A worker that has not answered a call by then hangs; the calls themselves give up earlier.
LONGEST = 4 * PATIENCE


def encoded(data: bytes | None) -> str | None:
    """Bytes as JSON has them."""
    return None if data is None else base64.b64encode(data).decode()


def decoded(text: str | None) -> bytes | None:
    """The bytes."""
    return None if text is None else base64.b64decode(text)


class Worker:
    """The process; any thread may call it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, concurrent.futures.Future[Any]] = {}
        self._lock = threading.Lock()
        self._ended = False
        self._said: deque[str] = deque(maxlen=50)
        answers, self._words = (
            threading.Thread(target=reading, name=command[0], daemon=True)
            for reading in (self._read_answers, self._read_words)
        )
        for thread in (answers, self._words):
            thread.start()

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The result. Raises Refused, Failed."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        assert self._process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = future
            line = json.dumps({"id": number, "call": name, **arguments})
            try:
                if self._ended:
                    raise BrokenPipeError
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            except OSError as error:
                self._waiting.pop(number, None)
                raise Failed(self._obituary()) from error
        try:
            answer = future.result(LONGEST)
        except TimeoutError:
            with self._lock:  # unless it has just been answered
                self._waiting.pop(number, None)
            raise Failed(f"{name} has not ended after {LONGEST:g} s: {''.join(self._said)[-2000:]}") from None
        if "refused" in answer:
            raise Refused(answer["refused"], answer.get("message", ""))
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["result"]

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                answer = json.loads(line)
            except ValueError:  # a library's word on the wrong stream
                self._said.append(line.decode(errors="replace"))
                continue
            with self._lock:
                future = self._waiting.pop(answer["id"], None)
            if future is not None:  # else it came after its caller had given up
                future.set_result(answer)
        with self._lock:
            self._ended = True
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result({"failed": self._obituary()})

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace"))

    def _obituary(self) -> str:
        self._words.join(5)  # its last words may still be on their way
        return "the worker has ended: " + "".join(self._said)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()


class Handle:
    """One producer, consumer or admin client within a worker."""

    _names = itertools.count()

    def __init__(self, worker: Worker, kind: str, /, **opening: Any) -> None:
        self._worker = worker
        self._kind = kind
        self.name = f"{kind}-{next(self._names)}"
        self.call("open", **opening)

    def call(self, method: str, /, **arguments: Any) -> Any:
        """The result of one method."""
        return self._worker.call(f"{self._kind}.{method}", {"handle": self.name, **arguments})


def partition_list(partitions: Iterable[TopicPartition]) -> list[list[Any]]:
    """Partitions as JSON has them."""
    return [list(partition) for partition in partitions]


class WorkerProducer(Producer):
    """A producer in a worker."""

    def __init__(self, worker: Worker, bootstrap: str, settings: ProducerSettings) -> None:
        self._handle = Handle(worker, "producer", bootstrap=bootstrap, settings=asdict(settings))

    def send(self, topic: str, records: Sequence[Record]) -> None:
        written = [
            {
                "key": encoded(record.key),
                "value": encoded(record.value),
                "headers": [[name, encoded(value)] for name, value in record.headers],
                "partition": record.partition,
                "timestamp": record.timestamp,
            }
            for record in records
        ]
        self._handle.call("send", topic=topic, records=written)

    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        return [outcome_from(outcome) for outcome in self._handle.call("outcomes", within=within)]

    def init_transactions(self) -> None:
        self._handle.call("init_transactions")

    def begin(self) -> None:
        self._handle.call("begin")

    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        assert isinstance(consumer, WorkerConsumer), "a consumer of the same worker"
        written = [[*partition, offset, ""] for partition, offset in offsets.items()]
        self._handle.call("send_offsets", offsets=written, consumer=consumer.name, group=consumer.group)

    def commit(self) -> None:
        self._handle.call("commit")

    def abort(self) -> None:
        self._handle.call("abort")

    def close(self) -> None:
        self._handle.call("close")


def outcome_from(answer: Mapping[str, Any]) -> Outcome:
    """What became of a record."""
    if "refused" in answer:
        return Refused(answer["refused"], answer.get("message", ""))
    if "failed" in answer:
        return Failed(answer["failed"])
    return Stored(answer["partition"], answer["offset"])


class WorkerConsumer(Consumer):
    """A consumer in a worker."""

    def __init__(self, worker: Worker, bootstrap: str, settings: ConsumerSettings) -> None:
        self._handle = Handle(worker, "consumer", bootstrap=bootstrap, settings=asdict(settings))
        self.name = self._handle.name
        self.group = settings.group

    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        self._handle.call("assign", positions=[[*partition, position] for partition, position in positions.items()])

    def subscribe(self, topics: Sequence[str]) -> None:
        self._handle.call("subscribe", topics=list(topics))

    def subscribe_pattern(self, pattern: str) -> None:
        self._handle.call("subscribe_pattern", pattern=f"^{pattern}$")

    def poll(self, within: float) -> list[Received]:
        return [
            Received(
                record["topic"],
                record["partition"],
                record["offset"],
                decoded(record["key"]),
                decoded(record["value"]),
                tuple((name, decoded(value)) for name, value in record["headers"]),
                record["timestamp"],
            )
            for record in self._handle.call("poll", within=within)
        ]

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(*partition) for partition in self._handle.call("assignment")}

    def seek(self, partition: TopicPartition, position: Position) -> None:
        self._handle.call("seek", partition=list(partition), position=position)

    def position(self, partition: TopicPartition) -> int:
        return int(self._handle.call("position", partition=list(partition)))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._handle.call("pause", partitions=partition_list(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._handle.call("resume", partitions=partition_list(partitions))

    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        written = None if offsets is None else [[*partition, *committed] for partition, committed in offsets.items()]
        self._handle.call("commit", offsets=written)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        asked = list(partitions)
        found = committed_map(self._handle.call("committed", partitions=partition_list(asked)))
        return {partition: found.get(partition) for partition in asked}

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        asked = [[*partition, at] for partition, at in times.items()]
        return partition_map(self._handle.call("offsets_for_times", times=asked))

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return partition_map(self._handle.call("beginning_offsets", partitions=partition_list(partitions)))

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return partition_map(self._handle.call("end_offsets", partitions=partition_list(partitions)))

    def close(self) -> None:
        self._handle.call("close")


def partition_map(answer: Iterable[Sequence[Any]]) -> dict[TopicPartition, Any]:
    """A map from partitions."""
    return {TopicPartition(topic, number): value for topic, number, value in answer}


def committed_map(answer: Iterable[Sequence[Any]]) -> dict[TopicPartition, Committed]:
    """A map from partitions to committed offsets."""
    return {TopicPartition(topic, number): Committed(offset, metadata) for topic, number, offset, metadata in answer}


class WorkerAdmin(Admin):
    """An admin client in a worker."""

    def __init__(self, worker: Worker, bootstrap: str) -> None:
        self._handle = Handle(worker, "admin", bootstrap=bootstrap)

    def topics(self) -> dict[str, int]:
        return dict(self._handle.call("topics"))

    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        self._handle.call("create_topic", name=name, partitions=partitions, configs=dict(configs or {}))

    def delete_topic(self, name: str) -> None:
        self._handle.call("delete_topic", name=name)

    def create_partitions(self, topic: str, total: int) -> None:
        self._handle.call("create_partitions", topic=topic, total=total)

    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        described = self._handle.call("describe_configs", kind=kind, name=name)
        return {key: Config(**config) for key, config in described.items()}

    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        self._handle.call("alter_configs", kind=kind, name=name, changes=dict(changes))

    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        asked = [[*partition, offset] for partition, offset in before.items()]
        return partition_map(self._handle.call("delete_records", before=asked))

    def groups(self) -> set[str]:
        return set(self._handle.call("groups"))

    def describe_group(self, group: str) -> Group:
        described = self._handle.call("describe_group", group=group)
        members = tuple(
            Member(
                member["member_id"],
                member["client_id"],
                member["instance_id"],
                frozenset(TopicPartition(*partition) for partition in member["partitions"]),
            )
            for member in described["members"]
        )
        return Group(described["state"].lower().replace("_", ""), members, described["protocol"])

    def delete_group(self, group: str) -> None:
        self._handle.call("delete_group", group=group)

    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        return committed_map(self._handle.call("group_offsets", group=group))

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        written = [[*partition, offset] for partition, offset in offsets.items()]
        self._handle.call("alter_group_offsets", group=group, offsets=written)

    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        self._handle.call("delete_group_offsets", group=group, partitions=partition_list(partitions))

    def cluster(self) -> Cluster:
        described = self._handle.call("cluster")
        nodes = tuple((node, host, port) for node, host, port in described["nodes"])
        return Cluster(nodes, described["controller"], described["cluster_id"])

    def log_sizes(self) -> dict[TopicPartition, int]:
        return partition_map(self._handle.call("log_sizes"))

    def close(self) -> None:
        self._handle.call("close")


class WorkerCopier(Copier):
    """A copier of the library's own, in a worker."""

    def __init__(self, worker: Worker, bootstrap: str, settings: CopySettings) -> None:
        self._handle = Handle(worker, "copier", bootstrap=bootstrap, settings=asdict(settings))

    def copy(self, within: float, *, commit: bool = True) -> int:
        return int(self._handle.call("copy", within=within, commit=commit))

    def close(self) -> None:
        self._handle.call("close")


class WorkerDriver(Driver):
    """A client library in a process of its own."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, copies: bool = False
    ) -> None:
        self._worker = Worker(command, environment)
        self._copies = copies

    def copier(self, bootstrap: str, settings: CopySettings) -> Copier:
        if self._copies:
            return WorkerCopier(self._worker, bootstrap, settings)
        return super().copier(bootstrap, settings)

    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        return WorkerProducer(self._worker, bootstrap, settings)

    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        return WorkerConsumer(self._worker, bootstrap, settings)

    def admin(self, bootstrap: str) -> Admin:
        return WorkerAdmin(self._worker, bootstrap)

    def close(self) -> None:
        self._worker.close()
