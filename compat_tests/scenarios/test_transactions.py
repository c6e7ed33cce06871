"""Transactions: what is sent in one is read whole or not at all, and offsets count with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat_tests.clients.contract import (
    Consumer,
    Copier,
    CopySettings,
    Failed,
    Producer,
    Record,
    Refused,
    TopicPartition,
)
from compat_tests.scenarios import needs
from compat_tests.scenarios.test_restarts import restart_killed
from compat_tests.session import Session, eventually, read, values

# How often Apache Kafka looks for transactions whose time is over; by default every ten seconds.
HASTY = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "200"}


@pytest.fixture
def hasty(connect: Callable[..., Session]) -> Session:
    """The client under test on a broker that does not let a transaction whose time is over wait."""
    return connect("hasty", **HASTY)


def begun(session: Session, transactional_id: str | None = None, **settings: object) -> Producer:
    """A producer that holds its transactional id."""
    producer = session.producer(idempotent=True, transactional_id=transactional_id or session.name("tx"), **settings)
    producer.init_transactions()
    return producer


def numbered(*numbers: int, partition: int | None = None) -> list[Record]:
    """Records that say which they are."""
    return [Record(b"%d" % number, partition=partition) for number in numbers]


def committed(session: Session, *partitions: TopicPartition) -> Consumer:
    """A consumer of committed records."""
    return session.reader(*partitions, read_committed=True)


def nothing_more(consumer: Consumer) -> None:
    """Nothing comes for as long as a few fetches take."""
    assert consumer.poll(0.4) == []


@needs("transactions", "read_committed", "assign")
def test_a_committed_transaction_is_read(session: Session) -> None:
    """The records of a committed transaction are read in order, by readers of committed records and by others"""
    partition = session.partition()
    producer = begun(session)
    producer.begin()
    producer.produce(partition.topic, numbered(*range(20)))
    producer.commit()
    for isolated in (True, False):
        reader = session.reader(partition, read_committed=isolated)
        assert values(read(reader, 20)) == [b"%d" % number for number in range(20)]
        nothing_more(reader)


@needs("transactions", "read_committed", "assign")
def test_an_aborted_transaction_is_not_read(session: Session) -> None:
    """The records of an aborted transaction are skipped by readers of committed records, and only by them"""
    partition = session.partition()
    producer = begun(session)
    for number in range(4):
        producer.begin()
        producer.produce(partition.topic, numbered(2 * number, 2 * number + 1))
        if number % 2:
            producer.abort()
        else:
            producer.commit()
    assert values(read(committed(session, partition), 4)) == [b"0", b"1", b"4", b"5"]
    assert len(read(session.reader(partition), 8)) == 8


@needs("transactions", "read_committed", "assign")
def test_an_open_transaction_holds_readers_back(session: Session) -> None:
    """Until a transaction ends, readers of committed records get what is before it and nothing behind it"""
    partition = session.partition()
    plain, producer = session.producer(), begun(session)
    plain.produce(partition.topic, numbered(0))
    producer.begin()
    producer.produce(partition.topic, numbered(1))
    plain.produce(partition.topic, numbered(2))
    reader = committed(session, partition)
    assert values(read(reader, 1)) == [b"0"]
    nothing_more(reader)
    assert values(read(session.reader(partition), 3)) == [b"0", b"1", b"2"]
    producer.commit()
    assert values(read(reader, 2)) == [b"1", b"2"]


@needs("transactions", "read_committed", "assign")
def test_transactions_interleave(session: Session) -> None:
    """Of two producers' transactions in one partition, one committed and one aborted, the committed one is read"""
    partition = session.partition()
    good, bad = begun(session), begun(session)
    good.begin()
    bad.begin()
    for number in range(5):
        good.produce(partition.topic, numbered(2 * number))
        bad.produce(partition.topic, numbered(2 * number + 1))
    reader = committed(session, partition)
    nothing_more(reader)
    bad.abort()
    nothing_more(reader)
    good.commit()
    assert values(read(reader, 5)) == [b"0", b"2", b"4", b"6", b"8"]


@needs("transactions", "read_committed", "assign")
def test_an_empty_transaction(session: Session) -> None:
    """A transaction in which nothing was sent can be committed and aborted, and the next one is as good as any"""
    partition = session.partition()
    producer = begun(session)
    producer.begin()
    producer.commit()
    producer.begin()
    producer.abort()
    producer.begin()
    producer.produce(partition.topic, numbered(1))
    producer.commit()
    producer.begin()
    producer.commit()
    assert values(read(committed(session, partition), 1)) == [b"1"]


