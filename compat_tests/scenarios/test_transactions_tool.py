"""kafka-transactions: what an operator sees of transactions, and ends by hand."""

from __future__ import annotations

import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from compat_tests.clients.contract import Consumer, Driver, Producer, ProducerSettings, Record, TopicPartition
from compat_tests.clients.contract import ConsumerSettings as Reading
from compat_tests.clients.kafka_tools.adapter import Tools
from compat_tests.session import read, values

TWO_HOURS_MS = 2 * 3_600_000


def name(kind: str = "topic") -> str:
    """An unused name."""
    return f"transactions-tool-{kind}-{uuid.uuid4().hex[:12]}"


def made(tools: Tools, partitions: int = 1) -> str:
    """A new topic."""
    topic = name()
    tools.run("kafka-topics", "--create", "--topic", topic, "--partitions", str(partitions))
    return topic


def rows(said: str, first: str) -> list[list[str]]:
    """The lines of a table that belong to something, split at white space."""
    return [line.split() for line in said.splitlines() if line.split()[:1] == [first]]


def table(said: str) -> list[dict[str, str]]:
    """The lines of a table under its head."""
    lines = [line.split() for line in said.splitlines() if "\t" in line]
    return [dict(zip(lines[0], line, strict=False)) for line in lines[1:]] if lines else []


@contextmanager
def open_transaction(driver: Driver, tools: Tools, transactional_id: str, topic: str) -> Iterator[Producer]:
    """A producer whose transaction has two records in it."""
    settings = ProducerSettings(idempotent=True, transactional_id=transactional_id, transaction_timeout=600.0)
    producer = driver.producer(tools.bootstrap, settings)
    try:
        producer.init_transactions()
        producer.begin()
        producer.produce(topic, [Record(b"1", partition=0), Record(b"2", partition=0)])
        yield producer
    finally:
        producer.close()


@contextmanager
def committed(driver: Driver, tools: Tools, topic: str) -> Iterator[Consumer]:
    """A reader of committed records."""
    consumer = driver.consumer(tools.bootstrap, Reading(read_committed=True))
    try:
        consumer.assign({TopicPartition(topic, 0): "beginning"})
        yield consumer
    finally:
        consumer.close()


def test_transactions_are_listed_and_described(tools: Tools, any_driver: Driver) -> None:
    """kafka-transactions lists a transaction and describes it, while it is open and when it has ended"""
    topic, transactional_id = made(tools, 2), name("tx")
    with open_transaction(any_driver, tools, transactional_id, topic) as producer:
        [listed] = rows(tools.run("kafka-transactions", "list"), transactional_id)
        assert listed[3] == "Ongoing"
        [described] = table(tools.run("kafka-transactions", "describe", "--transactional-id", transactional_id))
        assert described["TransactionState"] == "Ongoing"
        assert described["TransactionTimeoutMs"] == "600000"
        assert described["ProducerId"] == listed[2]
        assert described["TopicPartitions"] == f"{topic}-0"
        producer.commit()
    [listed] = rows(tools.run("kafka-transactions", "list"), transactional_id)
    assert listed[3] == "CompleteCommit"


def test_transactions_are_listed_by_pattern_and_duration(tools: Tools, any_driver: Driver) -> None:
    """kafka-transactions lists those whose id a pattern matches, and those that last for long"""
    topic, transactional_id = made(tools), name("tx")
    with open_transaction(any_driver, tools, transactional_id, topic):
        wanted = ("kafka-transactions", "list", "--transactional-id-pattern")
        assert rows(tools.run(*wanted, f"{transactional_id[:-3]}..."), transactional_id)
        assert not rows(tools.run(*wanted, f"{transactional_id[:-3]}.."), transactional_id)
        assert rows(tools.run("kafka-transactions", "list", "--duration-filter", "1"), transactional_id)
        assert not rows(tools.run("kafka-transactions", "list", "--duration-filter", "3600000"), transactional_id)


def test_unknown_transactions_are_refused(tools: Tools) -> None:
    """kafka-transactions says that there is no such transaction"""
    said = tools.run("kafka-transactions", "describe", "--transactional-id", name("tx"), fails=True)
    assert "the ID could not be found" in said


