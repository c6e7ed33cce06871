"""Producing: what is sent comes back as it was, in order, at the offset that was acknowledged."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from compat_tests.clients.contract import Failed, Record, Refused, Stored, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.session import INVALID_RECORD, MESSAGE_TOO_LARGE, Session, read, values

Others = Callable[..., list[Session]]
CODECS = [pytest.param(codec, marks=needs(codec)) for codec in ("gzip", "snappy", "lz4", "zstd")]


@pytest.fixture
def size_of(session: Session, others: Others) -> Callable[[str], int]:
    """Returns how many bytes of the broker's disk a topic of one partition takes, if a client here can ask for it."""
    able = [each for each in (session, *others("log_sizes")) if "log_sizes" not in each.cannot]
    if not able:
        pytest.skip("no client here asks for the sizes of logs")
    return lambda topic: able[0].admin.log_sizes()[TopicPartition(topic, 0)]


def read_all(session: Session, topic: str, count: int, **settings: Any) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values of a topic of one partition, in order."""
    reader = session.reader(TopicPartition(topic, 0), **settings)
    return [(record.key, record.value) for record in read(reader, count)]


@needs("stored_offsets", "assign")
def test_records_come_back_in_order(session: Session) -> None:
    """Records come back in the order they were sent, at the offsets that were acknowledged"""
    topic = session.topic()
    begun = int(time.time() * 1000)
    stored = session.producer().produce(topic, [Record(b"%d" % number) for number in range(20)])
    ended = int(time.time() * 1000)
    assert stored == [Stored(0, number) for number in range(20)]
    received = read(session.reader(TopicPartition(topic, 0)), 20)
    assert [(record.offset, record.value) for record in received] == [(n, b"%d" % n) for n in range(20)]
    assert all(begun <= record.timestamp <= ended for record in received)


@needs("assign", "binary_keys")
def test_keys_and_values_are_any_bytes(session: Session) -> None:
    """Keys and values of any bytes come back as they were, empty ones too"""
    records = [Record(bytes(range(256)), bytes(range(255, -1, -1))), Record(b"", b""), Record("ü€😀".encode(), b"\n\0")]
    topic = session.topic()
    session.producer().produce(topic, records)
    assert read_all(session, topic, 3) == [(record.key, record.value) for record in records]


@needs("assign")
def test_records_without_key(session: Session) -> None:
    """A record without a key comes back without a key, unlike one with an empty key"""
    topic = session.topic()
    session.producer().produce(topic, [Record(b"no key"), Record(b"some key", b"k")])
    assert read_all(session, topic, 2) == [(None, b"no key"), (b"k", b"some key")]


@needs("assign", "null_values")
def test_records_without_value(session: Session) -> None:
    """A record without a value, a tombstone, comes back without a value"""
    topic = session.topic()
    session.producer().produce(topic, [Record(b"here", b"k"), Record(None, b"k")])
    assert read_all(session, topic, 2) == [(b"k", b"here"), (b"k", None)]


@needs("assign", "null_values", "null_key_and_value")
def test_records_without_anything(session: Session) -> None:
    """A record with neither key nor value is a record"""
    topic = session.topic()
    session.producer().produce(topic, [Record(None), Record(b"after")])
    assert read_all(session, topic, 2) == [(None, None), (None, b"after")]


@needs("assign", "headers")
def test_headers(session: Session) -> None:
    """Headers come back in order, repeated names and empty values included"""
    topic = session.topic()
    headers = (("trace", b"1"), ("trace", b"2"), ("empty", b""), ("ünïcode", "ü".encode()))
    session.producer().produce(topic, [Record(b"with", headers=headers), Record(b"without")])
    received = read(session.reader(TopicPartition(topic, 0)), 2)
    assert [record.headers for record in received] == [headers, ()]


@needs("assign", "headers", "null_headers")
def test_headers_without_value(session: Session) -> None:
    """A header without a value comes back without one"""
    topic = session.topic()
    headers = (("none", None), ("some", b"x"))
    session.producer().produce(topic, [Record(b"v", headers=headers)])
    assert read(session.reader(TopicPartition(topic, 0)), 1)[0].headers == headers


@needs("assign")
@pytest.mark.parametrize("codec", CODECS)
def test_codecs(session: Session, codec: str, size_of: Callable[[str], int]) -> None:
    """Compressed records come back as they were, and are stored compressed"""
    topic = session.topic()
    noise = random.Random(1).randbytes(2000).hex().encode()
    expected = [b"%d " % number * 100 for number in range(50)] + [noise]
    session.producer(codec=codec, linger_ms=20).produce(topic, [Record(value) for value in expected])
    assert [value for _, value in read_all(session, topic, 51)] == expected
    assert size_of(topic) < sum(map(len, expected)) / 2


@needs("assign", "gzip", "create_topics")
@pytest.mark.parametrize("codec", ["uncompressed", *CODECS])
def test_the_topic_chooses_the_codec(session: Session, codec: str, size_of: Callable[[str], int]) -> None:
    """A topic's compression.type decides how records are stored, and does not change what comes back"""
    topic = session.topic(1, {"compression.type": codec})
    expected = [b"%d " % number * 50 for number in range(20)]
    session.producer(codec="gzip", linger_ms=20).produce(topic, [Record(value) for value in expected])
    assert [value for _, value in read_all(session, topic, 20)] == expected
    plain = sum(map(len, expected))
    assert size_of(topic) > plain if codec == "uncompressed" else size_of(topic) < plain / 2


