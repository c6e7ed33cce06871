"""JoinGroup (11): take part in a group of the classic protocol.

- v1: rebalance timeout (KIP-62).
- v4: MEMBER_ID_REQUIRED (KIP-394).
- v5: static members (KIP-345).
- v6: flexible.
- v7: protocol type and name in the answer (KIP-559).
- v8: a reason (KIP-800); it is not logged yet.
- v9: skip_assignment (KIP-814).
- The answer comes when the rebalance has gathered its members, which may take minutes. A connection is answered in
  order, so clients send what cannot wait on another connection.

Which members are refused, and when: `coordinators/groups/classic/protocol.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import Caller
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_NULLABLE_PROTOCOL: Final = 7


async def handle(request: JoinGroupRequest, ctx: RequestContext) -> JoinGroupResponse:
    """Join, wait, answer."""
    caller = Caller(ctx.client_id or "", ctx.client_host, ctx.api_version)
    response = await ctx.groups.join(request, caller)
    if response.error_code:
        ctx.refused("member refused", KafkaError(ErrorCode(response.error_code)), group=request.group_id)
    return _shaped(response, ctx.api_version)


def refuse(request: JoinGroupRequest, error: ErrorCode, version: int) -> JoinGroupResponse:
    """The error, and no generation."""
    return _shaped(JoinGroupResponse(error_code=error), version)


def _shaped(response: JoinGroupResponse, version: int) -> JoinGroupResponse:
    """No protocol is the empty string up to version 6, null from 7 on."""
    response.protocol_name = response.protocol_name or (None if version >= FIRST_WITH_NULLABLE_PROTOCOL else "")
    return response
