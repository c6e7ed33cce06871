"""CreateTopics (19): create topics.

- v4: partitions and replication factor may be -1, the default (KIP-464).
- v5: flexible; the answer has the topic's partitions, replication factor and configs (KIP-525).
- v6: with a quota of the client's on changes, THROTTLING_QUOTA_EXCEEDED for what is too early (KIP-599). In older
  versions it is made, and the client waits the longer for its next answer. Trying counts too.
- v7: topic ids in the answer (KIP-516).
- Each topic is created on its own. The answer comes when a topic is in metadata and its logs exist, however short
  `timeout_ms` is.
- With `validate_only` everything is checked and nothing is created; the answer then has an id that means nothing, as
  Kafka's does.
- It takes CREATE on the cluster or on the topic, else TOPIC_AUTHORIZATION_FAILED, whether the topic exists or not.
  Without DESCRIBE_CONFIGS on the topic, the answer has an error in the place of its partitions and configs.
- A name that occurs twice is answered once, with INVALID_REQUEST; `__cluster_metadata` is INVALID_REQUEST too.

Departs from Kafka: two new names of one request that differ in '.' and '_' only collide here as they would in two
requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import TYPE_CHECKING

from broker.admin.config_description import describe_topic
from broker.context import ALL
from broker.coordinators.cluster import Assignment, NewTopic, Topic
from broker.coordinators.cluster.image import CLUSTER_METADATA
from broker.coordinators.cluster.topics import check_request_size
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

CONFIGS_SINCE = 5
REFUSED_SINCE = 6


async def handle(request: CreateTopicsRequest, ctx: RequestContext) -> CreateTopicsResponse:
    """Create what can be created, say why not for the rest."""
    slices = Slices()
    times: Counter[str] = Counter()
    wanted: list[NewTopic] = []
    size = 0
    async for topic in slices.over(request.topics):
        times[topic.name] += 1
        size += len(topic.assignments) + len(topic.configs)
    check_request_size(size)
    once = [name async for name, count in slices.over(times.items()) if count == 1 and name != CLUSTER_METADATA]
    creatable: Container[str] = ALL
    if not ctx.may(Operation.CREATE, Resource.CLUSTER, quiet=True):
        creatable = await ctx.permitted(Operation.CREATE, Resource.TOPIC, once, slices)
    readable = await ctx.permitted(Operation.DESCRIBE_CONFIGS, Resource.TOPIC, once, slices, quiet=True)
    async for topic in slices.over(request.topics):
        if times[topic.name] == 1 and topic.name != CLUSTER_METADATA and topic.name in creatable:
            wanted.append(_new_topic(topic))
    quota = ctx.mutation_quota(REFUSED_SINCE)
    created = await ctx.cluster.create_topics(wanted, validate_only=request.validate_only, count=quota)
    ctx.count_changes(quota)
    results = [
        _answer(new.name, result, ctx, shows_configs=new.name in readable)
        async for new, result in slices.over(zip(wanted, created, strict=True))
    ]
    async for name, count in slices.over(times.items()):
        if count > 1:
            results.append(_refusal(name, ErrorCode.INVALID_REQUEST, "the topic is named more than once"))
        elif name == CLUSTER_METADATA:
            results.append(_refusal(name, ErrorCode.INVALID_REQUEST, f"{name} cannot be created"))
        elif name not in creatable:
            code = REFUSAL[Resource.TOPIC]
            results.append(_refusal(name, code, code.sentence))
    return CreateTopicsResponse(topics=results)


def refuse(request: CreateTopicsRequest, error: ErrorCode, version: int) -> CreateTopicsResponse:
    """The error on every topic."""
    return CreateTopicsResponse(topics=[_refusal(topic.name, error, error.sentence) for topic in request.topics])


def _new_topic(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        name=topic.name,
        partition_count=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments=[Assignment(given.partition_index, given.broker_ids) for given in topic.assignments],
        configs={config.name: config.value for config in topic.configs},
    )


def _answer(name: str, result: Topic | KafkaError, ctx: RequestContext, *, shows_configs: bool) -> CreatableTopicResult:
    if isinstance(result, KafkaError):
        ctx.refused("topic not created", result, topic=name)
        return _refusal(name, result.code, result.message)
    if not shows_configs:
        return CreatableTopicResult(
            name=name,
            topic_id=result.topic_id,
            error_message=None,
            topic_config_error_code=REFUSAL[Resource.TOPIC],
            num_partitions=-1,
            replication_factor=-1,
            configs=[],
        )
    return CreatableTopicResult(
        name=name,
        topic_id=result.topic_id,
        error_message=None,
        num_partitions=result.partition_count,
        replication_factor=result.replication_factor,
        configs=_configs(result, ctx) if ctx.api_version >= CONFIGS_SINCE else [],
    )


def _refusal(name: str, error: ErrorCode, message: str) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=error, error_message=message)


def _configs(topic: Topic, ctx: RequestContext) -> list[CreatableTopicConfigs]:
    # Unlike DescribeConfigs, Kafka's controller gives overrides back as they were written: ` 1000 `, `TRUE`.
    return [
        CreatableTopicConfigs(
            name=entry.name,
            value=topic.configs.get(entry.name, entry.value),
            read_only=entry.read_only,
            config_source=entry.source,
            is_sensitive=entry.sensitive,
        )
        for entry in sorted(describe_topic(topic.configs, ctx.config))
    ]