@needs("assign")
@pytest.mark.parametrize("acks", [pytest.param(0, marks=needs("acks_0")), 1, "all"])
def test_acks(session: Session, acks: Any) -> None:
    """Records are stored whatever acknowledgement is asked for"""
    topic = session.topic()
    session.producer(acks=acks).produce(topic, [Record(b"%d" % number) for number in range(5)])
    assert [value for _, value in read_all(session, topic, 5)] == [b"%d" % number for number in range(5)]


@needs("assign", "idempotence", "stored_offsets")
def test_idempotence(session: Session) -> None:
    """An idempotent producer's records are stored once and in order"""
    topic = session.topic()
    producer = session.producer(idempotent=True)
    stored: list[Stored] = []
    for round_number in range(8):
        stored += producer.produce(topic, [Record(b"%d" % (round_number * 5 + number)) for number in range(5)])
    assert [place.offset for place in stored] == list(range(40))
    assert [value for _, value in read_all(session, topic, 40)] == [b"%d" % number for number in range(40)]


@needs("assign", "idempotence", "stored_offsets", "partitions")
def test_idempotence_in_many_partitions(session: Session) -> None:
    """One idempotent producer writes many partitions, each in order; a second one's records come after"""
    topic = session.topic(6)
    for producer in (session.producer(idempotent=True), session.producer(idempotent=True)):
        records = [Record(b"%d" % number, partition=number % 6) for number in range(60)]
        assert all(place.offset >= 0 for place in producer.produce(topic, records))
    received = read(session.reader(*(TopicPartition(topic, number) for number in range(6))), 120)
    for partition in range(6):
        once = [b"%d" % number for number in range(60) if number % 6 == partition]
        assert [record.value for record in received if record.partition == partition] == once * 2


@needs("assign", "partitions", "stored_offsets")
def test_chosen_partitions(session: Session) -> None:
    """A record goes to the partition that its producer chose"""
    topic = session.topic(3)
    stored = session.producer().produce(topic, [Record(b"%d" % number, partition=number) for number in (2, 0, 1)])
    assert [place.partition for place in stored] == [2, 0, 1]
    for number in range(3):
        assert values(read(session.reader(TopicPartition(topic, number)), 1)) == [b"%d" % number]


@needs("stored_partitions")
def test_keys_choose_the_partition(session: Session) -> None:
    """Records of one key are in one partition, and many keys are spread"""
    topic = session.topic(4)
    stored = session.producer().produce(topic, [Record(b"v", b"key %d" % (number % 20)) for number in range(60)])
    partitions = [place.partition for place in stored]
    assert partitions[:20] == partitions[20:40] == partitions[40:]
    assert len(set(partitions)) > 1


@needs("assign", "timestamps")
def test_the_producer_chooses_the_timestamp(session: Session) -> None:
    """A record keeps the timestamp that its producer gave it, also when it is later than the next one's"""
    topic = session.topic()
    now = int(time.time() * 1000)
    times = [now - 5_000, now - 60_000, now]
    session.producer(linger_ms=20).produce(topic, [Record(b"v", timestamp=at) for at in times])
    assert [record.timestamp for record in read(session.reader(TopicPartition(topic, 0)), 3)] == times


@needs("assign", "timestamps")
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_the_topic_chooses_the_timestamp(session: Session, codec: str) -> None:
    """With message.timestamp.type=LogAppendTime the broker's clock counts"""
    topic = session.topic(1, {"message.timestamp.type": "LogAppendTime"})
    now = int(time.time() * 1000)
    session.producer(codec=codec).produce(topic, [Record(b"v", timestamp=now - 3_600_000)] * 3)
    received = read(session.reader(TopicPartition(topic, 0)), 3)
    assert all(now - 1000 <= record.timestamp <= now + 60_000 for record in received)


