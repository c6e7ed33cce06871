"""A service to be tested: it reads orders, and writes a bill for each."""

from __future__ import annotations

from kafka import KafkaConsumer, KafkaProducer


def order(bootstrap_servers: str, *orders: str) -> None:
    """Put orders in."""
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers)
    for each in orders:
        producer.send("orders", each.encode())
    producer.flush()
    producer.close()


def bill(bootstrap_servers: str, count: int) -> list[str]:
    """Bill the next `count` orders that were not billed before; returns the bills."""
    consumer = KafkaConsumer(
        "orders",
        bootstrap_servers=bootstrap_servers,
        group_id="billing",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=20_000,
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers)
    bills = []
    for _, record in zip(range(count), consumer, strict=False):
        bills.append(f"bill for {record.value.decode()}")
        producer.send("bills", bills[-1].encode())
    producer.flush()
    producer.close()
    consumer.commit()
    consumer.close()
    return bills
