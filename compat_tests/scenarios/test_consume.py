"""Consuming: from wherever one likes, as far as there is something."""

from __future__ import annotations

import re
import time

import pytest

from compat_tests.clients.contract import Consumer, Failed, Received, Record, Refused, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.session import OFFSET_OUT_OF_RANGE, Session, eventually, read, values


def filled(session: Session, count: int = 10) -> TopicPartition:
    """A partition with the values b"0", b"1", ... at the offsets 0, 1, ..."""
    partition = session.partition()
    session.producer().produce(partition.topic, [Record(b"%d" % number) for number in range(count)])
    return partition


def numbers(*wanted: int) -> list[bytes]:
    """The values of `filled`."""
    return [b"%d" % number for number in wanted]


@needs("assign")
def test_from_the_beginning(session: Session) -> None:
    """A partition is read from its beginning"""
    assert values(read(session.reader(filled(session)), 10)) == numbers(*range(10))


@needs("assign")
def test_from_an_offset(session: Session) -> None:
    """A partition is read from an offset"""
    assert values(read(session.reader(filled(session), at=7), 3)) == numbers(7, 8, 9)


@needs("assign")
def test_from_the_end(session: Session) -> None:
    """Read from its end, a partition shows what comes after only"""
    partition = filled(session)
    consumer = session.reader(partition, at="end")
    producer = session.producer()
    received: list[Received] = []

    def something_came() -> bool:
        # Where the end is, the client asks when it likes: the first ones may come before that.
        producer.produce(partition.topic, [Record(b"new")])
        received.extend(consumer.poll(0.2))
        return bool(received)

    eventually(something_came, "a new record")
    assert set(values(received)) == {b"new"}
    assert received[0].offset >= 10


@needs("assign", "timestamps", "offsets_for_times")
def test_from_a_time(session: Session) -> None:
    """A time finds the first record at or after it, and none after the last"""
    partition = session.partition()
    then = int(time.time() * 1000) - 100_000
    for number in range(6):
        session.producer().produce(partition.topic, [Record(b"%d" % number, timestamp=then + 10 * number)])
    consumer = session.reader(partition)
    for at, offset in [(then - 1, 0), (then, 0), (then + 1, 1), (then + 30, 3), (then + 50, 5), (then + 51, None)]:
        assert consumer.offsets_for_times({partition: at}) == {partition: offset}, at - then
    assert values(read(session.reader(partition, at=3), 3)) == numbers(3, 4, 5)


@needs("assign", "timestamps", "offsets_for_times", "gzip")
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_from_a_time_within_a_batch(session: Session, codec: str) -> None:
    """A time finds its record in the middle of a batch, compressed or not"""
    partition = session.partition()
    then = int(time.time() * 1000) - 100_000
    records = [Record(b"%d" % number, timestamp=then + 10 * number) for number in range(20)]
    session.producer(codec=codec, linger_ms=50).produce(partition.topic, records)
    consumer = session.reader(partition)
    assert [consumer.offsets_for_times({partition: then + at})[partition] for at in (55, 130, 190)] == [6, 13, 19]


@needs("watermarks")
def test_first_and_next_offset(session: Session) -> None:
    """The offsets of the first and the next record are returned, of an empty partition too"""
    full, empty = filled(session), session.partition()
    consumer = session.consumer()
    assert consumer.beginning_offsets([full, empty]) == {full: 0, empty: 0}
    assert consumer.end_offsets([full, empty]) == {full: 10, empty: 0}


@needs("assign")
def test_an_empty_poll(session: Session) -> None:
    """Where there is nothing to read a poll returns nothing, in its time"""
    consumer = session.reader(session.partition())
    begun = time.monotonic()
    for _ in range(4):
        assert consumer.poll(0.2) == []
    assert time.monotonic() - begun < 10


@needs("assign")
def test_a_waiting_consumer_is_served_at_once(session: Session) -> None:
    """A record reaches a consumer that waits for it well before the fetch's longest wait is over"""
    partition = session.partition()
    consumer = session.reader(partition, max_wait_ms=20_000)
    assert consumer.poll(0.3) == []
    begun = time.monotonic()
    session.producer().produce(partition.topic, [Record(b"awaited")])
    assert values(read(consumer, 1)) == [b"awaited"]
    assert time.monotonic() - begun < 10


@needs("assign", "seek")
def test_seek(session: Session) -> None:
    """A consumer goes back and forth within a partition"""
    partition = filled(session)
    consumer = session.reader(partition)
    read(consumer, 10)
    for offset in (8, 2, 5):
        consumer.seek(partition, offset)
        assert values(read(consumer, 10 - offset)) == numbers(*range(offset, 10))


