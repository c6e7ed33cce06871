"""LeaveGroup (13): members of a classic group leave at once, before their sessions end.

- v3: several members at once, also static ones by their instance id alone, which is how administrators remove them
  (KIP-345). Each member has its own error; the response has one only when the whole request is refused.
- v4: flexible.
- v5: a reason (KIP-800).
- Up to v2 there is one member, and its error is the response's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import Caller
from kproto.errors import ErrorCode
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_MEMBERS: Final = 3


async def handle(request: LeaveGroupRequest, ctx: RequestContext) -> LeaveGroupResponse:
    """Leave."""
    caller = Caller(ctx.client_id or "", ctx.client_host, ctx.api_version)
    response = await ctx.groups.leave(request, caller)
    if ctx.api_version >= FIRST_WITH_MEMBERS:
        return response
    codes = [response.error_code, *(member.error_code for member in response.members)]
    return LeaveGroupResponse(error_code=next((code for code in codes if code), ErrorCode.NONE))


def refuse(request: LeaveGroupRequest, error: ErrorCode, version: int) -> LeaveGroupResponse:
    """The error, and no members."""
    return LeaveGroupResponse(error_code=error)
