"""MirrorMaker 2 between two brokers that ask who it is, with nothing allowed at either but what it must do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic

from compat_tests.programs import kits
from compat_tests.programs.acls import (
    AT_SOURCE,
    AT_TARGET,
    MIRROR_SOURCE,
    MIRROR_TARGET,
    MIRRORED,
    MIRRORED_GROUP,
    MORE_AT_SOURCE,
    MORE_AT_TARGET,
    SOURCE,
    TARGET,
    TOPIC,
    Acl,
)
from compat_tests.programs.guarded import PATIENCE_SECONDS, SILENT, Guarded
from compat_tests.programs.running import Program
from compat_tests.session import eventually

KIT = kits.MIRROR_MAKER
PATIENCE = 240.0
RECORDS, READ = 100, 60
SOON_MS = "1000"
RETENTION = "123456789"
MAIN = "org.apache.kafka.connect.mirror.MirrorMaker"
READS_ONLY = {"offset-syncs.topic.location": TARGET, "sync.topic.acls.enabled": "false"}
"""Settings with which it writes nothing at its source, and no ACLs."""


def settings(source: Guarded, target: Guarded) -> dict[str, str]:
    """Of a program that mirrors one way, quickly."""
    found = {
        "clusters": f"{SOURCE},{TARGET}",
        f"{SOURCE}->{TARGET}.enabled": "true",
        f"{TARGET}->{SOURCE}.enabled": "false",
        f"{TARGET}->{SOURCE}.emit.heartbeats.enabled": "false",
        f"{SOURCE}->{TARGET}.topics": MIRRORED,
        f"{SOURCE}->{TARGET}.groups": MIRRORED_GROUP,
        "sync.group.offsets.enabled": "true",
        "replication.factor": "1",
        "plugin.discovery": "service_load",
        "offset.lag.max": "0",
        "offset.flush.interval.ms": SOON_MS,
    }
    found |= {f"{part}.storage.replication.factor": "1" for part in ("config", "offset", "status")}
    found |= {f"{part}.topic.replication.factor": "1" for part in ("heartbeats", "checkpoints", "offset-syncs")}
    for work in ("refresh.topics", "refresh.groups", "sync.topic.configs", "sync.topic.acls", "sync.group.offsets"):
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
    eventually(lambda: commits(source), "the group's offset at the source")
    return records


@contextlib.contextmanager
def reading(broker: Guarded, group: str) -> Iterator[Consumer]:
    """A consumer of a group, which joins only if it subscribes."""
    settings = {"bootstrap.servers": broker.plain, "group.id": group, "enable.auto.commit": False, **SILENT}
    consumer = Consumer(settings)
    try:
        yield consumer
    finally:
        consumer.close()


def commits(broker: Guarded) -> bool:
    """Commit the group's offset; false while its coordinator is on its way, as after the first start of a Kafka."""
    with reading(broker, MIRRORED_GROUP) as consumer:
        try:
            consumer.commit(offsets=[TopicPartition(MIRRORED, 0, READ)], asynchronous=False)
        except KafkaException:
            return False
    return True


def committed(broker: Guarded, topic: str) -> int:
    """The offset that the group has in a topic's first partition; less than nothing if it has none."""
    with reading(broker, MIRRORED_GROUP) as consumer:
        [partition] = consumer.committed([TopicPartition(topic, 0)], PATIENCE_SECONDS)
        return int(partition.offset)


def values(broker: Guarded, topic: str) -> list[bytes | None]:
    """Of all records that a topic's first partition has now."""
    with reading(broker, "looking") as consumer:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE_SECONDS)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = consumer.consume(end, PATIENCE_SECONDS) if end else []
        return [message.value() for message in found]


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
    program = Program(MAIN, tmp_path, settings(source, target) | READS_ONLY)

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


def test_acls_are_mirrored(start_guarded: Callable[[], Guarded], tmp_path: Path) -> None:
    """By default the offsets' counterparts are noted at the source, and who may read a topic may read its mirror."""
    source, target = start_guarded(), start_guarded()
    source.allow([*MIRROR_SOURCE, *MORE_AT_SOURCE, Acl("reader", TOPIC, MIRRORED, ("READ",))])
    target.allow([*MIRROR_TARGET, *MORE_AT_TARGET])
    fill(source)
    mirror = f"{SOURCE}.{MIRRORED}"
    program = Program(MAIN, tmp_path, settings(source, target))
    try:
        eventually(lambda: program.ended or target.allowed("reader", mirror), "the reader's ACL", PATIENCE)
        eventually(lambda: program.ended or committed(target, mirror) > 0, "the group's offset", PATIENCE)
        assert not program.ended, program.log()[-3000:]
        program.stop()
    finally:
        program.stop()
    assert target.allowed("reader", mirror) == {"READ"}
    assert has(source, f"mm2-offset-syncs.{TARGET}.internal")
    assert program.errors() == []