@needs("assign", "pause")
def test_pause_and_resume(session: Session) -> None:
    """A paused partition delivers nothing while others do, and nothing of it is lost"""
    quiet, busy = filled(session), filled(session)
    consumer = session.reader(quiet, busy)
    consumer.pause([quiet])
    assert {record.topic for record in read(consumer, 10)} == {busy.topic}
    assert consumer.poll(0.3) == []
    consumer.resume([quiet])
    received = read(consumer, 10)
    assert {record.topic for record in received} == {quiet.topic}
    assert values(received) == numbers(*range(10))


@needs("assign", "position")
def test_position(session: Session) -> None:
    """The position is the offset of the record that comes next"""
    partition = filled(session)
    consumer = session.reader(partition, at=4)
    read(consumer, 6)
    assert consumer.position(partition) == 10


@needs("assign")
def test_beyond_the_end_starts_where_the_reset_says(session: Session) -> None:
    """An offset that does not exist sends the consumer where auto.offset.reset says"""
    partition = filled(session)
    assert values(read(session.reader(partition, at=500, reset="earliest"), 10)) == numbers(*range(10))


@needs("assign", "reset_none")
def test_beyond_the_end_is_reported(session: Session) -> None:
    """Without a reset policy the consumer hears that its offset is out of range"""
    consumer = session.reader(filled(session), at=500, reset="none")
    with pytest.raises((Refused, Failed)) as raised:
        eventually_raising(consumer)
    if isinstance(raised.value, Refused):
        assert raised.value.code == OFFSET_OUT_OF_RANGE
    else:
        # Some clients have an error of their own for it, whose words say the same.
        assert re.search(r"out.?of.?range", str(raised.value), re.IGNORECASE), raised.value


def eventually_raising(consumer: Consumer) -> None:
    """Poll until it raises."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert consumer.poll(0.5) == []


@needs("assign")
def test_many_topics_at_once(session: Session) -> None:
    """One consumer reads many topics, each in order"""
    partitions = [filled(session) for _ in range(4)]
    received = read(session.reader(*partitions), 40)
    for partition in partitions:
        assert values([each for each in received if each.topic == partition.topic]) == numbers(*range(10))


@needs("assign", "fetch_limits")
def test_a_record_larger_than_the_fetch(session: Session) -> None:
    """A record larger than a fetch may be is delivered all the same"""
    partition = session.partition()
    session.producer().produce(partition.topic, [Record(b"x" * 100_000), Record(b"after")])
    consumer = session.reader(partition, fetch_max_bytes=10_000, partition_max_bytes=5_000)
    assert [len(value or b"") for value in values(read(consumer, 2))] == [100_000, 5]


@needs("assign", "fetch_limits")
def test_small_fetches(session: Session) -> None:
    """Many records come in small fetches, none left out"""
    partition = session.partition()
    records = [Record(b"%04d" % number * 50) for number in range(500)]
    session.producer(batch_bytes=1000).produce(partition.topic, records)
    received = read(session.reader(partition, partition_max_bytes=2_500), 500)
    assert [record.offset for record in received] == list(range(500))


@needs("assign", "fetch_limits")
def test_a_fetch_waits_for_enough(session: Session) -> None:
    """With fetch.min.bytes a fetch waits for more, and is answered when its time is over"""
    partition = filled(session, 3)
    begun = time.monotonic()
    consumer = session.reader(partition, min_bytes=1_000_000, max_wait_ms=800)
    assert values(read(consumer, 3)) == numbers(0, 1, 2)
    assert time.monotonic() - begun > 0.75


@needs("assign", "read_committed")
def test_read_committed(session: Session) -> None:
    """A consumer of committed records gets those that belong to no transaction"""
    assert values(read(session.reader(filled(session), read_committed=True), 10)) == numbers(*range(10))


@needs("assign", "delete_records", "watermarks")
def test_deleted_records(session: Session) -> None:
    """Deleted records are gone, the others stay at their offsets, and readers of the gone ones start after them"""
    partition = filled(session)
    assert session.admin.delete_records({partition: 6}) == {partition: 6}
    consumer = session.reader(partition, at=2, reset="earliest")
    received = read(consumer, 4)
    assert [(record.offset, record.value) for record in received] == [(n, b"%d" % n) for n in range(6, 10)]
    assert consumer.beginning_offsets([partition]) == {partition: 6}


@needs("assign", "delete_records", "watermarks", "stored_offsets")
def test_all_records_deleted(session: Session) -> None:
    """All records of a partition can be deleted, and the next one's offset is not used again"""
    partition = filled(session)
    assert session.admin.delete_records({partition: -1}) == {partition: 10}
    assert session.consumer().beginning_offsets([partition]) == {partition: 10}
    assert session.producer().produce(partition.topic, [Record(b"next")])[0].offset == 10


@needs("delete_records", "error_codes")
def test_records_that_are_not_there_cannot_be_deleted(session: Session) -> None:
    """Deleting records beyond the end is refused"""
    with pytest.raises(Refused) as refused:
        session.admin.delete_records({filled(session): 11})
    assert refused.value.code == OFFSET_OUT_OF_RANGE
