"""Restarts: what was acknowledged is there after the broker was stopped or killed under its clients."""

from __future__ import annotations

from compat_tests.clients.contract import Committed, Record, Stored, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.scenarios.test_groups import sharing
from compat_tests.session import Session, drive, eventually, read, values


def restart_killed(session: Session) -> None:
    """SIGKILL, and start again on the same port and data."""
    session.owned_broker.kill()
    session.owned_broker.start()


@needs("assign", "stored_offsets", "describe_configs", "describe_cluster")
def test_a_graceful_restart_keeps_everything(owned: Session) -> None:
    """Records, their offsets and a topic's settings are there after a graceful restart"""
    topic = owned.topic(2, {"retention.ms": "7200000"})
    records = [Record(b"%d" % number, b"k", partition=number % 2) for number in range(20)]
    owned.producer(idempotent=True).produce(topic, records)
    cluster = owned.admin.cluster()
    owned.owned_broker.shut_down()
    owned.owned_broker.start()
    received = read(owned.reader(TopicPartition(topic, 1)), 10)
    assert [(record.offset, record.value) for record in received] == [(n, b"%d" % (2 * n + 1)) for n in range(10)]
    assert owned.admin.describe_configs("topic", topic)["retention.ms"].value == "7200000"
    assert owned.admin.cluster() == cluster


@needs("reconnects", "idempotence", "stored_offsets", "assign")
def test_an_idempotent_producer_outlives_a_killed_broker(owned: Session) -> None:
    """The broker killed under an idempotent producer: all is there once, in order, where it was acknowledged"""
    partition = owned.partition()
    producer = owned.producer(idempotent=True, timeout=60.0)
    sent, stored = 0, []
    for _ in range(2):
        batch = [Record(b"%d" % number) for number in range(sent, sent + 200)]
        stored += producer.produce(partition.topic, batch[:100])
        producer.send(partition.topic, batch[100:])
        restart_killed(owned)
        outcomes = producer.outcomes(60)
        assert [each for each in outcomes if not isinstance(each, Stored)] == []
        stored += [each for each in outcomes if isinstance(each, Stored)]
        sent += 200
    received = read(owned.reader(partition), sent)
    assert values(received) == [b"%d" % number for number in range(sent)]
    assert [record.offset for record in received] == [place.offset for place in stored]


@needs("reconnects", "stored_offsets", "assign")
def test_acknowledged_records_survive_a_killed_broker(owned: Session) -> None:
    """What was acknowledged before the broker was killed is at its acknowledged offset"""
    partition = owned.partition()
    producers = [owned.producer(acks=1), owned.producer(acks="all")]
    stored: dict[int, bytes] = {}
    for number in range(40):
        value = b"%d" % number
        stored[producers[number % 2].produce(partition.topic, [Record(value)])[0].offset] = value
    restart_killed(owned)
    received = read(owned.reader(partition), 40)
    assert {record.offset: record.value for record in received} == stored


@needs("reconnects", "groups", "commit", "committed", "idempotence")
def test_a_group_outlives_a_killed_broker(owned: Session) -> None:
    """The broker killed under a member of a group: it reads on, and what it committed is not forgotten"""
    topic, group = owned.topic(), owned.group()
    partition = TopicPartition(topic, 0)
    owned.producer().produce(topic, [Record(b"%d" % number) for number in range(5)])
    consumer = owned.member(group, [topic])
    read(consumer, 5)
    consumer.commit({partition: Committed(5, "")})
    restart_killed(owned)
    eventually(lambda: owned.producer(idempotent=True).produce(topic, [Record(b"after")]), "the broker to be back")
    received = []

    def arrived() -> bool:
        received.extend(consumer.poll(0.2))
        return any(record.value == b"after" for record in received)

    eventually(arrived, "the record after the restart")
    assert values(received) == [b"after"]
    eventually(lambda: consumer.commit() is None, "a commit after the restart")
    owned.close(consumer)
    newcomer = owned.member(group, [topic])
    eventually(lambda: not newcomer.poll(0.1) and newcomer.assignment(), "the next member to have its share")
    found = newcomer.committed([partition])[partition]
    assert found is not None and found.offset == 6


@needs("reconnects", "groups", "group_members")
def test_two_members_outlive_a_killed_broker(owned: Session) -> None:
    """The broker killed under two members of a group: they share again, and one gets all when the other leaves"""
    topic, group = owned.topic(4), owned.group()
    everything = {TopicPartition(topic, number) for number in range(4)}
    members = [owned.member(group, [topic]) for _ in range(2)]
    drive(members, lambda: sharing(members, everything), "both to share")
    restart_killed(owned)
    producer = owned.producer()
    eventually(lambda: producer.produce(topic, [Record(b"after")] * 4), "the broker to be back")
    received = []

    def read_all() -> bool:
        for member in members:
            received.extend(member.poll(0.1))
        return len(received) >= 4

    eventually(read_all, "the records after the restart")
    drive(members, lambda: sharing(members, everything), "both to share again", whatever_errors=True)
    owned.close(members[1])
    drive(members[:1], lambda: members[0].assignment() == everything, "the first member to have all")


@needs("reconnects", "assign")
def test_a_waiting_consumer_outlives_a_killed_broker(owned: Session) -> None:
    """The broker killed under a consumer that waits: it goes on where it was"""
    partition = owned.partition()
    owned.producer().produce(partition.topic, [Record(b"before")])
    consumer = owned.reader(partition, max_wait_ms=5000)
    read(consumer, 1)
    consumer.poll(0.1)
    restart_killed(owned)
    eventually(lambda: owned.producer().produce(partition.topic, [Record(b"after")]), "the broker to be back")
    received = []

    def arrived() -> bool:
        received.extend(consumer.poll(0.2))
        return bool(received)

    eventually(arrived, "the record after the restart")
    assert set(values(received)) == {b"after"}


@needs("create_topics", "delete_topics", "list_topics")
def test_topics_survive_a_killed_broker(owned: Session) -> None:
    """After a kill there are the topics that were created, and none that was deleted"""
    kept, deleted = owned.topic(3), owned.topic(1)
    owned.admin.delete_topic(deleted)
    restart_killed(owned)
    admin = owned.driver.admin(owned.bootstrap)
    eventually(lambda: admin.topics().get(kept) == 3 and deleted not in admin.topics(), "the same topics as before")
    admin.close()
