"""A broker's directory goes into a cluster and comes out again, by the command: records, groups and topics are there.

The database is a real one, the bucket a directory.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import ottla
from storage.testing.postgres import shared_server
from tools.__main__ import main

GROUP = "billing"


def filled(path: Path) -> list[bytes]:
    """A directory in which a topic has records, and a group has read three of them; the records."""
    values = [b"%d" % number * 50 for number in range(20)]
    with ottla.Broker(data=path, config={"num.partitions": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for value in values:
            producer.produce("orders", value)
        assert producer.flush(20) == 0
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": GROUP})
        consumer.commit(offsets=[TopicPartition("orders", 0, 3)], asynchronous=False)
        consumer.close()
    return values


def read_on(path: Path) -> list[bytes | None]:
    """What the group reads next from a broker that serves this directory."""
    with ottla.Broker(data=path) as broker:
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": GROUP})
        consumer.assign([TopicPartition("orders", 0)])  # from where the group was
        found: list[bytes | None] = []
        while len(found) < 17 and (record := consumer.poll(10)) is not None:
            assert record.error() is None
            found.append(record.value())
        consumer.close()
        return found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The command's status, and what it has printed."""
    capsys.readouterr()
    status = main(words)
    ended = capsys.readouterr()
    return status, ended.out + ended.err


def test_a_directory_goes_in_and_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its group goes on where it was. A second import says that there is something, a second export that it is not
    empty; the status shows the logs."""
    values = filled(tmp_path / "before")
    places = ("--cluster", shared_server().create_database(), "--objects", f"file://{tmp_path}/bucket")

    status, out = run(capsys, "cluster", "status", *places)
    assert (status, "has no cluster" in out) == (1, True)
    status, out = run(capsys, "cluster", "import", "--from", str(tmp_path / "before"), *places)
    assert (status, "digest" in out) == (0, True), out
    status, out = run(capsys, "cluster", "import", "--from", str(tmp_path / "before"), *places)
    assert (status, "digest" in out) == (0, True), out  # everything is there already

    status, out = run(capsys, "cluster", "status", "--json", *places)
    shown = json.loads(out)
    assert (status, shown["sound"]) == (1, False)  # no broker lives
    assert shown["cluster"]["logs"] >= 3 and shown["bucket"]["error"] is None

    status, out = run(capsys, "cluster", "export", "--to", str(tmp_path / "after"), *places)
    assert status == 0, out
    assert read_on(tmp_path / "after") == values[3:]
    status, out = run(capsys, "cluster", "export", "--to", str(tmp_path / "after"), *places)
    assert (status, "is not empty" in out) == (1, True)


def test_what_is_no_directory_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And so is a missing place."""
    places = ("--cluster", shared_server().create_database(), "--objects", f"file://{tmp_path}/bucket")
    status, out = run(capsys, "cluster", "import", "--from", str(tmp_path), *places)
    assert (status, out.count("\n")) == (1, 1) and "no broker's data directory" in out
    status, out = run(capsys, "cluster", "import", "--from", str(tmp_path), *places[:2])
    assert (status, "--objects is missing" in out) == (2, True)
