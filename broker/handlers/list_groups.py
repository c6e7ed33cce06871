"""ListGroups (16): all groups that this broker coordinates.

- v3: flexible.
- v4: a filter by state (KIP-518).
- v5: a filter by type, and the type in the answer (KIP-848).
- Filters ignore case and surrounding blanks; an unknown name matches no group.
- A client that may DESCRIBE the cluster sees all groups, another one those that it may DESCRIBE.
- A broker that no client has asked for a coordinator yet has no groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode
from kproto.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ListGroupsRequest, ctx: RequestContext) -> ListGroupsResponse:
    """List them; in older versions the fields that the newer ones added are dropped in encoding."""
    groups = await ctx.groups.list_groups(request.states_filter, request.types_filter)
    if not ctx.may(Operation.DESCRIBE, Resource.CLUSTER, quiet=True):
        names, slices = (group.group_id for group in groups), Slices()
        permitted = await ctx.permitted(Operation.DESCRIBE, Resource.GROUP, names, slices, quiet=True)
        groups = [group async for group in slices.over(groups) if group.group_id in permitted]
    return ListGroupsResponse(groups=groups)


def refuse(request: ListGroupsRequest, error: ErrorCode, version: int) -> ListGroupsResponse:
    """The error, and no groups."""
    return ListGroupsResponse(error_code=error)
