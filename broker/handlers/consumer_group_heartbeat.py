"""ConsumerGroupHeartbeat (68): join, stay in and leave a group of the consumer protocol (KIP-848).

- v1: members choose their own ids (KIP-1082), and may subscribe by regular expression.
- Epoch 0 joins, -1 leaves, -2 leaves for a while (static members). What is null, or -1 for the rebalance timeout, is as
  it was.
- The assignment is there if the member joins, if it has changed, or if the member says everything again.
- A regular expression matches, of all topics, those that the member whose heartbeat brings the matching about may
  DESCRIBE.
- A cluster at level 0 of group.version has no such groups: UNSUPPORTED_VERSION.
- A subscription to a topic that the client may not DESCRIBE is TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- Errors: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION, GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED,
  UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.coordinators.groups import Caller
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse
from kproto.release.features import GROUP_VERSION
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ConsumerGroupHeartbeatRequest, ctx: RequestContext) -> ConsumerGroupHeartbeatResponse:
    """Beat."""
    if ctx.feature_level(GROUP_VERSION) < 1:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    if request.subscribed_topic_names:
        slices = Slices()
        permitted = await ctx.permitted(Operation.DESCRIBE, Resource.TOPIC, request.subscribed_topic_names, slices)
        async for name in slices.over(request.subscribed_topic_names):
            if name not in permitted:
                raise KafkaError(REFUSAL[Resource.TOPIC])
    may_describe = None
    if ctx.services.authorizer is not None:
        may_describe = partial(ctx.may, Operation.DESCRIBE, Resource.TOPIC, quiet=True)
    caller = Caller(ctx.client_id or "", ctx.client_host, ctx.api_version, may_describe)
    return await ctx.groups.consumer_heartbeat(request, caller)


def refuse(request: ConsumerGroupHeartbeatRequest, error: ErrorCode, version: int) -> ConsumerGroupHeartbeatResponse:
    """The error."""
    return ConsumerGroupHeartbeatResponse(error_code=error)
