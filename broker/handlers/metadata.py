"""Metadata (3): the brokers, and where the partitions of topics are.

- v0: an empty list means all topics.
- v1: null means all topics, an empty list none; controller and rack.
- v2: the cluster's id.
- v4: whether topics may be created.
- v5: offline replicas.
- v7: leader epochs.
- v8: authorized operations (KIP-430); for the cluster up to v10.
- v9: flexible.
- v10: topic ids in the answer.
- v12: a topic may be named by its id alone (KIP-516).
- v13: an error for the whole response (KIP-1102).
- A topic that does not exist is created if the request allows it and `auto.create.topics.enable` is true. The answer
  has its leaders at once, where Kafka answers UNKNOWN_TOPIC_OR_PARTITION first and clients come back.
  Making it counts for the client's quota on changes (KIP-599); beyond that there is no such topic yet.
- If one topic is named by id, all are: names beside ids are not looked at, as in Kafka.
- With an authorizer: a named topic that the client may not DESCRIBE is TOPIC_AUTHORIZATION_FAILED, whether it exists or
  not; a list of all leaves it out. To create one takes CREATE on the cluster or on the topic.
- The address is the one by which this client came, or the one of `advertised.listeners`.
- Of a cluster of several brokers, all that live are shown, under their addresses of the listener by which this client
  came, and leaders and replicas as `broker/brokers` prefers them.

Departs from Kafka:

- A refused auto-creation is answered with its reason (a name that collides: INVALID_TOPIC_EXCEPTION), where Kafka
  answers UNKNOWN_TOPIC_OR_PARTITION and clients retry until they give up.
- A topic without name and id is INVALID_REQUEST, where Kafka fails with -1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.image import INTERNAL_TOPICS
from broker.coordinators.cluster.topic_names import topic_name_problem
from broker.security.operations import NOT_ASKED, Operation, Resource
from kproto.connection import AT_ONCE
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, Uuid
from kproto.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from kproto.schema.declare import SharedArray
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.brokers import Brokers
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic

INVALID_TOPIC: Final = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
UNKNOWN: Final = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
REFUSED: Final = KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
"""To describe the topic, so the answer must not say whether it exists."""
CREATION_REFUSED: Final = KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
"""Values, which are never raised."""

BY_ID_SINCE = 12
NULL_MEANS_ALL_SINCE = 1


async def handle(request: MetadataRequest, ctx: RequestContext) -> MetadataResponse:
    """Describe this node, and the topics asked for."""
    slices = Slices()
    await _check(request, ctx.api_version, slices)
    topics = await _topics(request, ctx, slices)
    return MetadataResponse(
        brokers=_brokers(ctx),
        cluster_id=ctx.store.cluster_id,
        controller_id=ctx.config.node_id if ctx.brokers is None else ctx.brokers.controller,
        topics=topics,
        cluster_authorized_operations=(
            ctx.cluster_operations() if request.include_cluster_authorized_operations else NOT_ASKED
        ),
    )


def _brokers(ctx: RequestContext) -> list[MetadataResponseBroker]:
    if ctx.brokers is None:
        host, port = ctx.advertised
        return [MetadataResponseBroker(node_id=ctx.config.node_id, host=host, port=port, rack=ctx.config.broker_rack)]
    return [
        MetadataResponseBroker(node_id=each.node_id, host=place.host, port=place.port, rack=each.rack)
        for each in ctx.brokers.shown
        if (place := each.endpoints.get(ctx.listener)) is not None
    ]


def refuse(request: MetadataRequest, error: ErrorCode, version: int) -> MetadataResponse:
    """The error on every topic asked for, and from v13 on the whole."""
    return MetadataResponse(
        topics=[
            MetadataResponseTopic(name=topic.name or "", topic_id=topic.topic_id, error_code=error)
            for topic in request.topics or ()
        ],
        error_code=error,
    )


async def _check(request: MetadataRequest, version: int, slices: Slices) -> None:
    """Raise INVALID_REQUEST for topics that this version cannot ask for."""
    async for topic in slices.over(request.topics or ()):
        if version < BY_ID_SINCE:
            if topic.name is None:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"a topic needs a name in version {version}")
            if topic.topic_id != ZERO_UUID:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"topics have no ids in requests of version {version}")
        elif topic.name is None and topic.topic_id == ZERO_UUID:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a topic has neither name nor id")


async def _topics(request: MetadataRequest, ctx: RequestContext, slices: Slices) -> list[MetadataResponseTopic]:
    operations = request.include_topic_authorized_operations
    asked = request.topics
    if asked is None or (not asked and ctx.api_version < NULL_MEANS_ALL_SINCE):
        topics = ctx.cluster.image.topics
        return [
            await _describe(topics[name], operations, ctx)
            async for name in slices.over(sorted(topics))
            if ctx.may(Operation.DESCRIBE, Resource.TOPIC, name, quiet=True)
        ]
    ids = {topic.topic_id: None async for topic in slices.over(asked) if topic.topic_id != ZERO_UUID}
    if ids:
        return [await _by_id(topic_id, operations, ctx) async for topic_id in slices.over(ids)]
    names = {topic.name: None async for topic in slices.over(asked) if topic.name is not None}
    found = await _found_or_created(names, request.allow_auto_topic_creation, ctx, slices)
    return [
        _without_topic(name, topic, operations, ctx)
        if isinstance(topic, KafkaError)
        else await _describe(topic, operations, ctx)
        async for name, topic in slices.over(found.items())
    ]


async def _found_or_created(
    names: Iterable[str], may_create: bool, ctx: RequestContext, slices: Slices
) -> dict[str, Topic | KafkaError]:
    """Each name with its topic, or the reason why there is none."""
    image = ctx.cluster.image
    found: dict[str, Topic | KafkaError] = {}
    missing: list[str] = []
    async for name in slices.over(names):
        topic: Topic | None = image.topics.get(name)
        if not ctx.may(Operation.DESCRIBE, Resource.TOPIC, name):
            found[name] = REFUSED
        elif topic is not None:
            found[name] = topic
        elif topic_name_problem(name) is not None:
            found[name] = INVALID_TOPIC
        else:
            found[name] = UNKNOWN
            missing.append(name)
    if missing and may_create and ctx.config.auto_create_topics_enable:
        if not ctx.may(Operation.CREATE, Resource.CLUSTER, quiet=True):
            creatable = await ctx.permitted(Operation.CREATE, Resource.TOPIC, missing, slices)
            found |= {name: CREATION_REFUSED for name in missing if name not in creatable}
            missing = [name for name in missing if name in creatable]
        created = await ctx.cluster.auto_create_topics(missing, count=ctx.mutation_quota(strict_since=0))
        for name, result in zip(missing, created, strict=True):
            if isinstance(result, KafkaError) and result.code is ErrorCode.THROTTLING_QUOTA_EXCEEDED:
                continue  # UNKNOWN for now, and the client comes back
            # While the coordinator reloads, clients should come back, as they do for a topic without leader.
            if isinstance(result, KafkaError):
                ctx.refused("topic not created", result, topic=name)
            again = isinstance(result, KafkaError) and result.code is ErrorCode.NOT_CONTROLLER
            found[name] = KafkaError(ErrorCode.LEADER_NOT_AVAILABLE) if again else result
    return found


async def _by_id(topic_id: Uuid, operations: bool, ctx: RequestContext) -> MetadataResponseTopic:
    topic = ctx.cluster.image.topic_by_id(topic_id)
    if topic is None:
        return MetadataResponseTopic(name=None, topic_id=topic_id, error_code=ErrorCode.UNKNOWN_TOPIC_ID)
    if not ctx.may(Operation.DESCRIBE, Resource.TOPIC, topic.name):
        return MetadataResponseTopic(name=None, topic_id=topic_id, error_code=REFUSED.code)
    return await _describe(topic, operations, ctx)


def _without_topic(name: str, problem: KafkaError, operations: bool, ctx: RequestContext) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        name=name,
        error_code=problem.code,
        is_internal=name in INTERNAL_TOPICS and problem is not REFUSED,
        topic_authorized_operations=(
            ctx.operations(Resource.TOPIC, name)
            if operations and problem not in (REFUSED, CREATION_REFUSED)
            else NOT_ASKED
        ),
    )


async def _describe(topic: Topic, operations: bool, ctx: RequestContext) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.internal,
        partitions=await _partitions(topic, ctx.config.node_id, ctx.brokers),
        topic_authorized_operations=ctx.operations(Resource.TOPIC, topic.name) if operations else NOT_ASKED,
    )


MOST_SHARED = 64
"""Different numbers of partitions, of topics made here, whose descriptions are kept."""

LARGEST_SHARED = AT_ONCE
"""Partitions of a topic whose description is kept as bytes, which are made in one go."""

_known: dict[int, list[MetadataResponsePartition]] = {}
_shared: dict[tuple[int, int], SharedArray[MetadataResponsePartition]] = {}


async def _partitions(topic: Topic, node_id: int, brokers: Brokers | None) -> list[MetadataResponsePartition]:
    """All of a topic's partitions, led by this node, or by those that `brokers` prefers.

    Led by this node they look the same in every topic that was made here and has as many, so one array of them serves
    all, which is encoded once: a description of 100,000 partitions in 1,000 topics is 1,000 copies of some bytes.
    Nothing may change a message once it is a response's.
    """
    if brokers is not None:
        return [
            _partition(index, brokers.replicas(topic, index), topic.leader_epoch(index))
            async for index in Slices().over(topic.partitions)
        ]
    if topic.leader_epochs is not None:
        return [
            _partition(index, [node_id], topic.leader_epoch(index)) async for index in Slices().over(topic.partitions)
        ]
    key = node_id, topic.partition_count
    shared = _shared.get(key)
    if shared is not None:
        return shared
    known = _known.setdefault(node_id, [])
    slices = Slices()
    while len(known) < topic.partition_count:
        known.append(_partition(len(known), [node_id], 0))
        await slices.give_way()
    if topic.partition_count > LARGEST_SHARED:
        return known[: topic.partition_count]
    if len(_shared) >= MOST_SHARED:
        del _shared[next(iter(_shared))]  # the oldest, which is made again when it is asked for
    shared = _shared[key] = SharedArray(known[: topic.partition_count])
    return shared


def _partition(index: int, replicas: list[int], leader_epoch: int) -> MetadataResponsePartition:
    return MetadataResponsePartition(
        partition_index=index,
        leader_id=replicas[0],
        leader_epoch=leader_epoch,
        replica_nodes=replicas,
        isr_nodes=replicas,
    )
