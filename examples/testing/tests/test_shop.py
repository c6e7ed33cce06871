"""Tests with pytest: each finds an empty broker, or one as a snapshot has kept it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaConsumer, KafkaProducer
from shop import bill, order

import ottla


def test_an_order_is_billed(ottla_broker: ottla.Broker) -> None:
    """From one end to the other."""
    order(ottla_broker.bootstrap_servers, "3 apples")
    assert bill(ottla_broker.bootstrap_servers, 1) == ["bill for 3 apples"]


def test_no_other_test_is_seen(ottla_broker: ottla.Broker) -> None:
    """The same topic, the same group: the broker is empty again."""
    order(ottla_broker.bootstrap_servers, "5 pears")
    assert bill(ottla_broker.bootstrap_servers, 1) == ["bill for 5 pears"]


def test_a_topic_of_ones_own(ottla_topic: str, ottla_kafka_python: object) -> None:
    """Settings and a name are given; nothing is written twice."""
    producer = KafkaProducer(**ottla_kafka_python.producer)
    producer.send(ottla_topic, b"hello").get(20)
    producer.close()
    consumer = KafkaConsumer(ottla_topic, **ottla_kafka_python.consumer)
    assert next(consumer).value == b"hello"
    consumer.close()


@pytest.fixture(scope="module")
def half_billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A snapshot that takes long to get to, made once: four orders, one of them billed."""
    with ottla.Broker(config={"num.partitions": 1}) as broker:
        order(broker.bootstrap_servers, "1", "2", "3", "4")
        bill(broker.bootstrap_servers, 1)
        yield broker.snapshot(tmp_path_factory.mktemp("snapshots") / "half-billed.tar")


@pytest.mark.parametrize("count", [1, 2])
def test_billing_goes_on_where_it_was(ottla_broker: ottla.Broker, half_billed: str, count: int) -> None:
    """Each time from the same state, group included."""
    ottla_broker.restore(half_billed)
    assert bill(ottla_broker.bootstrap_servers, count) == ["bill for 2", "bill for 3"][:count]
