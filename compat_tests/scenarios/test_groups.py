"""Groups: sharing a topic's partitions, committing, coming back."""

from __future__ import annotations

from compat_tests.clients.contract import Committed, Consumer, Record, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.session import Session, drive, eventually, read, read_distinct, values


def partitions(topic: str, count: int) -> set[TopicPartition]:
    """All of a topic."""
    return {TopicPartition(topic, number) for number in range(count)}


def sharing(members: list[Consumer], everything: set[TopicPartition]) -> bool:
    """Whether each has a share, and all of them together everything once."""
    shares = [member.assignment() for member in members]
    return all(shares) and sum(map(len, shares)) == len(everything) and set().union(*shares) == everything


@needs("groups")
def test_one_member_reads_everything(session: Session) -> None:
    """The only member of a group reads all partitions"""
    topic = session.topic(3)
    session.producer().produce(topic, [Record(b"%d" % number, b"key %d" % number) for number in range(30)])
    received = read_distinct(session.member(session.group(), [topic]), 30)
    assert sorted(values(received), key=str) == sorted((b"%d" % number for number in range(30)), key=str)


@needs("groups", "group_members", "partitions")
def test_two_members_share_and_one_leaves(session: Session) -> None:
    """Two members share the partitions; when one leaves, the other gets all of them"""
    topic, group = session.topic(4), session.group()
    everything = partitions(topic, 4)
    first = session.member(group, [topic])
    drive([first], lambda: first.assignment() == everything, "the first member to have all")
    second = session.member(group, [topic])
    drive([first, second], lambda: sharing([first, second], everything), "both to share")
    producer = session.producer()
    producer.produce(topic, [Record(b"%d" % number, partition=number) for number in range(4)])
    received: list[set[TopicPartition]] = [set(), set()]

    def all_read() -> bool:
        for had, member in zip(received, (first, second), strict=True):
            had |= {TopicPartition(record.topic, record.partition) for record in member.poll(0.05)}
        return set().union(*received) == everything

    eventually(all_read, "all partitions to be read")
    assert received == [first.assignment(), second.assignment()]
    session.close(second)
    drive([first], lambda: first.assignment() == everything, "the first member to have all again")


@needs("groups", "group_members")
def test_a_crowd_comes_and_goes(session: Session) -> None:
    """Four members that come at once share the partitions; when three leave at once, the last one gets all"""
    topic, group = session.topic(8), session.group()
    everything = partitions(topic, 8)
    members = [session.member(group, [topic]) for _ in range(4)]
    drive(members, lambda: sharing(members, everything), "all to share")
    for member in members[1:]:
        session.close(member)
    drive(members[:1], lambda: members[0].assignment() == everything, "the last member to have all")


@needs("groups", "group_members", "range_assignor")
def test_a_killed_member_is_missed(session: Session) -> None:
    """The partitions of a member whose process was killed go to the others when its session ends"""
    topic, group = session.topic(4), session.group()
    everything = {TopicPartition(topic, number) for number in range(4)}
    survivor = session.member(group, [topic])
    with session.dying_member(group, topic, session_timeout=6.0) as victim:
        drive([survivor], lambda: len(survivor.assignment()) == len(victim.assignment()) == 2, "both to share")
        assert survivor.assignment() | victim.assignment() == everything
        victim.kill()
        drive([survivor], lambda: survivor.assignment() == everything, "the survivor to have all")


@needs("groups", "group_members", "delete_topics", "create_topics", "recreated_topics", "no_auto_creation")
def test_a_member_reads_a_topic_made_again(session: Session) -> None:
    """A member whose topic is deleted and created again reads the new one from its beginning"""
    topic, group = session.topic(1), session.group()
    session.producer().produce(topic, [Record(b"old %d" % number) for number in range(20)])
    consumer = session.member(group, [topic])
    read(consumer, 20)
    session.admin.delete_topic(topic)
    eventually(lambda: session.admin.create_topic(topic, 1) is None, "the name to be free again")
    producer = session.producer()
    received: list[bytes | None] = []

    def arrived() -> bool:
        received.extend(values(consumer.poll(0.2)))
        return b"new" in received

    eventually(lambda: producer.produce(topic, [Record(b"new")]), "the new topic")
    eventually(arrived, "the new record")


@needs("groups", "group_members")
def test_round_robin(session: Session) -> None:
    """Members with another assignor share several topics' partitions evenly"""
    topics, group = [session.topic(2), session.topic(2)], session.group()
    everything = partitions(topics[0], 2) | partitions(topics[1], 2)
    members = [session.member(group, topics, assignor="roundrobin") for _ in range(2)]
    drive(members, lambda: sharing(members, everything), "both to share")
    assert [len(member.assignment()) for member in members] == [2, 2]


@needs("groups", "group_members", "cooperative")
def test_cooperative_rebalancing(session: Session) -> None:
    """In a cooperative group the first member keeps its half without a break when a second one comes"""
    topic, group = session.topic(4), session.group()
    everything = partitions(topic, 4)
    first = session.member(group, [topic], assignor="cooperative")
    drive([first], lambda: first.assignment() == everything, "the first member to have all")
    fewest = 4
    second = session.member(group, [topic], assignor="cooperative")

    def shared() -> bool:
        nonlocal fewest
        fewest = min(fewest, len(first.assignment()))
        return sharing([first, second], everything) and len(first.assignment()) == 2

    drive([first, second], shared, "both to share")
    assert fewest == 2
    session.close(first)
    drive([second], lambda: second.assignment() == everything, "the second member to have all")


