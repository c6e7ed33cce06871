"""SaslAuthenticate (36): a message of the mechanism that SaslHandshake chose (KIP-152).

- v1: the reply says how long the session lasts, 0 for no end (KIP-368).
- A client that has not proved who it is gets SASL_AUTHENTICATION_FAILED and a sentence that does not say whether the
  user exists; a moment later the connection is closed.
- At no time for it: ILLEGAL_SASL_STATE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from broker.security.sasl.conversation import Step
from broker.security.sasl.exchange import Refusal
from kproto.errors import ErrorCode
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

TOO_LATE = "SaslAuthenticate request received after successful authentication"


async def handle(request: SaslAuthenticateRequest, ctx: RequestContext) -> SaslAuthenticateResponse:
    """Take the message; with the last one the client is who it says."""
    conversation = ctx.peer.conversation
    if conversation is None or conversation.step is not Step.TOKEN:
        return SaslAuthenticateResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=TOO_LATE)
    try:
        proof = await ctx.authentication.evaluate(conversation, bytes(request.auth_bytes), **ctx.peer.shown())
    except Refusal as refusal:
        await trio.sleep(conversation.offer.refusal_delay_ms / 1000)
        return SaslAuthenticateResponse(
            error_code=ErrorCode.SASL_AUTHENTICATION_FAILED, error_message=conversation.told(refusal)
        )
    if conversation.authenticated:
        ctx.peer.prove(conversation)
    return SaslAuthenticateResponse(error_message="", auth_bytes=proof.answer, session_lifetime_ms=proof.session_ms)


def refuse(request: SaslAuthenticateRequest, error: ErrorCode, version: int) -> SaslAuthenticateResponse:
    """The error, and no message."""
    return SaslAuthenticateResponse(error_code=error, error_message=None)
