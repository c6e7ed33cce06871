"""A real broker's system calls, read one by one: did anything leave before what it says was on the disk?

The broker runs under `strace`. Clients produce with acks=all and acks=1 side by side, several requests in flight, into
logs with small segments; before and after that, one client creates topics, commits offsets and deletes records. Then
the trace is audited:

* **No answer before its sync.** An acks=all answer names partition and offset; the batch with that offset was written
  by some pwrite; an fdatasync of that file began after the write had returned, and had returned before the answer was
  sent.
* **Names too.** If the file, or a directory on the way to it, was made since the broker started, an fsync of the
  directory above began after that and had returned as well.
* **Renames.** Of a file that takes a name every byte was synced before; the thread syncs the directory before it
  changes anything else. (Names that end in `.deleted` mean nothing, and directories have no bytes.)
* **What coordinators write.** When an answer leaves for the one client that works alone, every byte of every internal
  log is synced.

The audit knows when it is blind: it must find as many acknowledgements as the clients got, and some acks=1 answers that
left before their sync. With `--set ottla.ack.fsync=false` the broker does not wait for the disk, and the audit has to
fail.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from kproto.batches.records import RecordData, build_batch
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from kproto.schema.compile import decode
from tools.trials.brokers import Process, ottla
from tools.trials.crash_test.outcome import Outcome, Plan
from tools.trials.crash_test.syscalls import require_strace
from tools.trials.crash_test.trace import Event, events
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

ROOT: Final = Path(__file__).parents[3]
CALLS: Final = "openat,mkdir,pwrite64,pwritev,write,fdatasync,fsync,rename,unlink,rmdir,sendto"
SECONDS: Final = 60.0
PARTITIONS: Final = 3
PRODUCE_VERSION: Final = 9
IN_FLIGHT: Final = 2
ALL_CLIENTS, ONE_CLIENTS = 4, 2
TOPIC: Final = "audit"
GROUP: Final = "audit-group"
DELETED: Final = ".deleted"

_PEER = re.compile(r"->\[?.*:(\d+)\]\Z")


# -- the audit ---------------------------------------------------------------------------------------------------------


@dataclass
class FileState:
    """A file: how many writes have returned, and how many of these are synced."""

    written: int = 0
    durable: int = 0


@dataclass
class Audit:
    """The state of a data directory, followed through a trace. `all_ports` are of clients that produce with acks=all,
    `one_ports` with acks=1; `alone_ports` of those that no other client works beside."""

    data: str
    all_ports: set[int]
    one_ports: set[int]
    alone_ports: set[int]
    known: set[str] = field(default_factory=set)
    """Paths that were there before."""
    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    files: dict[str, FileState] = field(default_factory=dict)
    fresh: dict[str, int] = field(default_factory=dict)
    """Names made and not known to be durable, and the moment."""
    batches: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """(directory, base offset) -> file, number of the write."""

    def __post_init__(self) -> None:
        self._moment = 0
        self._syncs: dict[int, tuple[int, int]] = {}  # thread -> moment, writes, when its sync began
        self._renamed: dict[int, tuple[str, str]] = {}  # thread -> directory not synced yet, and what was renamed
        self._streams: dict[str, bytearray] = {}

    def read(self, lines: Iterable[str]) -> None:
        """Audit a whole trace."""
        for event in events(lines):
            self._moment += 1
            if event.result is None:
                self._begins(event)
            elif event.result >= 0:
                self._ends(event)
        for directory, what in self._renamed.values():
            self.violations.append(f"{what}, and {directory} was never synced")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _inside(self, path: str) -> bool:
        return path == self.data or path.startswith(self.data + "/")

    def _begins(self, event: Event) -> None:
        match event.call:
            case "sendto":
                self._answer(event)
            case "fdatasync" | "fsync":
                self._syncs[event.pid] = self._moment, self._state(event.path).written
            case "rename":
                old, new = self._names(event)
                if self._inside(new):
                    self._changes(event.pid, "rename", new)
                    self._check_renamed(old, new)
            case "pwrite64" | "pwritev" | "write" if self._inside(event.path):
                self._changes(event.pid, event.call, event.path)
            case "mkdir" | "unlink" | "rmdir" | "openat":
                path = event.strings[-1].decode() if event.strings else ""
                if self._inside(path) and (event.call != "openat" or "O_CREAT" in event.rest):
                    self._changes(event.pid, event.call, path)
            case _:
                pass

    def _ends(self, event: Event) -> None:
        match event.call:
            case "pwrite64" | "pwritev" | "write" if self._inside(event.path):
                self._wrote(event)
            case "fdatasync" | "fsync" if self._inside(event.path):
                self._synced(event)
            case "openat" if "O_CREAT" in event.rest and self._inside(event.strings[-1].decode()):
                self._made(event.strings[-1].decode())
            case "mkdir" if self._inside(event.strings[-1].decode()):
                self._made(event.strings[-1].decode())
            case "rename":
                old, new = self._names(event)
                if self._inside(new):
                    self._has_renamed(event.pid, old, new)
            case _:
                pass

    @staticmethod
    def _names(event: Event) -> tuple[str, str]:
        return event.strings[0].decode(), event.strings[1].decode()

    def _state(self, path: str) -> FileState:
        return self.files.setdefault(path, FileState())

    # -- what the broker does --

    def _made(self, path: str) -> None:
        if path not in self.known:
            self.known.add(path)
            self.fresh[path] = self._moment

    def _wrote(self, event: Event) -> None:
        state = self._state(event.path)
        state.written += 1
        if event.path.endswith(".log"):
            self._count("writes to logs")
            directory = event.path.rpartition("/")[0]
            for data in event.strings:
                if len(data) >= 8:
                    self.batches[directory, int.from_bytes(data[:8], "big")] = event.path, state.written

    def _synced(self, event: Event) -> None:
        began, written = self._syncs.pop(event.pid, (0, 0))
        self._count(f"{event.call}s")
        state = self._state(event.path)
        state.durable = max(state.durable, written)
        for path in [path for path, made in self.fresh.items() if path.rpartition("/")[0] == event.path]:
            if self.fresh[path] < began:
                del self.fresh[path]
        if self._renamed.get(event.pid, ("", ""))[0] == event.path:
            del self._renamed[event.pid]

    def _check_renamed(self, old: str, new: str) -> None:
        state = self.files.get(old)
        if new.endswith(DELETED) or state is None:
            return
        if state.durable < state.written:
            self.violations.append(f"{old} was renamed to {new} with {state.written - state.durable} writes unsynced")

    def _has_renamed(self, pid: int, old: str, new: str) -> None:
        self._count("renames")
        for path in [path for path in self.files if path == old or path.startswith(old + "/")]:
            self.files[new + path[len(old) :]] = self.files.pop(path)
        self.known.add(new)
        self.fresh[new] = self._moment
        self.fresh.pop(old, None)
        if not new.endswith(DELETED):
            self._renamed[pid] = new.rpartition("/")[0], f"{old} was renamed to {new}"

    def _changes(self, pid: int, call: str, path: str) -> None:
        """A thread that has renamed syncs the directory before it changes anything else, but for more renames there."""
        directory, what = self._renamed.get(pid, ("", ""))
        if directory and not (call == "rename" and path.rpartition("/")[0] == directory):
            self.violations.append(f"{what}, and the next thing was {call} of {path}, not the sync of {directory}")
            del self._renamed[pid]

    # -- what clients are answered --

    def _answer(self, event: Event) -> None:
        match = _PEER.search(event.path)
        port = int(match[1]) if match is not None else -1
        if port in self.alone_ports:
            self._count("answers of coordinators")
            self._check_internal_logs()
        elif port in self.all_ports or port in self.one_ports:
            stream = self._streams.setdefault(event.path, bytearray())
            stream += b"".join(event.strings)
            while len(stream) >= 4 and len(stream) >= (size := struct.unpack_from(">i", stream)[0]) + 4:
                body = bytes(stream[9 : size + 4])  # behind length, correlation id, and no tagged fields
                del stream[: size + 4]
                self._judge(decode(ProduceResponse, PRODUCE_VERSION, body), port in self.all_ports)

    def _check_internal_logs(self) -> None:
        for path, state in self.files.items():
            if path.endswith(".log") and "/__" in path and (why := self._not_durable(path, state.written)):
                self.violations.append(f"a coordinator answered, and {why}")

    def _judge(self, response: Any, acks_all: bool) -> None:
        for topic in response.responses:
            for part in topic.partition_responses:
                if part.error_code:
                    continue
                directory = f"{self.data}/{topic.name}-{part.index}"
                found = self.batches.get((directory, part.base_offset))
                why = self._not_durable(*found) if found is not None else "no such batch was written"
                if acks_all:
                    self._count("acknowledgements with acks=all")
                    if why:
                        words = f"offset {part.base_offset} of {topic.name}-{part.index} was acknowledged, and {why}"
                        self.violations.append(words)
                else:
                    self._count("acknowledgements with acks=1")
                    if why:
                        self._count("of them before their sync")

    def _not_durable(self, path: str, write: int) -> str:
        """Why this write of this file may be gone after a power cut; "" if it may not."""
        if self._state(path).durable < write:
            return f"{path} has not been synced since"
        while self._inside(path) and path != self.data:
            if path in self.fresh:
                return f"the name {path} is not durable"
            path = path.rpartition("/")[0]
        return ""


# -- the run -----------------------------------------------------------------------------------------------------------


class TracedBroker:
    """A broker under strace."""

    def __init__(self, directory: Path, settings: Iterable[str]) -> None:
        self.data = directory / "data"
        self.trace = directory / "trace"
        strace = ("strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "400", "-o", str(self.trace))
        broker = ottla(*settings)
        traced = replace(broker, command=(*strace, "-e", f"trace={CALLS}", *broker.command))
        self._process = Process(traced, self.data, directory / "output")
        self._process.start(OTTLA_PORTABLE="", PYTHONDONTWRITEBYTECODE="1")
        self._process.wait_until(seconds=SECONDS)
        self.port = self._process.port

    def stop(self) -> None:
        """SIGTERM to the process group: the broker obeys it, and strace ends with the broker."""
        self._process.stop(SECONDS)


def run(plan: Plan) -> Outcome:
    """`plan.count` produce requests, audited. Raises CannotTry."""
    require_strace()
    outcome = Outcome("sync-order")
    directory = plan.directory.resolve()
    broker = TracedBroker(directory, plan.settings)
    try:
        acknowledged, ports = load(broker.port, plan.count or 6000, plan)
    finally:
        broker.stop()
    plan.say("reading the trace")
    audit = Audit(str(broker.data), *ports)
    with broker.trace.open(errors="replace") as lines:
        audit.read(lines)
    outcome.counts = audit.counts
    outcome.violations = audit.violations
    seen = audit.counts.get("acknowledgements with acks=all", 0)
    words = f"the clients got {acknowledged} acknowledgements with acks=all, the audit saw {seen}: the test is broken"
    outcome.require(seen == acknowledged > 0, words)
    outcome.require(
        audit.counts.get("of them before their sync", 0) > 0,
        "every acks=1 answer left after a sync, though none has to: the test is broken",
    )
    return outcome


def load(port: int, count: int, plan: Plan) -> tuple[int, tuple[set[int], set[int], set[int]]]:
    """Talk to the broker; how many acknowledgements came with acks=all, and the clients' ports by kind."""
    alone = WireClient(port)
    wire.create_topic(alone, TOPIC, PARTITIONS, {"internal.segment.bytes": "65536"})
    for number in range(5):
        wire.create_topic(alone, f"{TOPIC}-more-{number}", 2, {})
    wait_until_led(alone)
    clients = [(WireClient(port), -1) for _ in range(ALL_CLIENTS)] + [(WireClient(port), 1) for _ in range(ONE_CLIENTS)]
    acknowledged = sent = 0
    while sent < count:
        for number, (client, acks) in enumerate(clients):
            for again in range(IN_FLIGHT):
                client.socket.sendall(produce(client, number + again, acks))
                sent += 1
        for client, acks in clients:
            for _ in range(IN_FLIGHT):
                reply = client.reply()
                parts = [part for topic in reply.responses for part in topic.partition_responses]
                acknowledged += sum(part.error_code == 0 for part in parts) if acks == -1 else 0
        if sent % 1200 == 0:
            plan.say(f"{sent} requests")
    for number in range(20):
        commit(alone, number)
        alone.call(delete_records(number), 2)
    ports = {acks: {client.socket.getsockname()[1] for client, kind in clients if kind == acks} for acks in (-1, 1)}
    own_port = alone.socket.getsockname()[1]
    for client, _ in clients:
        client.socket.close()
    alone.socket.close()
    return acknowledged, (ports[-1], ports[1], {own_port})


