"""The cluster machine: topics, configs, quotas and producer-id blocks as the fold of `__cluster_metadata`.

The records are those of Kafka's KRaft controller (`kproto.formats.cluster_metadata`), in the order in which it
writes them: a topic is TopicRecord, its ConfigRecords, one PartitionRecord for each partition; RemoveTopicRecord takes
all of it away again. A block of producer ids is a ProducerIdsRecord with the first id *after* the block. Leader epochs
are kept: Kafka raises them by one with each PartitionChangeRecord that names a leader (PartitionRegistration.merge).

A log that Kafka wrote says more: where replicas lie (`placements.py`), who is registered and who has which quotas
(`kept_records.py`), which nodes vote (control records). None of it has a meaning on one node; all of it is kept for the
snapshots that take the place of the log's beginning (`snapshots.py`). A record of a kind, or a version, that this
release does not know is refused: whether a snapshot without it would be the same cluster is unknown. What Kafka
itself passes over (NoOpRecord, ZkMigrationStateRecord) is passed over. Records between a BeginTransactionRecord and
its EndTransactionRecord count when that is reached, or never (KIP-868).

State is kept twice: mutable dicts that `replay` changes in constant time, and the immutable `ClusterImage` that readers
get, brought up to date by `advance` for just what has changed since.

What may be decided is in the modules beside this one: `topics.py`, `configs.py`, `quotas.py`, `producer_ids.py`,
`acls.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from broker.coordinators.cluster.acls import AclFold
from broker.coordinators.cluster.image import ClusterChange, ClusterImage, ResourceType, Topic, difference
from broker.coordinators.cluster.kept_map import KeptMap
from broker.coordinators.cluster.kept_records import KeptRecords
from broker.coordinators.cluster.partition_runs import PartitionRun
from broker.coordinators.cluster.placements import NO_LEADER_CHANGE, Placement, TopicPlacements, placement_of
from broker.coordinators.cluster.quotas import Entity, StoredQuotas
from broker.coordinators.cluster.topic_names import collision_key, may_collide
from broker.coordinators.machine import Decision
from broker.security.principals import Principal
from kproto.batches.records import ControlRecordType, RecordData, control_record_type
from kproto.errors import UnsupportedVersion
from kproto.formats.cluster_metadata import (
    AbortTransactionRecord,
    AccessControlEntryRecord,
    BeginTransactionRecord,
    ClearElrRecord,
    ClientQuotaRecord,
    ConfigRecord,
    DelegationTokenRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveTopicRecord,
    RemoveUserScramCredentialRecord,
    TopicRecord,
    UserScramCredentialRecord,
    decode_record,
    encode_record,
)
from kproto.formats.control_records import KRaftVersionRecord, QuorumVoter, VotersRecord
from kproto.formats.metadata_snapshot import Quorum
from kproto.ids import Uuid
from kproto.release.features import KRAFT_VERSION, METADATA_VERSION, NEWEST_METADATA_VERSION, partition_record_version
from kproto.schema.compile import decode
from kproto.schema.declare import Record
from storage.seams.clock import Instant

if TYPE_CHECKING:
    from broker.security.sasl.scram import Credential
    from broker.security.tokens import DelegationToken

ClusterRecord: TypeAlias = Record | PartitionRun
ClusterDecision = Decision[ClusterRecord]

_NO_CONFIGS: Final[Mapping[str, str]] = {}


class _TopicState:
    """What `replay` changes; readers get a Topic made from it."""

    __slots__ = ("leader_epochs", "name", "partition_count", "placements", "topic_id")

    def __init__(self, name: str, topic_id: Uuid) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partition_count = 0
        self.leader_epochs: dict[int, int] | None = None  # where they are not 0
        self.placements = TopicPlacements()

    @property
    def replication_factor(self) -> int:
        """Replicas of the first partition."""
        return max(1, len(self.placements.of(0).replicas)) if self.partition_count else 1


@dataclass(frozen=True, slots=True)
class ClusterCapture:
    """Everything that a machine knew at one moment, never changed since: what a snapshot is made of."""

    image: ClusterImage
    placements: Mapping[Uuid, TopicPlacements]
    next_producer_id: int
    kept: KeptRecords
    quorum: Quorum


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
        self.quotas = StoredQuotas()
        self._features: dict[str, int] = {}
        self.acls = AclFold()
        self.bootstrap: list[Record] = []
        """What `kafka-storage format` wants a new log to open with. Not in the log yet, so no part of the state."""
        self._kept = KeptRecords()
        self._quorum = Quorum()
        self._shared_placements: dict[Placement, Placement] = {}
        self._transaction: list[ClusterRecord] | None = None
        self._image = ClusterImage()
        self._stale_topics: dict[Uuid, None] = {}
        self._stale_resources: dict[tuple[int, str], None] = {}
        self._stale_quotas: dict[Entity, None] = {}
        self._features_stale = False
        self._credentials: KeptMap[tuple[int, str], Credential] = KeptMap(lambda key: self.credential(*key))
        self._tokens = KeptMap(self.token)

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
        return Topic(state.name, topic_id, state.partition_count, configs, epochs, state.replication_factor)

    def partitions_of(self, name: str) -> int | None:
        """How many partitions the topic of this name has; None if it does not exist."""
        topic_id = self._ids.get(name)
        return None if topic_id is None else self._topics[topic_id].partition_count

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

    def resources_with(self, resource_type: int, config: str) -> list[str]:
        """Names of the resources of this type that override `config`."""
        return [name for (kind, name), configs in self._configs.items() if kind == resource_type and config in configs]

    def credential(self, mechanism: int, user: str) -> Credential | None:
        """A user's SCRAM credential for the mechanism of this number; None if there is none."""
        record = self._kept.get(UserScramCredentialRecord, (mechanism, user))
        if record is None:
            return None
        from broker.security.sasl.scram import Credential

        return Credential(bytes(record.salt), bytes(record.stored_key), bytes(record.server_key), record.iterations)

    def token(self, token_id: str) -> DelegationToken | None:
        """The delegation token with this id; None if there is none."""
        record = self._kept.get(DelegationTokenRecord, token_id)
        if record is None:
            return None
        from broker.security.tokens import DelegationToken

        return DelegationToken(
            token_id=token_id,
            owner=_principal(record.owner),
            requester=_principal(record.requester or record.owner),
            renewers=tuple(map(_principal, record.renewers)),
            issued=record.issue_timestamp,
            expires=record.expiration_timestamp,
            lives_until=record.max_timestamp,
        )

    @property
    def finalized_features(self) -> Mapping[str, int]:
        """Feature -> its level, of those above 0; empty for a log that has just begun."""
        return self._features if self.kraft_version == 0 else {**self._features, KRAFT_VERSION: self.kraft_version}

    def level_of(self, feature: str) -> int:
        """The level at which the cluster is; 0 where it is at none."""
        return self.kraft_version if feature == KRAFT_VERSION else self._features.get(feature, 0)

    @property
    def metadata_version(self) -> int:
        """The level of the records that are written: the newest until a log says another."""
        return self._features.get(METADATA_VERSION, NEWEST_METADATA_VERSION)

    @property
    def resource_count(self) -> int:
        """Resources with overrides."""
        return len(self._configs)

    @property
    def in_transaction(self) -> bool:
        """True when the log ends inside a transaction of Kafka's controller, which must be aborted before anything else
        is written."""
        return self._transaction is not None

    # --- the fold

    def replay(self, record: ClusterRecord) -> None:
        """Apply one record, or a run of them."""
        match record:
            case BeginTransactionRecord():
                assert self._transaction is None, "a transaction begins inside another one"
                self._transaction = []
            case EndTransactionRecord() | AbortTransactionRecord():
                assert self._transaction is not None, "a transaction ends that has not begun"
                records, self._transaction = self._transaction, None
                if isinstance(record, EndTransactionRecord):
                    for held_back in records:
                        self._apply(held_back)
            case _ if self._transaction is not None:
                self._transaction.append(record)
            case _:
                self._apply(record)

    def _apply(self, record: ClusterRecord) -> None:
        match record:
            case TopicRecord():
                self._add_topic(record.name, record.topic_id)
            case PartitionRecord():
                self._add_partition(record)
                if record.leader_epoch > 0:
                    self._raise_leader_epoch(record.topic_id, record.partition_id, record.leader_epoch)
            case PartitionRun():
                self._add_partitions(record)
            case PartitionChangeRecord():
                self._topics[record.topic_id].placements.change(record)
                if record.leader != NO_LEADER_CHANGE:
                    self._raise_leader_epoch(record.topic_id, record.partition_id, 1)
            case ClearElrRecord():
                for state in self._topics.values():
                    if record.topic_name in ("", state.name):
                        state.placements.clear_elr(range(state.partition_count))
            case RemoveTopicRecord():
                self._remove_topic(record.topic_id)
            case ConfigRecord():
                self._set_config(record.resource_type, record.resource_name, record.name, record.value)
            case ClientQuotaRecord():
                self._stale_quotas[self.quotas.replay(record)] = None
            case ProducerIdsRecord():
                self.next_producer_id = record.next_producer_id
            case FeatureLevelRecord():
                self._set_feature(record.name, record.feature_level)
            case UserScramCredentialRecord() | RemoveUserScramCredentialRecord():
                self._kept.replay(record)
                self._credentials.touch((record.mechanism, record.name))
            case DelegationTokenRecord() | RemoveDelegationTokenRecord():
                self._kept.replay(record)
                self._tokens.touch(record.token_id)
            case AccessControlEntryRecord():
                self.acls.add(record)
            case RemoveAccessControlEntryRecord():
                self.acls.remove(record.id)
            case _:
                self._kept.replay(record)

    def replay_control(self, record: RecordData) -> None:
        """Apply a control record of the quorum. What a new leader says of itself means nothing here."""
        kind = control_record_type(record.key)
        if kind == ControlRecordType.KRAFT_VERSION:
            self._quorum = self._quorum._replace(kraft_version=record.value)
            self._features_stale = True
        elif kind == ControlRecordType.KRAFT_VOTERS:
            self._quorum = self._quorum._replace(voters=record.value)

    @property
    def kraft_version(self) -> int:
        """The quorum's `kraft.version`: 1 if its voters are in its log, 0 if they are in its configuration."""
        value = self._quorum.kraft_version
        return 0 if value is None else decode(KRaftVersionRecord, 0, value).k_raft_version

    @property
    def voters(self) -> tuple[QuorumVoter, ...]:
        """The voters that the log names; none where they are in the configuration."""
        value = self._quorum.voters
        return () if value is None else tuple(decode(VotersRecord, 0, value).voters)

    def adopt_quorum(self, quorum: Quorum) -> None:
        """What a snapshot says about the quorum."""
        self._quorum = quorum
        self._features_stale = True

    def _add_topic(self, name: str, topic_id: Uuid) -> None:
        assert name not in self._ids and topic_id not in self._topics, f"the topic {name} was created twice"
        self._topics[topic_id] = _TopicState(name, topic_id)
        self._ids[name] = topic_id
        if may_collide(name):
            self._collisions.setdefault(collision_key(name), set()).add(name)
        self._stale_topics[topic_id] = None

    def _add_partition(self, record: PartitionRecord) -> None:
        topic_id, partition = record.topic_id, record.partition_id
        state = self._topics[topic_id]
        assert partition == state.partition_count, f"partition {partition} of {state.name} is out of sequence"
        state.partition_count += 1
        placement = placement_of(record)
        shared = self._shared_placements.setdefault(placement, placement)
        state.placements.add(partition, shared, record.partition_epoch)
        self.partition_count += 1
        self._stale_topics[topic_id] = None

    def _add_partitions(self, run: PartitionRun) -> None:
        """As their records would, one after the other."""
        state = self._topics[run.topic_id]
        assert run.partitions[0] == state.partition_count, f"{run.partitions} of {state.name} are out of sequence"
        placement = placement_of(run.record())
        state.placements.add_alike(run.partitions, self._shared_placements.setdefault(placement, placement))
        state.partition_count += len(run.partitions)
        self.partition_count += len(run.partitions)
        self._stale_topics[run.topic_id] = None

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
        stale = self._stale_topics or self._stale_resources or self._features_stale or self._stale_quotas
        return bool(stale) or self.acls.changed or self._credentials.changed or self._tokens.changed

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
        stale_acls = self.acls.stale_ids()
        quotas = self.quotas.entities
        new = ClusterImage(
            topics=old.topics.updated({topic.name: topic for topic in put}, [topic.name for topic in gone]),
            topics_by_id=old.topics_by_id.updated(
                {topic.topic_id: topic for topic in put}, [topic.topic_id for topic in gone]
            ),
            configs=old.configs.updated(put_configs, gone_configs),
            client_quotas=old.client_quotas.updated(
                {entity: dict(quotas[entity]) for entity in self._stale_quotas if entity in quotas},
                [entity for entity in self._stale_quotas if entity not in quotas],
            ),
            partition_count=self.partition_count,
            features=dict(self._features) if self._features_stale else old.features,
            finalized_features=dict(self.finalized_features) if self._features_stale else old.finalized_features,
            credentials=self._credentials.advance(old.credentials),
            tokens=self._tokens.advance(old.tokens),
            acls=self.acls.advance(old.acls),
        )
        change = difference(
            old, new, list(self._stale_topics), list(self._stale_resources), stale_acls, list(self._stale_quotas)
        )
        self._image = new
        self._stale_topics.clear()
        self._stale_resources.clear()
        self._stale_quotas.clear()
        self.removed = {}
        self._features_stale = False
        return new, change

    def kept_of(self, kinds: Iterable[type[Record]]) -> list[Record]:
        """The records of these kinds among those that are kept and not used."""
        return self._kept.of(kinds)

    def capture(self) -> ClusterCapture:
        """The state of now, for a snapshot. Costs a few copies of references for each topic and each thing kept."""
        assert not self.changed and not self.in_transaction, "a snapshot is of an image that readers can have"
        return ClusterCapture(
            image=self._image,
            placements={topic_id: state.placements.copy() for topic_id, state in self._topics.items()},
            next_producer_id=self.next_producer_id,
            kept=self._kept.copy(),
            quorum=self._quorum,
        )

    # --- the rest of the machine contract

    def loaded(self, now: Instant) -> Iterable[object]:
        """Nothing here has a deadline."""
        return ()

    def next_deadline(self) -> int | None:
        """Never."""
        return None

    def decide_expired(self, now: Instant) -> ClusterDecision:
        """Nothing expires."""
        return Decision()

    def encode(self, record: ClusterRecord, now: Instant) -> RecordData:
        """Kafka's framing, in the value; metadata records have no key. Versions are those of `metadata.version`."""
        assert not isinstance(record, PartitionRun), "its records are encoded already"
        version = partition_record_version(self.metadata_version) if isinstance(record, PartitionRecord) else None
        return RecordData(0, now.wall, None, encode_record(record, version), ())

    def decode(self, data: RecordData) -> Record | None:
        """The other way. Raises UnsupportedVersion for what this release does not know, ProtocolError for damage."""
        if data.value is None:
            return None
        try:
            return decode_record(data.value)
        except UnsupportedVersion as error:
            raise UnsupportedVersion(f"offset {data.offset} has {error}, which only a newer release can read") from None

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
        records = self._kept.of([UserScramCredentialRecord])
        credentials = {(one.mechanism, one.name) for one in records if isinstance(one, UserScramCredentialRecord)}
        assert image.credentials.keys() == credentials
        assert all(image.credentials[key] == self.credential(*key) for key in credentials)
        self.acls.check(image.acls)
        assert {entity: dict(quotas) for entity, quotas in image.client_quotas.items()} == self.quotas.entities
        assert all(self.quotas.entities.values()), "an entity without quotas is forgotten"


def _principal(text: str) -> Principal:
    """The principal in a record. A text that is none stays one that no client is."""
    return Principal.parse(text) if ":" in text else Principal("", text)
