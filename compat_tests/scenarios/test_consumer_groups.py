"""Groups whose partitions the broker assigns, KIP-848: sharing, coming back, and being away too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest

from compat_tests.clients.contract import Committed, Consumer, Record, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.session import Session, drive, eventually, read, read_distinct, values

QUICK: Final = {
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "200",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.assignment.interval.ms": "0",
}
"""The broker says how often members beat, and when one is lost; by default 5 and 45 seconds."""


@pytest.fixture
def quick(connect: Callable[..., Session]) -> Session:
    """The client under test on a broker whose members beat often and are lost soon."""
    return connect("consumer groups", **QUICK)


def partitions(topic: str, count: int) -> set[TopicPartition]:
    """All of a topic."""
    return {TopicPartition(topic, number) for number in range(count)}


def member(session: Session, group: str, *topics: str, **settings: object) -> Consumer:
    """A member that is about to join."""
    return session.member(group, topics, protocol="consumer", **settings)


def sharing(members: list[Consumer], everything: set[TopicPartition]) -> bool:
    """Whether each has a share, and all of them together everything once."""
    shares = [each.assignment() for each in members]
    return all(shares) and sum(map(len, shares)) == len(everything) and set().union(*shares) == everything


@needs("groups", "consumer_protocol")
def test_one_member_reads_everything(quick: Session) -> None:
    """The only member of a consumer group reads all partitions"""
    topic = quick.topic(3)
    quick.producer().produce(topic, [Record(b"%d" % number, b"key %d" % number) for number in range(30)])
    received = read_distinct(member(quick, quick.group(), topic), 30)
    assert sorted(values(received), key=str) == sorted((b"%d" % number for number in range(30)), key=str)


@needs("groups", "group_members", "consumer_protocol")
def test_two_members_share_and_one_leaves(quick: Session) -> None:
    """Two members of a consumer group share the partitions, the first keeps its half all the time; one leaves"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    first = member(quick, group, topic)
    drive([first], lambda: first.assignment() == everything, "the first member to have all")
    fewest = 4
    second = member(quick, group, topic)

    def shared() -> bool:
        nonlocal fewest
        fewest = min(fewest, len(first.assignment()))
        assert not first.assignment() & second.assignment(), "a partition has two owners"
        return sharing([first, second], everything) and len(first.assignment()) == 2

    drive([first, second], shared, "both to share")
    assert fewest == 2
    quick.close(second)
    drive([first], lambda: first.assignment() == everything, "the first member to have all again")


@needs("groups", "group_members", "consumer_protocol")
def test_a_crowd_comes_and_goes(quick: Session) -> None:
    """Four members of a consumer group that come at once share evenly; when three leave, the last one gets all"""
    topic, group = quick.topic(8), quick.group()
    everything = partitions(topic, 8)
    members = [member(quick, group, topic) for _ in range(4)]
    drive(members, lambda: sharing(members, everything), "all to share")
    drive(members, lambda: {len(each.assignment()) for each in members} == {2}, "all to have as much")
    for each in members[1:]:
        quick.close(each)
    drive(members[:1], lambda: members[0].assignment() == everything, "the last member to have all")


@needs("groups", "group_members", "consumer_protocol")
def test_a_killed_member_is_missed(quick: Session) -> None:
    """The partitions of a member of a consumer group whose process was killed go to the others when its session ends"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    survivor = member(quick, group, topic)
    with quick.dying_member(group, topic, protocol="consumer") as victim:
        drive([survivor], lambda: len(survivor.assignment()) == len(victim.assignment()) == 2, "both to share")
        assert survivor.assignment() | victim.assignment() == everything
        victim.kill()
        drive([survivor], lambda: survivor.assignment() == everything, "the survivor to have all")


@needs("groups", "commit", "consumer_protocol")
def test_a_group_goes_on_where_it_committed(quick: Session) -> None:
    """A consumer group that comes back reads on from what it committed"""
    topic, group = quick.topic(), quick.group()
    quick.producer().produce(topic, [Record(b"%d" % number) for number in range(10)])
    first = member(quick, group, topic)
    read(first, 10)
    first.commit({TopicPartition(topic, 0): Committed(6, "")})
    quick.close(first)
    assert values(read(member(quick, group, topic), 4)) == [b"6", b"7", b"8", b"9"]


@needs("groups", "group_members", "static_membership", "leave_for_a_while", "consumer_protocol")
def test_a_static_member_returns_to_its_partitions(quick: Session) -> None:
    """A static member of a consumer group that restarts has its partitions again; the other one keeps its own"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    members = [member(quick, group, topic, instance_id=name) for name in ("one", "two")]
    drive(members, lambda: sharing(members, everything), "both to share")
    shares = [each.assignment() for each in members]
    quick.close(members[1])
    members[1] = member(quick, group, topic, instance_id="two")

    def back() -> bool:
        assert members[0].assignment() == shares[0]
        return bool(members[1].assignment())

    drive(members, back, "the member that came back to have its share")
    assert [each.assignment() for each in members] == shares