def test_producers_are_described(tools: Tools, any_driver: Driver) -> None:
    """kafka-transactions describes the producers of a partition, and where their open transactions begin"""
    topic, transactional_id = made(tools), name("tx")
    asked = ("kafka-transactions", "describe-producers", "--topic", topic, "--partition", "0")
    tools.run("kafka-console-producer", "--topic", topic, given="before\n")
    with open_transaction(any_driver, tools, transactional_id, topic) as producer:
        found = {row["CurrentTransactionStartOffset"]: row for row in table(tools.run(*asked))}
        assert set(found) == {"None", "1"}
        assert found["1"]["LastSequence"] == "1"
        producer.abort()
    assert {row["CurrentTransactionStartOffset"] for row in table(tools.run(*asked))} == {"None"}


def test_an_open_transaction_is_aborted_by_hand(tools: Tools, any_driver: Driver) -> None:
    """kafka-transactions ends an open transaction in a partition, and its readers go on"""
    topic = made(tools)
    with (
        open_transaction(any_driver, tools, name("tx"), topic),
        committed(any_driver, tools, topic) as reader,
    ):
        tools.run("kafka-console-producer", "--topic", topic, given="behind\n")
        assert reader.poll(0.5) == []
        tools.run("kafka-transactions", "abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
        assert values(read(reader, 1)) == [b"behind"]


@pytest.fixture
def unverified(tools_on: Callable[..., Tools]) -> Tools:
    """The tools on a broker that lets batches of unknown transactions in, as brokers did before KIP-890."""
    return tools_on("unverified", **{"transaction.partition.verification.enable": "false"})


def test_hanging_transactions_are_found_and_aborted(unverified: Tools, any_driver: Driver) -> None:
    """kafka-transactions finds the transaction that its coordinator does not know, none that it does, and aborts it"""
    topic = made(unverified)
    find = ("kafka-transactions", "find-hanging", "--topic", topic)
    with open_transaction(any_driver, unverified, name("tx"), topic) as producer:
        producer.produce(topic, [Record(b"3", partition=0, timestamp=int(time.time() * 1000) - TWO_HOURS_MS)])
        assert not rows(unverified.run(*find), topic)
        producer.commit()
    producer_id = hang(unverified.bootstrap, topic)
    [found] = rows(unverified.run(*find), topic)
    assert found[2] == str(producer_id)
    start = found[5]
    with committed(any_driver, unverified, topic) as reader:
        assert values(read(reader, 3)) == [b"1", b"2", b"3"]
        unverified.run("kafka-console-producer", "--topic", topic, given="behind\n")
        assert reader.poll(0.5) == []
        unverified.run("kafka-transactions", "abort", "--topic", topic, "--partition", "0", "--start-offset", start)
        assert values(read(reader, 1)) == [b"behind"]
    assert not rows(unverified.run(*find), topic)


def hang(bootstrap: str, topic: str) -> int:
    """Send a batch of a transaction that no coordinator knows of, two hours old; the id of its producer.

    No client does this, so it is said in the protocol itself: InitProducerId 1 and Produce 7.
    """
    from kafka.record.default_records import DefaultRecordBatchBuilder

    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        answer = exchange(connection, 22, 1, struct.pack(">hi", -1, 60_000))
        error, producer_id, epoch = struct.unpack_from(">hqh", answer, 4)
        assert error == 0
        builder = DefaultRecordBatchBuilder(2, 0, True, producer_id, epoch, 0, 16_384)
        builder.append(0, int(time.time() * 1000) - TWO_HOURS_MS, None, b"hangs", [])
        batch = bytes(builder.build())
        body = string(name("tx")) + struct.pack(">hii", -1, 10_000, 1) + string(topic)
        body += struct.pack(">iii", 1, 0, len(batch)) + batch
        answer = exchange(connection, 0, 7, body)
        at = 4 + 2 + len(topic) + 4 + 4
        assert struct.unpack_from(">h", answer, at) == (0,)
    return int(producer_id)


def exchange(connection: socket.socket, api_key: int, version: int, body: bytes) -> bytes:
    """One request and its answer, without their headers."""
    request = struct.pack(">hhi", api_key, version, 1) + string("compat") + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    with connection.makefile("rb") as answers:
        [size] = struct.unpack(">i", answers.read(4))
        return answers.read(size)[4:]


def string(text: str) -> bytes:
    """A string as the older versions of requests have it."""
    return struct.pack(">h", len(text)) + text.encode()
