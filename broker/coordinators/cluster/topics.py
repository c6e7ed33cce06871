"""Decisions about topics: create, delete, add partitions. Pure; every refusal has the code that Kafka's controller
gives.

Sources: Kafka's ReplicationControlManager (which checks come in which order) and what a running broker answers. A
replication factor is a wish that is written down and shown: one node holds everything, or the store that all of them
share does. It may be as many as there are brokers, and an assignment may name those; alone the only factor is 1 and the
only replica this node.

Bounds: `TopicRules.max_partitions` for the cluster as a whole, and Kafka's 10,000 records for one request. Beyond
either the answer is POLICY_VIOLATION, which clients do not repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from broker.coordinators.cluster.image import ResourceType, Topic
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.cluster.partition_runs import PartitionRun, partition_record
from broker.coordinators.cluster.topic_names import check_topic_name
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ConfigRecord, RemoveTopicRecord, TopicRecord
from kproto.ids import Uuid
from kproto.schema.declare import Record

MAX_RECORDS_PER_REQUEST: Final = 10_000
"""Topics, configs and partitions that one request may make (Kafka: QuorumController.MAX_RECORDS_PER_USER_OP)."""

UNKNOWN_TOPIC: Final = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
UNKNOWN_TOPIC_ID: Final = KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
"""Replies of which one request may get thousands; none has a traceback, which would keep the frames of its decision."""

DEFAULT: Final = -1
"""In a request: "as the broker is configured"."""


class Assignment(NamedTuple):
    """Which nodes hold a partition, as a client wants it."""

    partition: int
    node_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic as asked for. `partition_count` and `replication_factor` may be DEFAULT; a None among the configs is
    refused.
    """

    name: str
    partition_count: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Sequence[Assignment] = ()
    configs: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class NewPartitions:
    """A topic and how many partitions it is to have; `assignments` None leaves their place to the broker."""

    topic: str
    total_count: int
    assignments: Sequence[Sequence[int]] | None = None


def uncounted(partitions: int) -> None:
    """No quota limits what is made."""


@dataclass(frozen=True, slots=True)
class TopicRules:
    """What the broker's configuration says about topics at the time of a decision."""

    brokers: tuple[int, ...]
    """Node ids of the brokers that there are; this one, if it is alone."""
    default_partitions: int
    default_replication_factor: int
    max_partitions: int
    check_configs: Callable[[Mapping[str, str]], None]
    """Raises KafkaError(INVALID_CONFIG) for configs that no topic may have."""
    count: Callable[[int], None] = uncounted
    """Is given the number of partitions that are about to be made, once everything else has been checked. Raises
    KafkaError(THROTTLING_QUOTA_EXCEEDED)."""


def decide_creation(
    machine: ClusterMachine,
    new: NewTopic,
    topic_id: Uuid,
    rules: TopicRules,
    promise: Promise[Topic],
    validate_only: bool,
    prepared: PartitionRun | None = None,
) -> ClusterDecision:
    """Create one topic. The reply is the topic as it will be. `prepared`: its partitions, if they are many.

    Replies KafkaError: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_CONFIG, INVALID_REQUEST,
    INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS, POLICY_VIOLATION.
    """
    assert machine.topic_by_id(topic_id) is None, "a topic id is given once"
    try:
        topic = _plan_topic(machine, new, topic_id, rules)
    except KafkaError as error:
        return Decision(replies=[(promise, error.with_traceback(None))])
    if validate_only:
        return Decision(replies=[(promise, topic)])
    records: list[Record] = [TopicRecord(name=topic.name, topic_id=topic_id)]
    records += [
        ConfigRecord(resource_type=int(ResourceType.TOPIC), resource_name=topic.name, name=name, value=value)
        for name, value in topic.configs.items()
    ]
    replicas = rules.brokers[: topic.replication_factor]
    return _with_partitions(machine, records, topic_id, topic.partitions, replicas, prepared, [(promise, topic)])