@needs("transactions", "read_committed", "assign", "partitions")
def test_a_transaction_of_many_partitions(session: Session) -> None:
    """A transaction over many partitions of two topics is read from all of them, or from none"""
    topics = [session.topic(10), session.topic(10)]
    everywhere = [TopicPartition(topic, number) for topic in topics for number in range(10)]
    producer = begun(session)
    for ending in (producer.abort, producer.commit):
        producer.begin()
        for topic in topics:
            producer.produce(topic, [Record(ending.__name__.encode(), partition=number) for number in range(10)])
        ending()
    received = read(committed(session, *everywhere), 20)
    assert {TopicPartition(each.topic, each.partition) for each in received} == set(everywhere)
    assert set(values(received)) == {b"commit"}


@needs("transactions", "read_committed", "assign")
def test_one_transaction_after_another(session: Session) -> None:
    """Fifty transactions of one producer, every fifth aborted"""
    partition = session.partition()
    producer = begun(session)
    for number in range(50):
        producer.begin()
        producer.produce(partition.topic, numbered(number))
        if number % 5:
            producer.commit()
        else:
            producer.abort()
    assert values(read(committed(session, partition), 40)) == [b"%d" % n for n in range(50) if n % 5]


@needs("transactions", "read_committed", "assign")
@pytest.mark.parametrize("open_transaction", [True, False], ids=["open", "between"])
def test_a_second_producer_fences_the_first(session: Session, open_transaction: bool) -> None:
    """A producer with the same transactional id fences the one before it, whose open transaction is aborted"""
    partition, name = session.partition(), session.name("tx")
    first = begun(session, name, timeout=5.0)
    first.begin()
    first.produce(partition.topic, numbered(1))
    if not open_transaction:
        first.commit()
    second = begun(session, name)
    with pytest.raises((Refused, Failed)):
        if not open_transaction:
            first.begin()
            first.produce(partition.topic, numbered(2), within=5.0)
        first.commit()
    second.begin()
    second.produce(partition.topic, numbered(3))
    second.commit()
    reader = committed(session, partition)
    expected = [b"3"] if open_transaction else [b"1", b"3"]
    assert values(read(reader, len(expected))) == expected
    nothing_more(reader)


@needs("transactions", "read_committed", "assign")
def test_a_transaction_that_takes_too_long(hasty: Session) -> None:
    """A transaction that stays open for longer than its time-out is aborted, and its producer cannot commit it"""
    partition = hasty.partition()
    producer = begun(hasty, transaction_timeout=1.0, timeout=1.0)
    producer.begin()
    producer.produce(partition.topic, numbered(1))
    plain = hasty.producer()
    plain.produce(partition.topic, numbered(2))
    reader = committed(hasty, partition)
    assert values(read(reader, 1)) == [b"2"]
    with pytest.raises((Refused, Failed)):
        producer.commit()
    nothing_more(reader)
    assert values(read(hasty.reader(partition), 2)) == [b"1", b"2"]


@needs("transactions", "read_committed", "assign")
def test_what_a_crashed_producer_left_open_is_aborted(session: Session) -> None:
    """The next producer with its transactional id aborts what one left open, and readers go on at once"""
    partition, name = session.partition(), session.name("tx")
    first = begun(session, name)
    first.begin()
    first.produce(partition.topic, numbered(1))
    reader = committed(session, partition)
    nothing_more(reader)
    second = begun(session, name)
    session.producer().produce(partition.topic, numbered(2))
    assert values(read(reader, 1)) == [b"2"]
    second.begin()
    second.produce(partition.topic, numbered(3))
    second.commit()
    assert values(read(reader, 1)) == [b"3"]


class Application:
    """A copier that is opened again after every error, as an application does it."""

    def __init__(self, session: Session, settings: CopySettings) -> None:
        self._session = session
        self._settings = settings
        self._copier: Copier | None = None

    def copy(self, within: float = 0.5, *, commit: bool = True) -> int:
        """How many records were copied; none after an error."""
        try:
            if self._copier is None:
                self._copier = self._session.driver.copier(self._session.bootstrap, self._settings)
                self._session.also_close(self._copier)
            return self._copier.copy(within, commit=commit)
        except (Refused, Failed):
            self.stop()
            return 0

    def copy_all(self, count: int) -> None:
        """Copy until it was so many records, and not one more."""
        copied = 0

        def done() -> bool:
            nonlocal copied
            copied += self.copy()
            return copied >= count

        eventually(done, f"{count} records to be copied")
        assert copied == count

    def stop(self) -> None:
        """Close the copier, if there is one."""
        if self._copier is not None:
            copier, self._copier = self._copier, None
            self._session.close(copier)


