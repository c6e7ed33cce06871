"""A broker on command, from the process that has started it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest

import ottla


def write(producer: confluent_kafka.Producer, value: str) -> None:
    """One record, which is acknowledged on return."""
    refused: list[object] = []
    producer.produce("orders", value, on_delivery=lambda error, record: refused.append(error))
    producer.flush(20)
    assert refused == [None]


@pytest.fixture(scope="module")
def commanded() -> Iterator[ottla.Broker]:
    """A broker that takes commands, and has no faults at the end of each test."""
    with ottla.Broker(control=True) as broker:
        yield broker


def test_a_broker_takes_commands_only_when_asked_to() -> None:
    """Then its API answers to the token that this process knows, after a restart too."""
    with ottla.Broker() as broker, pytest.raises(ottla.BrokerError, match="control=True"):
        broker.control.ask("GET", "/")
    with ottla.Broker(control=True) as broker:
        assert "operations" in broker.control.ask("GET", "/")
        wrong = broker.control.address.rpartition("=")[0] + "=wrong"
        with pytest.raises(ottla.ControlError, match="token") as refused:
            ottla.Control(wrong).ask("GET", "/")
        assert refused.value.status == 401
        broker.restart()
        assert "operations" in broker.control.ask("GET", "/")


def test_faults_are_injected_and_seen() -> None:
    """By a client, in the log, in the counts, and on the page of the broker's state; then all is as it was."""
    with ottla.Broker(control=True, config={"ottla.metrics.listener": "0"}) as broker:
        settings = {"bootstrap.servers": broker.bootstrap_servers, "client.id": "shop", "retry.backoff.ms": 10}
        producer = confluent_kafka.Producer({**settings, "linger.ms": 0})
        write(producer, "1")
        fault = broker.faults.error("NOT_LEADER_OR_FOLLOWER", api="Produce", topic="orders", times=2)
        write(producer, "2")
        with broker.faults.delay(0.01, client_id="shop") as delay:
            write(producer, "3")
        assert fault.injected == 2
        assert delay.injected >= 1
        report = broker.faults.report()
        assert report["faults"] == []
        assert report["injected"] == {"error": 2, "delay": delay.injected}
        assert "a fault was injected" in broker.log
        (metrics,) = re.findall(r'metrics are served.*?address[="\s:]+([\d.]+:\d+)', broker.log)
        with urllib.request.urlopen(f"http://{metrics}/status.json", timeout=20) as answer:
            ended = json.loads(answer.read())["faults"]["ended"]
        assert [each["injected"] for each in ended] == [2, delay.injected]


def test_time_passes_for_state_and_not_for_clients(tmp_path: Path) -> None:
    """By one call, or the command; records and offsets of a week ago are gone, and no connection is. A restart goes on
    from there, and a reset from the world's time."""
    with ottla.Broker(control=True, data=tmp_path / "data") as broker:
        producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap_servers, "client.id": "shop"})
        write(producer, "old")
        settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"}
        consumer = confluent_kafka.Consumer({**settings, "enable.auto.commit": False})
        place = confluent_kafka.TopicPartition("orders", 0, 1)
        consumer.commit(offsets=[place], asynchronous=False)
        assert consumer.get_watermark_offsets(place, timeout=20) == (0, 1)
        broker.advance(7 * 86_400 + 1)
        assert consumer.get_watermark_offsets(place, timeout=20) == (1, 1)
        broker.advance(600)
        assert consumer.committed([place], timeout=20)[0].offset < 0
        write(producer, "new")
        consumer.close()
        clock = [sys.executable, "-m", "ottla", "clock"]
        run = subprocess.run(
            [*clock, "advance", "2h", "--control", broker.control.address], capture_output=True, text=True, check=True
        )
        assert f"{7 * 86_400 + 601 + 7200} s ahead" in run.stdout
        broker.restart()
        ahead = broker.control.ask("GET", "/clock")["ahead_ms"]
        assert ahead == 1000 * (7 * 86_400 + 601 + 7200)
        broker.control.ask("POST", "/reset")
        assert broker.control.ask("GET", "/clock")["ahead_ms"] == 0
        assert not [line for line in broker.log.splitlines() if "nothing of ours" in line]


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_disk_misbehaves_and_behaves_again(on_disk: bool, tmp_path: Path) -> None:
    """Full: nothing is written, and it is when there is room. Slow: what is written is acknowledged when it is durable.
    With logs in memory as on a disk."""
    with ottla.Broker(control=True, data=tmp_path / "data" if on_disk else None) as broker:
        settings = {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "retry.backoff.ms": 10}
        producer = confluent_kafka.Producer({**settings, "retry.backoff.max.ms": 20})
        write(producer, "1")
        with broker.faults.disk_full() as full:
            producer.produce("orders", "2")
            while not full.injected:
                producer.poll(0.01)
            with pytest.raises(ottla.ControlError, match="misbehaves already"):
                broker.faults.slow_disk(1)
        assert producer.flush(20) == 0
        with broker.faults.slow_disk(3600) as slow:
            producer.produce("orders", "3")
            while not slow.injected:
                producer.poll(0.01)
            assert producer.flush(0.1) == 1
        assert producer.flush(20) == 0
        consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"})
        place = confluent_kafka.TopicPartition("orders", 0)
        assert consumer.get_watermark_offsets(place, timeout=20) == (0, 3)
        consumer.close()
        assert set(broker.faults.report()["injected"]) == {"disk_full", "slow_disk"}


