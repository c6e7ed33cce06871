"""DescribeTransactions (65): the state of transactional ids (KIP-664).

- v0: the only version.
- An unknown id: TRANSACTIONAL_ID_NOT_FOUND; an empty one: INVALID_REQUEST. All else is zero then, and no id is named
  that would be more than the one asked for.
- An id that the client may not DESCRIBE: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, whether it exists or not. Topics that
  it may not DESCRIBE are left out.
- The partitions are those of a transaction that is open, or whose markers are being written.
- The start of a transaction shows until the next begins, or the id gets an owner.
- An id that is named twice is answered twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.transactions import Transaction
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionState,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: DescribeTransactionsRequest, ctx: RequestContext) -> DescribeTransactionsResponse:
    """Look each id up."""
    slices = Slices()
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, request.transactional_ids, slices)
    found = await ctx.transactions.describe([each for each in request.transactional_ids if each and each in permitted])
    return DescribeTransactionsResponse(
        transaction_states=[
            await _described(each, found.get(each, KafkaError(ErrorCode.INVALID_REQUEST)), ctx, slices)
            if each in permitted
            else _refused(each, REFUSAL[Resource.TRANSACTIONAL_ID])
            async for each in slices.over(request.transactional_ids)
        ]
    )


async def _described(
    transactional_id: str, found: Transaction | KafkaError | None, ctx: RequestContext, slices: Slices
) -> TransactionState:
    if found is None:
        return _refused(transactional_id, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
    if isinstance(found, KafkaError):
        return _refused(transactional_id, found.code)
    return TransactionState(
        transactional_id=transactional_id,
        transaction_state=found.state.label,
        transaction_timeout_ms=found.timeout,
        transaction_start_time_ms=found.started,
        producer_id=found.producer_id,
        producer_epoch=found.producer_epoch,
        topics=[
            TopicData(topic=topic, partitions=sorted(found.partitions[topic]))
            async for topic in slices.over(sorted(found.partitions))
            if ctx.may(Operation.DESCRIBE, Resource.TOPIC, topic, quiet=True)
        ],
    )


def _refused(transactional_id: str, error: ErrorCode) -> TransactionState:
    return TransactionState(error_code=error, transactional_id=transactional_id)


def refuse(request: DescribeTransactionsRequest, error: ErrorCode, version: int) -> DescribeTransactionsResponse:
    """The error for each id."""
    return DescribeTransactionsResponse(
        transaction_states=[_refused(each, error) for each in request.transactional_ids]
    )
