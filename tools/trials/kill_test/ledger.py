"""The ledger: what the broker said, written down by those it said it to.

One JSON array per line, the entry's name first. Times are seconds of the monotonic clock of the machine, the same for
every process on it. `Acknowledged` stands for a run of records, consecutive for the producer and in the log alike, so a
batch is one line. A line is written by one call, from any thread.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What a kind of producer may expect of the log."""

    name: str
    acknowledged: bool
    """Its acknowledgements count."""
    once: bool
    """A record of it is in the log once or not at all."""
    ordered: bool
    """Its records, each where it is first, are in the order of their sequences."""
    complete: bool
    """By the end every record sent has been acknowledged."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("idempotent", acknowledged=True, once=True, ordered=True, complete=True),
        Kind("acks-all", acknowledged=True, once=False, ordered=True, complete=True),
        Kind("acks-1", acknowledged=True, once=False, ordered=True, complete=True),
        Kind("acks-0", acknowledged=False, once=False, ordered=False, complete=False),
        Kind("wire-idempotent", acknowledged=True, once=True, ordered=True, complete=True),
        Kind("wire-single-attempt", acknowledged=True, once=True, ordered=True, complete=False),
        Kind("probe", acknowledged=True, once=True, ordered=True, complete=False),
    )
}
"""librdkafka's producers with retries; one that speaks the protocol itself and sends its unanswered batches again after
each restart; one that never sends anything twice (acks=1); and the one that asks whether the broker serves again."""


class Producer(NamedTuple):
    """A producer that takes part."""

    producer: str
    kind: str


class ProducerIdGiven(NamedTuple):
    """The broker gave out a producer id."""

    producer: str
    producer_id: int
    epoch: int


class Sent(NamedTuple):
    """A producer has handed over `records` records for one partition, with the sequences below that. Said once."""

    producer: str
    topic: str
    partition: int
    records: int


class Acknowledged(NamedTuple):
    """`records` records from `sequence` on are at the offsets from `offset` on, the broker said by the time `at`."""

    producer: str
    topic: str
    partition: int
    sequence: int
    records: int
    offset: int
    at: float


class Refused(NamedTuple):
    """The broker answered `error`; `definite` when that means that none of the records is in the log."""

    producer: str
    topic: str
    partition: int
    sequence: int
    records: int
    error: str
    definite: bool


class Resent(NamedTuple):
    """A batch acknowledged at `expected` was sent again, unchanged, and was answered with `error` (0) and `offset`."""

    producer: str
    topic: str
    partition: int
    sequence: int
    expected: int
    error: int
    offset: int


class EndSeen(NamedTuple):
    """The end of a log was asked for, and was `offset`."""

    topic: str
    partition: int
    offset: int
    asked: float
    answered: float


class CommitAcknowledged(NamedTuple):
    """A group's offset was committed."""

    group: str
    topic: str
    partition: int
    offset: int
    asked: float
    answered: float


class CommittedSeen(NamedTuple):
    """A group's committed offset was asked for, and was `offset` (-1: none)."""

    group: str
    topic: str
    partition: int
    offset: int
    asked: float
    answered: float


class SettingAcknowledged(NamedTuple):
    """A topic's config, a number, was set to `value`."""

    topic: str
    key: str
    value: int
    asked: float
    answered: float


class SettingSeen(NamedTuple):
    """A topic's config was asked for, and was `value`."""

    topic: str
    key: str
    value: int
    asked: float
    answered: float


class TopicCreated(NamedTuple):
    """A topic was created, the broker said by the time `at`."""

    topic: str
    topic_id: str
    at: float


class TopicDeletionAsked(NamedTuple):
    """A topic's deletion has been asked for; until it is acknowledged the topic may be there or not."""

    topic: str
    at: float


class TopicDeleted(NamedTuple):
    """A topic's deletion was acknowledged by the time `at`."""

    topic: str
    at: float


class TopicsSeen(NamedTuple):
    """All topics were asked for, and these were there: name -> id."""

    topics: dict[str, str]
    asked: float
    answered: float


class PositionsTaken(NamedTuple):
    """A consumer was given partitions, or they were taken from it: it goes on from committed offsets."""

    consumer: str


class Consumed(NamedTuple):
    """A consumer got the records of `records` consecutive offsets from `offset` on; `digest` is the CRC-32 over their
    values."""

    consumer: str
    topic: str
    partition: int
    offset: int
    records: int
    digest: int


class Complaint(NamedTuple):
    """Something a client cannot go on after, or something that did not come to an end: a violation by itself."""

    who: str
    what: str


