"""AddPartitionsToTxn (24): partitions join a transaction, which begins with the first (KIP-98).

- v2: PRODUCER_FENCED, which is INVALID_PRODUCER_EPOCH before.
- v3: flexible. The newest version that clients send.
- v4: several transactions at once, and `verify_only`: brokers ask each other whether partitions belong (KIP-890).
- Clients need WRITE on the transactional id, brokers CLUSTER_ACTION.
- v5: TRANSACTION_ABORTABLE.
- All partitions of a transaction join, or none: with one that does not exist (UNKNOWN_TOPIC_OR_PARTITION), or that is
  of an internal topic and named by a client, or of one that the client may not WRITE (TOPIC_AUTHORIZATION_FAILED,
  whether it exists or not), the others are OPERATION_NOT_ATTEMPTED.
- Partitions that have joined already are NONE, without a record.
- While the markers of the transaction before are being written, partitions wait a moment to join (Kafka: only those of
  brokers wait, clients are answered CONCURRENT_TRANSACTIONS at once), then they are CONCURRENT_TRANSACTIONS.

Departs from Kafka: a transaction with more than 20,000 partitions, or above its share of memory, gets
TRANSACTION_ABORTABLE; Kafka ends where its record does not fit, with UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.image import INTERNAL_TOPICS
from broker.coordinators.transactions import VERSION_2, Owner
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode
from kproto.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic

SAYS_FENCED: Final = 2
FIRST_OF_BROKERS: Final = 4
"""The version from which on there are many transactions; until then the fields of one stand in the request."""


async def handle(request: AddPartitionsToTxnRequest, ctx: RequestContext) -> AddPartitionsToTxnResponse:
    """Add or verify, transaction by transaction."""
    slices = Slices()
    if ctx.api_version < FIRST_OF_BROKERS:
        ctx.require(Operation.WRITE, Resource.TRANSACTIONAL_ID, request.v3_and_below_transactional_id)
        found = await _handle_one(_only_one(request), ctx, slices)
        return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=found)
    ctx.require(Operation.CLUSTER_ACTION, Resource.CLUSTER)
    return AddPartitionsToTxnResponse(
        results_by_transaction=[
            AddPartitionsToTxnResult(
                transactional_id=each.transactional_id, topic_results=await _handle_one(each, ctx, slices)
            )
            async for each in slices.over(request.transactions)
        ]
    )


def _only_one(request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnTransaction:
    return AddPartitionsToTxnTransaction(
        transactional_id=request.v3_and_below_transactional_id,
        producer_id=request.v3_and_below_producer_id,
        producer_epoch=request.v3_and_below_producer_epoch,
        topics=request.v3_and_below_topics,
    )


async def _handle_one(
    asked: AddPartitionsToTxnTransaction, ctx: RequestContext, slices: Slices
) -> list[AddPartitionsToTxnTopicResult]:
    """The code of each partition of one transaction."""
    image = ctx.cluster.image
    codes: dict[tuple[str, int], ErrorCode] = {}
    from_client = ctx.api_version < FIRST_OF_BROKERS
    all_may_join = True
    async for topic in slices.over(asked.topics):
        known: Topic | None = image.topics.get(topic.name)
        refused = from_client and (
            topic.name in INTERNAL_TOPICS or not ctx.may(Operation.WRITE, Resource.TOPIC, topic.name)
        )
        async for partition in slices.over(topic.partitions):
            code = ErrorCode.NONE
            if refused:
                code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
            elif known is None or partition not in known.partitions:
                code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            codes[topic.name, partition] = code
            all_may_join = all_may_join and code is ErrorCode.NONE
    if not all_may_join:
        for place, code in codes.items():
            if code is ErrorCode.NONE:
                codes[place] = ErrorCode.OPERATION_NOT_ATTEMPTED
    elif asked.verify_only:
        codes.update(
            await ctx.transactions.verify_partitions(
                asked.transactional_id, asked.producer_id, asked.producer_epoch, list(codes)
            )
        )
    else:
        version = VERSION_2 if ctx.api_version >= FIRST_OF_BROKERS else 0
        wanted = {topic.name: topic.partitions for topic in asked.topics if topic.partitions}
        error = await ctx.transactions.add(
            asked.transactional_id, Owner(asked.producer_id, asked.producer_epoch), wanted, version
        )
        codes = dict.fromkeys(codes, _known_to(ctx.api_version, error))
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=partition, partition_error_code=codes[topic.name, partition]
                )
                async for partition in slices.over(topic.partitions)
            ],
        )
        async for topic in slices.over(asked.topics)
        if topic.partitions or not asked.verify_only
    ]


def _known_to(version: int, error: ErrorCode) -> ErrorCode:
    if error is ErrorCode.PRODUCER_FENCED and version < SAYS_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error


def refuse(request: AddPartitionsToTxnRequest, error: ErrorCode, version: int) -> AddPartitionsToTxnResponse:
    """The error for each partition; from version 4 on for the whole."""
    if version >= FIRST_OF_BROKERS:
        return AddPartitionsToTxnResponse(error_code=error)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=_all(request.v3_and_below_topics, error))


def _all(topics: Sequence[AddPartitionsToTxnTopic], error: ErrorCode) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(partition_index=partition, partition_error_code=error)
                for partition in topic.partitions
            ],
        )
        for topic in topics
    ]
