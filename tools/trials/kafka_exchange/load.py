"""What is written into a directory before it changes hands: something of everything that a log can hold.

==============  ====================================================================================================
topic           what is in it
==============  ====================================================================================================
codecs          every codec by an idempotent producer each, headers, keys, nulls, in segments of 1 MiB, two partitions
stamped         LogAppendTime
compacted       `cleanup.policy=compact`: few keys, many values, tombstones
trimmed         records deleted up to the middle of a segment
expired         `retention.bytes`: the oldest segments are gone
unnumbered      producers without idempotence, acks 0 and 1
transactions    two producers in turns, every other transaction aborted, in the midst of one that spans many of them
sequences       batches whose producer goes on, or repeats itself, after the move (`sequences.py`)
open            a transaction that is open during the move, and is ended after it (`open_transactions.py`)
==============  ====================================================================================================

A group commits offsets in `codecs`.
"""

from __future__ import annotations

import importlib
import random
import time
from typing import Any, Final

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
GROUP: Final = "exchange"
WAIT_SECONDS: Final = 60.0
BEGIN_MS: Final = 1_700_000_000_000
CLEANING_SECONDS: Final = 90.0
FROZEN: Final = {
    "compacted": {"min.compaction.lag.ms": str(1 << 40)},
    "expired": {"retention.bytes": "-1"},
}
"""What stops compaction and retention of records that are there already, so that two brokers can be compared."""
KEEP: Final = {"retention.ms": "-1"}
SMALL_SEGMENTS: Final = KEEP | {"segment.bytes": "1048576", "index.interval.bytes": "2048"}
TOPICS: Final[dict[str, tuple[int, dict[str, str]]]] = {
    "codecs": (2, SMALL_SEGMENTS),
    "stamped": (1, SMALL_SEGMENTS | {"message.timestamp.type": "LogAppendTime"}),
    "compacted": (1, SMALL_SEGMENTS | {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}),
    "trimmed": (1, SMALL_SEGMENTS),
    "expired": (1, SMALL_SEGMENTS | {"retention.bytes": "100000", "segment.ms": "60000"}),
    "unnumbered": (1, KEEP),
    "transactions": (1, SMALL_SEGMENTS),
    "sequences": (1, KEEP),
    "open": (1, KEEP),
}


def begin(port: int, records: int) -> int:
    """Create the topics and write the first records, which a broker may be killed after. Returns how many.

    Raises KafkaException, TimeoutError.
    """
    create_topics(port, frozen=False)
    return _write_codecs({"bootstrap.servers": f"127.0.0.1:{port}"}, random.Random(0), records, 0)


