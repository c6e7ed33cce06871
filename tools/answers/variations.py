"""What may differ between any two brokers that both are right: one table, each row with its reason.

A row is a path (the API, then field names, array positions left out) and what is done about it. `*.name` stands for
the field wherever it is. Three things can be done:

* `Masked`: the value does not count. Whether it is null, or one of the values that mean "none", still does.
* `Symbol`: an id made at run time; two brokers agree if they use theirs in the same places.
* `Ordered`: the elements are a set in Kafka (a hash map's values), so both sides are sorted first.

Everything not named here is compared as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kproto.schema.declare import Struct


@dataclass(frozen=True)
class Masked:
    """Shown as `shown`, unless it is one of `kept`."""

    shown: str
    reason: str
    kept: tuple[Any, ...] = (None,)
    only: Callable[[Any], bool] | None = None
    """Given the struct that holds the value: whether the rule holds there."""

    def mask(self, value: Any) -> Any:
        """What is compared in the value's place."""
        return value if value in self.kept else self.shown


@dataclass(frozen=True)
class Symbol:
    """An id that the broker makes up."""

    kind: str
    reason: str
    none: int = -1
    """The value that stands for no id."""
    only: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Ordered:
    """A set: sorted by these fields on both sides; if its elements are no structs, by themselves."""

    fields: tuple[str, ...]
    reason: str
    only: Callable[[Any], bool] | None = None

    def place(self, element: Any) -> tuple[str, ...]:
        """Where an element, already made plain, comes in the order."""
        if not isinstance(element, dict):
            return (str(element),)
        return tuple(str(element.get(name)) for name in self.fields)


SENTENCE = "sentences are for people; whether there is one is compared"
PLACE = "each broker lives at an address of its own"
HASHED = "Kafka collects these in a hash map, whose order means nothing"


LONG_AFTER = 1_750_000_000_000
"""A time, in ms, that is later than those of the records which scenarios send, and before any broker's clock."""


def _is_one_of(*names: str) -> Callable[[Any], bool]:
    return lambda struct: struct.name in names


def _made_by_the_broker(struct: Any) -> bool:
    return bool(struct.member_id) and not struct.member_id.startswith("member-")


