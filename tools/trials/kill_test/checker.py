"""What the logs hold, held against the ledger.

One pass over each log says where each write of each producer is (`PartitionIndex`); every rule is then a question to
these indexes. A violation bears the name of its rule:

* `gap`: an offset is missing, or the log does not begin at 0. Nothing here deletes, compacts or uses transactions.
* `damaged`: a value is not one of ours, or its checksum is wrong. `phantom`: a value of ours that was never sent.
  `misplaced`: it was sent to another partition.
* `lost`: an acknowledged record is nowhere in its log. `moved`: it is not at its offset, but elsewhere.
* `duplicate`: a record of a producer whose records must be there once is there twice.
* `disorder`: a producer's record comes, first of all, behind one that it sent later.
* `torn`: a batch was cut into pieces, or only a part of it is there.
* `refused-but-kept`: the broker said no, definitely, and kept the record all the same.
* `forgot-producer`: a batch sent again was not answered with its first offset.
* `id-twice`: a producer id was given out twice.
* `unacknowledged`: a producer that tries until it succeeds did not.
* `complaint`: what a client reported.

`registers.py` has the rules about numbers that never go back, `consumption.py` those about what consumers saw.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from kproto.ids import TopicPartition
from tools.trials.kill_test.ledger import Acknowledged, Ledger
from tools.trials.kill_test.values import BATCH_RECORDS, read_value

ABSENT = -1
AROUND = 3
WITNESSES_PER_RULE = 8
WIRE_KINDS = ("wire-idempotent", "wire-single-attempt")


class Violation(NamedTuple):
    """A broken rule, where, and what is there instead."""

    rule: str
    topic: str
    partition: int
    offset: int
    detail: str

    def __str__(self) -> str:
        place = f" {self.topic}-{self.partition} at {self.offset}" if self.topic else ""
        return f"{self.rule}{place}: {self.detail}"


Records = Sequence[tuple[int, bytes | None]]
"""(offset, value) of a log's records in its own order."""


@dataclass
class PartitionIndex:
    """One log: its records, and for each producer where each of its sequences is first found."""

    place: TopicPartition
    records: Records
    first: dict[str, array[int]] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def at(self, offset: int) -> bytes | None:
        """The value at an offset; offsets are dense, or `gap` was found and the search is by walking."""
        if 0 <= offset < len(self.records) and self.records[offset][0] == offset:
            return self.records[offset][1]
        return next((value for found, value in self.records if found == offset), None)

    def offset_of(self, producer: str, sequence: int) -> int:
        """Where that write is first found, or ABSENT."""
        offsets = self.first.get(producer)
        return offsets[sequence] if offsets is not None and sequence < len(offsets) else ABSENT

    def around(self, offset: int) -> str:
        """The values about an offset, for a person to look at."""
        near = [
            f"{found}: {describe(value)}"
            for found, value in islice(self.records, max(0, offset - AROUND), max(0, offset) + AROUND + 1)
        ]
        return "; ".join(near) or f"the log has {len(self.records)} records"

    def violate(self, rule: str, offset: int, detail: str, *, witness: bool = True) -> None:
        """Note a violation."""
        if witness:
            detail += f" [{self.around(offset)}]"
        self.violations.append(Violation(rule, *self.place, offset, detail))


def describe(value: bytes | None) -> str:
    """A value in a few characters."""
    origin = read_value(value)
    return f"{value!r:.60}" if origin is None else f"{origin.producer}#{origin.sequence}"


def check_log(ledger: Ledger, logs: Mapping[TopicPartition, Records]) -> list[Violation]:
    """All violations of the rules above."""
    sent = {(entry.producer, entry.topic, entry.partition): entry.records for entry in ledger.sent}
    indexes = {place: index_partition(ledger, sent, place, records) for place, records in logs.items()}
    found: list[Violation] = []
    for index in indexes.values():
        found += index.violations
    found += check_acknowledged(ledger, indexes)
    found += check_batches(ledger, indexes)
    found += check_refused(ledger, indexes)
    found += check_resent(ledger)
    found += check_producer_ids(ledger)
    found += check_complete(ledger)
    found += (Violation("complaint", "", -1, -1, f"{entry.who}: {entry.what}") for entry in ledger.complaints)
    return found


def index_partition(
    ledger: Ledger, sent: Mapping[tuple[str, str, int], int], place: TopicPartition, records: Records
) -> PartitionIndex:
    """Read a log once: density, values, duplicates and order are found on the way."""
    index = PartitionIndex(place, records)
    latest: dict[str, int] = {}
    expected = 0
    for offset, value in records:
        if offset != expected:
            index.violate("gap", offset, f"the offset after {expected - 1} is {offset}")
        expected = offset + 1
        origin = read_value(value)
        if origin is None:
            index.violate("damaged", offset, f"{value!r:.200} is not a value that anybody sends")
            continue
        producer, topic, partition, sequence = origin
        if (topic, partition) != place:
            index.violate("misplaced", offset, f"{describe(value)} was sent to {topic}-{partition}")
            continue
        if sequence >= sent.get((producer, topic, partition), 0):
            index.violate("phantom", offset, f"{describe(value)} was never sent")
            continue
        kind = ledger.producers[producer]
        offsets = index.first.get(producer)
        if offsets is None:
            offsets = index.first[producer] = array("q", [ABSENT]) * sent[producer, topic, partition]
        if offsets[sequence] != ABSENT:
            if kind.once:
                index.violate("duplicate", offset, f"{describe(value)} is at {offsets[sequence]} already")
            continue
        offsets[sequence] = offset
        if kind.ordered and sequence < latest.get(producer, -1):
            index.violate("disorder", offset, f"{describe(value)} comes behind #{latest[producer]}")
        latest[producer] = max(sequence, latest.get(producer, -1))
    return index


