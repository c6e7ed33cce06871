"""What consumers saw, held against what the logs hold in the end.

* `reread-differs`: records that a consumer was given are not those that are in the log now: it was shown something that
  a kill took back.
* `skipped`, `rewound`: between two assignments a consumer was given records that do not follow each other.
* `unseen`: records that no consumer of the group was ever given, though the group was given time to come to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zlib import crc32

from kproto.ids import TopicPartition
from tools.trials.kill_test.checker import Records, Violation
from tools.trials.kill_test.ledger import Consumed, Ledger, PositionsTaken


def check_consumption(ledger: Ledger, logs: Mapping[TopicPartition, Records]) -> Iterator[Violation]:
    """All violations in a ledger; partitions without consumers are not asked about."""
    positions: dict[tuple[str, TopicPartition], int] = {}
    seen: dict[TopicPartition, list[tuple[int, int]]] = {}
    for entry in ledger.consumption:
        if isinstance(entry, PositionsTaken):
            positions = {key: position for key, position in positions.items() if key[0] != entry.consumer}
            continue
        place = TopicPartition(entry.topic, entry.partition)
        end = entry.offset + entry.records
        expected = positions.get((entry.consumer, place), entry.offset)
        if entry.offset != expected:
            rule = "skipped" if entry.offset > expected else "rewound"
            detail = f"{entry.consumer} was given {entry.offset} where {expected} is next"
            yield Violation(rule, *place, entry.offset, detail)
        positions[entry.consumer, place] = end
        seen.setdefault(place, []).append((entry.offset, end))
        if digest(logs[place], entry) != entry.digest:
            detail = f"{entry.consumer} was given other records at {entry.offset} to {end - 1} than are there now"
            yield Violation("reread-differs", *place, entry.offset, detail)
    for place, ranges in seen.items():
        reached = 0
        for first, end in sorted(ranges):
            if first > reached:
                yield Violation("unseen", *place, reached, f"no consumer was given {reached} to {first - 1}")
            reached = max(reached, end)
        if reached < len(logs[place]):
            yield Violation("unseen", *place, reached, f"no consumer was given {reached} to {len(logs[place]) - 1}")


def digest(records: Records, consumed: Consumed) -> int:
    """The digest that the consumer would have, had it been given what is in the log now."""
    value = 0
    for _, data in records[consumed.offset : consumed.offset + consumed.records]:
        value = crc32(data or b"", value)
    return value
