"""ListTransactions (66): the transactional ids of this broker (KIP-664).

- v0: filters by state and by producer id. Names of states are taken as they are written; those that no state has are
  given back in `unknown_state_filters`, and match nothing.
- v1: only transactions that began more than so many milliseconds ago (KIP-994). An id without a transaction began long
  ago.
- v2: only ids that a regular expression matches as a whole (KIP-1152), in the syntax of RE2; an empty one is none. One
  that is not well-formed: INVALID_REGULAR_EXPRESSION.
- Ids that the client may not DESCRIBE are left out.
- While a shard is being loaded: COORDINATOR_LOAD_IN_PROGRESS. Without any transactional id the list is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.coordinators.groups.expressions import InvalidExpression, matcher
from broker.coordinators.transactions import STATES_BY_LABEL
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse, TransactionState
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ListTransactionsRequest, ctx: RequestContext) -> ListTransactionsResponse:
    """Filter in the shards; the expression, which takes longest, comes last."""
    matches = _matcher(request.transactional_id_pattern)
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
            if (matches is None or matches(each.transactional_id))
            and ctx.may(Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, each.transactional_id, quiet=True)
        ],
    )


def _matcher(pattern: str | None) -> Callable[[str], bool] | None:
    if not pattern:
        return None
    try:
        return matcher(pattern)
    except InvalidExpression as error:
        raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, str(error)) from error


def refuse(request: ListTransactionsRequest, error: ErrorCode, version: int) -> ListTransactionsResponse:
    """The error of the whole, and nothing else."""
    return ListTransactionsResponse(error_code=error)
