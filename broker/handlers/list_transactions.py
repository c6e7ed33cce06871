"""ListTransactions (66): the transactional ids of this broker (KIP-664).

- v0: filters by state and by producer id. Names of states are taken as they are written; those that no state has are
  given back in `unknown_state_filters`, and match nothing.
- v1: only transactions that began more than so many milliseconds ago (KIP-994). An id without a transaction began long
  ago.
- While a shard is being loaded: COORDINATOR_LOAD_IN_PROGRESS. Without any transactional id the list is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.transactions import STATES_BY_LABEL
from kproto.errors import ErrorCode
from kproto.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse, TransactionState
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ListTransactionsRequest, ctx: RequestContext) -> ListTransactionsResponse:
    """Filter in the shards."""
    names = dict.fromkeys(request.state_filters)
    states = {state for name in names if (state := STATES_BY_LABEL.get(name)) is not None} if names else None
    found = await ctx.transactions.list_transactions(
        states, frozenset(request.producer_id_filters), request.duration_filter
    )
    return ListTransactionsResponse(
        unknown_state_filters=[name for name in names if name not in STATES_BY_LABEL],
        transaction_states=[
            TransactionState(
                transactional_id=each.transactional_id,
                producer_id=each.producer_id,
                transaction_state=each.state.label,
            )
            async for each in Slices().over(found)
        ],
    )


def refuse(request: ListTransactionsRequest, error: ErrorCode, version: int) -> ListTransactionsResponse:
    """The error of the whole, and nothing else."""
    return ListTransactionsResponse(error_code=error)
