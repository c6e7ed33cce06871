"""Everything that a client can learn of a broker's logs, as one value that two brokers can be compared by.

One answer of Kafka's is excused. It looks for the record at a time in the first segment that reaches that time, by the
largest timestamp of its batches, and nowhere else. In a compacted log that may be the timestamp of a batch that has
lost its records and kept its header; then Kafka says that there is no such record, also of a log of its own, although
later segments have one (UnifiedLog.fetchOffsetByTimestamp). Ottla goes on to the next segment.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from tools.trials.kafka_exchange.load import GROUP, TOPICS, WAIT_SECONDS, admin, types

READ_SECONDS: Final = 60.0
MOMENTS: Final = 12
"""Timestamps asked for per partition, evenly spread over those that its records have."""


class PartitionListing(NamedTuple):
    """One partition. A record is (offset, timestamp type, timestamp, key, value, headers)."""

    start: int
    end: int
    records: list[tuple[Any, ...]]
    committed: list[int]
    """Offsets that a reader of committed data is given."""
    by_time: list[tuple[int, int, int]]
    """(timestamp asked for, offset, timestamp) as ListOffsets answers."""
    latest: tuple[int, int]
    """Offset and timestamp of the record with the largest timestamp."""


class Listing(NamedTuple):
    """A broker's answers."""

    partitions: dict[tuple[str, int], PartitionListing]
    group: list[tuple[int, str | None]]
    """Offset and metadata that the group has committed for each partition of `codecs`."""
    configs: dict[str, dict[str, str]]
    """The settings that each topic has of its own."""
    by_kafka: bool = False


def listing(port: int, *, by_kafka: bool = False) -> Listing:
    """Ask for everything. Raises KafkaException, TimeoutError."""
    partitions = {}
    for topic, (count, _) in TOPICS.items():
        for number in range(count):
            partitions[topic, number] = _partition(port, topic, number)
    return Listing(partitions, _group(port), _configs(port), by_kafka)


def differences(before: Listing, after: Listing, *, group: bool = True, configs: bool = True) -> list[str]:
    """What the second has otherwise, a sentence each."""
    found = []
    for key, mine in before.partitions.items():
        theirs = after.partitions[key]
        if "compact" in before.configs.get(key[0], {}).get("cleanup.policy", ""):
            mine, theirs = _excused(before, mine, theirs), _excused(after, theirs, mine)
        for name, expected, got in zip(mine._fields, mine, theirs, strict=True):
            if expected != got:
                found.append(f"{key[0]}-{key[1]}: {name}: {_first_difference(expected, got)}")
    if group and before.group != after.group:
        found.append(f"committed offsets of the group were {before.group} and are {after.group}")
    if configs and before.configs != after.configs:
        found.append(f"settings of topics were {before.configs} and are {after.configs}")
    return found


def _excused(one: Listing, mine: PartitionListing, theirs: PartitionListing) -> PartitionListing:
    """What `one` says of a compacted log, as if it had found what the other has where Kafka finds nothing."""
    if not one.by_kafka or len(mine.by_time) != len(theirs.by_time):
        return mine
    pairs = zip(mine.by_time, theirs.by_time, strict=True)
    return mine._replace(by_time=[other if own == (own[0], -1, -1) else own for own, other in pairs])


def _first_difference(expected: Any, got: Any) -> str:
    if isinstance(expected, list) and isinstance(got, list):
        for number, (mine, theirs) in enumerate(zip(expected, got, strict=False)):
            if mine != theirs:
                return f"number {number} was {mine} and is {theirs}"
        return f"there were {len(expected)} and are {len(got)}"
    return f"was {expected} and is {got}"


def _partition(port: int, topic: str, number: int) -> PartitionListing:
    from confluent_kafka import TopicPartition

    client, at = admin(port), types().OffsetSpec
    where = TopicPartition(topic, number)

    def offset(spec: Any) -> tuple[int, int]:
        found = client.list_offsets({where: spec})[where].result(WAIT_SECONDS)
        return found.offset, found.timestamp

    records = _read(port, topic, number, "read_uncommitted")
    committed = [record[0] for record in _read(port, topic, number, "read_committed")]
    times = sorted({record[2] for record in records})
    asked = [times[index * len(times) // MOMENTS] for index in range(MOMENTS)] if times else []
    by_time = [(moment, *offset(at.for_timestamp(moment))) for moment in asked]
    return PartitionListing(
        offset(at.earliest())[0], offset(at.latest())[0], records, committed, by_time,
        offset(at.max_timestamp()),
    )  # fmt: skip


def _read(port: int, topic: str, number: int, isolation: str) -> list[tuple[Any, ...]]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

    consumer = Consumer({
        "bootstrap.servers": f"127.0.0.1:{port}", "group.id": "none", "enable.auto.commit": False,
        "enable.partition.eof": True, "isolation.level": isolation, "check.crcs": True,
    })  # fmt: skip
    try:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
        records = []
        deadline = time.monotonic() + READ_SECONDS
        while time.monotonic() < deadline:
            for message in consumer.consume(1000, 1.0):
                error = message.error()
                if error is None:
                    kind, timestamp = message.timestamp()
                    records.append(
                        (message.offset(), kind, timestamp, message.key(), message.value(), message.headers())
                    )
                elif error.code() == KafkaError._PARTITION_EOF:
                    return records
                else:
                    raise KafkaException(error)
        raise TimeoutError(f"{topic}-{number} was not read to its end within {READ_SECONDS:g} s")
    finally:
        consumer.close()


def _group(port: int) -> list[tuple[int, str | None]]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": GROUP})
    try:
        wanted = [TopicPartition("codecs", number) for number in range(TOPICS["codecs"][0])]
        return [(found.offset, found.metadata) for found in consumer.committed(wanted, timeout=WAIT_SECONDS)]
    finally:
        consumer.close()


def _configs(port: int) -> dict[str, dict[str, str]]:
    kinds = types()
    resources = [kinds.ConfigResource(kinds.ConfigResource.Type.TOPIC, topic) for topic in TOPICS]
    found = {}
    client = admin(port)
    for resource, done in client.describe_configs(resources).items():
        entries = done.result(WAIT_SECONDS).values()
        of_its_own = [entry for entry in entries if entry.source == kinds.ConfigSource.DYNAMIC_TOPIC_CONFIG.value]
        found[resource.name] = {entry.name: entry.value for entry in of_its_own}
    return found
