"""OffsetFetch (9): how far groups have come.

v2 null for all topics, and an error of the whole, v3 throttling, v5 leader epochs (KIP-320), v6 flexible, v7
require_stable (KIP-447), v8 many groups (KIP-709), v9 member id and epoch for groups of the consumer protocol
(KIP-848), v10 topics by id.

What was never committed is offset -1 without an error, also when topic, partition or group are unknown; an unknown
topic id alone is an error, UNKNOWN_TOPIC_ID. Offsets of a deleted topic do not show, nor do they show for a new topic
of the same name. Nobody needs to be a member to ask. require_stable asks for UNSTABLE_OFFSET_COMMIT where a
transaction is open on a partition's offset: there are no transactions yet, so every offset is stable.

Internally every version is one list of groups; versions 1-7 are its first element in another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import CommittedOffset
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH, NO_OFFSET, TopicPartition
from kproto.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic

FIRST_WITH_ERROR_OF_THE_WHOLE: Final = 2
FIRST_WITH_MANY_GROUPS: Final = 8
FIRST_WITH_TOPIC_IDS: Final = 10

NEVER_COMMITTED: Final = CommittedOffset(NO_OFFSET, NO_EPOCH, "", 0)


async def handle(request: OffsetFetchRequest, ctx: RequestContext) -> OffsetFetchResponse:
    """Look each group up; one that cannot be looked up has its error."""
    groups = []
    for wanted in _groups(request, ctx.api_version):
        try:
            groups.append(_answer(wanted, await ctx.groups.committed(wanted.group_id), ctx))
        except KafkaError as error:
            groups.append(_refused(wanted, error.code))
    return _shaped(request, groups, ctx.api_version)


def refuse(request: OffsetFetchRequest, error: ErrorCode, version: int) -> OffsetFetchResponse:
    """The error for each group; in versions without one for the whole, for each partition."""
    return _shaped(request, [_refused(wanted, error) for wanted in _groups(request, version)], version)


def _groups(request: OffsetFetchRequest, version: int) -> list[OffsetFetchRequestGroup]:
    if version >= FIRST_WITH_MANY_GROUPS:
        return request.groups
    topics = None
    if request.topics is not None:
        topics = [
            OffsetFetchRequestTopics(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in request.topics
        ]
    return [OffsetFetchRequestGroup(group_id=request.group_id, topics=topics)]


def _refused(wanted: OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup:
    return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=[], error_code=error)


def _answer(
    wanted: OffsetFetchRequestGroup, committed: Mapping[TopicPartition, CommittedOffset], ctx: RequestContext
) -> OffsetFetchResponseGroup:
    if wanted.topics is None:
        topics = _everything(committed, ctx)
    else:
        topics = [_asked(topic, committed, ctx) for topic in wanted.topics]
    return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics)


def _everything(
    committed: Mapping[TopicPartition, CommittedOffset], ctx: RequestContext
) -> list[OffsetFetchResponseTopics]:
    """All that is committed, topic by topic."""
    by_topic: dict[str, list[OffsetFetchResponsePartitions]] = {}
    for place, found in committed.items():
        by_topic.setdefault(place.topic, []).append(_partition(place.partition, found))
    answer = []
    for name, partitions in by_topic.items():
        topic: Topic | None = ctx.cluster.image.topics.get(name)
        if topic is not None:
            answer.append(OffsetFetchResponseTopics(name=name, topic_id=topic.topic_id, partitions=partitions))
    return answer


def _asked(
    wanted: OffsetFetchRequestTopics, committed: Mapping[TopicPartition, CommittedOffset], ctx: RequestContext
) -> OffsetFetchResponseTopics:
    name = wanted.name
    error = ErrorCode.NONE
    if ctx.api_version >= FIRST_WITH_TOPIC_IDS:
        topic = ctx.cluster.image.topic_by_id(wanted.topic_id)
        if topic is None:
            error = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            name = topic.name
    return OffsetFetchResponseTopics(
        name=name,
        topic_id=wanted.topic_id,
        partitions=[
            _partition(index, committed.get(TopicPartition(name, index), NEVER_COMMITTED), error)
            for index in wanted.partition_indexes
        ],
    )


def _partition(index: int, found: CommittedOffset, error: ErrorCode = ErrorCode.NONE) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=found.offset,
        committed_leader_epoch=found.leader_epoch,
        metadata=found.metadata,
        error_code=error,
    )


def _shaped(request: OffsetFetchRequest, groups: list[OffsetFetchResponseGroup], version: int) -> OffsetFetchResponse:
    if version >= FIRST_WITH_MANY_GROUPS:
        return OffsetFetchResponse(groups=groups)
    [group] = groups
    if group.error_code and version < FIRST_WITH_ERROR_OF_THE_WHOLE:
        error = ErrorCode(group.error_code)
        return OffsetFetchResponse(
            topics=[
                OffsetFetchResponseTopic(
                    name=topic.name,
                    partitions=_old(_partition(i, NEVER_COMMITTED, error) for i in topic.partition_indexes),
                )
                for topic in request.topics or []
            ]
        )
    return OffsetFetchResponse(
        error_code=group.error_code,
        topics=[OffsetFetchResponseTopic(name=topic.name, partitions=_old(topic.partitions)) for topic in group.topics],
    )


def _old(partitions: Iterable[OffsetFetchResponsePartitions]) -> list[OffsetFetchResponsePartition]:
    return [
        OffsetFetchResponsePartition(
            partition_index=each.partition_index,
            committed_offset=each.committed_offset,
            committed_leader_epoch=each.committed_leader_epoch,
            metadata=each.metadata,
            error_code=each.error_code,
        )
        for each in partitions
    ]
