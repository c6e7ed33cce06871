"""Administration: groups, settings and the cluster as an admin client sees and changes them."""

from __future__ import annotations

import os

import pytest

from compat_tests.clients.contract import Consumer, Record, Refused, TopicPartition
from compat_tests.scenarios import needs
from compat_tests.session import (
    GROUP_ID_NOT_FOUND,
    GROUP_SUBSCRIBED_TO_TOPIC,
    INVALID_CONFIG,
    MESSAGE_TOO_LARGE,
    NON_EMPTY_GROUP,
    UNKNOWN_TOPIC_OR_PARTITION,
    Session,
    drive,
    eventually,
    read,
)

# Apache Kafka's settings of a topic and their defaults.
TOPIC_DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.gzip.level": "-1",
    "compression.lz4.level": "9",
    "compression.type": "producer",
    "compression.zstd.level": "3",
    "delete.retention.ms": "86400000",
    "file.delete.delay.ms": "60000",
    "flush.messages": "9223372036854775807",
    "flush.ms": "9223372036854775807",
    "follower.replication.throttled.replicas": "",
    "index.interval.bytes": "4096",
    "leader.replication.throttled.replicas": "",
    "local.retention.bytes": "-2",
    "local.retention.ms": "-2",
    "max.compaction.lag.ms": "9223372036854775807",
    "max.message.bytes": "1048588",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.type": "CreateTime",
    "min.cleanable.dirty.ratio": "0.5",
    "min.compaction.lag.ms": "0",
    "min.insync.replicas": "1",
    "preallocate": "false",
    "remote.log.copy.disable": "false",
    "remote.log.delete.on.disable": "false",
    "remote.storage.enable": "false",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
    "segment.index.bytes": "10485760",
    "segment.jitter.ms": "0",
    "segment.ms": "604800000",
    "unclean.leader.election.enable": "false",
}


def left_group(session: Session, topic: str) -> str:
    """A group without members that has committed offset 5 of the topic's one partition, with metadata "m"."""
    group = session.group()
    consumer = joined(session, topic, group)
    consumer.commit()
    session.close(consumer)
    return group


def joined(session: Session, topic: str, group: str) -> Consumer:
    """A member that has read five records of a topic of one partition."""
    session.producer().produce(topic, [Record(b"v")] * 5)
    consumer = session.member(group, [topic])
    read(consumer, 5)
    return consumer


@needs("groups", "list_groups")
def test_groups_are_listed(session: Session) -> None:
    """A group is listed while it has members, and after they left"""
    topic, group = session.topic(), session.group()
    consumer = session.member(group, [topic])
    drive([consumer], consumer.assignment, "the member to have a share")
    assert group in session.admin.groups()
    session.close(consumer)
    assert group in session.admin.groups()


