"""A broker on command, with confluent-kafka: faults, time, snapshots and resets (docs/control.md).

Start a broker with `ottla serve --memory --control`; CONTROL is the address that it prints."""

import os

from confluent_kafka import Consumer, Producer, TopicPartition

import ottla

servers = {"bootstrap.servers": os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")}
control = ottla.Control(os.environ["CONTROL"])
TOPIC = "examples.commanded.python"


def send(value: str) -> None:
    producer = Producer({**servers, "retry.backoff.ms": 50})
    producer.produce(TOPIC, value)
    assert producer.flush(60) == 0


def kept() -> int:
    """How many records there are."""
    consumer = Consumer({**servers, "group.id": "examples"})
    low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=60)
    consumer.close()
    return int(high - low)


send("one")
control.ask("POST", "/snapshots", {"name": "with-one"})
fault = control.faults.error("NOT_LEADER_OR_FOLLOWER", api="Produce", topic=TOPIC, times=2)
send("two")
refused, sent = fault.injected, kept()
control.advance(8 * 24 * 3600)
expired = sent - kept()
control.ask("POST", "/restore", {"name": "with-one"})
back = kept()
control.ask("POST", "/reset")
send("three")
print(f"{refused} refused, {expired} expired, {back} restored, {kept()} after a reset")