@needs("groups", "group_members", "static_membership", "consumer_protocol")
def test_a_static_member_that_stays_away(quick: Session) -> None:
    """A static member of a consumer group that does not come back in time loses its partitions, not before"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    members = [member(quick, group, topic, instance_id=name) for name in ("one", "two")]
    drive(members, lambda: sharing(members, everything), "both to share")
    quick.close(members[1])
    left = time.monotonic()
    drive(members[:1], lambda: members[0].assignment() == everything, "the one that stayed to have all")
    assert time.monotonic() - left > 2, "its partitions went while it could still come back"


@needs("groups", "group_members", "max_poll_interval", "consumer_protocol")
def test_a_member_that_is_not_polled(quick: Session) -> None:
    """A member of a consumer group that is not polled in time loses its partitions, and joins again when it is"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    first = member(quick, group, topic)
    second = member(quick, group, topic, max_poll_interval=6.0)
    drive([first, second], lambda: sharing([first, second], everything), "both to share")
    drive([first], lambda: first.assignment() == everything, "the polled member to have all")
    drive([first, second], lambda: sharing([first, second], everything), "both to share again")


@needs("groups", "group_members", "patterns", "consumer_protocol")
def test_a_pattern_finds_topics(quick: Session) -> None:
    """A member of a consumer group that subscribes to a pattern reads what matches it, and what comes later"""
    prefix = quick.name("pattern")
    producer = quick.producer()
    producer.produce(f"{prefix}-a", [Record(b"a")])
    producer.produce(f"other-{prefix}-a", [Record(b"other")])
    consumer = quick.consumer(quick.group(), protocol="consumer")
    consumer.subscribe_pattern(f"{prefix}-.*")
    assert values(read(consumer, 1)) == [b"a"]
    producer.produce(f"{prefix}-b", [Record(b"b")])
    eventually(lambda: b"b" in values(consumer.poll(0.2)), "the record of the later topic")


@needs("groups", "group_members", "create_partitions", "consumer_protocol")
def test_a_growing_topic_is_read(quick: Session) -> None:
    """A member of a consumer group finds partitions that are added while it reads"""
    topic = quick.topic(1)
    consumer = member(quick, quick.group(), topic)
    drive([consumer], lambda: consumer.assignment() == partitions(topic, 1), "the first partition")
    quick.admin.create_partitions(topic, 3)
    drive([consumer], lambda: consumer.assignment() == partitions(topic, 3), "the new partitions")


@needs("groups", "group_members", "delete_topics", "no_auto_creation", "consumer_protocol")
def test_a_deleted_topic_is_let_go(quick: Session) -> None:
    """A member of a consumer group that reads two topics goes on with one when the other one is deleted"""
    kept, deleted = quick.topic(2), quick.topic(2)
    consumer = member(quick, quick.group(), kept, deleted)
    everything = partitions(kept, 2) | partitions(deleted, 2)
    drive([consumer], lambda: consumer.assignment() == everything, "both topics")
    quick.admin.delete_topic(deleted)
    remaining = partitions(kept, 2)
    drive([consumer], lambda: consumer.assignment() == remaining, "the one that is left", whatever_errors=True)
    quick.producer().produce(kept, [Record(b"on")])
    eventually(lambda: b"on" in values(consumer.poll(0.2)), "a record of the one that is left")


@needs("groups", "group_members", "resubscribe", "consumer_protocol")
def test_subscribing_again(quick: Session) -> None:
    """A member of a consumer group that subscribes to something else gets that instead"""
    topics = [quick.topic(1), quick.topic(2)]
    consumer = member(quick, quick.group(), topics[0])
    drive([consumer], lambda: consumer.assignment() == partitions(topics[0], 1), "the first topic")
    consumer.subscribe(topics[1:])
    drive([consumer], lambda: consumer.assignment() == partitions(topics[1], 2), "the second topic")


@needs("groups", "group_members", "cooperative", "consumer_protocol")
def test_a_live_group_is_upgraded_and_back(quick: Session) -> None:
    """Members of both protocols share one group while it moves to the new protocol, and back to the old one"""
    topic, group = quick.topic(4), quick.group()
    everything = partitions(topic, 4)
    old = quick.member(group, [topic], assignor="cooperative")
    drive([old], lambda: old.assignment() == everything, "the classic member to have all")
    new = member(quick, group, topic)
    drive([old, new], lambda: sharing([old, new], everything), "both to share")
    quick.close(old)
    drive([new], lambda: new.assignment() == everything, "the new member to have all")
    older = quick.member(group, [topic], assignor="cooperative")
    drive([new, older], lambda: sharing([new, older], everything), "both to share again")
    quick.close(new)
    drive([older], lambda: older.assignment() == everything, "the classic member to have all again")
