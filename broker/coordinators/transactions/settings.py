"""What an operator and this broker allow transactions to do: Kafka's keys, and caps on whatever a peer can fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionSettings:
    """Times in milliseconds, sizes in bytes. The defaults of Kafka's keys are Kafka's."""

    max_timeout: int = 900_000  # transaction.max.timeout.ms
    id_expiration: int = 7 * 24 * 3_600_000  # transactional.id.expiration.ms
    expiration_interval: int = 3_600_000  # transaction.remove.expired.transaction.cleanup.interval.ms
    add_patience: int = 100
    """add.partitions.to.txn.retry.backoff.max.ms: how long partitions wait to be added while the markers of the
    transaction before are written."""

    max_state: int = 256 << 20
    """Bytes of memory that all transactional ids of the broker may take: ottla.transaction.state.max.bytes."""
    max_value: int = 1 << 20
    """Bytes of a transactional id's record: as in Kafka, where it is the topic's max.message.bytes."""
    max_partitions: int = 20_000
    """Partitions of one transaction, so that its record is encoded within a turn of the event loop."""
    expiry_batch: int = 200
    """Ids that one decision forgets, or aborts the transactions of."""

    @classmethod
    def of(cls, config: BrokerConfig) -> TransactionSettings:
        """As the broker's keys say. Those that count here are read-only in Kafka too."""
        return cls(
            max_timeout=config.transaction_max_timeout_ms,
            id_expiration=config.transactional_id_expiration_ms,
            expiration_interval=config.transaction_remove_expired_transaction_cleanup_interval_ms,
            add_patience=config.add_partitions_to_txn_retry_backoff_max_ms,
            max_state=config.ottla_transaction_state_max_bytes,
        )
