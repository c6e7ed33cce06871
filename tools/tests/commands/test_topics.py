"""`ottla topics` does what `kafka-topics.sh` does, in its words."""

from __future__ import annotations

import pytest

from tools.commands.topics import parse_assignment
from tools.failures import Misunderstood
from tools.tests.commands.conftest import Ottla


def test_a_topic_is_created_described_and_deleted(ottla: Ottla) -> None:
    """Each step with Kafka's sentence; what was described is gone afterwards."""
    assert ottla("topics", "create", "orders", "--partitions", "2", "--config", "retention.ms=777").out == (
        "Created topic orders.\n"
    )
    head, *partitions = ottla("topics", "describe", "orders").lines
    assert head.startswith("Topic: orders\tTopicId: ")
    assert "\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: " in head and "retention.ms=777" in head
    assert partitions[0].startswith("\tTopic: orders\tPartition: 0\tLeader: ")
    assert "orders" in ottla("topics", "list").lines
    ottla("topics", "delete", "orders")
    assert "orders" not in ottla("topics", "list").lines


def test_kafkas_own_spelling_is_understood(ottla: Ottla) -> None:
    """A line for kafka-topics.sh with another first word."""
    ottla("topics", "--create", "--topic", "spelt", "--partitions", "1", "--replication-factor", "1")
    assert ottla("topics", "--describe", "--topic", "spelt").lines[0].startswith("Topic: spelt\t")
    assert ottla("topics", "--bootstrap-server", "127.0.0.1:1", "--list", succeeds=False).status == 1


def test_a_topic_that_is_there_is_refused_in_kafkas_words(ottla: Ottla) -> None:
    """Scripts look for them; --if-not-exists is content."""
    ottla("topics", "create", "twice")
    again = ottla("topics", "create", "twice", succeeds=False)
    assert (again.status, again.err) == (1, "ottla topics: Topic 'twice' already exists.\n")
    assert ottla("topics", "create", "twice", "--if-not-exists").out == ""


def test_a_topic_that_is_not_there_is_refused_in_kafkas_words(ottla: Ottla) -> None:
    """By every action; --if-exists is content."""
    for action, *more in (["describe"], ["delete"], ["alter", "--partitions", "3"]):
        ended = ottla("topics", action, "missing", *more, succeeds=False)
        assert (ended.status, ended.err) == (1, "ottla topics: Topic 'missing' does not exist as expected\n")
        assert ottla("topics", action, "missing", *more, "--if-exists").out == ""


def test_partitions_and_configs_are_changed(ottla: Ottla) -> None:
    """More partitions, a config set, and one back at its default; fewer partitions are refused."""
    ottla("topics", "create", "changed", "--config", "segment.bytes=1048576")
    ottla(
        "topics",
        "alter",
        "changed",
        "--partitions",
        "3",
        "--config",
        "retention.ms=5",
        "--delete-config",
        "segment.bytes",
    )
    rows = ottla("topics", "describe", "changed", "--json").json
    assert [row["partition"] for row in rows] == [0, 1, 2]
    assert rows[0]["configs"]["retention.ms"] == "5" and "segment.bytes" not in rows[0]["configs"]
    assert "would not be an increase" in ottla("topics", "alter", "changed", "--partitions", "1", succeeds=False).err


def test_partitions_are_found_by_what_is_wrong_with_them(ottla: Ottla) -> None:
    """One that has just as many replicas as it must is named by that, and by nothing else."""
    ottla("topics", "create", "sound")
    at_least = ottla("topics", "describe", "sound", "--at-min-isr-partitions").lines
    assert [line.split("\t")[1] for line in at_least] == ["Topic: sound"]
    for wrong in ("under-min-isr", "under-replicated", "unavailable"):
        assert ottla("topics", "describe", "sound", f"--{wrong}-partitions").lines == []


def test_a_dry_run_creates_nothing(ottla: Ottla) -> None:
    """It says that it could be done."""
    assert ottla("topics", "create", "dry", "--dry-run").out == "Topic dry would be created.\n"
    assert "dry" not in ottla("topics", "list").lines


def test_expressions_name_topics_and_names_come_first(ottla: Ottla) -> None:
    """A word that is no topic is an expression for whole names."""
    for name in ("a.b", "axb", "other"):
        ottla("topics", "create", name)
    assert ottla("topics", "list", "a.b").lines == ["a.b"]
    assert ottla("topics", "list", "a.*b").lines == ["a.b", "axb"]


def test_records_below_an_offset_are_deleted(ottla: Ottla) -> None:
    """Kafka's line says where the log begins then."""
    ottla("topics", "create", "trimmed", "--partitions", "2")
    assert ottla("topics", "delete-records", "trimmed", "--before-offset", "-1", "-p", "1").lines == [
        "partition: trimmed-1\tlow_watermark: 0"
    ]
    refused = ottla("topics", "delete-records", "trimmed", "--before-offset", "5", succeeds=False)
    assert refused.status == 1 and "OFFSET_OUT_OF_RANGE" in refused.err


def test_an_assignment_is_kafkas() -> None:
    """`0:1,1:2` is two partitions of two replicas; anything else is refused."""
    assert parse_assignment("0:1,1:2") == [[0, 1], [1, 2]]
    with pytest.raises(Misunderstood):
        parse_assignment("0:1,")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create"], "which topic?"),
        (["alter", "x"], "nothing to change"),
        (["create", "x", "--partitions", "0"], "'0' is not a number above 0"),
        (["create", "x", "--config", "novalue"], "'novalue' is not KEY=VALUE"),
        (["list", "-b", "host:0"], "host:0 is not HOST:PORT"),
        (["list", "-b", "host:port"], "host:port is not HOST:PORT"),
        (["list", "-F", "missing.properties"], "missing.properties: No such file"),
        (["list", "-X", "security.protocol=TLS"], "security.protocol is TLS"),
    ],
)
def test_words_that_make_no_sense(ottla: Ottla, words: list[str], sentence: str) -> None:
    """Status 2 and one sentence that names them."""
    ended = ottla("topics", *words, succeeds=False)
    assert ended.status == 2 and sentence in ended.err
