"""OffsetForLeaderEpoch (23): where a leader epoch ends in the log.

- v3: replica id.
- v4: flexible.
- A client that sees its leader change asks whether the records it has read are still there (KIP-320): it sends the
  epoch of its last record and compares the answer with its position.
- It takes DESCRIBE on the topic, or CLUSTER_ACTION; TOPIC_AUTHORIZATION_FAILED otherwise, whether it exists or not.
- An epoch newer than the log's is unknown: epoch -1, offset -1.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from broker.context import ALL
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: OffsetForLeaderEpochRequest, ctx: RequestContext) -> OffsetForLeaderEpochResponse:
    """Answer each partition from its leader epoch history."""
    if request.replica_id >= 0:
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    slices = Slices()
    permitted: Container[str] = ALL
    if not ctx.may(Operation.CLUSTER_ACTION, Resource.CLUSTER, quiet=True):
        names = (topic.topic for topic in request.topics)
        permitted = await ctx.permitted(Operation.DESCRIBE, Resource.TOPIC, names, slices)
    named = (
        (topic.topic, part.partition)
        for topic in request.topics
        if topic.topic in permitted
        for part in topic.partitions
    )
    await ctx.partitions.open_logs(named, slices)
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[
                    _answer(topic.topic, part, ctx) if topic.topic in permitted else _refused(part)
                    async for part in slices.over(topic.partitions)
                ],
            )
            async for topic in slices.over(request.topics)
        ]
    )


def refuse(request: OffsetForLeaderEpochRequest, error: ErrorCode, version: int) -> OffsetForLeaderEpochResponse:
    """The error on every partition asked for."""
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[EpochEndOffset(partition=part.partition, error_code=error) for part in topic.partitions],
            )
            for topic in request.topics
        ]
    )


def _refused(part: OffsetForLeaderPartition) -> EpochEndOffset:
    return EpochEndOffset(partition=part.partition, error_code=REFUSAL[Resource.TOPIC])


def _answer(topic: str, part: OffsetForLeaderPartition, ctx: RequestContext) -> EpochEndOffset:
    partition = ctx.partitions.get(topic, part.partition)
    if partition is None:
        return EpochEndOffset(partition=part.partition, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    try:
        partition.check_leader_epoch(part.current_leader_epoch)
        end = partition.log.end_of_epoch(part.leader_epoch)
    except KafkaError as error:
        return EpochEndOffset(partition=part.partition, error_code=error.code)
    if end is None:
        return EpochEndOffset(partition=part.partition)
    return EpochEndOffset(partition=part.partition, leader_epoch=end.leader_epoch, end_offset=end.end_offset)
