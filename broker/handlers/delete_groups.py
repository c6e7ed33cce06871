"""DeleteGroups (42): delete empty groups, with all that they have committed.

- v3: an error message beside each code. Kafka has one where a streams group's topology description could not be
  deleted (GROUP_DELETION_FAILED), and null beside any other code; so has Ottla.
- A group with members: NON_EMPTY_GROUP. An unknown group: GROUP_ID_NOT_FOUND.
- A group that the client may not DELETE: GROUP_AUTHORIZATION_FAILED, whether it exists or not.
- A group and its offsets go with one batch; what does not fit into one is UNKNOWN_SERVER_ERROR. Kafka's batch is
  smaller, and has all groups of a shard.
- A group that is named twice is answered once, as in Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode
from kproto.messages.delete_groups import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse
from kproto.schema.declare import ArrayOnDemand
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: DeleteGroupsRequest, ctx: RequestContext) -> DeleteGroupsResponse:
    """Delete each on its own. The answers, of which there may be 190,000, are made as they are encoded."""
    slices = Slices()
    permitted = await ctx.permitted(Operation.DELETE, Resource.GROUP, request.groups_names, slices)
    codes = await ctx.groups.delete_groups(
        [name async for name in slices.over(request.groups_names) if name in permitted]
    )
    codes |= {
        name: REFUSAL[Resource.GROUP] async for name in slices.over(request.groups_names) if name not in permitted
    }

    def answer(group_id: str) -> DeletableGroupResult:
        return DeletableGroupResult(group_id=group_id, error_code=codes[group_id])

    names = [name async for name in slices.over(codes)]
    return DeleteGroupsResponse(results=cast("list[DeletableGroupResult]", ArrayOnDemand(names, answer)))


def refuse(request: DeleteGroupsRequest, error: ErrorCode, version: int) -> DeleteGroupsResponse:
    """The error for each group."""
    return DeleteGroupsResponse(
        results=[DeletableGroupResult(group_id=name, error_code=error) for name in dict.fromkeys(request.groups_names)]
    )
