"""ListGroups (16): all groups that this broker coordinates.

- v3: flexible.
- v4: a filter by state (KIP-518).
- v5: a filter by type, and the type in the answer (KIP-848).
- Filters ignore case and surrounding blanks; an unknown name matches no group.
- A broker that no client has asked for a coordinator yet has no groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode
from kproto.messages.list_groups import ListGroupsRequest, ListGroupsResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ListGroupsRequest, ctx: RequestContext) -> ListGroupsResponse:
    """List them; in older versions the fields that the newer ones added are dropped in encoding."""
    return ListGroupsResponse(groups=await ctx.groups.list_groups(request.states_filter, request.types_filter))


def refuse(request: ListGroupsRequest, error: ErrorCode, version: int) -> ListGroupsResponse:
    """The error, and no groups."""
    return ListGroupsResponse(error_code=error)
