"""A broker that goes back: to empty, and to any state that was copied, without a word about how that is done."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import ottla

with warnings.catch_warnings():  # of its own import, about the standard library
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module", params=["memory", "data"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ottla.Broker]:
    """A broker in memory, and one with a data directory."""
    data = None if request.param == "memory" else tmp_path_factory.mktemp("state") / "data"
    with ottla.Broker(data=data, config={"offsets.topic.num.partitions": 1}) as running:
        yield running


def produce(broker: ottla.Broker, *values: bytes) -> None:
    """Write these to the topic `orders`."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for value in values:
        producer.send("orders", value)
    producer.flush()
    producer.close()


def consume(broker: ottla.Broker, count: int) -> list[bytes]:
    """Read so many as a member of the group `billing`, and commit."""
    consumer = KafkaConsumer(
        "orders", bootstrap_servers=broker.bootstrap_servers, group_id="billing", auto_offset_reset="earliest",
        enable_auto_commit=False, consumer_timeout_ms=20_000,
    )  # fmt: skip
    values = [record.value for _, record in zip(range(count), consumer, strict=False)]
    consumer.commit()
    consumer.close()
    return values


def topics(broker: ottla.Broker) -> set[str]:
    """Those that a client sees."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    found = set(consumer.topics())
    consumer.close()
    return found


def test_a_reset_broker_is_empty_and_at_the_same_address(broker: ottla.Broker) -> None:
    """No topic is left, and what is produced next begins at offset 0."""
    broker.reset()
    address = broker.bootstrap_servers
    produce(broker, b"a", b"b")
    broker.reset()
    assert topics(broker) == set()
    produce(broker, b"c")
    consumer = KafkaConsumer(bootstrap_servers=address)
    assert consumer.end_offsets([TopicPartition("orders", 0)]) == {TopicPartition("orders", 0): 1}
    consumer.close()


def test_a_snapshot_brings_back_records_and_groups(broker: ottla.Broker) -> None:
    """As often as wanted: a group goes on where it was, not where it got to later."""
    broker.reset()
    produce(broker, b"1", b"2", b"3", b"4")
    assert consume(broker, 1) == [b"1"]
    snapshot = broker.snapshot()
    for _ in range(2):
        produce(broker, b"5")
        assert consume(broker, 3) == [b"2", b"3", b"4"]
        broker.restore(snapshot)
    broker.reset()
    broker.restore(snapshot)
    assert consume(broker, 3) == [b"2", b"3", b"4"]


def test_a_producer_goes_on_over_a_restored_snapshot(broker: ottla.Broker) -> None:
    """Its connection closes; it connects again by itself, and loses nothing that it sends afterwards."""
    broker.reset()
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all", retries=10)
    producer.send("orders", b"1").get(20)
    broker.restore(broker.snapshot())
    producer.send("orders", b"2").get(20)
    producer.close()
    assert consume(broker, 2) == [b"1", b"2"]


def test_a_consumer_that_waits_goes_on_over_a_restored_snapshot(broker: ottla.Broker) -> None:
    """Its Fetch ends with its connection; it joins its group again, and is given what comes."""
    broker.reset()
    produce(broker, b"1")
    consumer = KafkaConsumer(
        "orders", bootstrap_servers=broker.bootstrap_servers, group_id="billing", auto_offset_reset="earliest",
        consumer_timeout_ms=30_000, session_timeout_ms=6_000, heartbeat_interval_ms=200,
    )  # fmt: skip
    assert next(consumer).value == b"1"
    consumer.commit()
    snapshot = broker.snapshot()
    consumer.poll(timeout_ms=50)
    broker.restore(snapshot)
    produce(broker, b"2")
    assert next(consumer).value == b"2"
    consumer.close()


def test_a_broker_with_data_does_not_begin_with_a_backup(broker: ottla.Broker, tmp_path: Path) -> None:
    """What it has would be lost."""
    broker.reset()
    backup = broker.snapshot()
    (tmp_path / "data").mkdir()
    with ottla.Broker(data=tmp_path / "data") as other:
        other.create_topic("orders")
    command = [
        sys.executable,
        "-m",
        "ottla",
        "serve",
        "--port",
        "0",
        "--data",
        str(tmp_path / "data"),
        "--from",
        backup,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "is for a broker without data" in done.stderr


def test_a_snapshot_is_a_backup_that_other_brokers_begin_with(broker: ottla.Broker, tmp_path: Path) -> None:
    """In memory or in a directory, whichever it was made by."""
    broker.reset()
    produce(broker, b"1", b"2")
    assert consume(broker, 1) == [b"1"]
    backup = broker.snapshot(tmp_path / "backup.tar")
    assert backup == str(tmp_path / "backup.tar")
    for data in (None, tmp_path / "data"):
        with ottla.Broker(data=data, config={"offsets.topic.num.partitions": 1}, snapshot=backup) as other:
            assert consume(other, 1) == [b"2"]
            if data is not None:
                produce(other, b"3")
                other.restart()
                assert consume(other, 1) == [b"3"], "it has data now, and goes on with that"


def test_what_cannot_be_restored_is_refused_in_a_sentence(broker: ottla.Broker, tmp_path: Path) -> None:
    """The broker goes on with what it has."""
    broker.reset()
    produce(broker, b"1")
    with pytest.raises(ottla.BrokerError, match=r"nowhere\.tar cannot be read"):
        broker.restore(tmp_path / "nowhere.tar")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(Path(broker.snapshot()).read_bytes()[:-3000])
    with pytest.raises(ottla.BrokerError, match="cut short"):
        broker.restore(cut)
    with pytest.raises(ottla.BrokerError, match="the backup cannot be made"):
        broker.snapshot(tmp_path / "no folder" / "backup.tar")
    assert topics(broker) == {"orders"}


def test_snapshots_go_with_their_broker() -> None:
    """Those that were given no place of their own."""
    with ottla.Broker() as broker:
        snapshot = broker.snapshot()
        assert os.path.exists(snapshot)
        broker.kill()
        broker.start()
        broker.restore(snapshot)
    del broker
    assert not os.path.exists(snapshot)


def test_a_broker_that_has_ended_says_so() -> None:
    """Instead of waiting for an answer that will not come."""
    broker = ottla.Broker()
    broker.start()
    assert broker._process is not None
    broker._process.child.kill()
    broker._process.child.wait()
    with pytest.raises(ottla.BrokerError, match="was ended by signal 9"):
        broker.reset()
    broker.stop()
