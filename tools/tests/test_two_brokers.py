"""Two brokers over one PostgreSQL and one directory of objects, as real clients see them: processes, sockets, and a
SIGKILL. What the parts promise by themselves is tested with them; longer, and with more faults:
`python -m tools.trials cluster-test`.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from storage.servers.postgres import binaries
from storage.testing.postgres import shared_server
from tools.trials.brokers import pause
from tools.trials.cluster_test.several import Brokers

pytestmark = [
    pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform"),
    pytest.mark.filterwarnings("ignore"),  # the client libraries' own
]

kafka: Any = pytest.importorskip("kafka")
confluent: Any = pytest.importorskip("confluent_kafka")

COMMIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    directory = tmp_path_factory.mktemp("two-brokers")
    objects = directory / "objects"
    objects.mkdir()
    with Brokers(2, shared_server().create_database(), f"file://{objects}", directory) as found:
        admin = kafka.KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{found.processes[1].port}")
        admin.create_topics([kafka.admin.NewTopic("t", 8, 2)])
        admin.close()
        for process in found.processes:
            _wait_for_topic(process.port)
        yield found


def _wait_for_topic(port: int) -> None:
    """Each broker learns within a moment what the others have decided. Raises AssertionError if it does not."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    try:
        for _ in range(200):
            [topic] = admin.describe_topics(["t"])
            if len(topic["partitions"]) == 8 and all(each["leader_id"] > 0 for each in topic["partitions"]):
                return
            pause(0.05)
        raise AssertionError(f"the broker at {port} does not know the topic")
    finally:
        admin.close()


@pytest.fixture(autouse=True)
def _leftovers() -> Iterator[None]:
    """What the client libraries leave open is found here, not in the midst of another test."""
    yield
    gc.collect()


def address(brokers: Brokers, number: int) -> str:
    return f"127.0.0.1:{brokers.processes[number - 1].port}"


def read(brokers: Brokers, group: str, count: int, **settings: Any) -> list[bytes]:
    """So many values, in whichever order they come, for a group that commits what it has read."""
    consumer = kafka.KafkaConsumer(
        "t",
        bootstrap_servers=brokers.bootstrap.split(","),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=20_000,
        **settings,
    )
    found = []
    for message in consumer:
        found.append(message.value)
        if len(found) == count:
            break
    consumer.commit()
    consumer.close(autocommit=False)
    return found


def test_both_brokers_are_shown_and_lead(brokers: Brokers) -> None:
    admin = kafka.KafkaAdminClient(bootstrap_servers=address(brokers, 1))
    shown = {each["broker_id"]: each["port"] for each in admin.describe_cluster()["brokers"]}
    assert shown == {number + 1: process.port for number, process in enumerate(brokers.processes)}
    [topic] = admin.describe_topics(["t"])
    assert {each["leader_id"] for each in topic["partitions"]} == {1, 2}
    assert all(sorted(each["isr_nodes"]) == [1, 2] for each in topic["partitions"])
    admin.close()


def test_what_is_sent_is_read_and_a_group_goes_on_where_it_was(brokers: Brokers) -> None:
    producer = kafka.KafkaProducer(bootstrap_servers=address(brokers, 2), acks="all")
    values = [b"%d" % number for number in range(300)]
    sent = [producer.send("t", value, partition=number % 8) for number, value in enumerate(values)]
    assert max(each.get(20).offset for each in sent) == 37
    assert sorted(read(brokers, "g", 200) + read(brokers, "g", 100)) == sorted(values)
    producer.close()


def test_transactions_whose_parts_lie_on_both_brokers(brokers: Brokers) -> None:
    """Twelve transactional ids and groups hash to coordinators on both, in all combinations."""
    for number in range(12):
        settings = {"bootstrap.servers": brokers.bootstrap, "transactional.id": f"tx{number}"}
        producer = confluent.Producer(settings)
        consumer = confluent.Consumer(
            {"bootstrap.servers": brokers.bootstrap, "group.id": f"of-tx{number}", "enable.auto.commit": False}
        )
        producer.init_transactions(COMMIT_SECONDS)
        for offset in (3, 5):
            producer.begin_transaction()
            producer.produce("t", b"in a transaction", partition=number % 8)
            place = confluent.TopicPartition("t", 0, offset)
            producer.send_offsets_to_transaction([place], consumer.consumer_group_metadata(), COMMIT_SECONDS)
            producer.commit_transaction(COMMIT_SECONDS)
        [committed] = consumer.committed([confluent.TopicPartition("t", 0)], COMMIT_SECONDS)
        assert committed.offset == 5
        consumer.close()


def test_a_broker_is_drained_by_command(brokers: Brokers) -> None:
    """Asked by way of the other one; the next start ends it, which the next test needs."""
    for group in ("of-1", "of-2", "of-3"):
        commit(brokers, group, 7)
    done = subprocess.run(
        [sys.executable, "-m", "ottla", "cluster", "drain", "1", "--bootstrap-server", address(brokers, 2)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "drained" in done.stdout, done.stderr
    for group in ("of-1", "of-2", "of-3"):
        commit(brokers, group, None)
    brokers.processes[0].stop()
    brokers.processes[0].start()
    brokers.processes[0].wait_until(brokers.all_are_shown)


def test_a_kill_is_a_matter_of_seconds(brokers: Brokers) -> None:
    """SIGKILL of one broker: a producer goes on with the other, and so does every group where it was."""
    groups = [f"killed-{number}" for number in range(6)]
    for group in groups:
        commit(brokers, group, 7)
    producer = confluent.Producer({"bootstrap.servers": brokers.bootstrap, "acks": "all"})
    failed: list[Any] = []
    brokers.processes[0].kill()
    for partition in range(8):
        producer.produce("t", b"after", partition=partition, on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(30) == 0 and failed == [None] * 8
    for group in groups:
        commit(brokers, group, None)
    brokers.processes[0].start()
    brokers.processes[0].wait_until()


def commit(brokers: Brokers, group: str, offset: int | None) -> None:
    """Commit this offset, or find that it has been."""
    settings = {"bootstrap.servers": brokers.bootstrap, "group.id": group, "enable.auto.commit": False}
    consumer = confluent.Consumer(settings)
    place = confluent.TopicPartition("t", 0, -1001 if offset is None else offset)
    deadline = time.monotonic() + COMMIT_SECONDS
    while True:
        try:
            if offset is not None:
                consumer.commit(offsets=[place], asynchronous=False)
            [found] = consumer.committed([place], COMMIT_SECONDS)
            break
        except confluent.KafkaException as error:  # one that clients may try again after is all that they may see
            assert error.args[0].retriable() and time.monotonic() < deadline, error
    assert found.offset == 7
    consumer.close()
