"""DescribeTopicPartitions (75): topics, page by page. `Admin.describeTopics` calls it.

- v0: the only version (KIP-966).
- No topics named means all. They are sorted by name and begin at the cursor.
- A page ends at the request's limit of partitions or at `max.request.partition.size.limit`; the next page begins at its
  next cursor.
- A named topic that does not exist is answered with its error, on the page that reaches its name.
- With an authorizer: topics that the client may not DESCRIBE are left out of all; those of them that were named come
  behind the others, on each page, as TOPIC_AUTHORIZATION_FAILED.
- A cursor must lie in a requested topic, at a partition not below 0, else INVALID_REQUEST.
- Eligible leader replicas (ELR) are empty: they matter when in-sync replicas are lost, and here is one replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.image import INTERNAL_TOPICS
from broker.coordinators.cluster.topic_names import topic_name_problem
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import ClusterImage


async def handle(request: DescribeTopicPartitionsRequest, ctx: RequestContext) -> DescribeTopicPartitionsResponse:
    """One page."""
    image = ctx.cluster.image
    slices = Slices()
    names = await _names(request, image, slices)
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.TOPIC, names, slices, quiet=not request.topics)
    limit = min(request.response_partition_limit, ctx.config.max_request_partition_size_limit)
    page = await _page([name for name in names if name in permitted], request.cursor, max(1, limit), ctx, slices)
    if request.topics:
        page.topics += [_refused(name) for name in names if name not in permitted]
    return page


def refuse(request: DescribeTopicPartitionsRequest, error: ErrorCode, version: int) -> DescribeTopicPartitionsResponse:
    """The error on every topic named."""
    return DescribeTopicPartitionsResponse(
        topics=[DescribeTopicPartitionsResponseTopic(name=topic.name, error_code=error) for topic in request.topics]
    )


async def _names(request: DescribeTopicPartitionsRequest, image: ClusterImage, slices: Slices) -> list[str]:
    """The topics from the cursor on, sorted. Raises INVALID_REQUEST for a cursor that lies nowhere."""
    cursor = request.cursor
    start = "" if cursor is None else cursor.topic_name
    if request.topics:
        asked = {topic.name async for topic in slices.over(request.topics) if topic.name >= start}
    else:
        asked = {name async for name in slices.over(image.topics) if name >= start}
    await slices.give_way()
    names = sorted(asked)
    if cursor is not None:
        if request.topics and start not in names:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"the cursor's topic {start!r} is not asked for")
        if cursor.partition_index < 0:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "the cursor's partition is below 0")
    return names


async def _page(
    names: list[str], cursor: Cursor | None, limit: int, ctx: RequestContext, slices: Slices
) -> DescribeTopicPartitionsResponse:
    image, alone, brokers = ctx.cluster.image, [ctx.config.node_id], ctx.brokers
    response = DescribeTopicPartitionsResponse()
    async for name in slices.over(names):
        if limit == 0:
            response.next_cursor = Cursor(topic_name=name, partition_index=0)
            break
        topic = image.topics.get(name)
        if topic is None:
            response.topics.append(_unknown(name, ctx.operations(Resource.TOPIC, name)))
            continue
        first = cursor.partition_index if cursor is not None and cursor.topic_name == name else 0
        last = min(topic.partition_count, first + limit)
        partitions = range(first, last)
        response.topics.append(
            DescribeTopicPartitionsResponseTopic(
                name=name,
                topic_id=topic.topic_id,
                is_internal=topic.internal,
                partitions=[
                    _partition(
                        index, alone if brokers is None else brokers.replicas(topic, index), topic.leader_epoch(index)
                    )
                    for index in partitions
                ],
                topic_authorized_operations=ctx.operations(Resource.TOPIC, name),
            )
        )
        if last < topic.partition_count:
            response.next_cursor = Cursor(topic_name=name, partition_index=last)
            break
        limit -= len(partitions)
    return response


def _refused(name: str) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(name=name, error_code=REFUSAL[Resource.TOPIC])


def _unknown(name: str, operations: int) -> DescribeTopicPartitionsResponseTopic:
    bad_name = topic_name_problem(name) is not None
    return DescribeTopicPartitionsResponseTopic(
        name=name,
        error_code=ErrorCode.INVALID_TOPIC_EXCEPTION if bad_name else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        is_internal=name in INTERNAL_TOPICS,
        topic_authorized_operations=operations,
    )


def _partition(index: int, replicas: list[int], leader_epoch: int) -> DescribeTopicPartitionsResponsePartition:
    return DescribeTopicPartitionsResponsePartition(
        partition_index=index,
        leader_id=replicas[0],
        leader_epoch=leader_epoch,
        replica_nodes=replicas,
        isr_nodes=replicas,
        eligible_leader_replicas=[],
        last_known_elr=[],
    )
