"""The rows of the matrix: what each API takes, in the order in which it is asked for.

`needs` are all required; each is one permission, or several of which one is enough. A row says which requests it is
about where an API has several answers: Metadata of a named topic is refused, Metadata of all topics leaves topics out.
Sources: `KafkaApis`, `ControllerApis`, `AclApis`; and a running Kafka, which the instrument asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from broker.handlers import SERVED_VERSIONS
from broker.security.operations import REFUSAL, Operation, Resource
from broker.testing.authorization.requests import BATCH_OF_TRANSACTION, Names, about
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.messages.alter_client_quotas import EntityData, OpData, RequestEntryData
from kproto.messages.alter_configs import AlterableConfig, AlterConfigsResource
from kproto.messages.alter_user_scram_credentials import ScramCredentialDeletion
from kproto.messages.create_acls import AclCreation
from kproto.messages.create_partitions import CreatePartitionsTopic
from kproto.messages.create_topics import CreatableTopic
from kproto.messages.delete_acls import DeleteAclsFilter
from kproto.messages.describe_configs import DescribeConfigsResource
from kproto.messages.incremental_alter_configs import AlterableConfig as IncrementalConfig
from kproto.messages.incremental_alter_configs import AlterConfigsResource as IncrementalResource
from kproto.messages.join_group import JoinGroupRequestProtocol
from kproto.messages.offset_fetch import OffsetFetchRequestGroup
from kproto.messages.produce import PartitionProduceData, TopicProduceData
from kproto.messages.update_features import FeatureUpdateKey
from kproto.schema.declare import Request

T, G, C, X = Resource.TOPIC, Resource.GROUP, Resource.CLUSTER, Resource.TRANSACTIONAL_ID
READ, WRITE, CREATE, DELETE, ALTER = (
    Operation.READ, Operation.WRITE, Operation.CREATE, Operation.DELETE, Operation.ALTER,
)  # fmt: skip
DESCRIBE, ACTION, IDEMPOTENT_WRITE = Operation.DESCRIBE, Operation.CLUSTER_ACTION, Operation.IDEMPOTENT_WRITE
DESCRIBE_CONFIGS, ALTER_CONFIGS = Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS

Permission = tuple[Operation, Resource]
Need = tuple[Permission, ...]
"""Permissions of which one is enough."""
Fields = Callable[[Names, int], Mapping[str, Any]]


class Row(NamedTuple):
    """What one API takes, for requests of one kind."""

    api_key: int
    about: str
    """Which requests, where there are several rows for an API."""
    needs: tuple[Need, ...]
    fields: Fields = lambda names, version: {}
    """What these requests say beside the names."""
    leaves_out: Resource | None = None
    """The resource that is left out of the answer instead of being refused."""
    tells_describers: bool = False
    """Whether a client that may describe the resource learns whether it exists though it is refused."""
    first: int = 0
    last: int = 99
    coded_since: int = 0
    """The version from which on a refusal has a code; before, the answer is empty."""

    def __str__(self) -> str:
        return request_type(self.api_key).__name__.removesuffix("Request") + (f" of {self.about}" if self.about else "")

    @property
    def versions(self) -> list[int]:
        """The oldest and the newest version served that the row is about."""
        oldest, newest = SERVED_VERSIONS[self.api_key]
        return sorted({max(oldest, self.first), min(newest, self.last)})

    def request(self, names: Names, version: int) -> Request:
        """The request that the row is about."""
        return about(request_type(self.api_key), version, names, self.fields(names, version))

    def refusal(self, need: Need) -> ErrorCode:
        """The code of a request that lacks this."""
        return REFUSAL[need[0][1]]


def one(operation: Operation, resource: Resource) -> Need:
    """A need that one permission meets."""
    return ((operation, resource),)


def row(api_key: int, *needs: Need, of: str = "", **rest: Any) -> Row:
    """A row, as the table below has it."""
    return Row(api_key, of, needs, **rest)


def _transactional(names: Names, version: int) -> Mapping[str, Any]:
    part = [PartitionProduceData(index=0, records=BATCH_OF_TRANSACTION)]
    named = {"topic_id": names.topic_id} if version >= 13 else {"name": names.topic}
    return {
        "acks": -1,
        "timeout_ms": 1000,
        "transactional_id": names.transaction,
        "topic_data": [TopicProduceData(partition_data=part, **named)],
    }


def _configs_of(kind: int, name: Callable[[Names], str], operation: str) -> Fields:
    """Resources of one kind, as the three APIs of configs name them."""

    def fields(names: Names, version: int) -> Mapping[str, Any]:
        named: dict[str, Any] = {"resource_type": kind, "resource_name": name(names)}
        if operation == "describe":
            return {"resources": [DescribeConfigsResource(configuration_keys=None, **named)]}
        config = CONFIGS[kind]
        if operation == "alter":
            configs = [AlterableConfig(name=config[0], value=config[1])]
            return {"validate_only": True, "resources": [AlterConfigsResource(configs=configs, **named)]}
        changes = [IncrementalConfig(name=config[0], value=config[1])]
        return {"validate_only": True, "resources": [IncrementalResource(configs=changes, **named)]}

    return fields


TOPIC, BROKER, GROUP = 2, 4, 32
CONFIGS: Final = {
    TOPIC: ("retention.ms", "1000000"),
    BROKER: ("log.cleaner.threads", "1"),
    GROUP: ("consumer.session.timeout.ms", "45000"),
}


def _of_configs(api_key: int, operation: str, needed: Operation, *kinds: int) -> list[Row]:
    known: dict[int, tuple[str, Resource, Callable[[Names], str]]] = {
        TOPIC: ("a topic", T, lambda names: names.topic),
        BROKER: ("a broker", C, lambda names: "1"),
        GROUP: ("a group", G, lambda names: names.group),
    }
    return [
        row(
            api_key, one(needed, known[kind][1]), of=known[kind][0], fields=_configs_of(kind, known[kind][2], operation)
        )
        for kind in kinds
    ]


ACL_FILTER: Final[dict[str, Any]] = {
    "resource_type_filter": 1,
    "pattern_type_filter": 1,
    "principal_filter": "User:of no row",
    "operation": 1,
    "permission_type": 1,
}
NEW_ACL: Final = AclCreation(
    resource_type=2,
    resource_name="x",
    resource_pattern_type=3,
    principal="User:of no row",
    host="*",
    operation=3,
    permission_type=3,
)

HARMLESS_FETCH: Final = {"replica_id": -1, "max_bytes": 1000, "session_epoch": -1}
JOINING: Final = {
    "session_timeout_ms": 1,  # refused at once where the client may join, so that no member comes of it
    "rebalance_timeout_ms": 1,
    "protocol_type": "consumer",
    "protocols": [JoinGroupRequestProtocol(name="range", metadata=b"")],
}
NEW_QUOTA: Final = RequestEntryData(
    entity=[EntityData(entity_type="user", entity_name="x")], ops=[OpData(key="producer_byte_rate", value=1.0)]
)


def says(**fields: Any) -> Fields:
    """The same fields, whatever the names."""
    return lambda names, version: fields


def _all_offsets(names: Names, version: int) -> Mapping[str, Any]:
    return {"topics": None, "groups": [OffsetFetchRequestGroup(group_id=names.group, topics=None)]}


def _coordinator(kind: int, name: Callable[[Names], str]) -> Fields:
    return lambda names, version: {"key_type": kind, "key": name(names), "coordinator_keys": [name(names)]}


ROWS: Final[list[Row]] = [
    row(0, one(WRITE, T), of="plain records", fields=says(acks=-1, timeout_ms=1000)),
    row(0, one(WRITE, X), one(WRITE, T), of="a transaction", fields=_transactional),
    row(1, one(READ, T), fields=says(**HARMLESS_FETCH)),
    row(2, one(DESCRIBE, T), fields=says(replica_id=-1)),
    row(3, one(DESCRIBE, T), of="a topic", fields=says(allow_auto_topic_creation=False), first=4),
    row(3, one(DESCRIBE, T), of="all topics", fields=lambda names, version: {"topics": None if version else []},
        leaves_out=T),
    row(8, one(READ, G), one(READ, T)),
    row(9, one(DESCRIBE, G), one(DESCRIBE, T), of="a topic"),
    row(9, one(DESCRIBE, G), one(DESCRIBE, T), of="all topics", fields=_all_offsets, leaves_out=T, first=2),
    row(10, one(DESCRIBE, G), of="a group", fields=_coordinator(0, lambda names: names.group)),
    row(10, one(DESCRIBE, X), of="a transactional id", first=1,
        fields=_coordinator(1, lambda names: names.transaction)),
    row(11, one(READ, G), fields=says(**JOINING)),
    row(12, one(READ, G)),
    row(13, one(READ, G)),
    row(14, one(READ, G), fields=says(protocol_type="consumer", protocol_name="range")),
    row(15, one(DESCRIBE, G)),
    row(16, ((DESCRIBE, G), (DESCRIBE, C)), leaves_out=G),
    row(17),
    row(18, fields=says(client_software_name="a", client_software_version="1")),
    row(19, ((CREATE, T), (CREATE, C)), fields=lambda names, version: {
        "topics": [CreatableTopic(name=names.topic, num_partitions=1, replication_factor=1)], "validate_only": True}),
    row(20, ((DELETE, T), (DELETE, C)), tells_describers=True, fields=says(timeout_ms=10_000)),
    row(21, one(DELETE, T)),
    row(22, one(WRITE, X), of="a transactional id", fields=lambda names, version: {
        "transactional_id": names.transaction, "transaction_timeout_ms": 60_000}),
    row(22, ((IDEMPOTENT_WRITE, C), (WRITE, T)), of="no transactional id", fields=says(transactional_id=None)),
    row(23, ((DESCRIBE, T), (ACTION, C))),
    row(24, one(WRITE, X), one(WRITE, T), of="a client", last=3),
    row(24, one(ACTION, C), of="a broker", first=4),
    row(25, one(WRITE, X), one(READ, G)),
    row(26, one(WRITE, X)),
    row(27, ((ALTER, C), (ACTION, C))),
    row(28, one(WRITE, X), one(READ, G), one(READ, T)),
    row(29, one(DESCRIBE, C), fields=says(**ACL_FILTER)),
    row(30, one(ALTER, C), fields=says(creations=[NEW_ACL])),
    row(31, one(ALTER, C), fields=says(filters=[DeleteAclsFilter(**ACL_FILTER)])),
    *_of_configs(32, "describe", DESCRIBE_CONFIGS, TOPIC, BROKER, GROUP),
    *_of_configs(33, "alter", ALTER_CONFIGS, TOPIC, BROKER),
    row(34, one(ALTER, C)),
    row(35, one(DESCRIBE, C), coded_since=3),
    row(36),
    row(37, one(ALTER, T), fields=lambda names, version: {
        "topics": [CreatePartitionsTopic(name=names.topic, count=2, assignments=None)], "validate_only": True,
        "timeout_ms": 10_000}),
    row(42, one(DELETE, G)),
    row(43, one(ALTER, C)),
    *_of_configs(44, "alter by steps", ALTER_CONFIGS, TOPIC, BROKER, GROUP),
    row(45, one(ALTER, C)),
    row(46, one(DESCRIBE, C)),
    row(47, one(DELETE, G), one(READ, T)),
    row(48, one(DESCRIBE_CONFIGS, C)),
    row(49, one(ALTER_CONFIGS, C), fields=says(entries=[NEW_QUOTA], validate_only=True)),
    row(50, one(DESCRIBE, C)),
    row(51, one(ALTER, C), fields=says(deletions=[ScramCredentialDeletion(name="x", mechanism=1)])),
    row(55, one(DESCRIBE, C)),
    row(57, one(ALTER, C), fields=says(feature_updates=[FeatureUpdateKey(feature="no.such", max_version_level=1)])),
    row(60),
    row(61, one(READ, T)),
    row(64, one(ALTER, C), fields=says(broker_id=7)),
    row(65, one(DESCRIBE, X)),
    row(66, one(DESCRIBE, X), leaves_out=X),
    row(68, one(READ, G), one(DESCRIBE, T), fields=lambda names, version: {
        "member_id": "m", "member_epoch": 5, "subscribed_topic_names": [names.topic]}),
    row(69, one(DESCRIBE, G)),
    row(71),
    row(72),
    row(74, one(DESCRIBE_CONFIGS, C)),
    row(75, one(DESCRIBE, T), of="a topic", fields=says(response_partition_limit=1000)),
    row(75, one(DESCRIBE, T), of="all topics", fields=says(topics=[], response_partition_limit=1000), leaves_out=T),
    row(80, one(ALTER, C), fields=says(voter_id=7)),
    row(81, one(ALTER, C), fields=says(voter_id=7)),
    row(94, one(ALTER, C), fields=says(controller_id=7)),
]  # fmt: skip
