"""CreatePartitions (37): give topics more partitions (KIP-195).

- v2: flexible.
- v3: with a quota of the client's on changes, THROTTLING_QUOTA_EXCEEDED for what is too early (KIP-599). In older
  versions it is made, and the client waits the longer for its next answer. Trying counts too.
- The count of a topic can only grow. Replicas may be assigned, to this node.
- A topic that is named twice: INVALID_REQUEST for that topic.
- A topic that the client may not ALTER: TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- With `validate_only` everything is checked and nothing is changed.

Departs from Kafka: more than 10,000 partitions in one request are refused with POLICY_VIOLATION, where Kafka fails with
-1.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from broker.coordinators.cluster import NewPartitions
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


REFUSED_SINCE = 3


async def handle(request: CreatePartitionsRequest, ctx: RequestContext) -> CreatePartitionsResponse:
    """Grow each topic on its own."""
    slices = Slices()
    times: Counter[str] = Counter()
    async for topic in slices.over(request.topics):
        times[topic.name] += 1
    names = (name for name, count in times.items() if count == 1)
    permitted = await ctx.permitted(Operation.ALTER, Resource.TOPIC, names, slices)
    wanted = [
        _new_partitions(topic)
        async for topic in slices.over(request.topics)
        if times[topic.name] == 1 and topic.name in permitted
    ]
    quota = ctx.mutation_quota(REFUSED_SINCE)
    grown = await ctx.cluster.create_partitions(wanted, validate_only=request.validate_only, count=quota)
    ctx.count_changes(quota)
    results = [
        CreatePartitionsTopicResult(name=name, error_code=ErrorCode.INVALID_REQUEST, error_message="named twice")
        async for name, count in slices.over(times.items())
        if count > 1
    ]
    results += [
        CreatePartitionsTopicResult(name=name, error_code=REFUSAL[Resource.TOPIC], error_message=None)
        async for name, count in slices.over(times.items())
        if count == 1 and name not in permitted
    ]
    async for new, result in slices.over(zip(wanted, grown, strict=True)):
        if isinstance(result, KafkaError):
            ctx.refused("partitions not added", result, topic=new.topic)
            results.append(
                CreatePartitionsTopicResult(name=new.topic, error_code=result.code, error_message=result.message)
            )
        else:
            results.append(CreatePartitionsTopicResult(name=new.topic))
    return CreatePartitionsResponse(results=results)


def _new_partitions(topic: CreatePartitionsTopic) -> NewPartitions:
    assignments = topic.assignments
    return NewPartitions(
        topic.name, topic.count, None if assignments is None else [each.broker_ids for each in assignments]
    )


def refuse(request: CreatePartitionsRequest, error: ErrorCode, version: int) -> CreatePartitionsResponse:
    """The error on every topic."""
    return CreatePartitionsResponse(
        results=[
            CreatePartitionsTopicResult(name=topic.name, error_code=error, error_message=error.sentence)
            for topic in request.topics
        ]
    )
