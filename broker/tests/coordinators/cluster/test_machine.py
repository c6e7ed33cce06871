"""The cluster machine: what its records add up to, and which decisions it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from broker.config.topics import check_topic_configs
from broker.coordinators.cluster.configs import MAX_RESOURCES
from broker.coordinators.cluster.image import ResourceType, difference
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.producer_ids import BLOCK_SIZE, MAX_PRODUCER_ID, decide_block
from broker.coordinators.cluster.topics import (
    Assignment,
    NewPartitions,
    NewTopic,
    TopicRules,
    check_request_size,
    creation_size,
    decide_creation,
    growth_size,
)
from broker.tests.coordinators.cluster.decided import NODE, NOW, RULES, Cluster, id_of
from kproto.errors import ErrorCode, KafkaError, UnsupportedVersion
from kproto.formats.cluster_metadata import (
    ConfigRecord,
    DelegationTokenRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
    UserScramCredentialRecord,
)


def refused(code: ErrorCode, call: Callable[[], object]) -> None:
    with pytest.raises(KafkaError) as caught:
        call()
    assert caught.value.code is code


# --- creation


def test_creating_a_topic_writes_kafkas_records_in_kafkas_order() -> None:
    """TopicRecord, ConfigRecords, one PartitionRecord for each partition, led by this node at epoch 0."""
    cluster = Cluster()
    topic = cluster.create("t", 2, 1, configs={"retention.ms": "5"})
    assert cluster.log[0] == TopicRecord(name="t", topic_id=topic.topic_id)
    assert cluster.log[1] == ConfigRecord(resource_type=2, resource_name="t", name="retention.ms", value="5")
    assert [record.partition_id for record in cluster.log[2:]] == [0, 1]
    partition = cluster.log[2]
    assert isinstance(partition, PartitionRecord)
    assert (partition.leader, partition.leader_epoch, partition.partition_epoch) == (NODE, 0, 0)
    assert partition.replicas == partition.isr == [NODE]


def test_defaults_come_from_the_broker() -> None:
    """-1 partitions and -1 replicas mean num.partitions and default.replication.factor."""
    assert Cluster().create("t").partition_count == 3


@pytest.mark.parametrize(
    ("code", "new"),
    [
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("")),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("..")),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("a b")),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("ä")),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("a" * 250)),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("a/b")),
        (ErrorCode.TOPIC_ALREADY_EXISTS, NewTopic("old")),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, NewTopic("dots_and_dashes")),
        (ErrorCode.INVALID_PARTITIONS, NewTopic("t", 0, 1)),
        (ErrorCode.INVALID_PARTITIONS, NewTopic("t", -2, 1)),
        (ErrorCode.INVALID_REPLICATION_FACTOR, NewTopic("t", 1, 0)),
        (ErrorCode.INVALID_REPLICATION_FACTOR, NewTopic("t", 1, -2)),
        (ErrorCode.INVALID_REPLICATION_FACTOR, NewTopic("t", 1, 3)),
        (ErrorCode.INVALID_CONFIG, NewTopic("t", 1, 1, configs={"no.such.key": "1"})),
        (ErrorCode.INVALID_CONFIG, NewTopic("t", 1, 1, configs={"segment.bytes": "1"})),
        (ErrorCode.INVALID_CONFIG, NewTopic("t", 1, 1, configs={"retention.ms": None})),
        (ErrorCode.INVALID_CONFIG, NewTopic("t", 1, 3, configs={"no.such.key": "1"})),
        (ErrorCode.INVALID_REQUEST, NewTopic("t", 1, -1, [Assignment(0, [1])])),
        (ErrorCode.INVALID_REQUEST, NewTopic("t", -1, 1, [Assignment(0, [1])])),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, NewTopic("t", -1, -1, [Assignment(0, [5])])),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, NewTopic("t", -1, -1, [Assignment(0, [])])),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, NewTopic("t", -1, -1, [Assignment(0, [1, 1])])),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, NewTopic("t", -1, -1, [Assignment(0, [1]), Assignment(0, [1])])),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, NewTopic("t", -1, -1, [Assignment(1, [1]), Assignment(2, [1])])),
    ],
)
def test_creation_is_refused_with_kafkas_codes(code: ErrorCode, new: NewTopic) -> None:
    """Seen on Kafka, one by one."""
    cluster = Cluster()
    cluster.create("old")
    cluster.create("dots.and_dashes")
    refused(
        code,
        lambda: cluster.take(lambda promise: decide_creation(cluster.machine, new, id_of(1), RULES, promise, False)),
    )


def test_an_assignment_to_this_node_in_any_order_is_accepted() -> None:
    """The assignment says how many partitions there are."""
    assert Cluster().create("t", assignments=[Assignment(1, [1]), Assignment(0, [1])]).partition_count == 2


def test_validation_alone_writes_nothing() -> None:
    """validate_only answers as if, and leaves no trace."""
    cluster = Cluster()
    assert cluster.create("t", 2, 1, validate_only=True).partition_count == 2
    assert cluster.log == []
    cluster.create("t")


def test_the_cluster_has_room_for_so_many_partitions() -> None:
    """K7: a peer that creates without end is stopped: POLICY_VIOLATION, for topics and for partitions."""
    cluster = Cluster()
    small = TopicRules((NODE,), 3, 1, 10, check_topic_configs)
    cluster.create("t", 8, 1, rules=small)
    refused(ErrorCode.POLICY_VIOLATION, lambda: cluster.create("u", 3, 1, rules=small))
    cluster.create("v", 2, 1, rules=small)
    refused(ErrorCode.POLICY_VIOLATION, lambda: cluster.create("w", 1, 1, rules=small))
    cluster.delete(cluster.machine.topic("v").topic_id)  # type: ignore[union-attr]
    cluster.create("w", 1, 1, rules=small)


def test_one_request_makes_so_many_records() -> None:
    """Kafka: 10,000 records in one request, topics and configs and partitions counted."""
    check_request_size(creation_size(NewTopic("t", 9_999, 1), RULES))
    refused(ErrorCode.POLICY_VIOLATION, lambda: check_request_size(creation_size(NewTopic("t", 10_000, 1), RULES)))
    cluster = Cluster()
    cluster.create("t", 2, 1)
    check_request_size(growth_size(cluster.machine, NewPartitions("t", 10_002)))
    assert growth_size(cluster.machine, NewPartitions("t", 10_003)) == 10_001
    assert growth_size(cluster.machine, NewPartitions("unknown", 10_003)) == 0


# --- deletion and growth


def test_a_deleted_topic_takes_its_configs_along() -> None:
    """A topic of the same name starts fresh: another id, no configs, no collisions."""
    cluster = Cluster()
    first = cluster.create("a.b", 2, 1, configs={"retention.ms": "5"})
    assert cluster.delete(first.topic_id).name == "a.b"
    assert cluster.log[-1] == RemoveTopicRecord(topic_id=first.topic_id)
    cluster.create("a_b")
    assert cluster.machine.topic("a.b") is None
    cluster.delete(cluster.machine.topic("a_b").topic_id)  # type: ignore[union-attr]
    second = cluster.create("a.b", 1, 1)
    assert second.topic_id != first.topic_id
    assert cluster.image.topics["a.b"].configs == {}
    refused(ErrorCode.UNKNOWN_TOPIC_ID, lambda: cluster.delete(first.topic_id))


def test_partitions_can_be_added() -> None:
    """The reply is the topic as it was; the records go on counting."""
    cluster = Cluster()
    cluster.create("t", 2, 1)
    assert cluster.grow("t", 4, [[NODE], [NODE]]).partition_count == 2
    assert [record.partition_id for record in cluster.log[-2:]] == [2, 3]
    assert cluster.image.topics["t"].partition_count == 4
    cluster.grow("t", 9, validate_only=True)
    assert cluster.image.topics["t"].partition_count == 4


@pytest.mark.parametrize(
    ("code", "count", "assignments"),
    [
        (ErrorCode.INVALID_PARTITIONS, 2, None),
        (ErrorCode.INVALID_PARTITIONS, 1, None),
        (ErrorCode.INVALID_PARTITIONS, -1, None),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, 4, [[1]]),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, 3, []),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, 3, [[9]]),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, 3, [[]]),
        (ErrorCode.INVALID_REPLICA_ASSIGNMENT, 3, [[1, 1]]),
    ],
)
def test_growth_is_refused_with_kafkas_codes(code: ErrorCode, count: int, assignments: Any) -> None:
    """Seen on Kafka, one by one."""
    cluster = Cluster()
    cluster.create("t", 2, 1)
    refused(code, lambda: cluster.grow("t", count, assignments))
    refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, lambda: cluster.grow("u", count, assignments))


# --- configs


def test_configs_are_replaced_by_what_is_computed() -> None:
    """Only differences are written; a value taken away is written as null."""
    cluster = Cluster()
    cluster.create("t", configs={"a": "1", "b": "2"}, rules=TopicRules((1,), 1, 1, 10, lambda configs: None))
    cluster.log.clear()
    cluster.alter(ResourceType.TOPIC, "t", lambda current: {"b": current["b"], "c": "3"})
    assert [(record.name, record.value) for record in cluster.log] == [("c", "3"), ("a", None)]
    assert cluster.image.topics["t"].configs == {"b": "2", "c": "3"}


def test_configs_of_anything_but_topics_need_no_owner() -> None:
    """Groups get configs before they exist; an unknown topic does not."""
    cluster = Cluster()
    cluster.alter(ResourceType.GROUP, "g", lambda current: {"consumer.session.timeout.ms": "100"})
    assert cluster.image.group_configs("g") == {"consumer.session.timeout.ms": "100"}
    cluster.alter(ResourceType.BROKER, "", lambda current: {"log.retention.ms": "1"})
    assert cluster.image.broker_configs("") == {"log.retention.ms": "1"}
    refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, lambda: cluster.alter(ResourceType.TOPIC, "t", dict))


def test_a_validated_alteration_changes_nothing() -> None:
    """What compute raises is the refusal, and validate_only stops after it."""
    cluster = Cluster()

    def no(current: Mapping[str, str]) -> Mapping[str, str]:
        raise KafkaError(ErrorCode.INVALID_CONFIG)

    refused(ErrorCode.INVALID_CONFIG, lambda: cluster.alter(ResourceType.GROUP, "g", no))
    cluster.alter(ResourceType.GROUP, "g", lambda current: {"a": "1"}, validate_only=True)
    assert cluster.log == []


def test_a_resource_without_configs_is_forgotten() -> None:
    """Setting and deleting configs of ever new groups leaves nothing behind."""
    cluster = Cluster()
    cluster.alter(ResourceType.GROUP, "g", lambda current: {"a": "1"})
    cluster.alter(ResourceType.GROUP, "g", lambda current: {})
    assert cluster.machine.resource_count == 0
    assert len(cluster.image.configs) == 0


def test_configs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many resources, so long a value."""
    cluster = Cluster()
    refused(ErrorCode.INVALID_CONFIG, lambda: cluster.alter(ResourceType.GROUP, "g", lambda c: {"a": "x" * 40_000}))
    monkeypatch.setattr(ClusterMachine, "resource_count", MAX_RESOURCES)
    refused(ErrorCode.POLICY_VIOLATION, lambda: cluster.alter(ResourceType.GROUP, "g", lambda c: {"a": "1"}))


