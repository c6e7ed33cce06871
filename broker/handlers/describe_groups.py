"""DescribeGroups (15): groups of the classic protocol and their members.

- v3: authorized operations (KIP-430). Without an authorizer these are all that Kafka knows for groups.
- v4: static members (KIP-345).
- v5: flexible.
- v6: GROUP_ID_NOT_FOUND for a group that does not exist (KIP-1043). Its state is `Dead` in every version.
- Subscriptions of members, and the protocol of the group, are shown only while the group is `Stable`.
- A group that is named twice is answered twice. Both answers are one object, whose members are encoded once: a name
  costs three bytes, and a group may have megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_groups import DescribedGroup, DescribeGroupsRequest, DescribeGroupsResponse
from kproto.schema.declare import ArrayOnDemand, SharedArray
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_NOT_FOUND: Final = 6


async def handle(request: DescribeGroupsRequest, ctx: RequestContext) -> DescribeGroupsResponse:
    """Describe each, in the order asked. What is said of groups that do not exist, of which a request may name 190,000,
    is made as it is encoded."""
    slices = Slices()
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.GROUP, request.groups, slices)
    found = await ctx.groups.describe([name async for name in slices.over(request.groups) if name in permitted])
    doubles = len(found) < len(request.groups)
    async for group in slices.over(found.values()):
        if doubles and isinstance(group, DescribedGroup):
            group.members = SharedArray(group.members)

    def answer(group_id: str) -> DescribedGroup:
        if group_id not in permitted:
            return DescribedGroup(group_id=group_id, error_code=REFUSAL[Resource.GROUP])
        described = _answer(group_id, found[group_id], ctx.api_version)
        if request.include_authorized_operations and not described.error_code:
            described.authorized_operations = ctx.operations(Resource.GROUP, group_id)
        return described

    return DescribeGroupsResponse(groups=cast("list[DescribedGroup]", ArrayOnDemand(request.groups, answer)))


def _answer(group_id: str, found: DescribedGroup | KafkaError | None, version: int) -> DescribedGroup:
    if isinstance(found, KafkaError):
        return DescribedGroup(group_id=group_id, error_code=found.code)
    if found is not None:
        return found
    unknown = DescribedGroup(group_id=group_id, group_state="Dead")
    if version >= FIRST_WITH_NOT_FOUND:
        unknown.error_code = ErrorCode.GROUP_ID_NOT_FOUND
        unknown.error_message = f"there is no group {group_id!r}"
    return unknown


def refuse(request: DescribeGroupsRequest, error: ErrorCode, version: int) -> DescribeGroupsResponse:
    """The error for each group."""
    return DescribeGroupsResponse(
        groups=[DescribedGroup(group_id=group_id, error_code=error) for group_id in request.groups]
    )
