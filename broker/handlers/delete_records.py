"""DeleteRecords (21): move the start of partitions forward (KIP-107).

- Offset -1 means the high watermark.
- The low watermark in the answer is the new start of the log, and it is durable.
- A topic that the client may not DELETE: TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- An internal topic: INVALID_TOPIC_EXCEPTION.
- A topic without the delete policy: POLICY_VIOLATION.
- An offset beyond the high watermark: OFFSET_OUT_OF_RANGE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

HIGH_WATERMARK = -1


async def handle(request: DeleteRecordsRequest, ctx: RequestContext) -> DeleteRecordsResponse:
    """Delete partition by partition; each has its own outcome."""
    # Kafka makes a map of the request: topics without partitions vanish, of a partition named twice the last counts.
    slices = Slices()
    wanted: dict[tuple[str, int], DeleteRecordsPartition] = {}
    async for topic in slices.over(request.topics):
        async for part in slices.over(topic.partitions):
            wanted[topic.name, part.partition_index] = part
    permitted = await ctx.permitted(Operation.DELETE, Resource.TOPIC, (name for name, _ in wanted), slices)
    await ctx.partitions.open_logs((place for place in wanted if place[0] in permitted), slices)
    results: dict[str, list[DeleteRecordsPartitionResult]] = {}
    async for (name, _), part in slices.over(wanted.items()):
        try:
            if name not in permitted:
                raise KafkaError(REFUSAL[Resource.TOPIC])
            low_watermark = await _delete(name, part, ctx)
            result = DeleteRecordsPartitionResult(partition_index=part.partition_index, low_watermark=low_watermark)
        except KafkaError as error:
            result = _failed(part, error.code)
        results.setdefault(name, []).append(result)
    return DeleteRecordsResponse(
        topics=[DeleteRecordsTopicResult(name=name, partitions=found) for name, found in results.items()]
    )


def refuse(request: DeleteRecordsRequest, error: ErrorCode, version: int) -> DeleteRecordsResponse:
    """The error on every partition asked for."""
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(name=topic.name, partitions=[_failed(part, error) for part in topic.partitions])
            for topic in request.topics
        ]
    )


def _failed(part: DeleteRecordsPartition, error: ErrorCode) -> DeleteRecordsPartitionResult:
    return DeleteRecordsPartitionResult(partition_index=part.partition_index, low_watermark=-1, error_code=error)


async def _delete(name: str, part: DeleteRecordsPartition, ctx: RequestContext) -> int:
    topic = ctx.cluster.image.topics.get(name)
    partition = ctx.partitions.get(name, part.partition_index)
    if topic is not None and topic.internal:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
    if partition is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if not partition.config.delete:
        raise KafkaError(ErrorCode.POLICY_VIOLATION)
    offset = partition.log.high_watermark if part.offset == HIGH_WATERMARK else part.offset
    if offset < 0:
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
    return await partition.log.delete_before(offset)
