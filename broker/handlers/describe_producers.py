"""DescribeProducers (61): the producers that partitions remember (KIP-664).

- v0 is all there is.
- Of each: epoch, last sequence and timestamp, the epoch of the coordinator that has last ended a transaction, and where
  its open transaction begins. -1 stands for nothing.
- A producer stays in the answer after its transaction, until it is forgotten (`producer.id.expiration.ms`).
- `kafka-transactions find-hanging` compares this with what DescribeTransactions says of the producer.
- Topics are answered in the order of the request, and named twice are answered twice.
- An answer lists at most `MOST` producers; partitions behind are refused with POLICY_VIOLATION. (Kafka's has no bound.)
- TOPIC_AUTHORIZATION_FAILED for a topic that the client may not READ, whether it exists or not.
- INVALID_TOPIC_EXCEPTION for a name that no topic can have, UNKNOWN_TOPIC_OR_PARTITION for what is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.topic_names import check_topic_name
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


MOST: Final = 200_000
"""Producers in one answer: those of twenty partitions that are full of them, some 10 MB."""


async def handle(request: DescribeProducersRequest, ctx: RequestContext) -> DescribeProducersResponse:
    """The producers of each partition; each has its own outcome."""
    slices = Slices()
    answer = DescribeProducersResponse()
    listed = 0
    async for topic in slices.over(request.topics):
        partitions: list[PartitionResponse] = []
        async for index in slices.over(topic.partition_indexes):
            try:
                if listed >= MOST:
                    raise KafkaError(ErrorCode.POLICY_VIOLATION, f"one answer lists {MOST} producers at most")
                found = await _describe(topic.name, index, ctx)
                listed += len(found.active_producers)
            except KafkaError as error:
                found = PartitionResponse(partition_index=index, error_code=error.code, error_message=error.message)
            partitions.append(found)
        answer.topics.append(TopicResponse(name=topic.name, partitions=partitions))
    return answer


def refuse(request: DescribeProducersRequest, error: ErrorCode, version: int) -> DescribeProducersResponse:
    """The error on every partition asked for."""
    return DescribeProducersResponse(
        topics=[
            TopicResponse(
                name=topic.name,
                partitions=[
                    PartitionResponse(partition_index=index, error_code=error) for index in topic.partition_indexes
                ],
            )
            for topic in request.topics
        ]
    )


async def _describe(topic: str, index: int, ctx: RequestContext) -> PartitionResponse:
    check_topic_name(topic)
    ctx.require(Operation.READ, Resource.TOPIC, topic)
    partition = ctx.partitions.get(topic, index)
    if partition is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return PartitionResponse(
        partition_index=index,
        active_producers=[
            ProducerState(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                last_sequence=producer.last_sequence,
                last_timestamp=producer.last_timestamp,
                coordinator_epoch=producer.coordinator_epoch,
                current_txn_start_offset=producer.transaction_start_offset,
            )
            for producer in await partition.log.producers()
        ],
    )