# --- producer ids


def test_blocks_of_producer_ids_follow_each_other() -> None:
    """A block is 1,000 ids; the record names the first one after it."""
    cluster = Cluster()
    assert cluster.take(lambda promise: decide_block(cluster.machine, NODE, promise)) == range(BLOCK_SIZE)
    assert cluster.take(lambda promise: decide_block(cluster.machine, NODE, promise)) == range(1000, 2000)
    assert cluster.log[-1] == ProducerIdsRecord(broker_id=NODE, broker_epoch=0, next_producer_id=2000)


def test_producer_ids_end_with_int64() -> None:
    """Kafka says UNKNOWN_SERVER_ERROR then."""
    cluster = Cluster()
    cluster.replay(ProducerIdsRecord(next_producer_id=MAX_PRODUCER_ID - 10))
    refused(
        ErrorCode.UNKNOWN_SERVER_ERROR,
        lambda: cluster.take(lambda promise: decide_block(cluster.machine, NODE, promise)),
    )


# --- the fold


def test_the_same_records_make_the_same_cluster() -> None:
    """State after a restart is state before it, through encoding and decoding."""
    cluster = Cluster()
    cluster.create("t", 2, 1, configs={"retention.ms": "5"})
    gone = cluster.create("gone.one", 5, 1)
    cluster.delete(gone.topic_id)
    cluster.grow("t", 7)
    cluster.alter(ResourceType.BROKER, "1", lambda current: {"log.retention.ms": "7"})
    cluster.take(lambda promise: decide_block(cluster.machine, NODE, promise))
    again = ClusterMachine()
    for record in cluster.log:
        decoded = again.decode(cluster.machine.encode(record, NOW))
        assert decoded == record
        again.replay(decoded)
    assert [(topic.name, topic.topic_id, topic.partition_count) for topic in again.removed.values()] == [
        ("gone.one", gone.topic_id, 5)
    ]
    again.check()
    change = difference(cluster.image, again.image)
    assert not (change.created or change.deleted or change.altered or change.grown or change.configs_changed)
    assert again.next_producer_id == cluster.machine.next_producer_id


