"""Heartbeat (12): a member of a classic group is alive.

- v3: static members (KIP-345).
- v4: flexible.
- REBALANCE_IN_PROGRESS asks the member to join again, and renews its session like any other heartbeat.
- It is decided when it is read: members of thousands of groups do nothing else, and mostly nothing is waited for.
- While the group's shard is being loaded, a heartbeat succeeds: the member has a fresh session as soon as it is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.context import FirstPhase, Later
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.shards import Begun


def handle(request: HeartbeatRequest, ctx: RequestContext) -> Any:
    """Beat."""
    try:
        begun = ctx.groups.begin_heartbeat(request)
    except KafkaError as error:
        return _unless_loading(error)
    if begun is None:
        return FirstPhase(_when_loaded(request, ctx))
    return _answered(begun.answer()) if begun.is_answered() else _Beaten(begun)


class _Beaten(Later):
    """The answer, once what the decision has seen is durable."""

    __slots__ = ("_begun",)

    def __init__(self, begun: Begun[HeartbeatResponse]) -> None:
        self._begun = begun

    def is_at_hand(self) -> bool:
        return self._begun.is_answered()

    def reply(self) -> HeartbeatResponse:
        return _answered(self._begun.answer())

    async def wait(self) -> HeartbeatResponse:
        return _answered(await self._begun.outcome())


def _answered(outcome: HeartbeatResponse | KafkaError) -> HeartbeatResponse:
    return _unless_loading(outcome) if isinstance(outcome, KafkaError) else outcome


def _unless_loading(error: KafkaError) -> HeartbeatResponse:
    if error.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        return HeartbeatResponse()
    raise KafkaError(error.code, error.message)


async def _when_loaded(request: HeartbeatRequest, ctx: RequestContext) -> HeartbeatResponse:
    try:
        return await ctx.groups.heartbeat(request)
    except KafkaError as error:
        return _unless_loading(error)


def refuse(request: HeartbeatRequest, error: ErrorCode, version: int) -> HeartbeatResponse:
    """The error."""
    return HeartbeatResponse(error_code=error)
