"""AlterPartitionReassignments (45): move partitions to other replicas, or end such a move (KIP-455).

- There is one node, so a partition can be assigned only to where it is, which succeeds and changes nothing: tools
  that send the assignment they want, whatever it is now, are content.
- Null for replicas ends a move. There is never one: NO_REASSIGNMENT_IN_PROGRESS.
- v1: a request may insist on the replication factor. With one node nothing else is possible.
- Every partition is answered on its own, also one that is named twice.
- As in Kafka, no time (`timeout_ms` of 0 and below) is REQUEST_TIMED_OUT, and a request without topics is answered
  without looking at anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopic,
    ReassignableTopicResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(
    request: AlterPartitionReassignmentsRequest, ctx: RequestContext
) -> AlterPartitionReassignmentsResponse:
    """Judge each partition's assignment."""
    if not request.topics:
        return AlterPartitionReassignmentsResponse()
    if request.timeout_ms <= 0:
        raise KafkaError(ErrorCode.REQUEST_TIMED_OUT)
    slices = Slices()
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change,
        error_message=None,
        responses=[await _answer(topic, ctx, slices) async for topic in slices.over(request.topics)],
    )


def refuse(
    request: AlterPartitionReassignmentsRequest, error: ErrorCode, version: int
) -> AlterPartitionReassignmentsResponse:
    """The error above, and on every partition."""
    return AlterPartitionReassignmentsResponse(
        error_code=error,
        error_message=None,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[_partition(part, KafkaError(error), None) for part in topic.partitions],
            )
            for topic in request.topics
        ],
    )


async def _answer(topic: ReassignableTopic, ctx: RequestContext, slices: Slices) -> ReassignableTopicResponse:
    found: list[ReassignablePartitionResponse] = []
    async for part in slices.over(topic.partitions):
        problem = await _problem(topic.name, part, ctx, slices)
        found.append(_partition(part, problem, None if problem is None else problem.message))
    return ReassignableTopicResponse(name=topic.name, partitions=found)


def _partition(
    part: ReassignablePartition, problem: KafkaError | None, message: str | None
) -> ReassignablePartitionResponse:
    code = ErrorCode.NONE if problem is None else problem.code
    return ReassignablePartitionResponse(partition_index=part.partition_index, error_code=code, error_message=message)


async def _problem(name: str, part: ReassignablePartition, ctx: RequestContext, slices: Slices) -> KafkaError | None:
    topic = ctx.cluster.image.topics.get(name)
    if topic is None:
        return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name}")
    if part.partition_index not in topic.partitions:
        return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {name}-{part.partition_index}")
    if part.replicas is None:
        return KafkaError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    if not part.replicas:
        return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "a partition needs a replica")
    if ctx.brokers is not None:
        if list(part.replicas) == ctx.brokers.replicas(topic, part.partition_index):
            return None
        return KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "brokers that share a store hold no replicas: which of them serve a partition follows from who lives",
        )
    async for replica in slices.over(part.replicas):
        if replica != ctx.config.node_id:
            return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"no broker {replica} is registered")
    if len(part.replicas) > 1:
        return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"broker {ctx.config.node_id} is there more than once")
    return None