@pytest.mark.parametrize("seconds", [None, -1, 1e12, "7d"])
def test_time_goes_forward_and_not_beyond_all_bounds(commanded: ottla.Broker, seconds: object) -> None:
    """What is no number of seconds, or too many, is refused in a sentence."""
    with pytest.raises(ottla.ControlError, match="'seconds'"):
        commanded.control.ask("POST", "/clock/advance", {"seconds": seconds})


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({}, "'what' must be one of"),
        ({"what": "error"}, "'error' must be the name"),
        ({"what": "error", "error": "NOT_AN_ERROR"}, "'error' must be the name"),
        ({"what": "error", "error": "NONE"}, "'error' must be the name"),
        ({"what": "delay"}, "'delay' needs 'seconds'"),
        ({"what": "delay", "seconds": 1e9}, "'seconds' must be a number from 0 to 3600"),
        ({"what": "drop", "seconds": 1}, "'seconds' is not known"),
        ({"what": "drop", "api": "Prodcue"}, "'api' must be one that is served"),
        ({"what": "drop", "partition": 1}, "one of a 'topic'"),
        ({"what": "drop", "times": 0}, "'times' must be a whole number from 1"),
        ({"what": "drop", "share": 2}, "'share' must be a number from 0 to 1"),
        ({"what": "drop", "seed": 2}, "a 'seed' is for a 'share'"),
        ({"what": "coordinator_moved", "api": "Fetch"}, "Fetch has no coordinator_moved"),
        ({"what": "disk_full", "topic": "x"}, "the whole broker's"),
        ({"what": "slow_disk"}, "'slow_disk' needs 'seconds'"),
    ],
)
def test_what_makes_no_sense_is_refused(commanded: ottla.Broker, members: dict[str, object], word: str) -> None:
    """In a sentence that names the member, before anything is in force."""
    with pytest.raises(ottla.ControlError, match=word) as refused:
        commanded.control.ask("POST", "/faults", members)
    assert refused.value.status == 400
    assert commanded.faults.report()["faults"] == []


def test_there_is_a_bound_of_faults(commanded: ottla.Broker) -> None:
    """Each request is compared with all of them; and the broker stops in time with what they hold."""
    for _ in range(100):
        commanded.faults.delay(3600, api="Produce")
    with pytest.raises(ottla.ControlError, match="100 faults already"):
        commanded.faults.drop()
    with pytest.raises(ottla.ControlError, match="no fault 4711"):
        commanded.control.ask("GET", "/faults/4711")
    commanded.faults.clear()


def test_the_page_about_it_has_every_operation(commanded: ottla.Broker) -> None:
    """A table of docs/control.md, kept to what the broker says of itself."""
    page = (Path(__file__).parents[2] / "docs" / "control.md").read_text("utf-8")
    table = set(re.findall(r"^\| (GET|POST|DELETE) \| `(/[^`]*)` \|", page, re.MULTILINE))
    operations = commanded.control.ask("GET", "/")["operations"]
    assert table == {("GET", "/"), *((each["method"], each["path"]) for each in operations)}


def test_an_address_that_is_none_is_said_so() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="as the broker prints it"):
        ottla.Control("http://127.0.0.1:9481")