@needs("assign")
def test_large_records(session: Session) -> None:
    """A record just below the broker's limit is stored and comes back whole"""
    topic = session.topic()
    value = os.urandom(990_000)
    session.producer().produce(topic, [Record(value)])
    assert read_all(session, topic, 1) == [(None, value)]


@needs("error_codes", "large_requests", "assign")
def test_too_large_records_are_refused(session: Session) -> None:
    """A record above max.message.bytes is refused, and the next one is stored"""
    topic = session.topic(1, {"max.message.bytes": "20000"})
    producer = session.producer(max_request_bytes=4_000_000)
    with pytest.raises(Refused) as refused:
        producer.produce(topic, [Record(os.urandom(30_000))])
    assert refused.value.code == MESSAGE_TOO_LARGE
    producer.produce(topic, [Record(b"small")])
    assert read_all(session, topic, 1) == [(None, b"small")]


@needs("large_requests", "assign")
def test_a_topic_may_allow_larger_records(session: Session) -> None:
    """max.message.bytes of a topic also raises the broker's limit"""
    topic = session.topic(1, {"max.message.bytes": "4000000"})
    value = os.urandom(3_000_000)
    session.producer(max_request_bytes=4_000_000).produce(topic, [Record(value)])
    assert read_all(session, topic, 1, partition_max_bytes=5_000_000) == [(None, value)]


@needs("stored_offsets", "assign")
@pytest.mark.parametrize("settings", [{"acks": 1}, {"acks": "all", "idempotent": True}], ids=["acks=1", "idempotent"])
def test_pipelining(session: Session, settings: dict[str, Any]) -> None:
    """Many small requests under way at once keep their order"""
    topic = session.topic()
    producer = session.producer(batch_bytes=600, in_flight=5, **settings)
    producer.send(topic, [Record(b"%06d" % number * 10) for number in range(1500)])
    outcomes = producer.outcomes()
    assert [place.offset for place in outcomes if isinstance(place, Stored)] == list(range(1500))
    received = [value for _, value in read_all(session, topic, 1500)]
    assert received == [b"%06d" % number * 10 for number in range(1500)]


@needs("assign", "stored_offsets", "partitions")
@pytest.mark.parametrize("codec", ["none", *CODECS])
def test_bulk(session: Session, codec: str) -> None:
    """Thousands of records of all sizes, in several partitions, come back as they were"""
    topic = session.topic(3)
    chance = random.Random(codec)
    values = [b"%d:" % number + b"ottla " * chance.choice((0, 1, 5, 40, 400)) for number in range(3000)]
    settings = {"linger_ms": 5, "batch_bytes": 200_000, "idempotent": "idempotence" not in session.cannot}
    producer = session.producer(codec=codec, **settings)
    stored = producer.produce(topic, [Record(value, partition=number // 1000) for number, value in enumerate(values)])
    received = read(session.reader(*(TopicPartition(topic, number) for number in range(3))), 3000)
    assert {(record.partition, record.offset): record.value for record in received} == {
        (place.partition, place.offset): value for place, value in zip(stored, values, strict=True)
    }


@needs("stored_offsets", "partitions")
def test_many_producers_at_once(session: Session) -> None:
    """Producers writing the same partition at the same time get offsets of their own"""
    topic = session.topic()
    producers = [session.producer(), session.producer(), session.producer(acks=1)]
    for round_number in range(5):
        for producer in producers:
            producer.send(topic, [Record(b"%d" % round_number, partition=0)] * 10)
    places = [outcome for producer in producers for outcome in producer.outcomes()]
    assert sorted(place.offset for place in places if isinstance(place, Stored)) == list(range(150))


@needs("create_topics", "assign")
def test_a_compacted_topic_wants_keys(session: Session) -> None:
    """A record without a key is refused by a compacted topic; one with a key is stored"""
    topic = session.topic(1, {"cleanup.policy": "compact"})
    producer = session.producer(timeout=5.0)
    producer.produce(topic, [Record(b"v", b"k")])
    with pytest.raises((Refused, Failed)) as refused:
        producer.produce(topic, [Record(b"no key")])
    assert getattr(refused.value, "code", INVALID_RECORD) == INVALID_RECORD
    producer.produce(topic, [Record(b"w", b"k")])
    assert [value for _, value in read_all(session, topic, 2)] == [b"v", b"w"]


@needs("stored_offsets")
def test_a_topic_is_written_by_one_producer_after_another(session: Session) -> None:
    """A new producer goes on where the last one stopped"""
    topic = session.topic()
    for number in range(3):
        producer = session.producer()
        assert producer.produce(topic, [Record(b"v")]) == [Stored(0, number)]
        session.close(producer)