def test_records_of_no_meaning_here_are_passed_over() -> None:
    """A log may hold what Kafka's controller writes to stay awake."""
    machine = ClusterMachine()
    machine.replay(NoOpRecord())
    machine.check()


@pytest.mark.parametrize("value", [b"\x01\xff\x7f\x00", b"\x01\x02\x63\x00", b"\x09\x02\x00"])
def test_records_that_only_a_newer_release_knows_are_refused(value: bytes) -> None:
    """A kind, a version or a frame: a snapshot without it would be another cluster."""
    machine = ClusterMachine()
    with pytest.raises(UnsupportedVersion, match=r"offset 7 has .*, which only a newer release can read"):
        machine.decode(machine.encode(NoOpRecord(), NOW)._replace(offset=7, value=value))


def test_leader_epochs_of_a_log_written_by_kafka_are_kept() -> None:
    """Kafka raises a partition's epoch with every change of its leader, restarts included; other changes leave it."""
    machine = ClusterMachine()
    topic_id = id_of(7)
    machine.replay(TopicRecord(name="t", topic_id=topic_id))
    for partition, epoch in ((0, 0), (1, 3), (2, 0)):
        machine.replay(PartitionRecord(topic_id=topic_id, partition_id=partition, leader=1, leader_epoch=epoch))
    machine.advance()
    for leader in (-1, 1):
        machine.replay(PartitionChangeRecord(topic_id=topic_id, partition_id=0, leader=leader))
        machine.replay(PartitionChangeRecord(topic_id=topic_id, partition_id=1, leader=leader))
    machine.replay(PartitionChangeRecord(topic_id=topic_id, partition_id=1, isr=[1]))
    machine.check()
    topic = machine.image.topics["t"]
    assert [topic.leader_epoch(partition) for partition in topic.partitions] == [2, 5, 0]


