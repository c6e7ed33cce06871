"""AlterUserScramCredentials (51): set, change and delete users' SCRAM credentials (KIP-554).

- Each user is altered on its own and once: named twice, for whatever mechanisms, it is refused (DUPLICATE_RESOURCE).
- RESOURCE_NOT_FOUND for a credential that is to be deleted and does not exist, UNACCEPTABLE_CREDENTIAL for no name and
  for iterations outside 4096 to 16384, UNSUPPORTED_SASL_MECHANISM for a mechanism that is none.
- What was sent are salted passwords; they are not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.credentials import Deletion, prepare
from kproto.errors import ErrorCode
from kproto.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AlterUserScramCredentialsRequest, ctx: RequestContext) -> AlterUserScramCredentialsResponse:
    """Alter, and say of each user how that went."""
    slices = Slices()
    deletions = [Deletion(each.name, each.mechanism) async for each in slices.over(request.deletions)]
    upsertions = [
        prepare(each.name, each.mechanism, each.iterations, bytes(each.salt), bytes(each.salted_password))
        async for each in slices.over(request.upsertions)
    ]
    altered = await ctx.cluster.alter_credentials(deletions, upsertions)
    return AlterUserScramCredentialsResponse(
        results=[
            AlterUserScramCredentialsResult(
                user=user,
                error_code=ErrorCode.NONE if error is None else error.code,
                error_message=None if error is None else error.message or None,
            )
            async for user, error in slices.over(altered)
        ]
    )


def refuse(
    request: AlterUserScramCredentialsRequest, error: ErrorCode, version: int
) -> AlterUserScramCredentialsResponse:
    """The error for each user that is named, once."""
    users = dict.fromkeys([*(each.name for each in request.deletions), *(each.name for each in request.upsertions)])
    return AlterUserScramCredentialsResponse(
        results=[AlterUserScramCredentialsResult(user=user, error_code=error, error_message=None) for user in users]
    )
