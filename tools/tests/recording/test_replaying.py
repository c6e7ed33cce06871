"""A conversation is held again: a new broker answers as the recorded one did, another one is found out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

import ottla
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from tools.__main__ import main
from tools.tests.recording.conftest import standing_between
from tools.tests.recording.test_proxy import ask

QUICK = {"group.initial.rebalance.delay.ms": 0}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """librdkafka: producers that write at once, and a group that reads what they have written."""
    path = tmp_path_factory.mktemp("recordings") / "group.ottla"
    with ottla.Broker(config=QUICK) as broker, standing_between(broker.bootstrap_servers, path) as address:
        producers = [Producer({"bootstrap.servers": address, "enable.idempotence": True}) for _ in range(2)]
        for number in range(10):
            for producer in producers:
                producer.produce("t", b"%d" % number)
                producer.poll(0)
        assert not any(producer.flush(10) for producer in producers)
        del producer, producers
        settings = {"group.id": "g", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
        consumer = Consumer({"bootstrap.servers": address, **settings})
        consumer.subscribe(["t"])
        read = 0
        while read < 20:
            read += len(consumer.consume(20, 1.0))
        consumer.close()
    return path


def replayed(path: Path, bootstrap: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["replay", str(path), "-b", bootstrap, "--timeout-ms", "10000", *words])
    return status, capsys.readouterr().out.splitlines()


def test_a_new_broker_answers_alike(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids are others, and so are the times: nothing else is."""
    with ottla.Broker(config=QUICK) as broker:
        status, lines = replayed(recording, broker.bootstrap_servers, capsys, "--json")
        counts = json.loads(lines[-1])
        assert (status, counts["differences"], counts["whole"]) == (0, 0, True), lines
        assert counts["requests"] >= counts["compared"] > 20
        assert len(lines) == 1


def test_another_state_is_found_out(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same broker again: its log is longer than it was, and the request that shows it is printed."""
    with ottla.Broker(config=QUICK) as broker:
        replayed(recording, broker.bootstrap_servers, capsys)
        status, lines = replayed(recording, broker.bootstrap_servers, capsys, "--json")
        assert status == 1
        found = [json.loads(line) for line in lines[:-1]]
        paths = {each["path"] for each in found if each["api"] == "Produce"}
        assert paths == {"responses[t].partition_responses[0].base_offset"}
        assert {"connection", "number", "version", "then", "now", "request"} <= found[0].keys()
        _, lines = replayed(recording, broker.bootstrap_servers, capsys)
        assert lines[0].startswith("Produce v")
        assert lines[-1].endswith(")") and "differences" in lines[-1]


def test_an_older_broker_is_found_out(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It lacks versions that the client used, and closes the connection on them."""
    with ottla.Broker(config=QUICK, emulate="2.8") as broker:
        status, lines = replayed(recording, broker.bootstrap_servers, capsys, "--timeout-ms", "300")
        assert status == 1
        assert any(line.startswith("ApiVersions") for line in lines)
        assert any("closed" in line for line in lines)


def test_topics_that_were_there_before_can_be_made(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With as many partitions; without that, their absence is a difference."""
    path = tmp_path / "r"
    create = CreateTopicsRequest(topics=[CreatableTopic(name="before", num_partitions=3, replication_factor=1)])
    wanted = MetadataRequest(topics=[MetadataRequestTopic(name="before")], allow_auto_topic_creation=False)
    ask(broker, create, 5)
    with standing_between(broker, path) as address:
        assert len(ask(address, wanted, 9).topics[0].partitions) == 3
    with ottla.Broker() as new:
        assert replayed(path, new.bootstrap_servers, capsys, "--timeout-ms", "100")[0] == 1
        assert replayed(path, new.bootstrap_servers, capsys, "--make-topics")[0] == 0


def test_what_is_no_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2 and a sentence, before a broker is asked."""
    (tmp_path / "r").write_bytes(b"?")
    assert main(["replay", str(tmp_path / "r"), "-b", "127.0.0.1:1"]) == 2
    assert "is no recording" in capsys.readouterr().err
