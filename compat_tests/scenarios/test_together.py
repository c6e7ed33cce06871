"""Together: clients of different kinds share topics and groups."""

from __future__ import annotations

from collections.abc import Callable

from compat_tests.clients.contract import Record, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.scenarios.test_groups import partitions, sharing
from compat_tests.session import Session, drive, read

Others = Callable[..., list[Session]]


@needs("assign")
def test_others_read_what_it_writes(session: Session, others: Others) -> None:
    """What the client writes, with every codec it has, other clients read"""
    partition = session.partition()
    sent: list[tuple[bytes, bytes]] = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        if codec not in session.cannot:
            records = [Record(b"%d %s" % (number, b"x" * 50), codec.encode()) for number in range(20)]
            session.producer(codec=codec, linger_ms=20).produce(partition.topic, records)
            sent += [(record.key or b"", record.value or b"") for record in records]
    for other in others("assign", "lz4", "zstd"):
        received = read(other.reader(partition), len(sent))
        assert [(record.key, record.value) for record in received] == sent, other.name()


@needs("assign", "headers", "partitions")
def test_it_reads_what_others_write(session: Session, others: Others) -> None:
    """What other clients write to one topic, in turn, the client reads in order and with its headers"""
    partition = session.partition()
    sent: list[tuple[bytes | None, str]] = []
    writers = others("headers", "gzip")
    for round_number in range(2):
        for number, writer in enumerate(writers):
            value = b"%d from %d" % (round_number, number)
            record = Record(value, b"k", (("from", str(number).encode()),), partition=0)
            writer.producer(codec="gzip" if round_number else "none").produce(partition.topic, [record])
            sent.append((value, str(number)))
    received = read(session.reader(partition), len(sent))
    assert [record.value for record in received] == [value for value, _ in sent]
    assert [record.headers for record in received] == [(("from", number.encode()),) for _, number in sent]


@needs("groups", "group_members", "range_assignor")
def test_it_shares_a_group_with_others(session: Session, others: Others) -> None:
    """In a group of different clients each gets its share, and the client gets all when the others have left"""
    topic, group = session.topic(6), session.group()
    everything = partitions(topic, 6)
    own = session.member(group, [topic])
    drive([own], lambda: own.assignment() == everything, "the first member to have all")
    for other in others("groups", "group_members", "range_assignor"):
        guest = other.member(group, [topic])
        drive([own, guest], lambda guest=guest: sharing([own, guest], everything), "both to share")  # type: ignore[misc]
        other.close(guest)
        drive([own], lambda: own.assignment() == everything, "the first member to have all again")


@needs("groups", "commit", "group_offsets")
def test_others_go_on_where_it_committed(session: Session, others: Others) -> None:
    """What the client commits for a group, other clients find"""
    topic, group = session.topic(), session.group()
    session.producer().produce(topic, [Record(b"v")] * 4)
    consumer = session.member(group, [topic])
    read(consumer, 4)
    consumer.commit()
    for other in others("group_offsets"):
        assert other.admin.group_offsets(group)[TopicPartition(topic, 0)].offset == 4