VARIATIONS: dict[str, Masked | Symbol | Ordered] = {
    "*.error_message": Masked("<sentence>", SENTENCE),
    "*.batch_index_error_message": Masked("<sentence>", SENTENCE),
    "*.documentation": Masked("<sentence>", SENTENCE),
    "*.host": Masked("<host>", PLACE, kept=("",)),
    "*.port": Masked("<port>", PLACE, kept=(-1, 0)),
    "*.client_host": Masked("<host>", PLACE, kept=("",)),
    "*.throttle_time_ms": Masked("<throttle>", "how long a client is slowed down depends on the machine"),
    "*.cluster_id": Masked("<cluster>", "made when the data directory is formatted", kept=(None, "")),
    "*.producer_id": Symbol("producer", "the next free one of a block"),
    "GetTelemetrySubscriptions.subscription_id": Masked(
        "<checksum>", "made of the client's id, which may be drawn at random", kept=(0,)
    ),
    "*.session_id": Symbol("session", "drawn at random", none=0),
    "*.log_append_time_ms": Masked("<time>", "the broker's clock", kept=(-1,)),
    "ListOffsets.topics.partitions.timestamp": Masked(
        "<time>", "that of a marker is the broker's clock", only=lambda struct: struct.timestamp > LONG_AFTER
    ),
    "*.transaction_start_time_ms": Masked("<time>", "the broker's clock", kept=(-1, 0)),
    "DescribeProducers.topics.partitions.active_producers.last_timestamp": Masked(
        "<time>", "that of a marker is the broker's clock", kept=(-1,)
    ),
    "DescribeProducers.topics.partitions.active_producers": Ordered(("producer_id", "producer_epoch"), HASHED),
    "DescribeProducers.topics": Ordered(("name",), HASHED),
    "DescribeTransactions.transaction_states.topics": Ordered(("topic",), HASHED),
    "DescribeTransactions.transaction_states.topics.partitions": Ordered((), HASHED),
    "DescribeTransactions.transaction_states": Ordered(("transactional_id",), HASHED),
    "ListTransactions.transaction_states": Ordered(("transactional_id",), HASHED),
    "ListTransactions.unknown_state_filters": Ordered((), HASHED),
    "AddPartitionsToTxn.results_by_topic_v3_and_below": Ordered(("name",), HASHED),
    "AddPartitionsToTxn.results_by_topic_v3_and_below.results_by_partition": Ordered(("partition_index",), HASHED),
    "AddPartitionsToTxn.results_by_transaction": Ordered(("transactional_id", "topic_results"), HASHED),
    "AddPartitionsToTxn.results_by_transaction.topic_results": Ordered(("name",), HASHED),
    "AddPartitionsToTxn.results_by_transaction.topic_results.results_by_partition": Ordered(
        ("partition_index",), HASHED
    ),
    "WriteTxnMarkers.markers": Ordered(("producer_id",), HASHED),
    "WriteTxnMarkers.markers.topics": Ordered(("name",), HASHED),
    "WriteTxnMarkers.markers.topics.partitions": Ordered(("partition_index", "error_code"), HASHED),
    "TxnOffsetCommit.topics": Ordered(("name", "topic_id"), HASHED),
    "TxnOffsetCommit.topics.partitions": Ordered(("partition_index", "error_code"), HASHED),
    "*.finalized_features_epoch": Masked("<epoch>", "the end of the cluster's log"),
    "ApiVersions.api_keys": Ordered(("api_key",), HASHED),
    "ApiVersions.supported_features": Ordered(("name",), HASHED),
    "ApiVersions.finalized_features": Ordered(("name",), HASHED),
    "DescribeClientQuotas.entries": Ordered(("entity",), HASHED),
    "DescribeClientQuotas.entries.values": Ordered(("key",), HASHED),
    "AlterClientQuotas.entries": Ordered(("entity",), HASHED),
    "AlterClientQuotas.entries.entity": Ordered(("entity_type",), HASHED),
    "CreateTopics.topics": Ordered(("name",), HASHED),
    "DeleteTopics.responses": Ordered(("name", "topic_id", "error_code"), HASHED),
    "CreatePartitions.results": Ordered(("name",), HASHED),
    "ListOffsets.topics": Ordered(("name",), HASHED),
    "ListOffsets.topics.partitions": Ordered(("partition_index", "error_code"), HASHED),
    "DeleteRecords.topics": Ordered(("name",), HASHED),
    "DeleteRecords.topics.partitions": Ordered(("partition_index",), HASHED),
    "OffsetCommit.topics.partitions": Ordered(("partition_index", "error_code"), HASHED),
    "OffsetFetch.topics": Ordered(("name",), HASHED),
    "OffsetFetch.topics.partitions": Ordered(("partition_index",), HASHED),
    "OffsetFetch.groups.topics": Ordered(("name", "topic_id"), HASHED),
    "OffsetFetch.groups.topics.partitions": Ordered(("partition_index",), HASHED),
    "OffsetDelete.topics.partitions": Ordered(("partition_index",), HASHED),
    "DeleteGroups.results": Ordered(("group_id",), "Kafka asks one coordinator after the other, in no order"),
    "DescribeGroups.groups": Ordered(("group_id",), "Kafka asks one coordinator after the other, in no order"),
    "ConsumerGroupHeartbeat.member_id": Symbol("member", "made by the broker", only=_made_by_the_broker),
    "ConsumerGroupHeartbeat.assignment.topic_partitions": Ordered(("topic_id",), HASHED),
    "ConsumerGroupHeartbeat.assignment.topic_partitions.partitions": Ordered((), HASHED),
    "ConsumerGroupDescribe.groups": Ordered(("group_id",), "Kafka asks one coordinator after the other, in no order"),
    "ConsumerGroupDescribe.groups.members": Ordered(("member_id",), HASHED),
    "ConsumerGroupDescribe.groups.members.subscribed_topic_names": Ordered((), HASHED),
    "ConsumerGroupDescribe.groups.members.assignment.topic_partitions": Ordered(("topic_name",), HASHED),
    "ConsumerGroupDescribe.groups.members.target_assignment.topic_partitions": Ordered(("topic_name",), HASHED),
    "JoinGroup.members": Ordered(("member_id",), HASHED),
    "DescribeGroups.groups.members": Ordered(("member_id",), HASHED),
    "ListGroups.groups": Ordered(("group_id",), HASHED),
    "Metadata.topics": Ordered(("name", "topic_id", "error_code"), HASHED),
    "DescribeConfigs.results.configs": Ordered(("name",), HASHED),
    "Produce.responses": Ordered(("name", "topic_id"), HASHED),
    "Produce.responses.partition_responses": Ordered(("index",), HASHED),
    "AlterReplicaLogDirs.results": Ordered(("topic_name",), HASHED),
    "AlterReplicaLogDirs.results.partitions": Ordered(("partition_index",), HASHED),
    "ElectLeaders.replica_election_results": Ordered(("topic",), HASHED),
    "ListConfigResources.config_resources": Ordered(("resource_type", "resource_name"), HASHED),
    "DescribeQuorum.topics.partitions.leader_epoch": Masked("<epoch>", "how often it has been led"),
    "DescribeQuorum.topics.partitions.high_watermark": Masked("<offset>", "the end of the cluster's log", kept=(0, -1)),
    "DescribeQuorum.topics.partitions.current_voters.log_end_offset": Masked(
        "<offset>", "the end of the cluster's log", kept=(0, -1)
    ),
    "*.last_fetch_timestamp": Masked("<time>", "the broker's clock", kept=(-1,)),
    "*.last_caught_up_timestamp": Masked("<time>", "the broker's clock", kept=(-1,)),
    "DescribeLogDirs.results.topics": Ordered(("name",), HASHED),
    "DescribeLogDirs.results.topics.partitions": Ordered(("partition_index",), HASHED),
    "DescribeLogDirs.results.total_bytes": Masked("<bytes>", "the size of the disk"),
    "DescribeLogDirs.results.usable_bytes": Masked("<bytes>", "the size of the disk"),
}


def variation(path: str, owner: Struct) -> Masked | Symbol | Ordered | None:
    """The row for a path, if there is one; `owner` is the struct that holds the value."""
    rule = VARIATIONS.get(path) or VARIATIONS.get(f"*.{path.rpartition('.')[2]}")
    if rule is None or (rule.only is not None and not rule.only(owner)):
        return None
    return rule