def test_a_change_names_what_differs() -> None:
    """Created, deleted, altered, grown: for those who keep something for each topic."""
    cluster = Cluster()
    cluster.create("same", 1, 1)
    grown = cluster.create("grown", 1, 1)
    altered = cluster.create("altered", 1, 1)
    deleted = cluster.create("deleted", 1, 1)
    before = cluster.image
    cluster.create("created", 1, 1)
    cluster.delete(deleted.topic_id)
    again = cluster.create("deleted", 1, 1)
    cluster.grow("grown", 2)
    cluster.alter(ResourceType.TOPIC, "altered", lambda current: {"retention.ms": "1"})
    cluster.alter(ResourceType.BROKER, "", lambda current: {"x": "1"})
    change = difference(before, cluster.image)
    assert {topic.name for topic in change.created} == {"created", "deleted"}
    assert again.topic_id in {topic.topic_id for topic in change.created}
    assert [topic.topic_id for topic in change.deleted] == [deleted.topic_id]
    assert [topic.topic_id for topic in change.altered] == [altered.topic_id]
    assert [topic.topic_id for topic in change.grown] == [grown.topic_id]
    assert change.broker_configs_changed
    assert before.topics["deleted"].topic_id == deleted.topic_id, "an image never changes"


def test_a_hundred_thousand_partitions_are_nothing_to_the_image() -> None:
    """The image holds a count for each topic, so a change costs what changes."""
    machine = ClusterMachine()
    for topic in range(1_000):
        machine.replay(TopicRecord(name=f"t{topic}", topic_id=id_of(topic)))
        for partition in range(100):
            machine.replay(PartitionRecord(partition_id=partition, topic_id=id_of(topic)))
    image, change = machine.advance()
    assert image.partition_count == 100_000
    assert len(change.created) == 1_000
    machine.replay(RemoveTopicRecord(topic_id=id_of(5)))
    smaller, change = machine.advance()
    assert (len(change.deleted), smaller.partition_count, image.partition_count) == (1, 99_900, 100_000)


def test_what_has_no_use_here_can_be_asked_for_by_kind() -> None:
    """The start, and the owners of each kind, ask so."""
    machine = ClusterMachine()
    token = DelegationTokenRecord(token_id="t")
    for record in (token, UserScramCredentialRecord(name="a")):
        machine.replay(record)
    assert machine.kept_of([DelegationTokenRecord]) == [token]
    assert len(machine.kept_of([DelegationTokenRecord, UserScramCredentialRecord])) == 2