Entry = (
    Producer
    | ProducerIdGiven
    | Sent
    | Acknowledged
    | Refused
    | Resent
    | EndSeen
    | CommitAcknowledged
    | CommittedSeen
    | SettingAcknowledged
    | SettingSeen
    | TopicCreated
    | TopicDeletionAsked
    | TopicDeleted
    | TopicsSeen
    | PositionsTaken
    | Consumed
    | Complaint
)

ENTRIES: dict[str, type[Any]] = {entry.__name__: entry for entry in Entry.__args__}


@dataclass
class Ledger:
    """All entries, each kind in the order of writing; PositionsTaken and Consumed share a list, as order matters."""

    producers: dict[str, Kind] = field(default_factory=dict)
    producer_ids: list[ProducerIdGiven] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    resent: list[Resent] = field(default_factory=list)
    ends: list[EndSeen] = field(default_factory=list)
    commits: list[CommitAcknowledged] = field(default_factory=list)
    committed: list[CommittedSeen] = field(default_factory=list)
    settings: list[SettingAcknowledged | SettingSeen] = field(default_factory=list)
    topics: list[TopicCreated | TopicDeletionAsked | TopicDeleted | TopicsSeen] = field(default_factory=list)
    consumption: list[PositionsTaken | Consumed] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """File one entry."""
        match entry:
            case Producer():
                self.producers[entry.producer] = KINDS[entry.kind]
            case ProducerIdGiven():
                self.producer_ids.append(entry)
            case Sent():
                self.sent.append(entry)
            case Acknowledged():
                self.acknowledged.append(entry)
            case Refused():
                self.refused.append(entry)
            case Resent():
                self.resent.append(entry)
            case EndSeen():
                self.ends.append(entry)
            case CommitAcknowledged():
                self.commits.append(entry)
            case CommittedSeen():
                self.committed.append(entry)
            case SettingAcknowledged() | SettingSeen():
                self.settings.append(entry)
            case TopicCreated() | TopicDeletionAsked() | TopicDeleted() | TopicsSeen():
                self.topics.append(entry)
            case PositionsTaken() | Consumed():
                self.consumption.append(entry)
            case Complaint():
                self.complaints.append(entry)

    def read(self, path: Path) -> Ledger:
        """Add the entries of a file."""
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                name, *fields = json.loads(line)
                self.add(ENTRIES[name](*fields))
        return self

    def acknowledged_by_kind(self) -> dict[str, int]:
        """Acknowledged records of each kind that counts."""
        counts = {kind.name: 0 for kind in self.producers.values() if kind.acknowledged}
        for entry in self.acknowledged:
            kind = self.producers[entry.producer]
            if kind.acknowledged:
                counts[kind.name] += entry.records
        return counts


class LedgerWriter:
    """A ledger being written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1 << 16)
        self._lock = threading.Lock()
        self.acknowledged_records = 0

    def write(self, *entries: Entry) -> None:
        """Add entries, together."""
        lines = "".join(json.dumps([type(entry).__name__, *entry]) + "\n" for entry in entries)
        with self._lock:
            self._file.write(lines)
            for entry in entries:
                if isinstance(entry, Acknowledged):
                    self.acknowledged_records += entry.records

    def close(self) -> None:
        """Everything is in the file."""
        self._file.close()


class AcknowledgedRuns:
    """Joins a producer's acknowledgements, which come record by record, into runs. For one thread."""

    IDLE_SECONDS = 0.25
    """A run is closed when it has been open for so long: its time is that of its last record."""

    def __init__(self, ledger: LedgerWriter, producer: str) -> None:
        self._ledger = ledger
        self._producer = producer
        self._open: dict[tuple[str, int], tuple[int, int, int, float]] = {}

    def add(self, topic: str, partition: int, sequence: int, offset: int) -> None:
        """One record was acknowledged, just now."""
        now = time.monotonic()
        run = self._open.get((topic, partition))
        if run is not None:
            first, count, base, since = run
            if sequence == first + count and offset == base + count and now - since < self.IDLE_SECONDS:
                self._open[topic, partition] = (first, count + 1, base, since)
                return
            self._close(topic, partition, now)
        self._open[topic, partition] = (sequence, 1, offset, now)

    def close(self) -> None:
        """Write down what is open."""
        for topic, partition in list(self._open):
            self._close(topic, partition, time.monotonic())

    def _close(self, topic: str, partition: int, now: float) -> None:
        sequence, count, offset, _ = self._open.pop((topic, partition))
        self._ledger.write(Acknowledged(self._producer, topic, partition, sequence, count, offset, now))
