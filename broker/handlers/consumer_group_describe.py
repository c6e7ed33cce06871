"""ConsumerGroupDescribe (69): groups of the consumer protocol and their members (KIP-848).

- v1: which protocol each member speaks (KIP-1099).
- A cluster at level 0 of group.version has no such groups: UNSUPPORTED_VERSION for each.
- A group that does not exist, or is of another kind, is GROUP_ID_NOT_FOUND; an empty id is INVALID_GROUP_ID.
- A group that the client may not DESCRIBE is GROUP_AUTHORIZATION_FAILED; one of whose members' topics it may not, is
  TOPIC_AUTHORIZATION_FAILED without members.
- What a member owns is there with what it has been asked to give up. Topics that are gone are left out.
- A group that is named twice is answered twice, with one object, as in DescribeGroups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from kproto.release.features import GROUP_VERSION
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ConsumerGroupDescribeRequest, ctx: RequestContext) -> ConsumerGroupDescribeResponse:
    """Describe each, in the order asked."""
    if ctx.feature_level(GROUP_VERSION) < 1:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    slices = Slices()
    answers: dict[str, DescribedGroup] = {"": DescribedGroup(error_code=ErrorCode.INVALID_GROUP_ID)}
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.GROUP, request.group_ids, slices)
    async for group_id in slices.over(request.group_ids):
        if group_id not in permitted:
            answers[group_id] = DescribedGroup(group_id=group_id, error_code=REFUSAL[Resource.GROUP])
    found = await ctx.groups.describe_consumer_groups(each for each in request.group_ids if each not in answers)
    async for group_id, group in slices.over(found.items()):
        answer = answers[group_id] = _answer(group_id, group)
        if answer.error_code == ErrorCode.NONE and not await _may_describe_topics(answer, ctx, slices):
            answer = answers[group_id] = _with_other_topics(group_id)
        if request.include_authorized_operations and answer.error_code == ErrorCode.NONE:
            answer.authorized_operations = ctx.operations(Resource.GROUP, group_id)
    return ConsumerGroupDescribeResponse(
        groups=[answers[group_id] async for group_id in slices.over(request.group_ids)]
    )


def _answer(group_id: str, found: DescribedGroup | KafkaError | None) -> DescribedGroup:
    if isinstance(found, KafkaError):
        return DescribedGroup(group_id=group_id, error_code=found.code)
    if found is not None:
        return found
    return DescribedGroup(
        group_id=group_id,
        error_code=ErrorCode.GROUP_ID_NOT_FOUND,
        error_message=f"there is no consumer group {group_id!r}",
    )


async def _may_describe_topics(group: DescribedGroup, ctx: RequestContext, slices: Slices) -> bool:
    """Whether the client may describe every topic that a member owns or is to own."""
    if ctx.services.authorizer is None:
        return True
    names: dict[str, None] = {}
    async for member in slices.over(group.members):
        for assignment in (member.assignment, member.target_assignment):
            names |= {topic.topic_name: None async for topic in slices.over(assignment.topic_partitions)}
    async for name in slices.over(names):
        if not ctx.may(Operation.DESCRIBE, Resource.TOPIC, name):
            return False
    return True


def _with_other_topics(group_id: str) -> DescribedGroup:
    return DescribedGroup(
        group_id=group_id,
        error_code=REFUSAL[Resource.TOPIC],
        error_message="the group's members own topics that the client may not describe",
    )


def refuse(request: ConsumerGroupDescribeRequest, error: ErrorCode, version: int) -> ConsumerGroupDescribeResponse:
    """The error for each group."""
    return ConsumerGroupDescribeResponse(
        groups=[DescribedGroup(group_id=group_id, error_code=error) for group_id in request.group_ids]
    )
