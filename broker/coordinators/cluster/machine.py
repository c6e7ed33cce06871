"""The cluster machine: topics, configs and producer-id blocks as the fold of `__cluster_metadata`.

The records are those of Kafka's KRaft controller (`kproto.internal_topics.cluster_metadata`), in the order in which it
writes them: a topic is TopicRecord, its ConfigRecords, one PartitionRecord for each partition; RemoveTopicRecord takes
all of it away again. A block of producer ids is a ProducerIdsRecord with the first id *after* the block. Records that
mean nothing on one node (registrations of brokers, changes of in-sync replicas) are passed over, so that a log written
by Kafka can be read. Leader epochs are kept: Kafka raises them by one with each PartitionChangeRecord that names a
leader (PartitionRegistration.merge).

State is kept twice: mutable dicts that `replay` changes in constant time, and the immutable `ClusterImage` that readers
get, brought up to date by `advance` for just what has changed since.

What may be decided is in the modules beside this one: `topics.py`, `configs.py`, `producer_ids.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.coordinators.cluster.image import ClusterChange, ClusterImage, ResourceType, Topic, difference
from broker.coordinators.cluster.topic_names import collision_key, may_collide
from broker.coordinators.machine import Decision
from kproto.batches.records import RecordData
from kproto.errors import UnsupportedVersion
from kproto.ids import Uuid
from kproto.internal_topics.cluster_metadata import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
    decode_record,
    encode_record,
)
from kproto.schema.declare import Record
from storage.seams.clock import Instant

ClusterDecision = Decision[Record]

NO_LEADER_CHANGE: Final = -2
"""What a PartitionChangeRecord says that is about something else; -1 means that there is no leader for now."""

_NO_CONFIGS: Final[Mapping[str, str]] = {}


class _TopicState:
    """What `replay` changes; readers get a Topic made from it."""

    __slots__ = ("leader_epochs", "name", "partition_count", "topic_id")

    def __init__(self, name: str, topic_id: Uuid) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partition_count = 0
        self.leader_epochs: dict[int, int] | None = None  # where they are not 0


class ClusterMachine:
    """One shard, the only one: the whole cluster's state."""

    def __init__(self) -> None:
        self.next_producer_id = 0
        """First id of the next block."""
        self.partition_count = 0
        self.removed: dict[str, Topic] = {}
        """The last topic removed under each name since the last `advance`: after loading, those whose files a crash may
        have left. Older ones of the name were gone before it was used again."""
        self._topics: dict[Uuid, _TopicState] = {}
        self._ids: dict[str, Uuid] = {}
        self._collisions: dict[str, set[str]] = {}
        self._configs: dict[tuple[int, str], dict[str, str]] = {}
        self._features: dict[str, int] = {}
        self._image = ClusterImage()
        self._stale_topics: dict[Uuid, None] = {}
        self._stale_resources: dict[tuple[int, str], None] = {}
        self._features_stale = False

    # --- what decisions look at

    def has_topic(self, name: str) -> bool:
        """True when a topic of this name exists."""
        return name in self._ids

    def topic(self, name: str) -> Topic | None:
        """The topic of this name as it is now, published or not."""
        topic_id = self._ids.get(name)
        return None if topic_id is None else self.topic_by_id(topic_id)

    def topic_by_id(self, topic_id: Uuid) -> Topic | None:
        """The topic with this id as it is now, published or not."""
        state = self._topics.get(topic_id)
        if state is None:
            return None
        configs = self.configs_of(ResourceType.TOPIC, state.name)
        epochs = None if state.leader_epochs is None else dict(state.leader_epochs)
        return Topic(state.name, topic_id, state.partition_count, configs, epochs)

    def colliding_topic(self, name: str) -> str | None:
        """An existing topic whose name differs from `name` in dots and underscores only."""
        others = self._collisions.get(collision_key(name))
        return min(others) if others else None

    def configs_of(self, resource_type: int, name: str) -> Mapping[str, str]:
        """A copy of the overrides of one resource."""
        found = self._configs.get((resource_type, name))
        return _NO_CONFIGS if found is None else dict(found)

    def has_configs(self, resource_type: int, name: str) -> bool:
        """True when the resource has overrides."""
        return (resource_type, name) in self._configs

    @property
    def resource_count(self) -> int:
        """Resources with overrides."""
        return len(self._configs)

    # --- the fold

    def replay(self, record: Record) -> None:
        """Apply one record."""
        match record:
            case TopicRecord():
                self._add_topic(record.name, record.topic_id)
            case PartitionRecord():
                self._add_partition(record.topic_id, record.partition_id)
                if record.leader_epoch > 0:
                    self._raise_leader_epoch(record.topic_id, record.partition_id, record.leader_epoch)
            case PartitionChangeRecord(leader=leader) if leader != NO_LEADER_CHANGE:
                self._raise_leader_epoch(record.topic_id, record.partition_id, 1)
            case RemoveTopicRecord():
                self._remove_topic(record.topic_id)
            case ConfigRecord():
                self._set_config(record.resource_type, record.resource_name, record.name, record.value)
            case ProducerIdsRecord():
                self.next_producer_id = record.next_producer_id
            case FeatureLevelRecord():
                self._set_feature(record.name, record.feature_level)
            case _:
                pass

    def _add_topic(self, name: str, topic_id: Uuid) -> None:
        assert name not in self._ids and topic_id not in self._topics, f"the topic {name} was created twice"
        self._topics[topic_id] = _TopicState(name, topic_id)
        self._ids[name] = topic_id
        if may_collide(name):
            self._collisions.setdefault(collision_key(name), set()).add(name)
        self._stale_topics[topic_id] = None

    def _add_partition(self, topic_id: Uuid, partition: int) -> None:
        state = self._topics[topic_id]
        assert partition == state.partition_count, f"partition {partition} of {state.name} is out of sequence"
        state.partition_count += 1
        self.partition_count += 1
        self._stale_topics[topic_id] = None

    def _raise_leader_epoch(self, topic_id: Uuid, partition: int, by: int) -> None:
        state = self._topics[topic_id]
        if state.leader_epochs is None:
            state.leader_epochs = {}
        state.leader_epochs[partition] = state.leader_epochs.get(partition, 0) + by
        self._stale_topics[topic_id] = None

    def _remove_topic(self, topic_id: Uuid) -> None:
        state = self._topics.pop(topic_id)
        del self._ids[state.name]
        self.partition_count -= state.partition_count
        if may_collide(state.name):
            others = self._collisions[collision_key(state.name)]
            others.discard(state.name)
            if not others:
                del self._collisions[collision_key(state.name)]
        resource = (int(ResourceType.TOPIC), state.name)
        if self._configs.pop(resource, None) is not None:
            self._stale_resources[resource] = None
        self._stale_topics[topic_id] = None
        self.removed[state.name] = Topic(state.name, topic_id, state.partition_count, _NO_CONFIGS)

    def _set_config(self, resource_type: int, resource_name: str, name: str, value: str | None) -> None:
        resource = (resource_type, resource_name)
        configs = self._configs.setdefault(resource, {})
        if value is None:
            configs.pop(name, None)
        else:
            configs[name] = value
        if not configs:
            del self._configs[resource]
        self._stale_resources[resource] = None
        if resource_type == ResourceType.TOPIC and (topic_id := self._ids.get(resource_name)) is not None:
            self._stale_topics[topic_id] = None

    def _set_feature(self, name: str, level: int) -> None:
        if level == 0:
            self._features.pop(name, None)
        else:
            self._features[name] = level
        self._features_stale = True

    # --- what readers get

    @property
    def image(self) -> ClusterImage:
        """The image that the last `advance` made."""
        return self._image

    @property
    def changed(self) -> bool:
        """True when the state has moved on from `image`."""
        return bool(self._stale_topics or self._stale_resources or self._features_stale)

    def advance(self) -> tuple[ClusterImage, ClusterChange]:
        """The image of now, and what differs from the one before. Costs what changed, not what there is."""
        old = self._image
        put: list[Topic] = []
        gone: list[Topic] = []
        for topic_id in self._stale_topics:
            topic = self.topic_by_id(topic_id)
            if topic is not None:
                put.append(topic)
            elif (before := old.topic_by_id(topic_id)) is not None:
                gone.append(before)
        put_configs: dict[tuple[int, str], Mapping[str, str]] = {}
        gone_configs: list[tuple[int, str]] = []
        for resource in self._stale_resources:
            if resource in self._configs:
                put_configs[resource] = self.configs_of(*resource)
            else:
                gone_configs.append(resource)
        new = ClusterImage(
            topics=old.topics.updated({topic.name: topic for topic in put}, [topic.name for topic in gone]),
            topics_by_id=old.topics_by_id.updated(
                {topic.topic_id: topic for topic in put}, [topic.topic_id for topic in gone]
            ),
            configs=old.configs.updated(put_configs, gone_configs),
            partition_count=self.partition_count,
            features=dict(self._features) if self._features_stale else old.features,
        )
        change = difference(old, new, list(self._stale_topics), list(self._stale_resources))
        self._image = new
        self._stale_topics.clear()
        self._stale_resources.clear()
        self.removed = {}
        self._features_stale = False
        return new, change

    # --- the rest of the machine contract

    def loaded(self, now: Instant) -> None:
        """Nothing here has a deadline."""

    def next_deadline(self) -> int | None:
        """Never."""
        return None

    def decide_expired(self, now: Instant) -> ClusterDecision:
        """Nothing expires."""
        return Decision()

    def encode(self, record: Record, now: Instant) -> RecordData:
        """Kafka's framing, in the value; metadata records have no key."""
        return RecordData(0, now.wall, None, encode_record(record), ())

    def decode(self, data: RecordData) -> Record | None:
        """The other way; kinds that this release does not know are passed over."""
        if data.value is None:
            return None
        try:
            return decode_record(data.value)
        except UnsupportedVersion:
            return None

    def check(self) -> None:
        """Assert that the dicts agree with each other, and the image with them."""
        assert self._ids == {state.name: topic_id for topic_id, state in self._topics.items()}
        assert self.partition_count == sum(state.partition_count for state in self._topics.values())
        assert all(self._configs.values()), "a resource without configs is forgotten"
        topics_with_configs = {name for kind, name in self._configs if kind == ResourceType.TOPIC}
        assert topics_with_configs <= self._ids.keys(), "configs go with their topic"
        collisions = {name for names in self._collisions.values() for name in names}
        assert collisions == {name for name in self._ids if may_collide(name)}
        image, _ = self.advance()
        assert image.topics.keys() == self._ids.keys()
        assert image.topics_by_id.keys() == self._topics.keys()
        for name, topic in image.topics.items():
            assert topic is image.topic_by_id(topic.topic_id) and topic.topic_id == self._ids[name]
            assert topic.partition_count == self._topics[topic.topic_id].partition_count
            assert topic.configs == self.configs_of(ResourceType.TOPIC, name)
        assert {resource: dict(configs) for resource, configs in image.configs.items()} == self._configs
        assert image.partition_count == self.partition_count
