"""Requests of the transactional APIs, and producers that hold a transactional id.

Two dialects are spoken. A client of `transaction.version` 2 (KIP-890) sends Produce 12 and above, which adds the
partition by itself, and ends with EndTxn 5, whose answer brings the epoch of the next transaction. An older client says
AddPartitionsToTxn first and keeps its epoch. What a scenario only arranges is said in the dialect that `classic` names.

Much of it is not finished when it is answered: markers are still being written, and until they are there the
coordinator answers CONCURRENT_TRANSACTIONS. How often it does is a matter of speed, so `ask_settled` repeats the
request until the answer is another one, and that one is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kproto.errors import ErrorCode
from kproto.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from kproto.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from kproto.messages.describe_producers import DescribeProducersRequest, TopicRequest
from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.end_txn import EndTxnRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.produce import ProduceRequest
from kproto.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from kproto.messages.write_txn_markers import WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest
from kproto.schema.declare import Request
from tools.answers.requests import batch, produce
from tools.answers.stage import Stage, Topic

CLASSIC_PRODUCE: Final = 11
"""The newest Produce of a client that adds its partitions itself."""
BUSY: Final = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR, ErrorCode.NOT_ENOUGH_REPLICAS,
    }
)  # fmt: skip
"""Errors that say: not yet."""
UNSTABLE: Final = BUSY | {ErrorCode.UNSTABLE_OFFSET_COMMIT}


class Producer(NamedTuple):
    """Who sends: the fields that every transactional request has."""

    transactional_id: str
    producer_id: int
    producer_epoch: int


# Producers.


def init(transactional_id: str, *, timeout: int = 60_000, **fields: Any) -> InitProducerIdRequest:
    """Ask for the producer id that belongs to a transactional id."""
    return InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=timeout, **fields)


def opened(stage: Stage, short: str = "tx", **fields: Any) -> Producer:
    """A producer of this scenario, ready for its first transaction."""
    name = stage.name(short)
    reply = settled(stage, init(name, **fields))
    assert reply.error_code == 0, reply
    stage.learn(("producer", reply.producer_id), f"<producer of {short}>")
    return Producer(name, reply.producer_id, reply.producer_epoch)


def transactional(producer: Producer, sequence: int = 0, count: int = 1, **options: Any) -> bytearray:
    """A batch that belongs to the producer's transaction."""
    return batch(
        count, producer_id=producer.producer_id, producer_epoch=producer.producer_epoch, base_sequence=sequence,
        **{"transactional": True, **options},
    )  # fmt: skip


def send(
    producer: Producer, topic: Topic, sequence: int = 0, count: int = 1, *, partition: int = 0, **options: Any
) -> ProduceRequest:
    """One batch of the producer's transaction."""
    records = transactional(producer, sequence, count, **options)
    return produce(topic, records, partition=partition, transactional_id=producer.transactional_id)


# Requests.


def add_partitions(version: int, producer: Producer, *parts: tuple[Topic, list[int]]) -> AddPartitionsToTxnRequest:
    """Add partitions to the producer's transaction: as clients say it, or from version 4 as brokers do."""
    if version >= 4:
        return add_for_many(transaction(producer, *parts))
    topics = [AddPartitionsToTxnTopic(name=topic.name, partitions=indexes) for topic, indexes in parts]
    return AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=producer.transactional_id,
        v3_and_below_producer_id=producer.producer_id,
        v3_and_below_producer_epoch=producer.producer_epoch,
        v3_and_below_topics=topics,
    )


def transaction(
    producer: Producer, *parts: tuple[Topic, list[int]], verify_only: bool = False
) -> AddPartitionsToTxnTransaction:
    """One of the transactions in a request between brokers; `verify_only` adds nothing."""
    topics = [AddPartitionsToTxnTopic(name=topic.name, partitions=indexes) for topic, indexes in parts]
    return AddPartitionsToTxnTransaction(**producer._asdict(), verify_only=verify_only, topics=topics)


def add_for_many(*transactions: AddPartitionsToTxnTransaction) -> AddPartitionsToTxnRequest:
    """Versions 4 and above: many transactions at once."""
    return AddPartitionsToTxnRequest(transactions=list(transactions))


def add_offsets(producer: Producer, group: str) -> AddOffsetsToTxnRequest:
    """Add a group's partition of __consumer_offsets."""
    return AddOffsetsToTxnRequest(**producer._asdict(), group_id=group)


