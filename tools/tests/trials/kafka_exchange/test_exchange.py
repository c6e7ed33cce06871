"""Data changes hands between Ottla and Apache Kafka, both ways (a few minutes; needs a Kafka to be named)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.local import checkpoints, partition_metadata
from tools.trials.kafka_exchange.command import main, named_commands
from tools.trials.kafka_exchange.exchange import Exchange, changed_files, move_partitions
from tools.trials.kafka_exchange.listing import Listing, PartitionListing, differences

COMMANDS = named_commands()


@pytest.mark.skipif(
    COMMANDS is None, reason="OTTLA_KAFKA_COMMAND and OTTLA_KAFKA_TOOL do not say how to run Apache Kafka"
)
def test_data_moves_both_ways(tmp_path: Path) -> None:
    """Logs, and whole directories, of either broker are served by the other; Kafka's tool has no complaint."""
    assert COMMANDS is not None
    exchange = Exchange(COMMANDS, tmp_path, 1000, print)
    exchange.run()
    assert exchange.wrong == []


def test_without_a_kafka_there_is_nothing_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what it needs."""
    monkeypatch.delenv("OTTLA_KAFKA_COMMAND", raising=False)
    monkeypatch.delenv("OTTLA_KAFKA_TOOL", raising=False)
    assert main([]) == 2
    assert "--kafka and --kafka-tool" in capsys.readouterr().err


def test_one_different_answer_is_told() -> None:
    """A record, an offset, a time, a committed offset, a setting."""
    record = (0, 1, 5, b"k", b"v", None)
    partition = PartitionListing(0, 1, [record], [0], [(5, 0, 5)], (0, 5))
    before = Listing({("t", 0): partition}, [(1, "")], {"t": {"a": "b"}})
    assert differences(before, before) == []
    changes: list[dict[str, Any]] = [
        {"start": 1}, {"end": 2}, {"records": [(0, 1, 6, b"k", b"v", None)]}, {"records": []}, {"committed": []},
        {"by_time": [(5, 1, 5)]}, {"latest": (1, 5)},
    ]  # fmt: skip
    for change in changes:
        after = before._replace(partitions={("t", 0): partition._replace(**change)})
        [sentence] = differences(before, after)
        assert sentence.startswith(f"t-0: {next(iter(change))}: ")
    assert len(differences(before, before._replace(group=[(2, "")], configs={}))) == 2
    assert differences(before, before._replace(group=[(2, "")], configs={}), group=False, configs=False) == []


def test_partitions_change_places(tmp_path: Path) -> None:
    """Files and checkpoints of the moved logs are the source's, topic ids and other logs the target's."""
    source, target = tmp_path / "source", tmp_path / "target"
    for data, content in ((source, b"theirs"), (target, b"ours")):
        for log in ("sequences-0", "other-0"):
            (data / log).mkdir(parents=True)
            (data / log / f"{0:020d}.log").write_bytes(content)
            (data / log / partition_metadata.NAME).write_bytes(content)
        offset = len(content)
        for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint"):
            (data / name).write_bytes(checkpoints.encode_offsets([(("sequences", 0), offset), (("other", 0), offset)]))
        (data / checkpoints.CLEAN_SHUTDOWN).write_bytes(b"{}")
    (target / "sequences-0" / f"{9:020d}.log").write_bytes(b"")
    move_partitions(source, target)
    assert sorted(path.name for path in (target / "sequences-0").iterdir()) == [f"{0:020d}.log", "partition.metadata"]
    assert (target / "sequences-0" / f"{0:020d}.log").read_bytes() == b"theirs"
    assert (target / "sequences-0" / partition_metadata.NAME).read_bytes() == b"ours"
    assert (target / "other-0" / f"{0:020d}.log").read_bytes() == b"ours"
    points = checkpoints.decode_offsets((target / "recovery-point-offset-checkpoint").read_bytes())
    assert points == {("sequences", 0): 6, ("other", 0): 4}
    assert changed_files(source, target) == []
    move_partitions(source, target, clean=False)
    assert not (target / checkpoints.CLEAN_SHUTDOWN).exists()
    points = checkpoints.decode_offsets((target / "recovery-point-offset-checkpoint").read_bytes())
    assert points == {("other", 0): 4}
    (target / "sequences-0" / f"{0:020d}.log").write_bytes(b"other")
    assert changed_files(source, target) == ["sequences-0/00000000000000000000.log has changed by being looked at"]
