"""Housekeeping: what a broker does by itself, on one that is set to do it often."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from compat_tests.clients.contract import Consumer, Record, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.scenarios.test_groups import partitions, sharing
from compat_tests.session import Session, drive, eventually, read

SETTINGS = {
    "auto.create.topics.enable": "false",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.backoff.ms": "300",
    "log.initial.task.delay.ms": "100",
    "log.retention.check.interval.ms": "300",
}
HOUR = 3_600_000


@pytest.fixture
def busy(connect: Callable[..., Session]) -> Session:
    """The client on a broker that looks after its logs all the time."""
    return connect("housekeeping", **SETTINGS)


def written(session: Session, partition: TopicPartition, *records: Record) -> None:
    """One batch for each record."""
    producer = session.producer()
    for record in records:
        producer.produce(partition.topic, [record])


@needs("assign", "timestamps", "watermarks")
def test_old_records_go(busy: Session) -> None:
    """Records older than retention.ms go, newer ones stay at their offsets"""
    partition = busy.partition({"retention.ms": str(HOUR), "segment.ms": "1000"})
    now = int(time.time() * 1000)
    old = [Record(b"old", timestamp=now - 3 * HOUR + 2000 * number) for number in range(5)]
    written(busy, partition, *old, Record(b"new", timestamp=now))
    consumer = busy.consumer()
    eventually(lambda: consumer.beginning_offsets([partition]) == {partition: 5}, "the old records to go")
    assert [(each.offset, each.value) for each in read(busy.reader(partition), 1)] == [(5, b"new")]


@needs("assign", "timestamps", "watermarks")
def test_too_many_records_go(busy: Session) -> None:
    """When a partition is larger than retention.bytes its oldest records go"""
    partition = busy.partition({"retention.bytes": "3000", "segment.ms": "1000"})
    now = int(time.time() * 1000)
    written(busy, partition, *(Record(b"x" * 1000, timestamp=now + 2000 * number) for number in range(8)))
    consumer = busy.consumer()
    eventually(lambda: consumer.beginning_offsets([partition])[partition] >= 4, "the oldest records to go")
    assert consumer.end_offsets([partition]) == {partition: 8}


@needs("assign", "timestamps")
def test_compaction_keeps_the_latest_of_each_key(busy: Session) -> None:
    """A compacted topic keeps the latest record of each key at its offset, and forgets the others"""
    partition = busy.partition({"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"})
    then = int(time.time() * 1000) - 100_000
    records = [Record(b"%d" % number, b"ab"[number % 2 : number % 2 + 1]) for number in range(10)]
    # The last one stays in the segment that is written to, which is never compacted.
    records.append(Record(b"last", b"c"))
    timed = [Record(each.value, each.key, timestamp=then + 5000 * number) for number, each in enumerate(records)]
    written(busy, partition, *timed)
    survivors: list[tuple[int, bytes | None]] = []

    def compacted() -> bool:
        reader = busy.reader(partition)
        survivors.clear()
        while not survivors or survivors[-1][0] < 10:
            survivors.extend((record.offset, record.value) for record in reader.poll(1.0))
        busy.close(reader)
        return len(survivors) == 3

    eventually(compacted, "compaction")
    assert survivors == [(8, b"8"), (9, b"9"), (10, b"last")]


@needs("groups", "group_members", "max_poll_interval")
def test_a_member_that_stops_polling_loses_its_partitions(busy: Session) -> None:
    """A member that does not poll any more gives its partitions to the others, and gets a share when it polls again"""
    topic, group = busy.topic(4), busy.group()
    everything = partitions(topic, 4)

    def member() -> Consumer:
        return busy.member(group, [topic], session_timeout=1.0, max_poll_interval=1.5)

    stalled, busy_one = member(), member()
    drive([stalled, busy_one], lambda: sharing([stalled, busy_one], everything), "both to share")
    drive([busy_one], lambda: busy_one.assignment() == everything, "the one that polls to have all")
    drive([stalled, busy_one], lambda: sharing([stalled, busy_one], everything), "both to share again")
