"""CreateDelegationToken (38): a token with which a client is who asked for it, for a while (KIP-48).

- v3: for another user, by a client that may CREATE_TOKENS of that user (KIP-373). An owner without a name is the client
  itself.
- Refused, in this order: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED to a client that came by a token, in plain text or
  without proof; DELEGATION_TOKEN_AUTHORIZATION_FAILED; DELEGATION_TOKEN_AUTH_DISABLED without a secret;
  INVALID_PRINCIPAL_TYPE for a renewer that is no user. The reply names owner and requester all the same.
- Names that are too long, or renewers that are too many, are POLICY_VIOLATION: a token is remembered with all of them,
  and any client may make some. Kafka has no bound.
- No lifetime, or one that is longer than `delegation.token.max.lifetime.ms`, is that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.security.operations import Operation, Resource
from broker.security.principals import ANONYMOUS, USER, Principal
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.create_delegation_token import CreateDelegationTokenRequest, CreateDelegationTokenResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

MOST_RENEWERS: Final = 100
MOST_CHARACTERS: Final = 8192
"""Of the names of owner and renewers together; a distinguished name has some hundred at most."""


async def handle(request: CreateDelegationTokenRequest, ctx: RequestContext) -> CreateDelegationTokenResponse:
    """Make the token; its HMAC is in this reply."""
    requester = owner = ctx.principal
    if request.owner_principal_name:
        if request.owner_principal_type is None:
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR)  # Kafka fails over it
        owner = Principal(request.owner_principal_type, request.owner_principal_name)
    try:
        if not ctx.peer.may_use_tokens:
            raise KafkaError(ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED)
        if owner != requester:
            ctx.require(Operation.CREATE_TOKENS, Resource.USER, str(owner))
        if not ctx.tokens.enabled:
            raise KafkaError(ErrorCode.DELEGATION_TOKEN_AUTH_DISABLED)
        if len(request.renewers) > MOST_RENEWERS:
            raise KafkaError(ErrorCode.POLICY_VIOLATION)
        if any(each.principal_type != USER for each in request.renewers):
            raise KafkaError(ErrorCode.INVALID_PRINCIPAL_TYPE)
        if len(str(owner)) + sum(len(each.principal_name) for each in request.renewers) > MOST_CHARACTERS:
            raise KafkaError(ErrorCode.POLICY_VIOLATION)
        renewers = [Principal(USER, each.principal_name) for each in request.renewers]
        token, hmac = await ctx.tokens.create(owner, requester, renewers, request.max_lifetime_ms)
    except KafkaError as error:
        return _refusal(error.code, owner, requester, ctx.api_version)
    response = _refusal(ErrorCode.NONE, owner, requester, ctx.api_version)
    response.issue_timestamp_ms = token.issued
    response.expiry_timestamp_ms = token.expires
    response.max_timestamp_ms = token.lives_until
    response.token_id = token.token_id
    response.hmac = hmac
    return response


def refuse(request: CreateDelegationTokenRequest, error: ErrorCode, version: int) -> CreateDelegationTokenResponse:
    """The error; the owner is not known, as in Kafka."""
    return _refusal(error, ANONYMOUS, ANONYMOUS, version)


def _refusal(error: ErrorCode, owner: Principal, requester: Principal, version: int) -> CreateDelegationTokenResponse:
    response = CreateDelegationTokenResponse(
        error_code=error,
        principal_type=owner.kind,
        principal_name=owner.name,
        issue_timestamp_ms=-1,
        expiry_timestamp_ms=-1,
        max_timestamp_ms=-1,
    )
    if version >= 3:
        response.token_requester_principal_type = requester.kind
        response.token_requester_principal_name = requester.name
    return response
