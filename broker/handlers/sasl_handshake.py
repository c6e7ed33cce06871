"""SaslHandshake (17): the client chooses a SASL mechanism (KIP-43).

- v0: the mechanism's messages follow as bare frames. v1: they follow in SaslAuthenticate (KIP-152).
- A mechanism that the listener does not have: UNSUPPORTED_SASL_MECHANISM and those that it has. That ends the
  connection, a moment later.
- Brokers of the same cluster prove who they are by a mechanism of their own, also where there is no SASL.
- On a connection without SASL, or one whose client is authenticated and has nothing to renew: ILLEGAL_SASL_STATE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: SaslHandshakeRequest, ctx: RequestContext) -> SaslHandshakeResponse:
    """Begin an exchange with the mechanism, or list those that there are."""
    conversation = ctx.peer.conversation
    if conversation is None:
        conversation = ctx.peer.conversation = ctx.authentication.conversation_with_broker(request.mechanism)
    if conversation is None:
        return SaslHandshakeResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE)
    offered = list(conversation.offer.exchanges)
    try:
        conversation.choose(request.mechanism, ctx.api_version, trio.current_time())
    except KafkaError as error:
        if error.code is not ErrorCode.UNSUPPORTED_SASL_MECHANISM:
            return SaslHandshakeResponse(error_code=error.code)
        ctx.authentication.refused("a mechanism that is not offered", **ctx.peer.shown())
        await trio.sleep(conversation.offer.refusal_delay_ms / 1000)
        return SaslHandshakeResponse(error_code=error.code, mechanisms=offered)
    return SaslHandshakeResponse(mechanisms=offered)


def refuse(request: SaslHandshakeRequest, error: ErrorCode, version: int) -> SaslHandshakeResponse:
    """The error, and no mechanisms."""
    return SaslHandshakeResponse(error_code=error)
