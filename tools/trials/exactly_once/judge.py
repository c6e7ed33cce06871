"""The judge: a target holds what its source holds, once each, in order, for readers of committed records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

READ_SECONDS: Final = 120.0
SHOWN: Final = 5
Values = list[bytes]


def read_committed(bootstrap: str, topic: str, partitions: int) -> list[Values]:
    """The values of each partition, in order, up to the first transaction that is open. Raises TimeoutError."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "judge", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: list[Values] = [[] for _ in range(partitions)]
    left = set(range(partitions))
    deadline = time.monotonic() + READ_SECONDS
    try:
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was not read to its end within {READ_SECONDS:g} s")
            for message in consumer.consume(1000, 0.5):
                error, partition = message.error(), message.partition() or 0
                if error is None:
                    found[partition].append(message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(partition)
    finally:
        consumer.close()
    return found


def differences(name: str, source: Sequence[Values], target: Sequence[Values]) -> Iterator[str]:
    """What is wrong with a target, a sentence for each kind of fault and partition."""
    for number, (there, here) in enumerate(zip(source, target, strict=True)):
        if there == here:
            continue
        where = f"{name}, partition {number}"
        counted = Counter(here)
        lost = [value for value in there if value not in counted]
        doubled = [value for value, count in counted.items() if count > 1]
        strange = [value for value in counted if value not in set(there)]
        for kind, values in (("lost", lost), ("copied more than once", doubled), ("never sent", strange)):
            if values:
                yield f"{where}: {len(values)} {kind}: {values[:SHOWN]}"
        if not (lost or doubled or strange):
            at = next(place for place, (one, other) in enumerate(zip(there, here, strict=True)) if one != other)
            yield f"{where}: another order from record {at} on: {here[at : at + SHOWN]}"
