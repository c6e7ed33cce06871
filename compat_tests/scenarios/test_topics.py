"""Topics: making, growing, deleting them, and what happens when they are not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat_tests.clients.contract import Failed, Producer, Record, Refused, Stored, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.scenarios.test_housekeeping import SETTINGS
from compat_tests.session import (
    INVALID_CONFIG,
    INVALID_PARTITIONS,
    INVALID_TOPIC_EXCEPTION,
    TOPIC_ALREADY_EXISTS,
    UNKNOWN_TOPIC_OR_PARTITION,
    Session,
    eventually,
    read,
    read_distinct,
    values,
)


@needs("create_topics", "list_topics")
def test_a_created_topic_has_its_partitions(session: Session) -> None:
    """A topic is created with the number of partitions asked for, and listed"""
    name = session.name()
    session.admin.create_topic(name, 3)
    eventually(lambda: session.admin.topics().get(name) == 3, "the topic")


@needs("create_topics", "list_topics", "default_partitions", "describe_configs", "describe_cluster")
def test_a_topic_created_without_a_number_gets_the_default(session: Session) -> None:
    """A topic created without a number of partitions gets the broker's default"""
    node = session.admin.cluster().nodes[0][0]
    default = session.admin.describe_configs("broker", str(node))["num.partitions"].value
    name = session.name()
    session.admin.create_topic(name)
    eventually(lambda: str(session.admin.topics().get(name)) == default, "the topic")


@needs("create_topics", "describe_configs")
def test_a_created_topic_has_its_configs(session: Session) -> None:
    """A topic is created with settings of its own, and the others at their defaults"""
    name = session.topic(1, {"retention.ms": "7200000", "cleanup.policy": "compact"})
    configs = session.admin.describe_configs("topic", name)
    assert (configs["retention.ms"].value, configs["retention.ms"].default) == ("7200000", False)
    assert (configs["cleanup.policy"].value, configs["cleanup.policy"].default) == ("compact", False)
    assert (configs["segment.bytes"].value, configs["segment.bytes"].default) == ("1073741824", True)


@needs("create_topics", "error_codes")
def test_a_topic_that_exists_is_not_created_again(session: Session) -> None:
    """Creating a topic that exists is refused"""
    name = session.topic()
    with pytest.raises(Refused) as refused:
        session.admin.create_topic(name, 1)
    assert refused.value.code == TOPIC_ALREADY_EXISTS


@needs("create_topics", "error_codes")
@pytest.mark.parametrize(
    ("name", "partitions", "configs", "code"),
    [
        ("not a name", 1, {}, INVALID_TOPIC_EXCEPTION),
        ("x" * 250, 1, {}, INVALID_TOPIC_EXCEPTION),
        pytest.param("refused", 0, {}, INVALID_PARTITIONS, marks=needs("no_partitions")),
        ("refused", 1, {"retention.ms": "soon"}, INVALID_CONFIG),
        ("refused", 1, {"no.such.setting": "1"}, INVALID_CONFIG),
        ("refused", 1, {"compression.type": "zip"}, INVALID_CONFIG),
    ],
    ids=["space", "long", "no-partitions", "not-a-number", "unknown-config", "unknown-codec"],
)
def test_a_wrong_topic_is_refused(
    session: Session, name: str, partitions: int, configs: dict[str, str], code: int
) -> None:
    """A topic with a wrong name, number of partitions or setting is refused, each with its own error"""
    with pytest.raises(Refused) as refused:
        session.admin.create_topic(session.name() if name == "refused" else name, partitions, configs)
    assert refused.value.code == code


@needs("delete_topics", "list_topics")
def test_a_deleted_topic_is_gone(session: Session) -> None:
    """A deleted topic is not listed any more"""
    name = session.topic()
    session.admin.delete_topic(name)
    eventually(lambda: name not in session.admin.topics(), "the topic to be gone")


@needs("delete_topics", "error_codes")
def test_a_topic_that_is_not_there_cannot_be_deleted(session: Session) -> None:
    """Deleting a topic that does not exist is refused"""
    with pytest.raises(Refused) as refused:
        session.admin.delete_topic(session.name())
    assert refused.value.code == UNKNOWN_TOPIC_OR_PARTITION


