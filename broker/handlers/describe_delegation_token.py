"""DescribeDelegationToken (41): the tokens that a client has to do with, or may see, with their HMACs (KIP-48).

- Owners null: of all. An empty list: none. Otherwise those that belong to one of the owners named.
- A token belongs to its owner, to the client that asked for it and to its renewers. Another's is in the list only for a
  client that may DESCRIBE the token, or DESCRIBE_TOKENS of its owner; it is left out otherwise, and nothing is said.
- DELEGATION_TOKEN_REQUEST_NOT_ALLOWED as in CreateDelegationToken, DELEGATION_TOKEN_AUTH_DISABLED without a secret.
- v3: who asked for the token (KIP-373). Tokens that are over are listed until they are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import Operation, Resource
from broker.security.principals import Principal
from kproto.errors import ErrorCode
from kproto.messages.describe_delegation_token import (
    DescribedDelegationToken,
    DescribedDelegationTokenRenewer,
    DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.security.tokens import DelegationToken


async def handle(request: DescribeDelegationTokenRequest, ctx: RequestContext) -> DescribeDelegationTokenResponse:
    """List the tokens."""
    if not ctx.peer.may_use_tokens:
        return DescribeDelegationTokenResponse(error_code=ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED)
    if not ctx.tokens.enabled:
        return DescribeDelegationTokenResponse(error_code=ErrorCode.DELEGATION_TOKEN_AUTH_DISABLED)
    owners = None
    if request.owners is not None:
        owners = {Principal(each.principal_type, each.principal_name) for each in request.owners}
    slices = Slices()
    return DescribeDelegationTokenResponse(
        tokens=[
            _described(token, ctx)
            async for token in slices.over(ctx.cluster.image.tokens.values())
            if _is_asked_for(token, owners) and _is_seen(token, ctx)
        ]
    )


def _is_asked_for(token: DelegationToken, owners: set[Principal] | None) -> bool:
    return owners is None or not owners.isdisjoint((token.owner, token.requester, *token.renewers))


def _is_seen(token: DelegationToken, ctx: RequestContext) -> bool:
    return (
        token.belongs_to(ctx.principal)
        or ctx.may(Operation.DESCRIBE, Resource.DELEGATION_TOKEN, token.token_id, quiet=True)
        or ctx.may(Operation.DESCRIBE_TOKENS, Resource.USER, str(token.owner), quiet=True)
    )


def _described(token: DelegationToken, ctx: RequestContext) -> DescribedDelegationToken:
    described = DescribedDelegationToken(
        principal_type=token.owner.kind,
        principal_name=token.owner.name,
        issue_timestamp=token.issued,
        expiry_timestamp=token.expires,
        max_timestamp=token.lives_until,
        token_id=token.token_id,
        hmac=ctx.tokens.hmac(token),
        renewers=[
            DescribedDelegationTokenRenewer(principal_type=each.kind, principal_name=each.name)
            for each in token.renewers
        ],
    )
    if ctx.api_version >= 3:
        described.token_requester_principal_type = token.requester.kind
        described.token_requester_principal_name = token.requester.name
    return described


def refuse(request: DescribeDelegationTokenRequest, error: ErrorCode, version: int) -> DescribeDelegationTokenResponse:
    """The error, and no tokens."""
    return DescribeDelegationTokenResponse(error_code=error)
