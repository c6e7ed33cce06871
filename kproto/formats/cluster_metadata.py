"""The records of ``__cluster_metadata``: brokers, topics, partitions, configuration, access control, quotas, features.

The state of a KRaft cluster is what these records add up to, from the first to the last. A record has no key; its value
is a frame: an unsigned varint with the version of the frame, which is 1, one with the kind of the record (its
``api_key``), one with the version of the record, and then the record. Nothing may follow.

Source: Kafka's ``MetadataRecordSerde`` and ``MetadataRecordType``; the records are those of KIP-631, most of them.
"""

from collections.abc import Mapping
from typing import Final, cast

from kproto.errors import UnsupportedVersion
from kproto.primitives import Readable, read_uvarint, uvarint
from kproto.schema.compile import decode, encode
from kproto.schema.declare import (
    Array,
    Bool,
    Bytes,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Record,
    String,
    Struct,
    Uint16,
    Uuid,
    field,
)


class BrokerEndpoint(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")
    security_protocol: Int16 = field("0+")


class BrokerFeature(Struct):
    name: String = field("0+", map_key=True)
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class RegisterBrokerRecord(Record, api=0, versions="0-4", flexible="0+"):
    broker_id: Int32 = field("0+")
    is_migrating_zk_broker: Bool = field("2+")
    incarnation_id: Uuid = field("0+")
    broker_epoch: Int64 = field("0+")
    end_points: Array[BrokerEndpoint] = field("0+")
    features: Array[BrokerFeature] = field("0+")
    rack: String | None = field("0+")
    fenced: Bool = field("0+", default=True)
    in_controlled_shutdown: Bool = field("1+")
    log_dirs: Array[Uuid] = field("3+", tag=0)
    cordoned_log_dirs: Array[Uuid] | None = field("4+", tag=1, default=None)


class UnregisterBrokerRecord(Record, api=1, versions="0", flexible="0+"):
    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+")


class TopicRecord(Record, api=2, versions="0", flexible="0+"):
    name: String = field("0+")
    topic_id: Uuid = field("0+")


class PartitionRecord(Record, api=3, versions="0-2", flexible="0+"):
    partition_id: Int32 = field("0+", default=-1)
    topic_id: Uuid = field("0+")
    replicas: Array[Int32] = field("0+")
    isr: Array[Int32] = field("0+")
    removing_replicas: Array[Int32] = field("0+")
    adding_replicas: Array[Int32] = field("0+")
    leader: Int32 = field("0+", default=-1)
    leader_recovery_state: Int8 = field("0+", tag=0)
    leader_epoch: Int32 = field("0+", default=-1)
    partition_epoch: Int32 = field("0+", default=-1)
    directories: Array[Uuid] = field("1+")
    eligible_leader_replicas: Array[Int32] | None = field("2+", tag=1, default=None)
    last_known_elr: Array[Int32] | None = field("2+", tag=2, default=None)


class ConfigRecord(Record, api=4, versions="0", flexible="0+"):
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    name: String = field("0+")
    value: String | None = field("0+")


class PartitionChangeRecord(Record, api=5, versions="0-2", flexible="0+"):
    partition_id: Int32 = field("0+", default=-1)
    topic_id: Uuid = field("0+")
    isr: Array[Int32] | None = field("0+", tag=0, default=None)
    leader: Int32 = field("0+", tag=1, default=-2)
    replicas: Array[Int32] | None = field("0+", tag=2, default=None)
    removing_replicas: Array[Int32] | None = field("0+", tag=3, default=None)
    adding_replicas: Array[Int32] | None = field("0+", tag=4, default=None)
    leader_recovery_state: Int8 = field("0+", tag=5, default=-1)
    directories: Array[Uuid] | None = field("1+", tag=8, default=None)
    eligible_leader_replicas: Array[Int32] | None = field("2+", tag=6, default=None)
    last_known_elr: Array[Int32] | None = field("2+", tag=7, default=None)


class FenceBrokerRecord(Record, api=7, versions="0", flexible="0+"):
    id: Int32 = field("0+")
    epoch: Int64 = field("0+")


class UnfenceBrokerRecord(Record, api=8, versions="0", flexible="0+"):
    id: Int32 = field("0+")
    epoch: Int64 = field("0+")


class RemoveTopicRecord(Record, api=9, versions="0", flexible="0+"):
    topic_id: Uuid = field("0+")


class DelegationTokenRecord(Record, api=10, versions="0", flexible="0+"):
    owner: String = field("0+")
    requester: String = field("0+")
    renewers: Array[String] = field("0+")
    issue_timestamp: Int64 = field("0+")
    max_timestamp: Int64 = field("0+")
    expiration_timestamp: Int64 = field("0+")
    token_id: String = field("0+")


class UserScramCredentialRecord(Record, api=11, versions="0", flexible="0+"):
    name: String = field("0+")
    mechanism: Int8 = field("0+")
    salt: Bytes = field("0+")
    stored_key: Bytes = field("0+")
    server_key: Bytes = field("0+")
    iterations: Int32 = field("0+")


class FeatureLevelRecord(Record, api=12, versions="0", flexible="0+"):
    name: String = field("0+")
    feature_level: Int16 = field("0+")


class EntityData(Struct):
    entity_type: String = field("0+")
    entity_name: String | None = field("0+")


class ClientQuotaRecord(Record, api=14, versions="0", flexible="0+"):
    entity: Array[EntityData] = field("0+")
    key: String = field("0+")
    value: Float64 = field("0+")
    remove: Bool = field("0+")


class ProducerIdsRecord(Record, api=15, versions="0", flexible="0+"):
    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+", default=-1)
    next_producer_id: Int64 = field("0+")


class BrokerRegistrationChangeRecord(Record, api=17, versions="0-3", flexible="0+"):
    broker_id: Int32 = field("0+")
    broker_epoch: Int64 = field("0+")
    fenced: Int8 = field("0+", tag=0)
    in_controlled_shutdown: Int8 = field("1+", tag=1)
    log_dirs: Array[Uuid] = field("2+", tag=2)
    cordoned_log_dirs: Array[Uuid] | None = field("3+", tag=3, default=None)


class AccessControlEntryRecord(Record, api=18, versions="0", flexible="0+"):
    id: Uuid = field("0+")
    resource_type: Int8 = field("0+")
    resource_name: String = field("0+")
    pattern_type: Int8 = field("0+")
    principal: String = field("0+")
    host: String = field("0+")
    operation: Int8 = field("0+")
    permission_type: Int8 = field("0+")


class RemoveAccessControlEntryRecord(Record, api=19, versions="0", flexible="0+"):
    id: Uuid = field("0+")


class NoOpRecord(Record, api=20, versions="0", flexible="0+"):
    pass


class ZkMigrationStateRecord(Record, api=21, versions="0", flexible="0+"):
    zk_migration_state: Int8 = field("0+")


class RemoveUserScramCredentialRecord(Record, api=22, versions="0", flexible="0+"):
    name: String = field("0+")
    mechanism: Int8 = field("0+")


class BeginTransactionRecord(Record, api=23, versions="0", flexible="0+"):
    name: String | None = field("0+", tag=0, default=None)


class EndTransactionRecord(Record, api=24, versions="0", flexible="0+"):
    pass


class AbortTransactionRecord(Record, api=25, versions="0", flexible="0+"):
    reason: String | None = field("0+", tag=0, default=None)


class RemoveDelegationTokenRecord(Record, api=26, versions="0", flexible="0+"):
    token_id: String = field("0+")


class ControllerEndpoint(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")
    security_protocol: Int16 = field("0+")


class ControllerFeature(Struct):
    name: String = field("0+", map_key=True)
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class RegisterControllerRecord(Record, api=27, versions="0", flexible="0+"):
    controller_id: Int32 = field("0+")
    incarnation_id: Uuid = field("0+")
    zk_migration_ready: Bool = field("0+")
    end_points: Array[ControllerEndpoint] = field("0+")
    features: Array[ControllerFeature] = field("0+")


class ClearElrRecord(Record, api=28, versions="0", flexible="0+"):
    topic_name: String = field("0+")


class UnregisterControllerRecord(Record, api=29, versions="0", flexible="0+"):
    controller_id: Int32 = field("0+")


KINDS: Final[Mapping[int, type[Record]]] = {
    0: RegisterBrokerRecord,
    1: UnregisterBrokerRecord,
    2: TopicRecord,
    3: PartitionRecord,
    4: ConfigRecord,
    5: PartitionChangeRecord,
    7: FenceBrokerRecord,
    8: UnfenceBrokerRecord,
    9: RemoveTopicRecord,
    10: DelegationTokenRecord,
    11: UserScramCredentialRecord,
    12: FeatureLevelRecord,
    14: ClientQuotaRecord,
    15: ProducerIdsRecord,
    17: BrokerRegistrationChangeRecord,
    18: AccessControlEntryRecord,
    19: RemoveAccessControlEntryRecord,
    20: NoOpRecord,
    21: ZkMigrationStateRecord,
    22: RemoveUserScramCredentialRecord,
    23: BeginTransactionRecord,
    24: EndTransactionRecord,
    25: AbortTransactionRecord,
    26: RemoveDelegationTokenRecord,
    27: RegisterControllerRecord,
    28: ClearElrRecord,
    29: UnregisterControllerRecord,
}
"""Kind of record -> its class."""

FRAME_VERSION: Final = 1


def encode_record(record: Record, version: int | None = None) -> bytes:
    """A record's value as it stands in the log, in the newest version unless one is given. Raises ValueError."""
    version = record.max_version if version is None else version
    body = encode(record, version)
    return b"".join([uvarint(FRAME_VERSION), uvarint(record.api_key), uvarint(version), *cast(list[bytes], body)])


def decode_record(data: Readable) -> Record:
    """The record inside a value. Raises ProtocolError, for unknown kinds and versions its UnsupportedVersion."""
    frame, pos = read_uvarint(data, 0)
    if frame != FRAME_VERSION:
        raise UnsupportedVersion(f"a metadata record in a frame of version {frame}")
    kind, pos = read_uvarint(data, pos)
    version, pos = read_uvarint(data, pos)
    cls = KINDS.get(kind)
    if cls is None:
        raise UnsupportedVersion(f"a metadata record of kind {kind}")
    if not cls.min_version <= version <= cls.max_version:
        raise UnsupportedVersion(f"{cls.__name__} of version {version}")
    return decode(cls, version, memoryview(data)[pos:])
