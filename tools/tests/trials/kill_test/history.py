"""A history without a fault, of every kind of producer, a group and an observer; and ways to plant faults in it.

Two logs of `LENGTH` records. In each, the producers take turns with runs of `RUN` records; everything is acknowledged
where it is, consumed in order by one consumer, committed, and looked at as it grows. Time is the number of records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from kproto.ids import TopicPartition
from tools.trials.kill_test.checker import Violation, check_log
from tools.trials.kill_test.consumption import check_consumption
from tools.trials.kill_test.ledger import (
    KINDS,
    Acknowledged,
    CommitAcknowledged,
    CommittedSeen,
    Consumed,
    EndSeen,
    Ledger,
    PositionsTaken,
    Producer,
    ProducerIdGiven,
    Resent,
    Sent,
    SettingAcknowledged,
    SettingSeen,
    TopicCreated,
    TopicDeleted,
    TopicDeletionAsked,
    TopicsSeen,
)
from tools.trials.kill_test.registers import check_registers
from tools.trials.kill_test.topics import check_topics
from tools.trials.kill_test.values import BATCH_RECORDS, make_value

RUN = BATCH_RECORDS
TURNS = 4
PLACES = (TopicPartition("one", 0), TopicPartition("two", 1))
NAMES = {kind: f"{kind}-0" for kind in KINDS}
LENGTH = RUN * TURNS * len(KINDS)


@dataclass
class History:
    """A ledger, and the logs it is held against."""

    ledger: Ledger = field(default_factory=Ledger)
    logs: dict[TopicPartition, list[tuple[int, bytes | None]]] = field(default_factory=dict)

    def violations(self) -> list[Violation]:
        """Everything that all the checks together find."""
        return [
            *check_log(self.ledger, self.logs),
            *check_registers(self.ledger),
            *check_consumption(self.ledger, self.logs),
            *check_topics(self.ledger),
        ]

    def rules(self) -> set[str]:
        """The names of the rules that are broken."""
        return {violation.rule for violation in self.violations()}

    def rewrite(self, place: TopicPartition, values: list[bytes | None]) -> None:
        """The log holds these values instead, with dense offsets; consumers saw it so, or never looked."""
        self.logs[place] = list(enumerate(values))
        self.ledger.consumption.clear()

    def values(self, place: TopicPartition) -> list[bytes | None]:
        """The values of a log."""
        return [value for _, value in self.logs[place]]

    def find(self, kind: str, place: TopicPartition, sequence: int) -> int:
        """The offset of a write."""
        wanted = make_value(NAMES[kind], *place, sequence)
        return next(offset for offset, value in self.logs[place] if value == wanted)

    def drop_acknowledgements(self, kind: str) -> None:
        """The producers of a kind were never answered."""
        name = NAMES[kind]
        self.ledger.acknowledged = [entry for entry in self.ledger.acknowledged if entry.producer != name]


def without_fault() -> History:
    """The history described above."""
    history = History()
    ledger = history.ledger
    for number, (kind, name) in enumerate(NAMES.items()):
        ledger.add(Producer(name, kind))
        ledger.add(ProducerIdGiven(name, number, 0))
    for topic, at in (("kept", 1.0), ("deleted", 2.0)):
        ledger.add(TopicCreated(topic, f"id of {topic}", at))
    ledger.add(TopicsSeen({"kept": "id of kept", "deleted": "id of deleted"}, 3.0, 4.0))
    ledger.add(TopicDeletionAsked("deleted", 5.0))
    ledger.add(TopicDeleted("deleted", 7.0))
    ledger.add(TopicsSeen({"kept": "id of kept"}, 6.0, 8.0))
    ledger.add(SettingAcknowledged("one", "lag", 3, 1.0, 2.0))
    ledger.add(SettingSeen("one", "lag", 3, 3.0, 4.0))
    for place in PLACES:
        records: list[tuple[int, bytes | None]] = []
        for turn in range(TURNS):
            for kind, name in NAMES.items():
                base, first = len(records), turn * RUN
                values = [make_value(name, *place, first + step) for step in range(RUN)]
                records += enumerate(values, base)
                end = len(records)
                if KINDS[kind].acknowledged:
                    ledger.add(Acknowledged(name, *place, first, RUN, base, end + 0.1))
                ledger.add(EndSeen(*place, end, end + 0.2, end + 0.3))
                digest = 0
                for value in values:
                    digest = crc32(value, digest)
                ledger.add(Consumed("reader-0", *place, base, RUN, digest))
                ledger.add(CommitAcknowledged("group", *place, end, end + 0.4, end + 0.5))
                ledger.add(CommittedSeen("group", *place, end, end + 0.6, end + 0.7))
                if kind == "wire-idempotent":
                    ledger.add(Resent(name, *place, first, base, 0, base))
        history.logs[place] = records
        for name in NAMES.values():
            ledger.add(Sent(name, *place, TURNS * RUN))
        ledger.add(PositionsTaken("reader-0"))
    return history
