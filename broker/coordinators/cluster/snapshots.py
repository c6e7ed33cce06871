"""Snapshots of the cluster's state: the records that make a machine what it was, and the machine made of them again.

Order and versions are those of Kafka's image writer (`MetadataImage.write`): features, brokers, controllers, topics
with their partitions, configs, quotas, producer ids, access control, credentials, tokens. A record is written in the
version that the cluster's finalized features allow, so that an older Kafka of the same level can read it.

Writing happens in a worker thread, from a `ClusterCapture`, which nobody changes. Reading happens in the event loop, a
batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from broker.coordinators.cluster.image import Topic
from broker.coordinators.cluster.kept_records import CLUSTER, QUOTAS, SECURITY
from broker.coordinators.cluster.machine import ClusterCapture
from kproto.internal_topics.cluster_metadata import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    TopicRecord,
    encode_record,
)
from kproto.internal_topics.metadata_snapshot import write_snapshot
from kproto.schema.declare import Record

METADATA_VERSION: Final = "metadata.version"
ELR_VERSION: Final = "eligible.leader.replicas.version"


def snapshot_batches(capture: ClusterCapture, epoch: int, last_timestamp: int, now: int) -> Iterator[bytearray]:
    """The bytes of a snapshot's file, piece by piece. For a worker thread."""
    return write_snapshot(epoch, last_timestamp, capture.quorum, _values(capture), now)


def _values(capture: ClusterCapture) -> Iterator[bytes]:
    elr = capture.image.features.get(ELR_VERSION, 0) > 0
    for record in snapshot_records(capture):
        version = None
        if isinstance(record, PartitionRecord):
            version = 2 if elr or record.eligible_leader_replicas or record.last_known_elr else 1
        elif isinstance(record, RegisterBrokerRecord):
            version = 3 if record.cordoned_log_dirs is None else 4
        yield encode_record(record, version)


def snapshot_records(capture: ClusterCapture) -> Iterator[Record]:
    """The records that make the state captured, in Kafka's order."""
    features = capture.image.features
    for name in sorted(features, key=lambda name: (name != METADATA_VERSION, name)):
        yield FeatureLevelRecord(name=name, feature_level=features[name])
    yield from capture.kept.of(CLUSTER)
    for topic in sorted(capture.image.topics.values(), key=lambda topic: topic.name):
        yield TopicRecord(name=topic.name, topic_id=topic.topic_id)
        yield from _partitions(capture, topic)
    for (kind, resource), configs in sorted(capture.image.configs.items(), key=lambda item: item[0]):
        for name, value in configs.items():
            yield ConfigRecord(resource_type=kind, resource_name=resource, name=name, value=value)
    yield from capture.kept.of(QUOTAS)
    if capture.next_producer_id > 0:
        yield ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=capture.next_producer_id)
    yield from capture.kept.of(SECURITY)


def _partitions(capture: ClusterCapture, topic: Topic) -> Iterator[Record]:
    placements = capture.placements[topic.topic_id]
    for partition in topic.partitions:
        placement, epoch = placements.of(partition), placements.partition_epoch(partition)
        yield placement.record(topic.topic_id, partition, topic.leader_epoch(partition), epoch)
