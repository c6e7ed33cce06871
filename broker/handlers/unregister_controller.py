"""UnregisterController (94): forget a controller that is gone for good.

- Only a log that Kafka wrote for several controllers names another one; a controller that is not named is
  CONTROLLER_ID_NOT_REGISTERED.
- This node is the active controller, and cannot be forgotten: INVALID_REQUEST, as in Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.unregister_controller import UnregisterControllerRequest, UnregisterControllerResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: UnregisterControllerRequest, ctx: RequestContext) -> UnregisterControllerResponse:
    """Forget the controller."""
    try:
        await ctx.cluster.unregister_controller(request.controller_id)
    except KafkaError as error:
        return UnregisterControllerResponse(error_code=error.code, error_message=error.message)
    return UnregisterControllerResponse(error_message=None)


def refuse(request: UnregisterControllerRequest, error: ErrorCode, version: int) -> UnregisterControllerResponse:
    """The error and its sentence."""
    return UnregisterControllerResponse(error_code=error, error_message=error.sentence)
