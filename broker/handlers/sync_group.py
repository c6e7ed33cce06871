"""SyncGroup (14): hand out, or receive, the assignment of a generation.

- v3: static members (KIP-345).
- v4: flexible.
- v5: protocol type and name (KIP-559). They are mandatory then: without them INCONSISTENT_GROUP_PROTOCOL.
- Followers wait for the leader, at most as long as the rebalance timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.errors import ErrorCode
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_PROTOCOL: Final = 5


async def handle(request: SyncGroupRequest, ctx: RequestContext) -> SyncGroupResponse:
    """Sync, wait, answer."""
    if ctx.api_version >= FIRST_WITH_PROTOCOL and (request.protocol_type is None or request.protocol_name is None):
        return refuse(request, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, ctx.api_version)
    return await ctx.groups.sync(request)


def refuse(request: SyncGroupRequest, error: ErrorCode, version: int) -> SyncGroupResponse:
    """The error, and an empty assignment."""
    return SyncGroupResponse(error_code=error)