def wait_until_led(client: WireClient) -> None:
    """Asking for a group's coordinator makes its log; it may say for a moment that it is not there yet."""
    client.call(FindCoordinatorRequest(coordinator_keys=[GROUP]), 4)
    deadline = time.monotonic() + SECONDS
    while error := commit(client, 0):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the group's coordinator still answers with error {error} after {SECONDS:g} s")
        time.sleep(0.05)  # a client can only ask again


def produce(client: WireClient, number: int, acks: int) -> bytes:
    """A request with a batch for one partition, or for each."""
    now = int(time.time() * 1000)
    batch = bytes(build_batch([RecordData(timestamp=now, value=b"%d" % number * 700) for _ in range(2)]))
    partitions = range(PARTITIONS) if number % 3 == 0 else [number % PARTITIONS]
    data = [PartitionProduceData(index=partition, records=batch) for partition in partitions]
    topic = TopicProduceData(name=TOPIC, partition_data=data)
    return client.encode(ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[topic]), PRODUCE_VERSION)


def commit(client: WireClient, offset: int) -> int:
    """Commit an offset; the error code."""
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_leader_epoch=-1)
    topic = OffsetCommitRequestTopic(name=TOPIC, partitions=[part])
    reply: Any = client.call(OffsetCommitRequest(group_id=GROUP, topics=[topic]), 8)
    code: int = reply.topics[0].partitions[0].error_code
    return code


def delete_records(offset: int) -> DeleteRecordsRequest:
    """Of partition 0, those before `offset`."""
    part = DeleteRecordsPartition(partition_index=0, offset=offset)
    return DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=TOPIC, partitions=[part])], timeout_ms=30_000)
