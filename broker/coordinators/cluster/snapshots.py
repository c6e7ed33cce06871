"""Snapshots of the cluster's state: the records that make a machine what it was, and the machine made of them again.

Order and versions are those of Kafka's image writer (`MetadataImage.write`): features, brokers, controllers, topics
with their partitions, configs, quotas, producer ids, access control, credentials, tokens. A record is written in the
version that the cluster's finalized features allow, so that an older Kafka of the same level can read it.

Writing happens in a worker thread, from a `ClusterCapture`, which never changes. Reading happens in the event loop, a
batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from broker.coordinators.cluster.acls import record_of
from broker.coordinators.cluster.image import Topic
from broker.coordinators.cluster.kept_records import CLUSTER, SECURITY
from broker.coordinators.cluster.machine import ClusterCapture
from broker.coordinators.cluster.placements import Placement, TopicPlacements
from broker.coordinators.cluster.quotas import quota_records
from kproto.formats.cluster_metadata import (
    ConfigRecord,
    FeatureLevelRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    TopicRecord,
    encode_record,
)
from kproto.formats.metadata_snapshot import write_snapshot
from kproto.release.features import (
    METADATA_VERSION,
    NEWEST_METADATA_VERSION,
    partition_record_version,
    register_broker_record_version,
)
from kproto.schema.declare import Record

NUMBER_AT: Final = 3
"""Where a PartitionRecord has its partition's number: behind the frame's version, the kind and the record's version."""

BEHIND_NUMBER: Final = NUMBER_AT + 4


def snapshot_batches(capture: ClusterCapture, epoch: int, last_timestamp: int, now: int) -> Iterator[bytearray]:
    """The bytes of a snapshot's file, piece by piece. For a worker thread."""
    return write_snapshot(epoch, last_timestamp, capture.quorum, _values(capture), now)


def _values(capture: ClusterCapture) -> Iterator[bytes]:
    """The records that make the state captured, in Kafka's order, as values."""
    features = capture.image.features
    for name in sorted(features, key=lambda name: (name != METADATA_VERSION, name)):
        yield encode_record(FeatureLevelRecord(name=name, feature_level=features[name]))
    metadata_version = features.get(METADATA_VERSION, NEWEST_METADATA_VERSION)
    for record in capture.kept.of(CLUSTER):
        yield encode_record(record, _registration_version(record, metadata_version))
    for topic in sorted(capture.image.topics.values(), key=lambda topic: topic.name):
        yield encode_record(TopicRecord(name=topic.name, topic_id=topic.topic_id))
        yield from _partitions(capture.placements[topic.topic_id], topic, metadata_version, capture.image.knows_elr)
    for (kind, resource), configs in sorted(capture.image.configs.items(), key=lambda item: item[0]):
        for name, value in configs.items():
            yield encode_record(ConfigRecord(resource_type=kind, resource_name=resource, name=name, value=value))
    for quota in quota_records(capture.image.client_quotas):
        yield encode_record(quota)
    if capture.next_producer_id > 0:
        yield encode_record(ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=capture.next_producer_id))
    for acl_id, acl in capture.image.acls.items():
        yield encode_record(record_of(acl_id, acl))
    for record in capture.kept.of(SECURITY):
        yield encode_record(record)


def _registration_version(record: Record, metadata_version: int) -> int | None:
    """The oldest version that holds the whole registration of a broker, from that of the level on."""
    if not isinstance(record, RegisterBrokerRecord):
        return None
    if record.cordoned_log_dirs is not None:
        return RegisterBrokerRecord.max_version
    return 3 if record.log_dirs else min(3, register_broker_record_version(metadata_version))


def _partitions(placements: TopicPlacements, topic: Topic, metadata_version: int, knows_elr: bool) -> Iterator[bytes]:
    """The PartitionRecords of a topic. Those that differ in nothing but the partition's number, which stands first in
    the body, are encoded once."""
    alike: dict[tuple[Placement, int, int], tuple[bytes, bytes]] = {}
    for partition in topic.partitions:
        placement = placements.of(partition)
        key = placement, topic.leader_epoch(partition), placements.partition_epoch(partition)
        found = alike.get(key)
        if found is None:
            elr = knows_elr or placement.eligible_leader_replicas or placement.last_known_elr
            version = 2 if elr else min(1, partition_record_version(metadata_version))
            written = placement if version else placement._replace(directories=())
            value = encode_record(written.record(topic.topic_id, 0, key[1], key[2]), version)
            assert value[NUMBER_AT:BEHIND_NUMBER] == bytes(4)
            found = alike[key] = value[:NUMBER_AT], value[BEHIND_NUMBER:]
        yield found[0] + partition.to_bytes(4, "big") + found[1]