def end(producer: Producer, *, commit: bool = True) -> EndTxnRequest:
    """Commit or abort."""
    return EndTxnRequest(**producer._asdict(), committed=commit)


def commit_offsets(
    producer: Producer, group: str, topic: Topic, offset: int = 5, *, partition: int = 0, metadata: str | None = "",
    **fields: Any,
) -> TxnOffsetCommitRequest:  # fmt: skip
    """One partition's offset, as a part of the producer's transaction."""
    epoch = fields.pop("committed_leader_epoch", -1)
    part = TxnOffsetCommitRequestPartition(
        partition_index=partition, committed_offset=offset, committed_leader_epoch=epoch, committed_metadata=metadata
    )
    asked = TxnOffsetCommitRequestTopic(name=topic.name, topic_id=topic.topic_id, partitions=[part])
    return TxnOffsetCommitRequest(**producer._asdict(), group_id=group, **{"topics": [asked], **fields})


def marker(
    producer: Producer, *parts: tuple[str, list[int]], commit: bool = True, coordinator_epoch: int = 0, version: int = 0
) -> WritableTxnMarker:
    """The end of a transaction in partitions, by topics' names; `version` is that of transactions."""
    return WritableTxnMarker(
        producer_id=producer.producer_id, producer_epoch=producer.producer_epoch, transaction_result=commit,
        topics=[WritableTxnMarkerTopic(name=name, partition_indexes=indexes) for name, indexes in parts],
        coordinator_epoch=coordinator_epoch, transaction_version=version,
    )  # fmt: skip


def write_markers(*markers: WritableTxnMarker) -> WriteTxnMarkersRequest:
    """What a coordinator sends to the leaders of partitions."""
    return WriteTxnMarkersRequest(markers=list(markers))


def describe_producers(*parts: tuple[str, list[int]]) -> DescribeProducersRequest:
    """Who writes to these partitions."""
    return DescribeProducersRequest(
        topics=[TopicRequest(name=name, partition_indexes=indexes) for name, indexes in parts]
    )


def describe_transactions(*transactional_ids: str) -> DescribeTransactionsRequest:
    """How far these transactions are."""
    return DescribeTransactionsRequest(transactional_ids=list(transactional_ids))


# Until it is finished.


def error_codes(message: Any) -> Iterator[int]:
    """Every error code in a reply."""
    for name in type(message)._declared:
        value = getattr(message, name)
        if name in ("error_code", "partition_error_code"):
            yield value
        elif isinstance(value, list):
            for each in value:
                if hasattr(type(each), "_declared"):
                    yield from error_codes(each)


def is_settled(reply: Any) -> bool:
    """Whether nothing in a reply says: not yet."""
    return BUSY.isdisjoint(error_codes(reply))


def settled(stage: Stage, request: Request, *, version: int | None = None) -> Any:
    """The first reply that does not say: not yet. It is not compared."""
    return stage.until(request, is_settled, version=version)


def ask_settled(stage: Stage, step: str, request: Request, *, version: int | None = None) -> Any:
    """The same, compared; the reply."""
    return stage.ask_until(step, request, is_settled, version=version)


def is_ended(reply: Any) -> bool:
    """Whether none of the transactions that were described is about to end."""
    return not any(each.transaction_state.startswith("Prepare") for each in reply.transaction_states)


def ask_described(stage: Stage, step: str, *transactional_ids: str) -> None:
    """How far these transactions are, compared when none of them is about to end."""
    stage.ask_until(step, describe_transactions(*transactional_ids), is_ended)


def ended(stage: Stage, producer: Producer, *, commit: bool = True, classic: bool = False) -> Producer:
    """End the producer's transaction and wait until that is complete; the producer as it may go on."""
    reply = settled(stage, end(producer, commit=commit), version=4 if classic else None)
    assert reply.error_code == 0, reply
    stage.until(describe_transactions(producer.transactional_id), is_ended)
    return (
        producer if classic else producer._replace(producer_id=reply.producer_id, producer_epoch=reply.producer_epoch)
    )


def sent(
    stage: Stage, producer: Producer, topic: Topic, sequence: int = 0, count: int = 1, *, partition: int = 0,
    classic: bool = False,
) -> None:  # fmt: skip
    """Send one batch of the producer's transaction, its partition added before or by it."""
    if classic:
        settled(stage, add_partitions(3, producer, (topic, [partition])), version=3)
    request = send(producer, topic, sequence, count, partition=partition)
    reply = settled(stage, request, version=CLASSIC_PRODUCE if classic else None)
    assert set(error_codes(reply)) == {0}, reply
