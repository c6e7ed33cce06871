"""Values say where they come from, and ledgers give back what was written into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.trials.kill_test.ledger import (
    KINDS,
    Acknowledged,
    AcknowledgedRuns,
    Complaint,
    Consumed,
    EndSeen,
    Ledger,
    LedgerWriter,
    PositionsTaken,
    Producer,
    Sent,
)
from tools.trials.kill_test.values import MAX_FILLING, Origin, make_value, read_value


@pytest.mark.parametrize("sequence", [0, 1, MAX_FILLING, 123_456_789])
def test_a_value_is_read_back(sequence: int) -> None:
    """Producer, topic, partition, sequence."""
    assert read_value(make_value("p-0", "t.x", 3, sequence)) == Origin("p-0", "t.x", 3, sequence)


def test_every_flipped_bit_of_a_value_is_noticed() -> None:
    """No damage turns a value into another one, or goes unseen."""
    value = make_value("p-0", "topic", 3, 40)
    for at in range(len(value)):
        for bit in range(8):
            damaged = bytearray(value)
            damaged[at] ^= 1 << bit
            assert read_value(bytes(damaged)) is None
    assert all(read_value(value[:end]) is None for end in range(len(value)))
    assert read_value(None) is None


def test_a_ledger_is_read_back(tmp_path: Path) -> None:
    """Entries of every sort, from two files."""
    first, second = tmp_path / "first", tmp_path / "second"
    writer = LedgerWriter(first)
    writer.write(Producer("a", "acks-1"), Acknowledged("a", "t", 0, 0, 5, 10, 1.5))
    writer.write(PositionsTaken("c"), Consumed("c", "t", 0, 0, 3, 99), EndSeen("t", 0, 15, 1.0, 2.0))
    assert writer.acknowledged_records == 5
    writer.close()
    writer = LedgerWriter(second)
    writer.write(Sent("a", "t", 0, 5), Complaint("c", 'says "no"\n'))
    writer.close()
    ledger = Ledger().read(first).read(second)
    assert ledger.producers == {"a": KINDS["acks-1"]}
    assert ledger.acknowledged == [Acknowledged("a", "t", 0, 0, 5, 10, 1.5)]
    assert ledger.consumption == [PositionsTaken("c"), Consumed("c", "t", 0, 0, 3, 99)]
    assert ledger.sent == [Sent("a", "t", 0, 5)]
    assert ledger.complaints == [Complaint("c", 'says "no"\n')]


def test_acknowledgements_are_joined_into_runs(tmp_path: Path) -> None:
    """Consecutive for the producer and in the log: one entry. A step in either begins another."""
    writer = LedgerWriter(tmp_path / "ledger")
    runs = AcknowledgedRuns(writer, "a")
    for partition, sequence, offset in [(0, 0, 7), (0, 1, 8), (1, 0, 7), (0, 2, 9), (0, 3, 11), (0, 5, 12)]:
        runs.add("t", partition, sequence, offset)
    runs.close()
    writer.close()
    found = sorted(entry[:6] for entry in Ledger().read(tmp_path / "ledger").acknowledged)
    assert found == [
        ("a", "t", 0, 0, 3, 7), ("a", "t", 0, 3, 1, 11), ("a", "t", 0, 5, 1, 12), ("a", "t", 1, 0, 1, 7)
    ]  # fmt: skip
