"""Heartbeat (12): a member of a classic group is alive.

- v3: static members (KIP-345).
- v4: flexible.
- REBALANCE_IN_PROGRESS asks the member to join again, and renews its session like any other heartbeat.
- While the group's shard is being loaded, a heartbeat succeeds: the member has a fresh session as soon as it is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: HeartbeatRequest, ctx: RequestContext) -> HeartbeatResponse:
    """Beat."""
    try:
        return await ctx.groups.heartbeat(request)
    except KafkaError as error:
        if error.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            return HeartbeatResponse()
        raise


def refuse(request: HeartbeatRequest, error: ErrorCode, version: int) -> HeartbeatResponse:
    """The error."""
    return HeartbeatResponse(error_code=error)