def check_acknowledged(ledger: Ledger, indexes: Mapping[TopicPartition, PartitionIndex]) -> Iterator[Violation]:
    """`lost` and `moved`."""
    for entry in ledger.acknowledged:
        if not ledger.producers[entry.producer].acknowledged:
            continue
        index = indexes[TopicPartition(entry.topic, entry.partition)]
        offsets = index.first.get(entry.producer)
        run = array("q", range(entry.offset, entry.offset + entry.records))
        if offsets is not None and offsets[entry.sequence : entry.sequence + entry.records] == run:
            continue
        yield from _judge_one_by_one(entry, index)


def _judge_one_by_one(entry: Acknowledged, index: PartitionIndex) -> Iterator[Violation]:
    for step in range(entry.records):
        sequence, offset = entry.sequence + step, entry.offset + step
        found = index.offset_of(entry.producer, sequence)
        if found == offset:
            continue
        there = read_value(index.at(offset))
        if there is not None and (there.producer, there.sequence) == (entry.producer, sequence):
            continue  # a repetition that is allowed, acknowledged at its later offset
        name = f"{entry.producer}#{sequence}"
        if found == ABSENT:
            rule, detail = "lost", f"{name} was acknowledged and is nowhere"
        else:
            rule, detail = "moved", f"{name} was acknowledged here and is at {found}"
        yield Violation(rule, *index.place, offset, f"{detail} [{index.around(offset)}]")


def check_batches(ledger: Ledger, indexes: Mapping[TopicPartition, PartitionIndex]) -> Iterator[Violation]:
    """`torn`: producers that speak the protocol themselves send all their batches in one size, the last included."""
    for place, index in indexes.items():
        for producer, offsets in index.first.items():
            if ledger.producers[producer].name not in WIRE_KINDS:
                continue
            for base in range(0, len(offsets), BATCH_RECORDS):
                batch = offsets[base : base + BATCH_RECORDS]
                whole = range(batch[0], batch[0] + len(batch)) if batch[0] != ABSENT else [ABSENT] * len(batch)
                if batch != array("q", whole):
                    detail = f"the batch from {producer}#{base} on is at {batch.tolist()}"
                    at = max(batch)
                    yield Violation("torn", *place, at, f"{detail} [{index.around(at)}]")


def check_refused(ledger: Ledger, indexes: Mapping[TopicPartition, PartitionIndex]) -> Iterator[Violation]:
    """`refused-but-kept`."""
    for entry in ledger.refused:
        if not entry.definite:
            continue
        index = indexes[TopicPartition(entry.topic, entry.partition)]
        for sequence in range(entry.sequence, entry.sequence + entry.records):
            offset = index.offset_of(entry.producer, sequence)
            if offset != ABSENT:
                detail = f"{entry.producer}#{sequence} was refused ({entry.error}) and is here"
                yield Violation("refused-but-kept", *index.place, offset, f"{detail} [{index.around(offset)}]")


def check_resent(ledger: Ledger) -> Iterator[Violation]:
    """`forgot-producer`."""
    for entry in ledger.resent:
        if entry.error or entry.offset != entry.expected:
            detail = f"{entry.producer}#{entry.sequence} sent again was answered with error {entry.error}, offset "
            yield Violation("forgot-producer", entry.topic, entry.partition, entry.expected, detail + str(entry.offset))


def check_producer_ids(ledger: Ledger) -> Iterator[Violation]:
    """`id-twice`."""
    for (producer_id, epoch), count in Counter((each.producer_id, each.epoch) for each in ledger.producer_ids).items():
        if count > 1:
            given = [each.producer for each in ledger.producer_ids if each.producer_id == producer_id]
            yield Violation("id-twice", "", -1, -1, f"producer id {producer_id}, epoch {epoch} was given to {given}")


def check_complete(ledger: Ledger) -> Iterator[Violation]:
    """`unacknowledged`."""
    acknowledged: Counter[tuple[str, str, int]] = Counter()
    for entry in ledger.acknowledged:
        acknowledged[entry.producer, entry.topic, entry.partition] += entry.records
    for sent in ledger.sent:
        count = acknowledged[sent.producer, sent.topic, sent.partition]
        if ledger.producers[sent.producer].complete and count != sent.records:
            detail = f"{sent.producer} sent {sent.records} records, and {count} were acknowledged"
            yield Violation("unacknowledged", sent.topic, sent.partition, -1, detail)


def summary(violations: Iterable[Violation]) -> list[str]:
    """Lines to print: each rule with its count and a few witnesses."""
    by_rule: dict[str, list[Violation]] = {}
    for violation in violations:
        by_rule.setdefault(violation.rule, []).append(violation)
    lines = []
    for rule, found in by_rule.items():
        lines.append(f"{rule}: {len(found)}")
        lines += (f"  {violation}" for violation in found[:WITNESSES_PER_RULE])
    return lines
