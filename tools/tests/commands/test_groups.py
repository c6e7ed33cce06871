"""`ottla groups` shows lag, and moves offsets by every way that `kafka-consumer-groups.sh` has."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from ottla import Broker
from tools.tests.commands.conftest import Ottla

COLUMNS = ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"]
TIMES = [1796000000000 + 3_600_000 * hour for hour in range(6)]


@pytest.fixture
def group(ottla: Ottla, request: pytest.FixtureRequest) -> str:
    """A group that has read four of six records, an hour apart, of the topic that is called as it is."""
    name = request.node.name.partition("[")[0]
    if name not in ottla("topics", "list").lines:
        ottla("topics", "create", name)
        for at, moment in enumerate(TIMES):
            ottla("produce", name, "-T", str(moment), given=f"{at}\n")
        ottla("consume", name, "-G", name, "--from-beginning", "-c", "1")
    ottla("groups", "reset-offsets", name, "--topic", name, "--to-offset", "4", "--execute")
    return str(name)


@pytest.mark.parametrize(
    ("way", "offset"),
    [
        (["--to-earliest"], 0),
        (["--to-latest"], 6),
        (["--to-current"], 4),
        (["--to-offset", "3"], 3),
        (["--to-offset", "99"], 6),
        (["--shift-by", "-2"], 2),
        (["--shift-by", "-9"], 0),
        (["--to-datetime", "2026-11-30T02:13:20.000"], 2),
        (["--to-datetime", "2036-01-01T00:00:00.000"], 6),
        (["--by-duration", "PT0S"], 6),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else str(value),
)
def test_offsets_move(ottla: Ottla, group: str, way: list[str], offset: int) -> None:
    """W7: a dry run says where to and moves nothing; --execute does it."""
    plan = ottla("groups", "reset-offsets", group, "--topic", group, *way, "--json").json
    assert plan == [{"group": group, "topic": group, "partition": 0, "new_offset": offset}]
    assert committed(ottla, group) == 4
    moved = ottla("groups", "--reset-offsets", "--group", group, "--topic", f"{group}:0", *way, "--execute")
    assert moved.lines[0].split() == ["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]
    assert committed(ottla, group) == offset


def test_a_plan_is_exported_and_read_again(ottla: Ottla, group: str, tmp_path: Path) -> None:
    """In the CSV of Kafka's tool."""
    plan = ottla("groups", "reset-offsets", group, "--all-topics", "--to-earliest", "--export").out
    assert plan == f"{group},0,0\n"
    (tmp_path / "plan.csv").write_text(plan)
    ottla("groups", "reset-offsets", group, "--from-file", str(tmp_path / "plan.csv"), "--execute")
    assert committed(ottla, group) == 0
    (tmp_path / "plan.csv").write_text("nonsense\n")
    refused = ottla("groups", "reset-offsets", group, "--from-file", str(tmp_path / "plan.csv"), succeeds=False)
    assert refused.status == 2 and "plan.csv, line 1" in refused.err


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_is_described_and_not_moved(ottla: Ottla, broker: Broker, protocol: str) -> None:
    """Who reads what, in Kafka's columns, in either protocol; a reset is refused in its words."""
    ottla("topics", "create", "busy", "--partitions", "2", "--if-not-exists")
    ottla("produce", "busy", "-p", "1", given="x\n")
    group = f"busy-{protocol}"
    settings = {"group.id": group, "client.id": "me", "group.protocol": protocol}
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, **settings})
    consumer.subscribe(["busy"])
    try:
        deadline = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(0.1)
        described = ottla("groups", "describe", group)
        assert described.lines[0].split() == COLUMNS
        rows = ottla("groups", "describe", group, "--json").json
        assert [(row["partition"], row["client_id"]) for row in rows] == [
            (0, "me"),
            (1, "me"),
        ]
        (member,) = ottla("groups", "describe", group, "--members", "--verbose", "--json").json
        assert member["assignment"] == ["busy-0", "busy-1"] and member["client_id"] == "me"
        (state,) = ottla("groups", "describe", group, "--state", "--json").json
        assert (state["state"], state["#members"], state["type"].lower()) == ("Stable", 1, protocol)
        refused = ottla("groups", "reset-offsets", group, "--all-topics", "--to-earliest", "--execute", succeeds=False)
        assert refused.status == 1
        assert f"Assignments can only be reset if the group '{group}' is inactive" in refused.err
        assert "could not be deleted" in ottla("groups", "delete", group, succeeds=False).err
    finally:
        consumer.close()


def test_groups_are_listed_and_deleted(ottla: Ottla, group: str) -> None:
    """With Kafka's sentence; its offsets go first, one topic at a time, if that is what is asked for."""
    assert group in ottla("groups", "list").lines
    assert {"group": group, "type": "classic", "protocol": "consumer", "state": "Empty"} in ottla(
        "groups", "list", "--json"
    ).json
    assert group not in ottla("groups", "list", "--state", "Stable").out
    assert ottla("groups", "delete-offsets", group, "--topic", group, "--json").json == [
        {"topic": group, "partition": 0, "status": "Successful"}
    ]
    ottla("consume", group, "-G", group, "--from-beginning", "-c", "1")
    assert (
        ottla("groups", "delete", group).out == f"Deletion of requested consumer groups ('{group}') was successful.\n"
    )
    assert group not in ottla("groups", "list").lines


def test_a_group_that_is_not_there(ottla: Ottla) -> None:
    """Kafka's sentence, status 1."""
    ended = ottla("groups", "describe", "nothing-like-it", succeeds=False)
    assert (ended.status, ended.err) == (1, "ottla groups: Consumer group 'nothing-like-it' does not exist.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["describe"], "which group?"),
        (["reset-offsets", "g", "--to-earliest"], "which topics?"),
        (["reset-offsets", "g", "--all-topics", "--to-earliest", "--dry-run", "--execute"], "contradict each other"),
        (["reset-offsets", "g", "--all-topics"], "one of the arguments"),
        (["reset-offsets", "g", "--all-topics", "--to-datetime", "noon"], "noon is no moment"),
        (["reset-offsets", "g", "--all-topics", "--by-duration", "long"], "long is no duration"),
        (["reset-offsets", "g", "--topic", "t:x", "--to-earliest"], "t:x is not of the form"),
        (["delete-offsets", "g"], "which --topic?"),
    ],
)
def test_words_that_make_no_sense(ottla: Ottla, words: list[str], sentence: str) -> None:
    """Status 2 and one sentence that names them."""
    ended = ottla("groups", *words, succeeds=False)
    assert ended.status == 2 and sentence in ended.err


def committed(ottla: Ottla, group: str) -> int:
    """What a group has committed for the one partition that it reads."""
    (row,) = ottla("groups", "describe", group, "--json").json
    return int(row["current_offset"])
