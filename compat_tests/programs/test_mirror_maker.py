"""MirrorMaker 2 between two brokers that ask who it is, with nothing allowed at either but what it must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic

from compat_tests.programs.acls import (
    AT_SOURCE,
    AT_TARGET,
    MIRROR_SOURCE,
    MIRROR_TARGET,
    MIRRORED,
    MIRRORED_GROUP,
    SOURCE,
    TARGET,
)
from compat_tests.programs.guarded import PATIENCE_SECONDS, SILENT, Guarded
from compat_tests.programs.running import Program
from compat_tests.session import eventually

PATIENCE = 90.0
RECORDS, READ = 100, 60
SOON_MS = "1000"
RETENTION = "123456789"


def settings(source: Guarded, target: Guarded) -> dict[str, str]:
    """Of a program that mirrors one way, quickly, and writes nothing at its source."""
    found = {
        "clusters": f"{SOURCE},{TARGET}",
        f"{SOURCE}->{TARGET}.enabled": "true",
        f"{TARGET}->{SOURCE}.enabled": "false",
        f"{TARGET}->{SOURCE}.emit.heartbeats.enabled": "false",
        f"{SOURCE}->{TARGET}.topics": MIRRORED,
        f"{SOURCE}->{TARGET}.groups": MIRRORED_GROUP,
        "offset-syncs.topic.location": TARGET,
        "sync.topic.acls.enabled": "false",
        "sync.group.offsets.enabled": "true",
        "replication.factor": "1",
        "plugin.discovery": "service_load",
        "offset.lag.max": "0",
        "offset.flush.interval.ms": SOON_MS,
    }
    found |= {f"{part}.storage.replication.factor": "1" for part in ("config", "offset", "status")}
    found |= {f"{part}.topic.replication.factor": "1" for part in ("heartbeats", "checkpoints", "offset-syncs")}
    for work in ("refresh.topics", "refresh.groups", "sync.topic.configs", "sync.group.offsets"):
        found[f"{work}.interval.seconds"] = "2"
    for work in ("emit.heartbeats", "emit.checkpoints"):
        found[f"{work}.interval.seconds"] = "1"
    for name, broker, user in ((SOURCE, source, AT_SOURCE), (TARGET, target, AT_TARGET)):
        connecting = {"bootstrap.servers": broker.servers, **broker.properties(user)}
        found |= {f"{name}.{key}": value for key, value in connecting.items()}
    return found


def fill(source: Guarded) -> list[bytes]:
    """A topic with records, of which a group has read some; all of them."""
    [made] = source.admin.create_topics([NewTopic(MIRRORED, 1, config={"retention.ms": RETENTION})]).values()
    made.result(PATIENCE_SECONDS)
    producer = Producer({"bootstrap.servers": source.plain, **SILENT})
    records = [b"order %d" % number for number in range(RECORDS)]
    for record in records:
        producer.produce(MIRRORED, record)
    assert producer.flush(PATIENCE_SECONDS) == 0
    offsets = ConsumerGroupTopicPartitions(MIRRORED_GROUP, [TopicPartition(MIRRORED, 0, READ)])
    for done in source.admin.alter_consumer_group_offsets([offsets]).values():
        done.result(PATIENCE_SECONDS)
    return records


def committed(broker: Guarded, topic: str) -> int:
    """The offset that the group has in a topic's one partition; less than nothing if it has none."""
    asked = ConsumerGroupTopicPartitions(MIRRORED_GROUP, [TopicPartition(topic, 0)])
    [answer] = broker.admin.list_consumer_group_offsets([asked]).values()
    [partition] = answer.result(PATIENCE_SECONDS).topic_partitions
    return int(partition.offset)


def values(broker: Guarded, topic: str) -> list[bytes | None]:
    """Of all records that a topic's one partition has now."""
    reader = Consumer({"bootstrap.servers": broker.plain, "group.id": "looking", "enable.auto.commit": False, **SILENT})
    try:
        _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE_SECONDS)
        reader.assign([TopicPartition(topic, 0, 0)])
        found = reader.consume(end, PATIENCE_SECONDS) if end else []
        return [message.value() for message in found]
    finally:
        reader.close()


def partitions(broker: Guarded, topic: str) -> int:
    """How many a topic has."""
    return len(broker.admin.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions)


def grow(broker: Guarded, count: int) -> None:
    """Give the topic that many partitions."""
    for done in broker.admin.create_partitions([NewPartitions(MIRRORED, count)]).values():
        done.result(PATIENCE_SECONDS)


def retention(broker: Guarded, topic: str) -> str | None:
    """The setting of a topic."""
    [answer] = broker.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    return str(answer.result(PATIENCE_SECONDS)["retention.ms"].value)


def has(broker: Guarded, topic: str) -> bool:
    """Whether the topic is there and has records."""
    return topic in broker.admin.list_topics(timeout=PATIENCE_SECONDS).topics and values(broker, topic) != []


def test_a_topic_and_its_groups_offset_are_mirrored(start_guarded: Callable[[], Guarded], tmp_path: Path) -> None:
    """All records are mirrored in their order, the group's offset, settings and new partitions too; there are
    heartbeats and checkpoints, and no line of the log is an error."""
    source, target = start_guarded(), start_guarded()
    source.allow(MIRROR_SOURCE)
    target.allow(MIRROR_TARGET)
    records = fill(source)
    mirror = f"{SOURCE}.{MIRRORED}"
    program = Program("org.apache.kafka.connect.mirror.MirrorMaker", tmp_path, settings(source, target))

    def wait_for(condition: Callable[[], bool], what: str) -> None:
        eventually(lambda: program.ended or condition(), what, PATIENCE)

    try:
        wait_for(lambda: has(target, mirror), "the mirrored topic")
        wait_for(lambda: len(values(target, mirror)) >= RECORDS, "all records")
        wait_for(lambda: has(target, "heartbeats"), "heartbeats")
        wait_for(lambda: has(target, f"{SOURCE}.checkpoints.internal"), "checkpoints")
        wait_for(lambda: committed(target, mirror) > 0, "the group's offset")
        grow(source, 2)
        wait_for(lambda: partitions(target, mirror) == 2, "another partition")
        assert not program.ended, program.log()[-3000:]
        program.stop()
    finally:
        program.stop()
    assert values(target, mirror) == records
    assert committed(target, mirror) <= READ, "it translates to what is certainly not later"
    assert retention(target, mirror) == RETENTION
    assert program.errors() == []
