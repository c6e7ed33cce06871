"""OffsetDelete (47): forget single committed offsets of a group.

- v0: the only version (KIP-496).
- An unknown group: GROUP_ID_NOT_FOUND.
- A consumer group: GROUP_SUBSCRIBED_TO_TOPIC for topics that its members subscribe to.
- A group of another kind, with members: NON_EMPTY_GROUP for the whole request.
- A topic that the client may not READ: TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- A partition that does not exist: UNKNOWN_TOPIC_OR_PARTITION.
- An offset that was never committed is forgotten without an error.
- A partition that is named twice is answered twice; a topic once, with all its partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import Operation
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import TopicPartition
from kproto.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: OffsetDeleteRequest, ctx: RequestContext) -> OffsetDeleteResponse:
    """Find the partitions, forget those that exist. The group is looked at even if none does."""
    places: list[TopicPartition] = []
    answers: list[OffsetDeleteResponsePartition] = []
    topics: dict[str, OffsetDeleteResponseTopic] = {}
    image, slices = ctx.cluster.image, Slices()
    async for asked in slices.over(request.topics):
        topic = ctx.find_topic(image, Operation.READ, asked.name)
        answered = topics.get(asked.name)
        if answered is None:
            answered = topics[asked.name] = OffsetDeleteResponseTopic(name=asked.name, partitions=[])
        async for wanted in slices.over(asked.partitions):
            answer = OffsetDeleteResponsePartition(partition_index=wanted.partition_index)
            answered.partitions.append(answer)
            if isinstance(topic, KafkaError):
                answer.error_code = topic.code
            elif wanted.partition_index not in topic.partitions:
                answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            else:
                places.append(TopicPartition(topic.name, wanted.partition_index))
                answers.append(answer)
    codes = await ctx.groups.delete_offsets(request.group_id, places)
    async for answer, code in slices.over(zip(answers, codes, strict=True)):
        answer.error_code = code
    return OffsetDeleteResponse(topics=[each async for each in slices.over(topics.values()) if each.partitions])


def refuse(request: OffsetDeleteRequest, error: ErrorCode, version: int) -> OffsetDeleteResponse:
    """The error of the whole, and no topics."""
    return OffsetDeleteResponse(error_code=error)