@needs("groups", "group_members", "static_membership")
def test_a_static_member_returns_to_its_partitions(session: Session) -> None:
    """A static member that restarts has its partitions again, and the other member keeps its own all the time"""
    topic, group = session.topic(4), session.group()
    everything = partitions(topic, 4)
    settings = [{"instance_id": "one", "session_timeout": 30.0}, {"instance_id": "two", "session_timeout": 30.0}]
    members = [session.member(group, [topic], **each) for each in settings]
    drive(members, lambda: sharing(members, everything), "both to share")
    shares = [member.assignment() for member in members]
    session.close(members[1])
    members[1] = session.member(group, [topic], **settings[1])

    def back() -> bool:
        assert members[0].assignment() == shares[0]
        return bool(members[1].assignment())

    drive(members, back, "the member that came back to have its share")
    assert [member.assignment() for member in members] == shares


@needs("groups", "commit")
def test_a_group_goes_on_where_it_committed(session: Session) -> None:
    """A group that comes back reads on from what it committed"""
    topic, group = session.topic(), session.group()
    partition = TopicPartition(topic, 0)
    session.producer().produce(topic, [Record(b"%d" % number) for number in range(10)])
    first = session.member(group, [topic])
    read(first, 10)
    first.commit({partition: Committed(6, "")})
    session.close(first)
    assert values(read(session.member(group, [topic]), 4)) == [b"6", b"7", b"8", b"9"]


@needs("groups", "commit", "committed")
def test_what_was_read_is_committed(session: Session) -> None:
    """Committing without offsets commits what was read"""
    topic, group = session.topic(), session.group()
    partition = TopicPartition(topic, 0)
    session.producer().produce(topic, [Record(b"%d" % number) for number in range(10)])
    consumer = session.member(group, [topic])
    read(consumer, 10)
    consumer.commit()
    found = consumer.committed([partition])[partition]
    assert found is not None and found.offset == 10


@needs("groups")
def test_leaving_commits_automatically(session: Session) -> None:
    """With automatic commits a member that leaves commits what it has read, and the next one reads on"""
    topic, group = session.topic(), session.group()
    session.producer().produce(topic, [Record(b"old")])
    first = session.member(group, [topic], auto_commit=True)
    read(first, 1)
    # Some count a record as read when the next one is asked for.
    first.poll(0.1)
    session.close(first)
    session.producer().produce(topic, [Record(b"new")])
    assert values(read(session.member(group, [topic], auto_commit=True), 1)) == [b"new"]


@needs("groups", "committed")
def test_nothing_is_committed_at_first(session: Session) -> None:
    """A new group has committed nothing"""
    topic = session.topic()
    consumer = session.member(session.group(), [topic])
    drive([consumer], consumer.assignment, "the member to have all")
    assert consumer.committed([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): None}


@needs("commit_without_joining", "assign", "committed")
def test_committing_without_joining(session: Session) -> None:
    """A consumer that chose its partitions itself commits under a group's name"""
    partition, group = session.partition(), session.group()
    session.producer().produce(partition.topic, [Record(b"%d" % number) for number in range(5)])
    consumer = session.consumer(group)
    consumer.assign({partition: "beginning"})
    read(consumer, 5)
    consumer.commit({partition: Committed(3, "")})
    session.close(consumer)
    consumer = session.consumer(group)
    consumer.assign({partition: None})
    assert values(read(consumer, 2)) == [b"3", b"4"]


@needs("commit", "commit_metadata", "committed", "commit_without_joining", "assign")
def test_commit_metadata(session: Session) -> None:
    """The metadata of a commit comes back with it, and is replaced by the next one"""
    partition, group = session.partition(), session.group()
    consumer = session.consumer(group)
    consumer.assign({partition: "beginning"})
    for committed in (Committed(1, "written by node ü"), Committed(2, "")):
        consumer.commit({partition: committed})
        assert consumer.committed([partition]) == {partition: committed}


@needs("groups", "group_members", "patterns")
def test_a_pattern_finds_topics(session: Session) -> None:
    """A subscription to a pattern reads the topics that match it, and those that come later"""
    prefix = session.name("pattern")
    producer = session.producer()
    producer.produce(f"{prefix}-a", [Record(b"a")])
    consumer = session.consumer(session.group())
    consumer.subscribe_pattern(f"{prefix}-.*")
    assert values(read(consumer, 1)) == [b"a"]
    producer.produce(f"{prefix}-b", [Record(b"b")])
    # A client that rebalances eagerly without having committed may read the first record again.
    eventually(lambda: b"b" in values(consumer.poll(0.2)), "the record of the later topic")


@needs("groups", "group_members", "create_partitions")
def test_a_growing_topic_is_read(session: Session) -> None:
    """A member of a group finds partitions that are added while it reads"""
    topic = session.topic(1)
    consumer = session.member(session.group(), [topic])
    drive([consumer], lambda: consumer.assignment() == partitions(topic, 1), "the first partition")
    session.admin.create_partitions(topic, 3)
    drive([consumer], lambda: consumer.assignment() == partitions(topic, 3), "the new partitions")


@needs("groups", "group_members", "resubscribe")
def test_subscribing_again(session: Session) -> None:
    """A member that subscribes to something else gets that instead"""
    topics, group = [session.topic(1), session.topic(2)], session.group()
    consumer = session.member(group, topics[:1])
    drive([consumer], lambda: consumer.assignment() == partitions(topics[0], 1), "the first topic")
    consumer.subscribe(topics[1:])
    drive([consumer], lambda: consumer.assignment() == partitions(topics[1], 2), "the second topic")


@needs("groups")
def test_groups_do_not_disturb_each_other(session: Session) -> None:
    """Each group reads everything"""
    topic = session.topic(2)
    session.producer().produce(topic, [Record(b"%d" % number, b"key %d" % number) for number in range(10)])
    for _ in range(2):
        assert len(read_distinct(session.member(session.group(), [topic]), 10)) == 10