def _plan_topic(machine: ClusterMachine, new: NewTopic, topic_id: Uuid, rules: TopicRules) -> Topic:
    if machine.has_topic(new.name):
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{new.name}' already exists.")  # scripts look for this
    check_topic_name(new.name)
    other = machine.colliding_topic(new.name)
    if other is not None:
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"{new.name!r} differs from the existing topic {other!r} in '.' and '_' only",
        )
    configs = _given_configs(new)
    rules.check_configs(configs)
    count = len(new.assignments) if new.assignments else _wanted_count(new, rules)
    if new.assignments:
        _check_creation_assignments(new, rules)
    _check_room(machine, count, rules)
    rules.count(count)
    return Topic(new.name, topic_id, count, configs, replication_factor=replication_factor(new, rules))


def replication_factor(new: NewTopic, rules: TopicRules) -> int:
    """How many replicas this topic is to have, whether it may or not."""
    if new.assignments:
        return len(new.assignments[0].node_ids)
    return rules.default_replication_factor if new.replication_factor == DEFAULT else new.replication_factor


def _given_configs(new: NewTopic) -> dict[str, str]:
    given: dict[str, str] = {}
    missing: list[str] = []
    for name, value in (new.configs or {}).items():
        if value is None:
            missing.append(name)
        else:
            given[name] = value
    if missing:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"topic configs without a value: {', '.join(missing)}")
    return given


def _wanted_count(new: NewTopic, rules: TopicRules) -> int:
    if new.replication_factor < DEFAULT or new.replication_factor == 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR, "the replication factor must be above 0, or -1 for the default"
        )
    if new.partition_count < DEFAULT or new.partition_count == 0:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, "the partition count must be above 0, or -1 for the default")
    factor = replication_factor(new, rules)
    if factor > len(rules.brokers):
        registered = f"{len(rules.brokers)} brokers are" if len(rules.brokers) > 1 else "1 broker is"
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"a replication factor of {factor} cannot be reached because only {registered} registered",
        )
    return rules.default_partitions if new.partition_count == DEFAULT else new.partition_count


def _check_creation_assignments(new: NewTopic, rules: TopicRules) -> None:
    if new.replication_factor != DEFAULT:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "with a replica assignment the replication factor must be -1")
    if new.partition_count != DEFAULT:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "with a replica assignment the number of partitions must be -1")
    seen: set[int] = set()
    for assignment in new.assignments:
        if assignment.partition in seen:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"partition {assignment.partition} is assigned more than once"
            )
        seen.add(assignment.partition)
        _check_replicas(assignment.node_ids, rules.brokers)
        if len(assignment.node_ids) != len(new.assignments[0].node_ids):
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, "the assignment gives partitions different numbers of replicas"
            )
    if seen != set(range(len(seen))):
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "the partitions assigned must be numbered from 0 without a gap"
        )


def _check_replicas(node_ids: Sequence[int], brokers: tuple[int, ...]) -> None:
    """Raise INVALID_REPLICA_ASSIGNMENT unless `node_ids` are some of these brokers, each once."""
    if not node_ids:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "a partition is assigned to no broker")
    for other in sorted(node_ids):
        if other not in brokers:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"the assignment names broker {other}, which is not registered"
            )
    for other in sorted(node_ids):
        if node_ids.count(other) > 1:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"the assignment names broker {other} more than once"
            )


def _check_room(machine: ClusterMachine, additional: int, rules: TopicRules) -> None:
    if machine.partition_count + additional > rules.max_partitions:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"there are {machine.partition_count} partitions; {additional} more would exceed {rules.max_partitions}",
        )


def creation_size(new: NewTopic, rules: TopicRules) -> int:
    """Records that creating this topic takes."""
    return 1 + len(new.configs or ()) + partitions_wanted(new, rules)