@needs("groups", "describe_groups")
def test_a_group_is_described(session: Session) -> None:
    """A group is described with its state, assignor, members and their partitions"""
    topic, group = session.topic(2), session.group()
    everything = {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    consumer = session.member(group, [topic])
    drive([consumer], lambda: consumer.assignment() == everything, "the member to have all")
    described = session.admin.describe_group(group)
    assert described.state == "stable" and described.protocol and len(described.members) == 1
    assert described.members[0].partitions == everything
    assert described.members[0].member_id and described.members[0].client_id


@needs("groups", "commit", "describe_groups")
def test_a_left_group_is_empty(session: Session) -> None:
    """A group whose members have left is empty"""
    group = left_group(session, session.topic())
    eventually(lambda: session.admin.describe_group(group).state == "empty", "the group to be empty")
    assert session.admin.describe_group(group).members == ()


@needs("groups", "commit", "delete_groups", "list_groups")
def test_a_left_group_is_deleted(session: Session) -> None:
    """A group without members can be deleted, and is gone"""
    group = left_group(session, session.topic())
    session.admin.delete_group(group)
    assert group not in session.admin.groups()


@needs("groups", "delete_groups", "error_codes")
def test_a_living_group_is_not_deleted(session: Session) -> None:
    """A group with members cannot be deleted"""
    topic, group = session.topic(), session.group()
    consumer = session.member(group, [topic])
    drive([consumer], consumer.assignment, "the member to have a share")
    with pytest.raises(Refused) as refused:
        session.admin.delete_group(group)
    assert refused.value.code == NON_EMPTY_GROUP


@needs("delete_groups", "error_codes")
def test_an_unknown_group_is_not_deleted(session: Session) -> None:
    """A group that does not exist cannot be deleted"""
    with pytest.raises(Refused) as refused:
        session.admin.delete_group(session.group())
    assert refused.value.code == GROUP_ID_NOT_FOUND


@needs("groups", "commit", "group_offsets")
def test_a_groups_offsets_are_listed(session: Session) -> None:
    """All that a group has committed is listed, for others too"""
    topic = session.topic()
    group = left_group(session, topic)
    found = session.admin.group_offsets(group)
    assert {partition: committed.offset for partition, committed in found.items()} == {TopicPartition(topic, 0): 5}


@needs("groups", "commit", "group_offsets", "alter_group_offsets")
def test_a_groups_offsets_are_changed(session: Session) -> None:
    """The offsets of a group without members can be changed from outside, and it reads on from there"""
    topic = session.topic()
    group = left_group(session, topic)
    session.admin.alter_group_offsets(group, {TopicPartition(topic, 0): 2})
    assert session.admin.group_offsets(group)[TopicPartition(topic, 0)].offset == 2
    assert [record.offset for record in read(session.member(group, [topic]), 3)] == [2, 3, 4]


@needs("groups", "commit", "group_offsets", "delete_group_offsets", "error_codes")
def test_a_groups_offsets_are_forgotten(session: Session) -> None:
    """Single offsets of a group can be forgotten, but not of a topic that it reads"""
    topic = session.topic()
    group = session.group()
    consumer = joined(session, topic, group)
    consumer.commit()
    partition = TopicPartition(topic, 0)
    with pytest.raises(Refused) as refused:
        session.admin.delete_group_offsets(group, [partition])
    assert refused.value.code == GROUP_SUBSCRIBED_TO_TOPIC
    session.close(consumer)
    session.admin.delete_group_offsets(group, [partition])
    assert partition not in session.admin.group_offsets(group)


@needs("describe_configs")
def test_a_topics_configs_are_described(session: Session) -> None:
    """A topic's settings are all there, with Kafka's names and defaults"""
    configs = session.admin.describe_configs("topic", session.topic())
    assert {name: configs[name].value for name in configs.keys() & TOPIC_DEFAULTS.keys()} == TOPIC_DEFAULTS
    assert not any(configs[name].read_only or configs[name].sensitive for name in TOPIC_DEFAULTS)
    # Kafka keeps this one as a default of its cluster, which counts as set.
    assert {name for name in TOPIC_DEFAULTS if not configs[name].default} <= {"min.insync.replicas"}


@needs("describe_configs", "config_errors", "error_codes")
def test_an_unknown_topics_configs_are_refused(session: Session) -> None:
    """The settings of a topic that does not exist are refused"""
    with pytest.raises(Refused) as refused:
        session.admin.describe_configs("topic", session.name())
    assert refused.value.code == UNKNOWN_TOPIC_OR_PARTITION


@needs("describe_configs", "describe_cluster")
def test_a_brokers_configs_are_described(session: Session) -> None:
    """A broker's settings are described, those of its listeners as read-only"""
    node = session.admin.cluster().nodes[0][0]
    configs = session.admin.describe_configs("broker", str(node))
    assert configs["node.id"].value == str(node) and configs["node.id"].read_only
    assert configs["log.segment.bytes"].value == "1073741824" and not configs["log.segment.bytes"].read_only
    assert {"advertised.listeners", "num.partitions", "auto.create.topics.enable"} <= configs.keys()


@needs("describe_configs", "alter_configs")
def test_configs_are_changed_one_by_one(session: Session) -> None:
    """A setting is changed and changed back, and the others stay as they are"""
    topic = session.topic(1, {"retention.ms": "7200000"})
    session.admin.alter_configs("topic", topic, {"max.message.bytes": "5000"})
    eventually(
        lambda: session.admin.describe_configs("topic", topic)["max.message.bytes"].value == "5000", "the new setting"
    )
    assert session.admin.describe_configs("topic", topic)["retention.ms"].value == "7200000"
    session.admin.alter_configs("topic", topic, {"max.message.bytes": None})
    eventually(
        lambda: session.admin.describe_configs("topic", topic)["max.message.bytes"].value == "1048588", "the default"
    )


@needs("alter_configs", "error_codes", "large_requests")
def test_changed_configs_count(session: Session) -> None:
    """A changed setting takes effect while producers are connected"""
    topic = session.topic()
    producer = session.producer()
    producer.produce(topic, [Record(os.urandom(9_000))])
    session.admin.alter_configs("topic", topic, {"max.message.bytes": "5000"})

    def refused() -> bool:
        producer.send(topic, [Record(os.urandom(9_000))])
        (outcome,) = producer.outcomes()
        return isinstance(outcome, Refused) and outcome.code == MESSAGE_TOO_LARGE

    eventually(refused, "the new limit")


@needs("alter_configs", "error_codes")
@pytest.mark.parametrize(
    "changes",
    [{"retention.ms": "soon"}, {"no.such.setting": "1"}, {"cleanup.policy": "archive"}],
    ids=["not-a-number", "unknown-config", "unknown-policy"],
)
def test_wrong_configs_are_refused(session: Session, changes: dict[str, str | None]) -> None:
    """A wrong setting is refused"""
    with pytest.raises(Refused) as refused:
        session.admin.alter_configs("topic", session.topic(), changes)
    assert refused.value.code == INVALID_CONFIG


@needs("describe_cluster")
def test_the_cluster_is_described(session: Session) -> None:
    """The cluster has an id, and its brokers are where clients reach them"""
    cluster = session.admin.cluster()
    host, port = session.bootstrap.rsplit(":", 1)
    assert (host, int(port)) in [(name, number) for _, name, number in cluster.nodes]
    assert len({(name, number) for _, name, number in cluster.nodes}) == len(cluster.nodes)
    assert cluster.controller in [node_id for node_id, _, _ in cluster.nodes]
    assert cluster.cluster_id is None or len(cluster.cluster_id) == 22


@needs("log_sizes")
def test_log_directories_are_described(session: Session) -> None:
    """The size of a partition grows with what is written to it"""
    partition = session.partition()
    assert session.admin.log_sizes()[partition] == 0
    session.producer().produce(partition.topic, [Record(os.urandom(1000))])
    assert 1000 < session.admin.log_sizes()[partition] < 1200
