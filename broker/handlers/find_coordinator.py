"""FindCoordinator (10): where a group, a transaction or a share partition is looked after.

v1 key types, v3 flexible, v4 many keys at once (KIP-699), v5 a hint that clients may abort (KIP-890), v6 share
partitions (KIP-932).

One node looks after everything, so the answer is this node, under the address by which the client came. Asking for a
group (type 0) makes `__consumer_offsets` if it does not exist; COORDINATOR_NOT_AVAILABLE if that fails, and clients ask
again.

Departs from Kafka while the services behind them do not exist:

- a transaction (type 1) is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED. Every client takes that for final and
fails its
  producer at once, with the transactional id in the message; COORDINATOR_NOT_AVAILABLE would have it ask for ever;
- a share partition (type 2) is refused with INVALID_REQUEST, as by a Kafka whose share coordinator is switched off.

Any other type is INVALID_REQUEST in Kafka too. A key that is named twice is answered twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

GROUP: Final = 0
TRANSACTION: Final = 1

FIRST_WITH_MANY_KEYS: Final = 4
NO_NODE: Final = -1


async def handle(request: FindCoordinatorRequest, ctx: RequestContext) -> FindCoordinatorResponse:
    """The same node for every key, or the same error."""
    await _find(request.key_type, ctx)
    host, port = ctx.advertised
    node_id = ctx.cluster.node_id
    if ctx.api_version < FIRST_WITH_MANY_KEYS:
        return FindCoordinatorResponse(error_message="NONE", node_id=node_id, host=host, port=port)
    return FindCoordinatorResponse(
        coordinators=[
            Coordinator(key=key, node_id=node_id, host=host, port=port)
            async for key in Slices().over(request.coordinator_keys)
        ]
    )


async def _find(key_type: int, ctx: RequestContext) -> None:
    if key_type == TRANSACTION:
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if key_type != GROUP:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    try:
        await ctx.groups.ensure()
    except KafkaError as error:
        raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE) from error


def refuse(request: FindCoordinatorRequest, error: ErrorCode, version: int) -> FindCoordinatorResponse:
    """The error once, or for each key; and no node."""
    if version < FIRST_WITH_MANY_KEYS:
        return FindCoordinatorResponse(
            error_code=error, error_message=error.sentence, node_id=NO_NODE, host="", port=NO_NODE
        )
    return FindCoordinatorResponse(
        coordinators=[
            Coordinator(key=key, node_id=NO_NODE, host="", port=NO_NODE, error_code=error, error_message=error.sentence)
            for key in request.coordinator_keys
        ]
    )
