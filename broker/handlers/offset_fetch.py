"""OffsetFetch (9): how far groups have come.

- v2: null means all topics; an error for the whole response.
- v3: throttling.
- v5: leader epochs (KIP-320).
- v6: flexible.
- v7: require_stable (KIP-447): UNSTABLE_OFFSET_COMMIT where a transaction is open on a partition's offset; of a request
  for all offsets, only where one was committed before.
- v8: many groups (KIP-709). Older requests are handled as a list of one group.
- v9: member id and epoch for groups of the consumer protocol (KIP-848): UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH. A client
  need not be a member, and names neither then.
- v10: topics by id.
- A group that the client may not DESCRIBE is GROUP_AUTHORIZATION_FAILED, a topic that is named
  TOPIC_AUTHORIZATION_FAILED, whether they exist or not; of all topics, those are left out.
- Not committed is offset -1 without an error, also when topic, partition or group are unknown. An unknown topic id
  alone is an error: UNKNOWN_TOPIC_ID.
- Offsets of a deleted topic are not shown, nor are they shown for a new topic of the same name.
- A group, topic or partition that is named twice is answered twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import CommittedByGroup, CommittedOffset
from broker.security.operations import REFUSAL, Operation, Resource
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
from kproto.schema.declare import SharedArray
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic

FIRST_WITH_ERROR_OF_THE_WHOLE: Final = 2
FIRST_WITH_MANY_GROUPS: Final = 8
FIRST_WITH_TOPIC_IDS: Final = 10

NEVER_COMMITTED: Final = CommittedOffset(NO_OFFSET, NO_EPOCH, "", 0)


async def handle(request: OffsetFetchRequest, ctx: RequestContext) -> OffsetFetchResponse:
    """Look each group up; one that cannot be looked up has its error."""
    slices = Slices()
    asked = _groups(request, ctx.api_version)
    answers = _Answers(ctx, slices)
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.GROUP, (each.group_id for each in asked), slices)
    shown = [group async for group in slices.over(asked) if group.group_id in permitted]
    committed = await ctx.groups.committed(await answers.places(shown), stable=request.require_stable)
    groups = [
        await answers.group(wanted, await _refusal(wanted, ctx) or committed[wanted.group_id])
        if wanted.group_id in permitted
        else _refused(wanted, REFUSAL[Resource.GROUP])
        async for wanted in slices.over(asked)
    ]
    if ctx.api_version >= FIRST_WITH_MANY_GROUPS:
        return OffsetFetchResponse(groups=groups)
    [group] = groups
    if group.error_code and ctx.api_version < FIRST_WITH_ERROR_OF_THE_WHOLE:
        raise KafkaError(ErrorCode(group.error_code))
    return OffsetFetchResponse(
        error_code=group.error_code,
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name, partitions=[_old(each) async for each in slices.over(topic.partitions)]
            )
            async for topic in slices.over(group.topics)
        ],
    )


def refuse(request: OffsetFetchRequest, error: ErrorCode, version: int) -> OffsetFetchResponse:
    """The error for each group; in versions without one for the whole, for each partition."""
    if version >= FIRST_WITH_MANY_GROUPS:
        return OffsetFetchResponse(groups=[_refused(wanted, error) for wanted in request.groups])
    if version >= FIRST_WITH_ERROR_OF_THE_WHOLE:
        return OffsetFetchResponse(error_code=error, topics=[])
    return OffsetFetchResponse(
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[_old(_partition(index, NEVER_COMMITTED, error)) for index in topic.partition_indexes],
            )
            for topic in request.topics or []
        ]
    )


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


async def _refusal(wanted: OffsetFetchRequestGroup, ctx: RequestContext) -> KafkaError | None:
    """Why this client may not learn what the group has committed; None if it may."""
    if wanted.member_id is None and wanted.member_epoch < 0:
        return None
    try:
        error = await ctx.groups.fetch_error(wanted.group_id, wanted.member_id, wanted.member_epoch)
    except KafkaError as refusal:
        return refusal
    return KafkaError(error) if error is not ErrorCode.NONE else None


def _refused(wanted: OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup:
    return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=[], error_code=error)


class _Answers:
    """Makes the answers for one request, from one image. A group that is asked for as a whole is answered each time
    with the same object, which is encoded once: a name costs ten bytes, and a group may have megabytes of offsets."""

    def __init__(self, ctx: RequestContext, slices: Slices) -> None:
        self._ctx = ctx
        self._image = ctx.cluster.image
        self._by_id = ctx.api_version >= FIRST_WITH_TOPIC_IDS
        self._slices = slices
        self._whole: dict[str, OffsetFetchResponseGroup] = {}
        self._doubles = False

    async def places(self, asked: Sequence[OffsetFetchRequestGroup]) -> dict[str, Collection[TopicPartition] | None]:
        """The partitions to look up in each group, or None for all that it has."""
        places: dict[str, dict[TopicPartition, None] | None] = {}
        async for wanted in self._slices.over(asked):
            if wanted.topics is None:
                places[wanted.group_id] = None
                continue
            found = places.setdefault(wanted.group_id, {})
            if found is None:
                continue
            async for topic in self._slices.over(wanted.topics):
                if not isinstance(known := self._topic(topic), KafkaError):
                    async for index in self._slices.over(topic.partition_indexes):
                        found[TopicPartition(known.name, index)] = None
        self._doubles = len(places) < len(asked)
        return {
            group_id: None if found is None else found.keys()
            async for group_id, found in self._slices.over(places.items())
        }

    def _topic(self, wanted: OffsetFetchRequestTopics) -> Topic | KafkaError:
        topic_id = wanted.topic_id if self._by_id else None
        return self._ctx.find_topic(self._image, Operation.DESCRIBE, wanted.name, topic_id)

    async def group(
        self, wanted: OffsetFetchRequestGroup, committed: CommittedByGroup | KafkaError
    ) -> OffsetFetchResponseGroup:
        """The answer for one group."""
        if isinstance(committed, KafkaError):
            return _refused(wanted, committed.code)
        if wanted.topics is not None:
            topics = [await self._asked(topic, committed) async for topic in self._slices.over(wanted.topics)]
            return OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics)
        answer = self._whole.get(wanted.group_id)
        if answer is None:
            topics = await self._everything(committed)
            if self._doubles:
                topics = SharedArray(topics)
            answer = self._whole[wanted.group_id] = OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics)
        return answer

    async def _everything(self, committed: CommittedByGroup) -> list[OffsetFetchResponseTopics]:
        """All that is committed for topics that exist, topic by topic."""
        topics: dict[str, OffsetFetchResponseTopics] = {}
        names = (place.topic for place in committed.offsets)
        shown = await self._ctx.permitted(Operation.DESCRIBE, Resource.TOPIC, names, self._slices, quiet=True)
        async for place, found in self._slices.over(committed.offsets.items()):
            topic: Topic | None = self._image.topics.get(place.topic)
            if topic is None or not found.is_of(topic.topic_id) or place.topic not in shown:
                continue
            answer = topics.get(place.topic)
            if answer is None:
                answer = OffsetFetchResponseTopics(name=topic.name, topic_id=topic.topic_id, partitions=[])
                topics[place.topic] = answer
            unstable = committed.is_unstable(place, topic.topic_id)
            answer.partitions.append(_unstable(place.partition) if unstable else _partition(place.partition, found))
        return list(topics.values())

    async def _asked(self, wanted: OffsetFetchRequestTopics, committed: CommittedByGroup) -> OffsetFetchResponseTopics:
        topic: Topic | KafkaError | None = self._topic(wanted)
        error = ErrorCode.NONE
        if isinstance(topic, KafkaError):
            error = ErrorCode.NONE if topic.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION else topic.code
            topic = None
        answer = OffsetFetchResponseTopics(
            name=wanted.name if topic is None else topic.name, topic_id=wanted.topic_id, partitions=[]
        )
        async for index in self._slices.over(wanted.partition_indexes):
            found = None
            if topic is not None:
                place = TopicPartition(topic.name, index)
                if committed.is_unstable(place, topic.topic_id):
                    answer.partitions.append(_unstable(index))
                    continue
                found = committed.offsets.get(place)
            if found is None or topic is None or not found.is_of(topic.topic_id):
                found = NEVER_COMMITTED
            answer.partitions.append(_partition(index, found, error))
        return answer


def _partition(index: int, found: CommittedOffset, error: ErrorCode = ErrorCode.NONE) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=found.offset,
        committed_leader_epoch=found.leader_epoch,
        metadata=found.metadata,
        error_code=error,
    )


def _unstable(index: int) -> OffsetFetchResponsePartitions:
    return _partition(index, NEVER_COMMITTED, ErrorCode.UNSTABLE_OFFSET_COMMIT)


def _old(each: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition:
    return OffsetFetchResponsePartition(
        partition_index=each.partition_index,
        committed_offset=each.committed_offset,
        committed_leader_epoch=each.committed_leader_epoch,
        metadata=each.metadata,
        error_code=each.error_code,
    )
