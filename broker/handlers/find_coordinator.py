"""FindCoordinator (10): the coordinator of a group, a transaction or a share partition.

- v1: key types.
- v3: flexible.
- v4: many keys at once (KIP-699).
- v5: a hint that clients may abort (KIP-890).
- v6: share partitions (KIP-932).
- The answer is this node, which coordinates everything, under the address by which the client came.
- A group (type 0): `__consumer_offsets` is created if it does not exist. If that fails: COORDINATOR_NOT_AVAILABLE, and
  clients ask again.
- A transaction (type 1): the same with `__transaction_state`.
- Any type above 2: INVALID_REQUEST, as in Kafka. A key that is named twice is answered twice.

Departs from Kafka while the services behind them do not exist:

- A share partition (type 2): INVALID_REQUEST, as from a Kafka whose share coordinator is switched off.
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
    if key_type not in (GROUP, TRANSACTION):
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    try:
        await (ctx.groups if key_type == GROUP else ctx.transactions).ensure()
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