def partitions_wanted(new: NewTopic, rules: TopicRules) -> int:
    """How many partitions this topic is to have, whether it may or not; never negative."""
    count = rules.default_partitions if new.partition_count == DEFAULT else new.partition_count
    return len(new.assignments) or max(0, count)


def growth_size(machine: ClusterMachine, new: NewPartitions) -> int:
    """Records that these partitions take."""
    present = machine.partitions_of(new.topic)
    return 0 if present is None else max(0, new.total_count - present)


def check_request_size(records: int) -> None:
    """Raise POLICY_VIOLATION if this is too much for one request. Nothing of it is made then."""
    if records > MAX_RECORDS_PER_REQUEST:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"one request may not make more than {MAX_RECORDS_PER_REQUEST} topics, configs and partitions",
        )


def _with_partitions(
    machine: ClusterMachine,
    records: list[Record],
    topic_id: Uuid,
    partitions: range,
    replicas: tuple[int, ...],
    prepared: PartitionRun | None,
    replies: Sequence[tuple[Promise[Any], Any]],
) -> ClusterDecision:
    """A decision with these records, and those of the partitions, behind them."""
    level = machine.metadata_version
    if prepared is not None and prepared.is_for(topic_id, partitions, replicas, len(records), level):
        return Decision([*records, prepared], replies, encoded=prepared.encoded)
    return Decision(
        [*records, *(partition_record(topic_id, partition, replicas, level) for partition in partitions)], replies
    )


def decide_deletion(machine: ClusterMachine, topic_id: Uuid, promise: Promise[Topic]) -> ClusterDecision:
    """Delete one topic. The reply is the topic that was; KafkaError(UNKNOWN_TOPIC_ID) if there is none."""
    topic = machine.topic_by_id(topic_id)
    if topic is None:
        return Decision(replies=[(promise, UNKNOWN_TOPIC_ID)])
    return Decision([RemoveTopicRecord(topic_id=topic_id)], [(promise, topic)])


def decide_growth(
    machine: ClusterMachine,
    new: NewPartitions,
    rules: TopicRules,
    promise: Promise[Topic],
    validate_only: bool,
    prepared: PartitionRun | None = None,
) -> ClusterDecision:
    """Add partitions to one topic. The reply is the topic as it was. `prepared`: the new ones but for the first.

    Replies KafkaError: UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, POLICY_VIOLATION.
    """
    topic = machine.topic(new.topic)
    if topic is None:
        return Decision(replies=[(promise, UNKNOWN_TOPIC)])
    try:
        _check_growth(machine, topic, new, rules)
    except KafkaError as error:
        return Decision(replies=[(promise, error.with_traceback(None))])
    if validate_only:
        return Decision(replies=[(promise, topic)])
    added = range(topic.partition_count, new.total_count)
    # The first has a record of its own, whose timestamp is that of all.
    replicas = rules.brokers[: topic.replication_factor]
    first = partition_record(topic.topic_id, added[0], replicas, machine.metadata_version)
    return _with_partitions(machine, [first], topic.topic_id, added[1:], replicas, prepared, [(promise, topic)])


def _check_growth(machine: ClusterMachine, topic: Topic, new: NewPartitions, rules: TopicRules) -> None:
    additional = new.total_count - topic.partition_count
    if additional == 0:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {topic.partition_count} partition(s).")
    if additional < 0:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {topic.name} currently has {topic.partition_count} partition(s); "
            f"{new.total_count} would not be an increase.",
        )
    if new.assignments is not None:
        if len(new.assignments) != additional:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"{additional} partitions are to be added, but {len(new.assignments)} are assigned",
            )
        for node_ids in new.assignments:
            _check_replicas(node_ids, rules.brokers)
            if len(node_ids) != topic.replication_factor:
                raise KafkaError(
                    ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                    f"the assignment has {len(node_ids)} replicas, and the topic's partitions have "
                    f"{topic.replication_factor}",
                )
    _check_room(machine, additional, rules)
    rules.count(additional)
