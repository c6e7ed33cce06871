"""UnregisterBroker (64): forget a broker that is gone for good (KIP-631).

- Only a log that Kafka wrote for several brokers names another one; a broker that is not named is
  BROKER_ID_NOT_REGISTERED.
- A broker that lives, this one as others that share its store, is refused with INVALID_REQUEST. Kafka forgets it, and
  its partitions are without a leader until it is restarted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: UnregisterBrokerRequest, ctx: RequestContext) -> UnregisterBrokerResponse:
    """Forget the broker."""
    try:
        await ctx.cluster.unregister_broker(request.broker_id)
    except KafkaError as error:
        return UnregisterBrokerResponse(error_code=error.code, error_message=error.message)
    return UnregisterBrokerResponse(error_message=None)


def refuse(request: UnregisterBrokerRequest, error: ErrorCode, version: int) -> UnregisterBrokerResponse:
    """The error and its sentence."""
    return UnregisterBrokerResponse(error_code=error, error_message=error.sentence)