def write(port: int, records: int, written: int = 0, *, seed: int = 1) -> None:
    """Fill the topics, `records` records for each codec and topic, and wait until some have been compacted and some
    have expired. `written`: what `begin` has said.

    Raises KafkaException, TimeoutError.
    """
    client = {"bootstrap.servers": f"127.0.0.1:{port}"}
    if not written:
        create_topics(port, frozen=False)
    chance = random.Random(seed)
    counted = _write_codecs(client, chance, records, written)
    for acks in ("0", "1"):
        producer = _producer(client, **{"acks": acks, "linger.ms": 1})
        for number in range(records // 10):
            counted += 1
            producer.produce("unnumbered", **_record(chance, acks, number, counted))
        _flush(producer)
    _write_transactions(client, chance, records // 20)
    _delete_records(port)
    _commit(client)
    _wait_until_begins_later(client, "compacted")
    _wait_until_begins_later(client, "expired")
    _freeze(port)


def _write_codecs(client: dict[str, Any], chance: random.Random, records: int, counted: int) -> int:
    for codec in CODECS:
        producer = _producer(client, **{"compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        for number in range(records):
            for topic in ("codecs", "codecs", "stamped", "compacted", "compacted", "trimmed", "expired"):
                counted += 1
                producer.produce(topic, **_record(chance, codec, number, counted))
            if number % 50 == 0:
                _flush(producer)
        _flush(producer)
    return counted


def types() -> Any:
    """confluent_kafka.admin, of which type checkers know little."""
    return importlib.import_module("confluent_kafka.admin")


def admin(port: int) -> Any:
    """A client that creates and asks."""
    return types().AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})


def create_topics(port: int, *, frozen: bool) -> None:
    """All topics, with their settings; `frozen`: what is compacted stays as it is."""
    topics = []
    for name, (count, config) in TOPICS.items():
        more = FROZEN.get(name, {}) if frozen else {}
        topics.append(types().NewTopic(name, count, 1, config=config | more))
    client = admin(port)  # what it promises ends with it
    for done in client.create_topics(topics).values():
        done.result(WAIT_SECONDS)


def _wait_until_begins_later(client: dict[str, Any], topic: str) -> None:
    """Until the first record of a topic is gone: compacted away, or expired."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(client | {"group.id": "none", "enable.auto.commit": False})
    deadline = time.monotonic() + CLEANING_SECONDS
    try:
        while time.monotonic() < deadline:
            consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
            message = consumer.poll(WAIT_SECONDS)
            if message is not None and message.error() is None and (message.offset() or 0) > 0:
                return
            time.sleep(1)
    finally:
        consumer.close()
    raise TimeoutError(f"nothing of {topic} went away within {CLEANING_SECONDS:g} s")


def _freeze(port: int) -> None:
    kinds = types()
    resources = []
    for topic, config in FROZEN.items():
        entries = [
            kinds.ConfigEntry(name, value, incremental_operation=kinds.AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resources.append(kinds.ConfigResource(kinds.ConfigResource.Type.TOPIC, topic, incremental_configs=entries))
    client = admin(port)
    for done in client.incremental_alter_configs(resources).values():
        done.result(WAIT_SECONDS)


def _producer(client: dict[str, Any], **settings: Any) -> Any:
    from confluent_kafka import Producer

    return Producer(client | settings)


def _flush(producer: Any) -> None:
    left = producer.flush(WAIT_SECONDS)
    if left:
        raise TimeoutError(f"{left} records were not acknowledged within {WAIT_SECONDS:g} s")


def _record(chance: random.Random, name: str, number: int, counted: int) -> dict[str, Any]:
    """A record with a time of its own: where two have the same, brokers may answer with either."""
    record: dict[str, Any] = {"key": f"key-{number % 40}", "timestamp": BEGIN_MS + 40 * counted}
    if number % 97 == 0:
        record["value"] = None
    else:
        record["value"] = f"{name} {number} " + chance.randbytes(chance.randrange(200)).hex() + "." * 60
    if number % 7 == 0:
        record["headers"] = [("empty", None), ("bytes", b"\x00\xff"), (f"n{number}", b"x")]
    if number % 31 == 0:
        record["key"] = None if name in ("0", "1") else b"\xfe\xff"
    return record


def _write_transactions(client: dict[str, Any], chance: random.Random, count: int) -> None:
    """Two producers, one in the middle of the other's transaction; some long transactions span many."""
    producers = [_producer(client, **{"transactional.id": f"exchange-{number}"}) for number in range(2)]
    for producer in producers:
        producer.init_transactions(WAIT_SECONDS)
    long_one = _producer(client, **{"transactional.id": "exchange-long"})
    long_one.init_transactions(WAIT_SECONDS)
    long_one.begin_transaction()
    long_one.produce("transactions", value=b"begun early, aborted late", timestamp=BEGIN_MS)
    _flush(long_one)
    counted = 0
    for number in range(count):
        for producer in producers:
            producer.begin_transaction()
        for _ in range(3):
            for producer in producers:
                counted += 1
                producer.produce("transactions", **_record(chance, "transaction", number, counted))
                _flush(producer)
        producers[0].commit_transaction(WAIT_SECONDS) if number % 2 else producers[0].abort_transaction(WAIT_SECONDS)
        producers[1].commit_transaction(WAIT_SECONDS) if number % 3 else producers[1].abort_transaction(WAIT_SECONDS)
    long_one.abort_transaction(WAIT_SECONDS)


def _delete_records(port: int) -> None:
    from confluent_kafka import TopicPartition

    client = admin(port)
    partition = TopicPartition("trimmed", 0)
    end = client.list_offsets({partition: types().OffsetSpec.latest()})[partition].result(WAIT_SECONDS).offset
    cut = TopicPartition("trimmed", 0, end // 2)
    client.delete_records([cut])[cut].result(WAIT_SECONDS)


def _commit(client: dict[str, Any]) -> None:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(client | {"group.id": GROUP, "enable.auto.commit": False})
    offsets = [TopicPartition("codecs", 0, 42, metadata="half-way"), TopicPartition("codecs", 1, 7)]
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    consumer.close()
