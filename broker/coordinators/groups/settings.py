"""What an operator and this broker allow groups to do: Kafka's keys, and caps on whatever a peer can fill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig


class MigrationPolicy(Enum):
    """In which directions groups may change between the classic and the consumer protocol while they have members."""

    DISABLED = "disabled"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    BIDIRECTIONAL = "bidirectional"

    @property
    def upgrades(self) -> bool:
        """Whether a classic group may become a consumer group."""
        return self in (MigrationPolicy.UPGRADE, MigrationPolicy.BIDIRECTIONAL)

    @property
    def downgrades(self) -> bool:
        """Whether a consumer group may become a classic one."""
        return self in (MigrationPolicy.DOWNGRADE, MigrationPolicy.BIDIRECTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """Times in milliseconds, sizes in bytes. The defaults are Kafka's, but for the initial delay (0 here, 3 s
    there)."""

    min_session_timeout: int = 6_000  # group.min.session.timeout.ms
    max_session_timeout: int = 1_800_000  # group.max.session.timeout.ms
    initial_rebalance_delay: int = 0  # group.initial.rebalance.delay.ms
    max_size: int = 2**31 - 1  # group.max.size
    new_member_join_timeout: int = 300_000
    """How long a member that never had an answer may wait in a rebalance: it cannot beat, it does not know its id
    yet."""

    consumer_max_size: int = 2**31 - 1  # group.consumer.max.size
    consumer_assignors: tuple[str, ...] = ("uniform", "range")  # group.consumer.assignors; the first is the default
    consumer_migration: MigrationPolicy = MigrationPolicy.BIDIRECTIONAL  # group.consumer.migration.policy
    regex_refresh_interval: int = 600_000  # group.consumer.regex.refresh.interval.ms
    max_expressions: int = 100
    """Regular expressions that members of one group may subscribe by. Kafka knows no cap; a member that brings one more
    is refused with GROUP_MAX_SIZE_REACHED."""
    max_member_metadata: int = 1 << 20
    """Bytes of a consumer group's member: its record is written with each change. Kafka stops at the topic's
    max.message.bytes with the same UNKNOWN_SERVER_ERROR."""

    offset_metadata_max: int = 4_096  # offset.metadata.max.bytes, counted by Kafka in UTF-16 code units
    offsets_retention: int = 7 * 24 * 3_600_000  # offsets.retention.minutes
    offsets_retention_check_interval: int = 600_000  # offsets.retention.check.interval.ms

    max_groups: int = 100_000
    """Groups in one shard. Kafka knows no such cap; one more group is refused with POLICY_VIOLATION."""
    max_pending_members: int = 10_000
    """Ids given out in one group and not used yet. Kafka knows no cap; one more is refused with
    GROUP_MAX_SIZE_REACHED."""
    max_state: int = 512 << 20
    """Bytes of memory that all groups of the broker may take (`memory.py`): ottla.group.state.max.bytes."""
    max_group_metadata: int = 5 << 20
    """Bytes that the members of one group may take with their ids and all the protocols that they offer; one more is
    refused like a group that is full. So a generation fits into a record, whatever it chooses, with room for what the
    leader assigns."""
    max_record: int = 6 << 20
    """A group's record. Kafka stops at the topic's max.message.bytes, 1 MiB, with the same UNKNOWN_SERVER_ERROR."""
    max_pending_offsets: int = 5_000
    """Offsets that one transaction may have pending in one shard: its marker moves them all in one step. Kafka knows no
    such cap; one more is refused with INVALID_COMMIT_OFFSET_SIZE."""
    max_offsets_batch: int = 2 << 20
    """Bytes of the batch that a commit takes, or a group that is deleted with all its offsets: either is written whole,
    in one turn of the event loop. Kafka stops at the topic's max.message.bytes, 1 MiB, with the same
    UNKNOWN_SERVER_ERROR."""
    expiry_batch: int = 200
    """Tombstones that one decision writes; the rest follows in the next."""
    expiry_batch_bytes: int = 128 << 10
    """Bytes of tombstones that one decision writes, or the first of them if that is larger."""

    @classmethod
    def of(cls, config: BrokerConfig) -> GroupSettings:
        """As the broker's keys say. All of them are read-only in Kafka: they count until the next start."""
        return cls(
            min_session_timeout=config.group_min_session_timeout_ms,
            max_session_timeout=config.group_max_session_timeout_ms,
            initial_rebalance_delay=config.group_initial_rebalance_delay_ms,
            max_size=config.group_max_size,
            consumer_max_size=config.group_consumer_max_size,
            consumer_assignors=config.group_consumer_assignors,
            consumer_migration=MigrationPolicy(config.group_consumer_migration_policy.lower()),
            regex_refresh_interval=config.group_consumer_regex_refresh_interval_ms,
            max_state=config.ottla_group_state_max_bytes,
            offset_metadata_max=config.offset_metadata_max_bytes,
            offsets_retention=config.offsets_retention_minutes * 60_000,
            offsets_retention_check_interval=config.offsets_retention_check_interval_ms,
        )