@needs("delete_topics", "create_topics", "stored_offsets", "assign")
def test_a_topic_deleted_and_made_again_at_once_is_empty(session: Session) -> None:
    """A topic deleted and created again at once has none of its old records, and its offsets begin at 0"""
    name = session.topic()
    partition = TopicPartition(name, 0)
    session.producer().produce(name, [Record(b"old 1"), Record(b"old 2")])
    session.admin.delete_topic(name)
    eventually(lambda: created(session, name), "the name to be free again")
    eventually(lambda: session.admin.topics().get(name) == 1, "the new topic")
    # New clients: what an old one makes of a topic with a new id is its own affair.
    assert stored_at_last(session.producer(), name) == Stored(0, 0)
    assert values(read(session.reader(partition), 1)) == [b"new"]


def created(session: Session, name: str) -> bool:
    """Whether the topic could be created; deletion may take its time."""
    session.admin.create_topic(name, 1)
    return True


def stored_at_last(producer: Producer, topic: str) -> Stored:
    """Where the first record is stored that the producer gets through to a topic that is new."""
    stored: list[Stored] = []

    def done() -> bool:
        stored.extend(producer.produce(topic, [Record(b"new")]))
        return True

    eventually(done, "a record in the new topic")
    return stored[-1]


@needs("delete_topics", "create_topics", "stored_offsets", "recreated_topics")
def test_a_producer_survives_its_topic_being_made_again(session: Session) -> None:
    """A producer goes on after its topic was deleted and created again"""
    name = session.topic()
    producer = session.producer()
    producer.produce(name, [Record(b"old 1"), Record(b"old 2")])
    session.admin.delete_topic(name)
    eventually(lambda: created(session, name), "the name to be free again")
    assert stored_at_last(producer, name).offset < 2


@needs("create_partitions", "list_topics", "partitions", "stored_offsets")
def test_a_topic_grows(session: Session) -> None:
    """Partitions added to a topic can be written and read at once"""
    name = session.topic(1)
    session.admin.create_partitions(name, 3)
    eventually(lambda: session.admin.topics().get(name) == 3, "the new partitions")
    stored = session.producer().produce(name, [Record(b"first", partition=2)])
    assert stored == [Stored(2, 0)]


@needs("create_partitions", "error_codes")
def test_a_topic_does_not_shrink(session: Session) -> None:
    """Fewer partitions, or as many as there are, are refused"""
    name = session.topic(2)
    for total in (1, 2):
        with pytest.raises(Refused) as refused:
            session.admin.create_partitions(name, total)
        assert refused.value.code == INVALID_PARTITIONS


@needs("partitions", "stored_offsets", "assign")
def test_many_partitions(session: Session) -> None:
    """Sixty partitions are written and read by one client at once"""
    name = session.topic(60)
    records = [Record(b"%d" % number, partition=number % 60) for number in range(180)]
    stored = session.producer(linger_ms=5).produce(name, records)
    assert [place.partition for place in stored] == [record.partition for record in records]
    received = read_distinct(session.reader(*(TopicPartition(name, number) for number in range(60))), 180)
    for number in range(60):
        here = [record for record in received if record.partition == number]
        assert values(here) == [b"%d" % each for each in (number, number + 60, number + 120)]
        assert [record.offset for record in here] == sorted(record.offset for record in here)


def test_producing_creates_the_topic(session: Session) -> None:
    """A topic that does not exist is created when it is first written to"""
    name = session.name()
    session.producer().produce(name, [Record(b"first"), Record(b"second")])
    received = read_distinct(session.member(session.group(), [name]), 2)
    assert sorted(values(received), key=str) == [b"first", b"second"]


@needs("error_codes", "list_topics")
def test_producing_creates_nothing_where_that_is_off(connect: Callable[..., Session]) -> None:
    """With auto.create.topics.enable=false an unknown topic stays unknown, and its producer hears of it"""
    session = connect("housekeeping", **SETTINGS)
    name = session.name()
    producer = session.producer(timeout=1.0)
    producer.send(name, [Record(b"into the void")])
    (outcome,) = producer.outcomes()
    assert isinstance(outcome, Failed) or (isinstance(outcome, Refused) and outcome.code == UNKNOWN_TOPIC_OR_PARTITION)
    assert name not in session.admin.topics()


@needs("no_auto_creation", "list_topics", "assign")
def test_reading_creates_nothing_unasked(session: Session) -> None:
    """A consumer that does not ask for creation does not cause it, and reads the topic once it is there"""
    name = session.name()
    consumer = session.member(session.group(), [name])
    assert consumer.poll(0.3) == []
    assert name not in session.admin.topics()
    session.producer().produce(name, [Record(b"there now")])
    assert values(read(consumer, 1)) == [b"there now"]
