"""ExpireDelegationToken (40): say when a token is over, by its owner or a renewer (KIP-48).

- Refused, in this order: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED as in CreateDelegationToken,
  DELEGATION_TOKEN_AUTH_DISABLED, DELEGATION_TOKEN_NOT_FOUND, _OWNER_MISMATCH, _EXPIRED.
- A negative period ends the token now, also one that is over; a token's longest life stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.expire_delegation_token import ExpireDelegationTokenRequest, ExpireDelegationTokenResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ExpireDelegationTokenRequest, ctx: RequestContext) -> ExpireDelegationTokenResponse:
    """End the token, now or later, and say when."""
    if not ctx.peer.may_use_tokens:
        return ExpireDelegationTokenResponse(
            error_code=ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, expiry_timestamp_ms=-1
        )
    try:
        expires = await ctx.tokens.expire(bytes(request.hmac), ctx.principal, request.expiry_time_period_ms)
    except KafkaError as error:
        return ExpireDelegationTokenResponse(error_code=error.code)
    return ExpireDelegationTokenResponse(expiry_timestamp_ms=expires)


def refuse(request: ExpireDelegationTokenRequest, error: ErrorCode, version: int) -> ExpireDelegationTokenResponse:
    """The error, and no time."""
    return ExpireDelegationTokenResponse(error_code=error)