@needs("transactions", "copy", "read_committed", "assign", "group_offsets")
def test_consume_transform_produce(session: Session) -> None:
    """Records are copied with their offsets in one transaction: each once, and the group has committed their end"""
    source, target = session.topic(2), session.topic(2)
    settings = CopySettings(session.name("tx"), session.group(), source, target)
    session.producer().produce(source, [Record(b"%d" % number, partition=number % 2) for number in range(40)])
    Application(session, settings).copy_all(40)
    reader = committed(session, TopicPartition(target, 0), TopicPartition(target, 1))
    received = read(reader, 40)
    for partition in range(2):
        copies = [record.value for record in received if record.partition == partition]
        assert copies == [b"%d" % number for number in range(partition, 40, 2)]
    offsets = session.admin.group_offsets(settings.group)
    assert {place.partition: at.offset for place, at in offsets.items() if place.topic == source} == {0: 20, 1: 20}


@needs("transactions", "copy", "read_committed", "assign")
def test_an_aborted_copy_is_copied_again(session: Session) -> None:
    """Offsets of an aborted transaction do not count: the same records come again, to this copier and to the next"""
    source, target = session.topic(), session.topic()
    settings = CopySettings(session.name("tx"), session.group(), source, target)
    session.producer().produce(source, numbered(*range(10)))
    first = Application(session, settings)
    eventually(lambda: first.copy(commit=False), "a first copy")
    eventually(lambda: first.copy(commit=False), "the same copy again")
    first.stop()
    Application(session, settings).copy_all(10)
    reader = committed(session, TopicPartition(target, 0))
    assert values(read(reader, 10)) == [b"%d" % number for number in range(10)]
    nothing_more(reader)


@needs("transactions", "copy", "read_committed", "assign")
def test_copies_of_an_open_transaction_are_not_copied(session: Session) -> None:
    """A copier reads committed records: what is open or aborted in its source goes no further"""
    source, target = session.topic(), session.topic()
    producer = begun(session)
    producer.begin()
    producer.produce(source, numbered(1))
    producer.abort()
    producer.begin()
    producer.produce(source, numbered(2))
    producer.commit()
    producer.begin()
    producer.produce(source, numbered(3))
    Application(session, CopySettings(session.name("tx"), session.group(), source, target)).copy_all(1)
    assert values(read(committed(session, TopicPartition(target, 0)), 1)) == [b"2"]


@needs("transactions", "reconnects", "read_committed", "assign")
def test_a_transaction_outlives_a_killed_broker(owned: Session) -> None:
    """The broker killed in the midst of a transaction: it goes on, and is committed as a whole"""
    partition = owned.partition()
    producer = begun(owned, timeout=60.0)
    producer.begin()
    producer.produce(partition.topic, numbered(*range(10)))
    restart_killed(owned)
    producer.produce(partition.topic, numbered(*range(10, 20)), within=60)
    reader = committed(owned, partition)
    nothing_more(reader)
    producer.commit()
    assert values(read(reader, 20)) == [b"%d" % number for number in range(20)]


@needs("transactions", "reconnects", "read_committed", "assign")
def test_ended_transactions_stay_what_they_are(owned: Session) -> None:
    """After a kill what was committed is read, what was aborted is not, and the transactional id goes on"""
    partition, name = owned.partition(), owned.name("tx")
    first = begun(owned, name)
    for number in range(6):
        first.begin()
        first.produce(partition.topic, numbered(number))
        if number % 2:
            first.commit()
        else:
            first.abort()
    restart_killed(owned)
    reader = committed(owned, partition)
    assert values(read(reader, 3)) == [b"1", b"3", b"5"]
    second = begun(owned, name)
    second.begin()
    second.produce(partition.topic, numbered(6))
    second.commit()
    assert values(read(reader, 1)) == [b"6"]


@needs("transactions", "copy", "copy_reconnects", "idempotence", "reconnects", "read_committed", "assign", "partitions")
def test_copies_outlive_a_killed_broker(owned: Session) -> None:
    """The broker killed under a copier, which is opened again when it fails: each record is copied once, in order"""
    source, target = owned.topic(2), owned.topic(2)
    settings = CopySettings(owned.name("tx"), owned.group(), source, target)
    sent = 0
    application = Application(owned, settings)
    producer = owned.producer(idempotent=True, timeout=60.0)
    for _ in range(2):
        producer.produce(source, [Record(b"%d" % number, partition=number % 2) for number in range(sent, sent + 60)])
        sent += 60
        eventually(application.copy, "a copy")
        restart_killed(owned)
    reader = committed(owned, TopicPartition(target, 0), TopicPartition(target, 1))
    received = []

    def all_copied() -> bool:
        application.copy(0.2)
        received.extend(reader.poll(0.2))
        return len(received) >= sent

    eventually(all_copied, "all copies", within=60)
    nothing_more(reader)
    for partition in range(2):
        copies = [record.value for record in received if record.partition == partition]
        assert copies == [b"%d" % number for number in range(partition, sent, 2)]
