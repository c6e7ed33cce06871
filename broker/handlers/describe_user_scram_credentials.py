"""DescribeUserScramCredentials (50): which users have SCRAM credentials, and with how many iterations (KIP-554).

- No names, or none at all, mean every user.
- RESOURCE_NOT_FOUND for a user without one, DUPLICATE_RESOURCE for one that is named twice.
- Salts and keys are never told. Where there is no error, its message is empty, as in Kafka, and not null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.credentials import described
from kproto.errors import ErrorCode
from kproto.messages.describe_user_scram_credentials import (
    CredentialInfo,
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(
    request: DescribeUserScramCredentialsRequest, ctx: RequestContext
) -> DescribeUserScramCredentialsResponse:
    """Mechanisms and iterations of each user."""
    slices = Slices()
    users = None if request.users is None else [user.name async for user in slices.over(request.users)]
    found = await described(ctx.cluster.image.credentials, users)
    return DescribeUserScramCredentialsResponse(
        error_message="",
        results=[
            DescribeUserScramCredentialsResult(
                user=user,
                error_code=ErrorCode.NONE if error is None else error.code,
                error_message="" if error is None else error.message,
                credential_infos=[CredentialInfo(mechanism=number, iterations=count) for number, count in infos],
            )
            async for user, infos, error in slices.over(found)
        ],
    )


def refuse(
    request: DescribeUserScramCredentialsRequest, error: ErrorCode, version: int
) -> DescribeUserScramCredentialsResponse:
    """The error for each user that is named, and above them."""
    users = {user.name: None for user in request.users or ()}
    return DescribeUserScramCredentialsResponse(
        error_code=error,
        error_message=None,
        results=[DescribeUserScramCredentialsResult(user=user, error_code=error, error_message=None) for user in users],
    )
