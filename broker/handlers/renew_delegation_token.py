"""RenewDelegationToken (39): let a token be valid for longer, by its owner or a renewer (KIP-48).

- Refused, in this order: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED as in CreateDelegationToken,
  DELEGATION_TOKEN_AUTH_DISABLED, DELEGATION_TOKEN_NOT_FOUND, _EXPIRED, _OWNER_MISMATCH.
- No period, or one that is longer than `delegation.token.expiry.time.ms`, is that; a token's longest life stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.renew_delegation_token import RenewDelegationTokenRequest, RenewDelegationTokenResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: RenewDelegationTokenRequest, ctx: RequestContext) -> RenewDelegationTokenResponse:
    """Prolong the token, and say when it is over."""
    if not ctx.peer.may_use_tokens:
        return RenewDelegationTokenResponse(
            error_code=ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, expiry_timestamp_ms=-1
        )
    try:
        expires = await ctx.tokens.renew(bytes(request.hmac), ctx.principal, request.renew_period_ms)
    except KafkaError as error:
        return RenewDelegationTokenResponse(error_code=error.code)
    return RenewDelegationTokenResponse(expiry_timestamp_ms=expires)


def refuse(request: RenewDelegationTokenRequest, error: ErrorCode, version: int) -> RenewDelegationTokenResponse:
    """The error, and no time."""
    return RenewDelegationTokenResponse(error_code=error)
