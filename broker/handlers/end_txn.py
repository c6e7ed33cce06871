"""EndTxn (26): commit or abort a transaction (KIP-98).

- v2: PRODUCER_FENCED, which is INVALID_PRODUCER_EPOCH before.
- v3: flexible.
- v4: TRANSACTION_ABORTABLE.
- v5: the answer brings the producer id and the epoch for the next transaction (KIP-890).
- Answered when the decision is durable. The markers are written then; until they are, the same request again is
  CONCURRENT_TRANSACTIONS.
- What each state answers to which epoch: `broker/coordinators/transactions/endings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.transactions import VERSION_2, Owner
from kproto.errors import ErrorCode
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kproto.messages.end_txn import EndTxnRequest, EndTxnResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

SAYS_FENCED: Final = 2
RAISES_EPOCH: Final = 5
"""The version whose clients get a new epoch with each end."""


async def handle(request: EndTxnRequest, ctx: RequestContext) -> EndTxnResponse:
    """Decide."""
    version = VERSION_2 if ctx.api_version >= RAISES_EPOCH else 0
    owner = Owner(request.producer_id, request.producer_epoch)
    following = await ctx.transactions.end(request.transactional_id, owner, request.committed, version)
    if version < VERSION_2:
        return EndTxnResponse()
    return EndTxnResponse(producer_id=following.producer_id, producer_epoch=following.producer_epoch)


def refuse(request: EndTxnRequest, error: ErrorCode, version: int) -> EndTxnResponse:
    """The error, and no id."""
    if error is ErrorCode.PRODUCER_FENCED and version < SAYS_FENCED:
        error = ErrorCode.INVALID_PRODUCER_EPOCH
    return EndTxnResponse(error_code=error, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH)
