"""AddOffsetsToTxn (25): the offsets of a group join a transaction (KIP-98).

- v2: PRODUCER_FENCED, which is INVALID_PRODUCER_EPOCH before.
- v3: flexible.
- v4: TRANSACTION_ABORTABLE (KIP-890).
- What joins is the partition of `__consumer_offsets` that the group belongs to, whether there is such a group or not.
- The codes are those of AddPartitionsToTxn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.transactions import Owner
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

SAYS_FENCED: Final = 2


async def handle(request: AddOffsetsToTxnRequest, ctx: RequestContext) -> AddOffsetsToTxnResponse:
    """Find the group's partition and add it."""
    try:
        await ctx.groups.ensure()
    except KafkaError as error:
        raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE) from error
    topic, partition = ctx.groups.place_of(request.group_id)
    error_code = await ctx.transactions.add(
        request.transactional_id, Owner(request.producer_id, request.producer_epoch), {topic: (partition,)}, 0
    )
    return refuse(request, error_code, ctx.api_version)


def refuse(request: AddOffsetsToTxnRequest, error: ErrorCode, version: int) -> AddOffsetsToTxnResponse:
    """The error, in words that clients of this version know."""
    if error is ErrorCode.PRODUCER_FENCED and version < SAYS_FENCED:
        error = ErrorCode.INVALID_PRODUCER_EPOCH
    return AddOffsetsToTxnResponse(error_code=error)
