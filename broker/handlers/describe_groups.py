"""DescribeGroups (15): groups of the classic protocol and their members.

v3 authorized operations (KIP-430), v4 static members (KIP-345), v5 flexible, v6 GROUP_ID_NOT_FOUND (KIP-1043).

A group nobody knows is state `Dead` without an error; from version 6 on, GROUP_ID_NOT_FOUND besides. Members show their
subscription and the group its protocol only while it is `Stable`. Without an authorizer everything is allowed, so the
authorized operations are all that Kafka knows for groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_groups import DescribedGroup, DescribeGroupsRequest, DescribeGroupsResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_NOT_FOUND: Final = 6

READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS = 3, 6, 8, 10, 11
ALL_OPERATIONS: Final = 1 << READ | 1 << DELETE | 1 << DESCRIBE | 1 << DESCRIBE_CONFIGS | 1 << ALTER_CONFIGS
"""One bit per AclOperation that makes sense for a group."""


async def handle(request: DescribeGroupsRequest, ctx: RequestContext) -> DescribeGroupsResponse:
    """Describe each, in the order asked."""
    groups = []
    for group_id in request.groups:
        group = await _describe(group_id, ctx)
        if request.include_authorized_operations and group.error_code == ErrorCode.NONE:
            group.authorized_operations = ALL_OPERATIONS
        groups.append(group)
    return DescribeGroupsResponse(groups=groups)


async def _describe(group_id: str, ctx: RequestContext) -> DescribedGroup:
    try:
        found = await ctx.groups.describe(group_id)
    except KafkaError as error:
        return DescribedGroup(group_id=group_id, error_code=error.code)
    if found is not None:
        return found
    unknown = DescribedGroup(group_id=group_id, group_state="Dead")
    if ctx.api_version >= FIRST_WITH_NOT_FOUND:
        unknown.error_code = ErrorCode.GROUP_ID_NOT_FOUND
        unknown.error_message = f"there is no group {group_id!r}"
    return unknown


def refuse(request: DescribeGroupsRequest, error: ErrorCode, version: int) -> DescribeGroupsResponse:
    """The error for each group."""
    return DescribeGroupsResponse(
        groups=[DescribedGroup(group_id=group_id, error_code=error) for group_id in request.groups]
    )
