"""The cluster as readers see it: an immutable image, and what changed from one image to the next.

Handlers read `ClusterCoordinator.image` and may keep it across waits: it is a value. The coordinator publishes the next
image when the records that led to it are durable, so no handler acts on a topic that a crash could undo.

On one node every partition looks the same (leader, replicas and in-sync replicas are this node, leader epoch 0), so a
topic is a name, an id, a number of partitions and its configs; 100,000 partitions cost nothing here. Only a cluster log
that Kafka wrote has other leader epochs, one more for each change of a leader, and clients that knew them must not be
given older ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.persistent_map import PersistentMap
from broker.coordinators.cluster.quotas import Entity, Quotas
from broker.security.acls import Acl
from kproto.ids import Uuid
from kproto.release.features import ELR_VERSION

if TYPE_CHECKING:
    from broker.security.sasl.scram import Credential
    from broker.security.tokens import DelegationToken

CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"
SHARE_GROUP_STATE: Final = "__share_group_state"
CLUSTER_METADATA: Final = "__cluster_metadata"

INTERNAL_TOPICS: Final = frozenset({CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE})
"""Topics marked internal in metadata (Kafka: Topic.INTERNAL_TOPICS). `__cluster_metadata` is no topic to clients."""


class ResourceType(IntEnum):
    """What a config can belong to (Kafka: ConfigResource.Type); the value is the int8 of messages and records."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """One topic. `configs` are its overrides only, name to text."""

    name: str
    topic_id: Uuid
    partition_count: int
    configs: Mapping[str, str]
    leader_epochs: Mapping[int, int] | None = None
    """Partition -> leader epoch, of those where it is not 0."""
    replication_factor: int = 1
    """Replicas as they were asked for; what shows of it, brokers that share a store decide."""

    def leader_epoch(self, partition: int) -> int:
        """The epoch of this partition's leader, as clients see it."""
        return 0 if self.leader_epochs is None else self.leader_epochs.get(partition, 0)

    @property
    def internal(self) -> bool:
        """True for the topics that coordinators keep their state in."""
        return self.name in INTERNAL_TOPICS

    @property
    def partitions(self) -> range:
        """The partition indexes."""
        return range(self.partition_count)


NO_CONFIGS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, eq=False)
class ClusterImage:
    """Everything the cluster log says, at one of its offsets."""

    topics: PersistentMap[str, Topic] = field(default_factory=PersistentMap)
    topics_by_id: PersistentMap[Uuid, Topic] = field(default_factory=PersistentMap)
    configs: PersistentMap[tuple[int, str], Mapping[str, str]] = field(default_factory=PersistentMap)
    """Overrides of every resource that has some, topics included, by (ResourceType, name)."""
    client_quotas: PersistentMap[Entity, Quotas] = field(default_factory=PersistentMap)
    """The quotas of every entity that has some."""
    partition_count: int = 0
    """Partitions of all topics."""
    features: Mapping[str, int] = field(default_factory=dict)
    """Feature -> the level that the log's records say, of those above 0."""
    finalized_features: Mapping[str, int] = field(default_factory=dict)
    """The same, with `kraft.version`, of which control records say the level."""
    credentials: PersistentMap[tuple[int, str], Credential] = field(default_factory=PersistentMap)
    """Users' SCRAM credentials, by (number of the mechanism, user)."""
    tokens: PersistentMap[str, DelegationToken] = field(default_factory=PersistentMap)
    """Delegation tokens, by id."""
    acls: PersistentMap[Uuid, Acl] = field(default_factory=PersistentMap)
    """Access control entries by their ids."""

    @property
    def knows_elr(self) -> bool:
        """True when the cluster has eligible leader replicas (KIP-966)."""
        return self.features.get(ELR_VERSION, 0) > 0

    def topic_by_id(self, topic_id: Uuid) -> Topic | None:
        """The topic with this id, or None."""
        found: Topic | None = self.topics_by_id.get(topic_id)
        return found

    def configs_of(self, resource_type: int, name: str) -> Mapping[str, str]:
        """The overrides of one resource; empty if it has none."""
        found: Mapping[str, str] = self.configs.get((resource_type, name), NO_CONFIGS)
        return found

    def broker_configs(self, node_id: int | str) -> Mapping[str, str]:
        """Dynamic configs of one broker, or with "" of all brokers."""
        return self.configs_of(ResourceType.BROKER, str(node_id))

    def group_configs(self, group_id: str) -> Mapping[str, str]:
        """Dynamic configs of one group."""
        return self.configs_of(ResourceType.GROUP, group_id)


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """From one published image to the next. A topic deleted and made again is in both lists, by its two ids."""

    created: list[Topic] = field(default_factory=list)
    deleted: list[Topic] = field(default_factory=list)
    altered: list[Topic] = field(default_factory=list)
    """Topics (as they are now) whose configs differ."""
    grown: list[Topic] = field(default_factory=list)
    """Topics (as they are now) that have more partitions."""
    configs_changed: frozenset[tuple[int, str]] = frozenset()
    """Resources other than topics whose configs differ, by (ResourceType, name)."""
    acls_added: list[Acl] = field(default_factory=list)
    acls_removed: list[Acl] = field(default_factory=list)

    quotas_changed: frozenset[Entity] = frozenset()
    """Entities whose quotas differ."""

    @property
    def broker_configs_changed(self) -> bool:
        """True when a dynamic broker config differs, of this broker or of all."""
        return any(kind == ResourceType.BROKER for kind, _ in self.configs_changed)


def difference(
    old: ClusterImage,
    new: ClusterImage,
    topic_ids: Iterable[Uuid] | None = None,
    resources: Iterable[tuple[int, str]] | None = None,
    acl_ids: Iterable[Uuid] | None = None,
    entities: Iterable[Entity] | None = None,
) -> ClusterChange:
    """What a reader of `old` must learn to know `new`.

    `topic_ids`, `resources`, `acl_ids` and `entities` bound the search to what may differ.
    """
    if topic_ids is None:
        topic_ids = {**dict.fromkeys(old.topics_by_id), **dict.fromkeys(new.topics_by_id)}
    if resources is None:
        resources = {*old.configs, *new.configs}
    if entities is None:
        entities = {*old.client_quotas, *new.client_quotas}
    change = ClusterChange(
        configs_changed=frozenset(
            resource
            for resource in resources
            if resource[0] != ResourceType.TOPIC and old.configs_of(*resource) != new.configs_of(*resource)
        ),
        quotas_changed=frozenset(
            entity for entity in entities if old.client_quotas.get(entity) != new.client_quotas.get(entity)
        ),
    )
    if acl_ids is None:
        acl_ids = () if old.acls is new.acls else {**dict.fromkeys(old.acls), **dict.fromkeys(new.acls)}
    for acl_id in acl_ids:
        acl_before, acl_after = old.acls.get(acl_id), new.acls.get(acl_id)
        if acl_before != acl_after:
            if acl_before is not None:
                change.acls_removed.append(acl_before)
            if acl_after is not None:
                change.acls_added.append(acl_after)
    for topic_id in topic_ids:
        before, after = old.topic_by_id(topic_id), new.topic_by_id(topic_id)
        if before is after:
            continue
        if before is None:
            assert after is not None
            change.created.append(after)
        elif after is None:
            change.deleted.append(before)
        else:
            if before.configs != after.configs:
                change.altered.append(after)
            if before.partition_count != after.partition_count:
                change.grown.append(after)
    return change
