"""OffsetDelete (47): forget single committed offsets of a group. Version 0 (KIP-496).

A topic that members of a consumer group subscribe to is GROUP_SUBSCRIBED_TO_TOPIC; a group of another kind with
members is NON_EMPTY_GROUP as a whole, an unknown one GROUP_ID_NOT_FOUND. An offset that was never committed is
forgotten without an error; a partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode
from kproto.ids import TopicPartition
from kproto.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic


async def handle(request: OffsetDeleteRequest, ctx: RequestContext) -> OffsetDeleteResponse:
    """Find the partitions, forget those that exist. The group is looked at even if none does."""
    response = OffsetDeleteResponse(topics=[])
    places: list[TopicPartition] = []
    answers: list[OffsetDeleteResponsePartition] = []
    for asked in request.topics:
        topic: Topic | None = ctx.cluster.image.topics.get(asked.name)
        answered = OffsetDeleteResponseTopic(name=asked.name, partitions=[])
        for wanted in asked.partitions:
            answer = OffsetDeleteResponsePartition(partition_index=wanted.partition_index)
            answered.partitions.append(answer)
            if topic is None or wanted.partition_index not in topic.partitions:
                answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            else:
                places.append(TopicPartition(topic.name, wanted.partition_index))
                answers.append(answer)
        if answered.partitions:
            response.topics.append(answered)
    codes = await ctx.groups.delete_offsets(request.group_id, places)
    for answer, code in zip(answers, codes, strict=True):
        answer.error_code = code
    return response


def refuse(request: OffsetDeleteRequest, error: ErrorCode, version: int) -> OffsetDeleteResponse:
    """The error of the whole, and no topics."""
    return OffsetDeleteResponse(error_code=error)
