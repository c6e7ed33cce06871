"""FindCoordinator (10): the coordinator of a group, a transaction or a share partition.

- v1: key types.
- v3: flexible.
- v4: many keys at once (KIP-699).
- v5: a hint that clients may abort (KIP-890).
- v6: share partitions (KIP-932).
- The answer is this node, which coordinates everything, under the address by which the client came. Of several
  brokers it is the owner of the key's shard; while there is none: COORDINATOR_NOT_AVAILABLE, and clients ask again.
- A group (type 0): `__consumer_offsets` is created if it does not exist. If that fails: COORDINATOR_NOT_AVAILABLE, and
  clients ask again.
- A transaction (type 1): the same with `__transaction_state`.
- A key that the client may not DESCRIBE: GROUP_AUTHORIZATION_FAILED or TRANSACTIONAL_ID_AUTHORIZATION_FAILED, for that
  key.
- Any type above 2: INVALID_REQUEST, as in Kafka. A key that is named twice is answered twice.

Departs from Kafka while the services behind them do not exist:

- A share partition (type 2): INVALID_REQUEST, as from a Kafka whose share coordinator is switched off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from broker.context import ALL
from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE
from broker.on_demand import GROUPS, TRANSACTIONS
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

GROUP: Final = 0
TRANSACTION: Final = 1

KINDS: Final = {GROUP: Resource.GROUP, TRANSACTION: Resource.TRANSACTIONAL_ID}
"""What a key of each type names. A client needs DESCRIBE on it."""

FIRST_WITH_MANY_KEYS: Final = 4
NO_NODE: Final = -1


async def handle(request: FindCoordinatorRequest, ctx: RequestContext) -> FindCoordinatorResponse:
    """The same node for every key that the client may ask for, or the same error."""
    single = ctx.api_version < FIRST_WITH_MANY_KEYS
    keys = [request.key] if single else request.coordinator_keys
    kind = KINDS.get(request.key_type)
    slices = Slices()
    permitted = ALL if kind is None else await ctx.permitted(Operation.DESCRIBE, kind, keys, slices)
    if not keys or any([key in permitted async for key in slices.over(keys)]):
        await _find(request.key_type, ctx)
    if single:
        if request.key not in permitted:
            assert kind is not None
            return refuse(request, REFUSAL[kind], ctx.api_version)
        if (where := _where(request.key_type, request.key, ctx)) is None:
            return refuse(request, ErrorCode.COORDINATOR_NOT_AVAILABLE, ctx.api_version)
        return FindCoordinatorResponse(error_message="NONE", **where)
    return FindCoordinatorResponse(
        coordinators=[
            _nowhere(key, REFUSAL[kind])
            if kind is not None and key not in permitted
            else _coordinator(request.key_type, key, ctx)
            async for key in slices.over(keys)
        ]
    )


def _coordinator(key_type: int, key: str, ctx: RequestContext) -> Coordinator:
    where = _where(key_type, key, ctx)
    return _nowhere(key, ErrorCode.COORDINATOR_NOT_AVAILABLE) if where is None else Coordinator(key=key, **where)


def _where(key_type: int, key: str, ctx: RequestContext) -> dict[str, Any] | None:
    """The broker that coordinates what belongs to `key`; None while there is none."""
    if ctx.brokers is None:
        host, port = ctx.advertised
        return {"node_id": ctx.cluster.node_id, "host": host, "port": port}
    shards = ctx.groups.shards if key_type == GROUP else ctx.transactions.shards
    owner = ctx.brokers.coordinator(CONSUMER_OFFSETS if key_type == GROUP else TRANSACTION_STATE, shards.index_of(key))
    place = None if owner is None else owner.endpoints.get(ctx.listener)
    if owner is None or place is None:
        return None
    return {"node_id": owner.node_id, "host": place.host, "port": place.port}


async def _find(key_type: int, ctx: RequestContext) -> None:
    if key_type not in (GROUP, TRANSACTION):
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    await ctx.services.on_demand.imported(GROUPS if key_type == GROUP else TRANSACTIONS)
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
    return FindCoordinatorResponse(coordinators=[_nowhere(key, error) for key in request.coordinator_keys])


def _nowhere(key: str, error: ErrorCode) -> Coordinator:
    return Coordinator(key=key, node_id=NO_NODE, host="", port=NO_NODE, error_code=error, error_message=error.sentence)
