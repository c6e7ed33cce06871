"""A real broker fills a small disk, again and again: it refuses, goes on reading, and appends again when there is room.

The data directory lies on a tmpfs of its own, which only root may mount. A cycle:

1. **Fill.** Batches of 16 KiB, acks=all and acks=1, several requests in flight, to several logs, until appends are
   refused with KAFKA_STORAGE_ERROR again and again. Any other refusal is a violation.
2. **While it is full** everything acknowledged can be read, and is what was sent; so it is all through the filling.
3. **Free**, in turns: the records of a topic are deleted; foreign files are removed; a topic is deleted. The broker
   has to be able to do what it is asked to on a full disk, or no request can make room.
4. **Go on.** The same process acknowledges again, within `RESUME_SECONDS`.

Every fourth cycle the broker is killed while the disk is full, and has to start on it. For every fifth cycle there is
one more on a disk that runs out of inodes instead of bytes: its logs have small segments, and no more files can be
made.

In the end all logs are read and held against what was acknowledged, the broker stops and starts once more and is asked
again, and `ottla check-log` finds nothing wrong with the directory: no torn batch among other things.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kproto.batches.header import has_valid_crc, read_header
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import ErrorCode
from kproto.ids import TopicPartition
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from ottla import Broker
from tools.commands import check_log
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

SHORT_BYTES, FULL_BYTES = 4 << 20, 64 << 20
"""Size of the disk, for up to two cycles, and for more."""

BATCH_BYTES: Final = 16 << 10
IN_FLIGHT: Final = 8
REFUSALS: Final = 24
"""Refused in a row: the disk is full."""

RESUME_SECONDS: Final = 10.0
KEEP, PURGE = "full-keep", "full-purge"
KEEP_SHARE: Final = 0.35
"""Of the disk, for records that stay: by the last cycle they fill that much."""

INODES: Final = 170
INODES_BYTES: Final = 2 << 20
"""On a disk that has no more inodes: what its segments, 64 KiB each, hold by then."""

DELETE_RECORDS, FOREIGN_FILES, DELETE_TOPICS = "DeleteRecords", "foreign files", "DeleteTopics"
FREED_BY: Final = (DELETE_RECORDS, FOREIGN_FILES, DELETE_TOPICS)


@contextmanager
def small_disk(place: Path, size: int, inodes: int = 0) -> Iterator[Path]:
    """A file system of `size` bytes mounted at `place`. Raises CannotTry."""
    place.mkdir()
    if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise CannotTry("a small file system has to be mounted, and only root may do that")
    options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        raise CannotTry(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


@dataclass
class Ledger:
    """What was acknowledged: of each log, base offset -> checksum of the value."""

    acknowledged: dict[TopicPartition, dict[int, int]] = field(default_factory=dict)

    def note(self, place: TopicPartition, offset: int, value: bytes) -> None:
        """A batch of one record is in the log."""
        self.acknowledged.setdefault(place, {})[offset] = zlib.crc32(value)

    def forget(self, topic: str, below: int = 1 << 62) -> None:
        """Records that were deleted on purpose."""
        for place, entries in self.acknowledged.items():
            if place.topic == topic:
                for offset in [offset for offset in entries if offset < below]:
                    del entries[offset]


class Cycles:
    """One broker on one small disk."""

    def __init__(
        self,
        disk: Path,
        size: int,
        cycles: int,
        outcome: Outcome,
        plan: Plan,
        segment_bytes: int,
        foreign_files: int = 0,
    ) -> None:
        self.disk = disk
        self.size = size
        self.foreign_files = foreign_files
        self.cycles = cycles
        self.outcome = outcome
        self.plan = plan
        self.ledger = Ledger()
        self.kept = 0
        self._segment_bytes = segment_bytes
        settings = dict(setting.split("=", 1) for setting in plan.settings)
        self.broker = Broker(data=disk / "data", config={"group.initial.rebalance.delay.ms": 0, **settings})
        self.client: WireClient
        self._connected = contextlib.ExitStack()

    def connect(self) -> None:
        """A connection, the only one."""
        self._connected.close()
        self.client = self._connected.enter_context(WireClient(self.broker.port))

    def create(self, topic: str, partitions: int) -> None:
        """A topic with small segments, whose files go at once when they are deleted."""
        configs = {"internal.segment.bytes": str(self._segment_bytes), "file.delete.delay.ms": "0"}
        wire.create_topic(self.client, topic, partitions, configs)

    def run(self) -> None:
        """All cycles, and the last look."""
        with self.broker, self._connected:
            self.connect()
            self.create(KEEP, 2)
            self.create(PURGE, 2)
            for number in range(self.cycles):
                if not self.cycle(number):
                    (self.plan.directory / "broker.log").write_text(self.broker.log)
                    return
                self.plan.say(f"{number + 1} cycles")
            self.compare("at the end")
            self.broker.restart()
            self.connect()
            self.compare("after a clean stop")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            check_log.main([str(self.disk / "data"), "--quiet"])
        # An index for which there was no room when its segment was closed is no harm: it says so itself.
        findings = [line for line in said.getvalue().splitlines()[:-1] if "rebuilt" not in line]
        self.outcome.require(not findings, f"check-log: {findings[:3]}")

    def cycle(self, number: int) -> bool:
        """Fill, look, free, go on; False if it makes no sense to go on."""
        outcome, how = self.outcome, FREED_BY[number % 3]
        drop = f"full-drop-{number}"
        ballast = self.disk / "ballast"
        if how == FOREIGN_FILES:
            self.occupy(ballast)
        if how == DELETE_TOPICS:
            self.create(drop, 2)
        pid = self.broker.pid
        if not self.fill(number, drop if how == DELETE_TOPICS else PURGE):
            return False
        outcome.count("cycles")
        self.compare("while it is full", outcome_of="records read while it was full")
        if number % 4 == 3:
            outcome.count("kills, and starts on a full disk")
            self.broker.kill()
            self.broker.start()
            self.connect()
            pid = self.broker.pid
            self.compare("started while it is full")
        try:
            if how == FOREIGN_FILES:
                shutil.rmtree(ballast)
            elif how == DELETE_RECORDS:
                self.purge()
            else:
                wire.delete_topic(self.client, drop)
                self.ledger.forget(drop)
        except wire.Refusal as refusal:
            outcome.violate(f"cycle {number}: nothing can be freed by {how}: {refusal}")
            return False
        outcome.count(f"freed by {how}")
        if not outcome.require(self.resumes(), f"cycle {number}: no append {RESUME_SECONDS} s after {how} freed space"):
            return False
        return outcome.require(self.broker.pid == pid, f"cycle {number}: the broker is another process")

    def occupy(self, ballast: Path) -> None:
        """Make foreign files, one large or many empty, if need be after the records of a topic have been deleted."""
        deadline = time.monotonic() + RESUME_SECONDS
        while True:
            try:
                ballast.mkdir()
                for number in range(max(1, self.foreign_files)):
                    (ballast / str(number)).write_bytes(b"" if self.foreign_files else bytes(self.size // 6))
                return
            except OSError:
                shutil.rmtree(ballast, ignore_errors=True)
                if time.monotonic() > deadline:
                    raise
                self.purge()
                time.sleep(0.05)

    def fill(self, number: int, topic: str) -> bool:
        """Write until nothing more is taken; False if that never happens."""
        places = [TopicPartition(topic, 0), TopicPartition(PURGE, 1), TopicPartition(topic, 1)]
        refused = sent = 0
        most = 4 * self.size // BATCH_BYTES
        while refused < REFUSALS and sent < most:
            batch: list[tuple[TopicPartition, bytes]] = []
            for index in range(IN_FLIGHT):
                place = places[(sent + index) % len(places)]
                if (sent + index) % 16 == 5 and self.kept < KEEP_SHARE * self.size * (number + 1) / self.cycles:
                    place = TopicPartition(KEEP, sent // 16 % 2)
                batch.append((place, os.urandom(BATCH_BYTES)))
                acks = 1 if (sent + index) % 4 == 0 else -1
                self.client.socket.sendall(wire.produce_request(self.client, place, encoded(batch[-1][1]), acks))
            for place, value in batch:
                error, offset = wire.produced(self.client)
                sent += 1
                if error == 0:
                    refused = 0
                    self.ledger.note(place, offset, value)
                    self.kept += len(value) if place.topic == KEEP else 0
                    self.outcome.count("acknowledged batches")
                    continue
                refused += 1
                self.outcome.count("refused batches")
                words = f"cycle {number}: refused with {ErrorCode(error).name}"
                self.outcome.require(error == ErrorCode.KAFKA_STORAGE_ERROR, words)
        return self.outcome.require(refused >= REFUSALS, f"cycle {number}: the disk did not become full: broken test")

    def resumes(self) -> bool:
        """Whether a batch is acknowledged soon."""
        began = time.monotonic()
        while time.monotonic() - began < RESUME_SECONDS:
            for place in (TopicPartition(KEEP, 0), TopicPartition(PURGE, 0)):
                value = os.urandom(1000)
                self.client.socket.sendall(wire.produce_request(self.client, place, encoded(value), -1))
                error, offset = wire.produced(self.client)
                if error:
                    break
                self.ledger.note(place, offset, value)
            else:
                millis = int(1000 * (time.monotonic() - began))
                self.outcome.counts["slowest to go on, in ms"] = max(
                    millis, self.outcome.counts.get("slowest to go on, in ms", 0)
                )
                return True
            time.sleep(0.01)
        return False

    def purge(self) -> None:
        """Delete all records of a topic. Raises Refusal."""
        for partition in (0, 1):
            part = DeleteRecordsPartition(partition_index=partition, offset=-1)
            topic = DeleteRecordsTopic(name=PURGE, partitions=[part])
            reply: Any = self.client.call(DeleteRecordsRequest(topics=[topic], timeout_ms=30_000), 2)
            answer = reply.topics[0].partitions[0]
            wire.accept(f"DeleteRecords {PURGE}-{partition}", answer.error_code)
            entries = self.ledger.acknowledged.get(TopicPartition(PURGE, partition), {})
            for offset in [offset for offset in entries if offset < answer.low_watermark]:
                del entries[offset]

    # -- reading -------------------------------------------------------------------------------------------------------

    def compare(self, when: str, outcome_of: str = "records read and compared") -> None:
        """Everything acknowledged is there, to the byte."""
        for place, entries in self.ledger.acknowledged.items():
            if not entries:
                continue
            try:
                found = self.read(place, min(entries))
            except wire.Refusal as refusal:
                self.outcome.violate(f"{when}: {place.topic}-{place.partition} cannot be read: {refusal}")
                continue
            self.outcome.count(outcome_of, len(found))
            wrong = [offset for offset, checksum in entries.items() if found.get(offset) != checksum]
            words = f"{when}: {len(wrong)} acknowledged batches of {place.topic}-{place.partition} are not there"
            self.outcome.require(not wrong, f"{words}, or not the same, as {wrong[:3]}")

    def read(self, place: TopicPartition, start: int) -> Mapping[int, int]:
        """Checksum of each record's value, by offset. Raises Refusal."""
        ends: Any = wire.log_offsets(self.client, [place], wire.LATEST)
        found: dict[int, int] = {}
        offset = start
        while offset < ends[place]:
            data = self.fetch(place, offset)
            position = 0
            while position + 12 <= len(data):
                size = 12 + int.from_bytes(data[position + 8 : position + 12], "big")
                if position + size > len(data):
                    break
                header = read_header(data, position)
                whole = data[position : position + size]
                self.outcome.require(has_valid_crc(header, whole), f"a torn batch at {header.base_offset} of {place}")
                for record in iter_records(whole):
                    found[record.offset] = zlib.crc32(record.value or b"")
                offset = header.next_offset
                position += size
            if not position:
                raise wire.Refusal(f"nothing at {offset} of {place}", ErrorCode.UNKNOWN_SERVER_ERROR)
        return found

    def fetch(self, place: TopicPartition, offset: int) -> memoryview:
        """Some batches. Raises Refusal."""
        part = FetchPartition(partition=place.partition, fetch_offset=offset, partition_max_bytes=4 << 20)
        topic = FetchTopic(topic=place.topic, partitions=[part])
        reply: Any = self.client.call(FetchRequest(max_wait_ms=100, min_bytes=1, max_bytes=4 << 20, topics=[topic]), 12)
        answer = reply.responses[0].partitions[0]
        wire.accept(f"Fetch {place.topic}-{place.partition} from {offset}", answer.error_code)
        return memoryview(answer.records or b"")


def encoded(value: bytes) -> bytes:
    """A batch of one record."""
    return bytes(build_batch([RecordData(timestamp=int(time.time() * 1000), value=value)]))


def run(plan: Plan) -> Outcome:
    """So many cycles of bytes, and a fifth as many of inodes. Raises CannotTry."""
    outcome = Outcome("disk-full", {"cycles": 0})
    cycles = plan.count or 50
    size = SHORT_BYTES if cycles <= 2 else FULL_BYTES
    with small_disk(plan.directory / "disk", size) as disk:
        Cycles(disk, size, cycles, outcome, plan, segment_bytes=size // 32).run()
    if cycles >= 5 and not outcome.violations:
        before = outcome.counts["cycles"]
        with small_disk(plan.directory / "inodes", size, INODES) as disk:
            Cycles(disk, INODES_BYTES, cycles // 5, outcome, plan, segment_bytes=65_536, foreign_files=40).run()
        outcome.count("of them without an inode left", outcome.counts["cycles"] - before)
    return outcome
