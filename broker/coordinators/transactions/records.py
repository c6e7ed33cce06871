"""The records of one shard of `__transaction_state`, as the machine speaks of them and as Kafka writes them.

There is one kind: the value of a transactional id, whole (`Transaction`), or a tombstone, after which the id is
forgotten. So the log may be compacted, and replaying it is putting each value in the place of the one before.

A cluster whose `transaction.version` is 0 writes version 0 of the value, which an older Kafka can read; it has no place
for the producer ids before and after, nor for the client's version. Any other writes version 1. Source: Kafka's
TransactionLog.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from broker.coordinators.transactions.states import NO_PARTITIONS, Partitions, Transaction, TransactionState
from kproto.batches.records import RecordData
from kproto.errors import Malformed
from kproto.formats.transaction_state import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
    decode_record,
    encode_record,
)

FIXED_SIZE: Final = 80
"""More than a value takes beside its partitions."""

OF_A_TOPIC: Final = 10
"""More than a topic takes beside its name and its partitions."""

OF_A_PARTITION: Final = 4


class TransactionRecord(NamedTuple):
    """What a transactional id is now; None: it is forgotten."""

    transactional_id: str
    transaction: Transaction | None


def encode_transaction_record(record: TransactionRecord, level: int, timestamp: int) -> RecordData:
    """Key and value bytes, for a cluster of this `transaction.version`; `timestamp` in wall milliseconds."""
    key, value = encode_record(
        TransactionLogKey(transactional_id=record.transactional_id),
        None if record.transaction is None else _value(record.transaction, level),
        min(level, 1),
    )
    return RecordData(timestamp=timestamp, key=key, value=value)


def _value(transaction: Transaction, level: int) -> TransactionLogValue:
    value = TransactionLogValue(
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        transaction_timeout_ms=transaction.timeout,
        transaction_status=int(transaction.state),
        transaction_partitions=None,
        transaction_last_update_timestamp_ms=transaction.updated,
        transaction_start_timestamp_ms=transaction.started,
    )
    if transaction.state is not TransactionState.EMPTY:
        value.transaction_partitions = [
            PartitionsSchema(topic=topic, partition_ids=sorted(partitions))
            for topic, partitions in transaction.partitions.items()
        ]
    if level > 0:
        value.previous_producer_id = transaction.previous_producer_id
        value.next_producer_id = transaction.next_producer_id
        value.client_transaction_version = transaction.client_version
    return value


def decode_transaction_record(data: RecordData) -> TransactionRecord:
    """The record. Raises ProtocolError if it is damaged, or of a kind or state that no release known here writes."""
    if data.key is None:
        raise Malformed("a record of __transaction_state has a key")
    key, value = decode_record(data.key, data.value)
    assert isinstance(key, TransactionLogKey)
    if value is None:
        return TransactionRecord(key.transactional_id, None)
    assert isinstance(value, TransactionLogValue)
    try:
        state = TransactionState(value.transaction_status)
    except ValueError:
        raise Malformed(f"the transactional id has the unknown state {value.transaction_status}") from None
    partitions: dict[str, frozenset[int]] = {
        each.topic: frozenset(each.partition_ids) for each in value.transaction_partitions or () if each.partition_ids
    }
    return TransactionRecord(
        key.transactional_id,
        Transaction(
            transactional_id=key.transactional_id,
            producer_id=value.producer_id,
            producer_epoch=value.producer_epoch,
            previous_producer_id=value.previous_producer_id,
            next_producer_id=value.next_producer_id,
            timeout=value.transaction_timeout_ms,
            state=state,
            partitions=partitions or NO_PARTITIONS,
            started=value.transaction_start_timestamp_ms,
            updated=value.transaction_last_update_timestamp_ms,
            client_version=value.client_transaction_version,
        ),
    )


def value_size(partitions: Partitions) -> int:
    """Bytes that a value with these partitions takes, at most."""
    return FIXED_SIZE + sum(
        OF_A_TOPIC + (len(topic) if topic.isascii() else len(topic.encode())) + OF_A_PARTITION * len(each)
        for topic, each in partitions.items()
    )
