"""InitProducerId (22): an id for an idempotent producer (KIP-98).

- v2: flexible.
- v3: the id and epoch that the producer has (KIP-360); both are given or both are absent, else INVALID_REQUEST.
- v4: PRODUCER_FENCED, which is INVALID_PRODUCER_EPOCH before.
- v5: TRANSACTION_ABORTABLE (KIP-890).
- Without a transactional id every request gets a new id with epoch 0, also one that names its old id: such a producer
  has no state here that could be fenced, and bumps its epoch on its own (Kafka:
  TransactionCoordinator.handleInitProducerId).
- With one, the producer owns it from now on: older owners are fenced. An open transaction is aborted first; the
  answer is CONCURRENT_TRANSACTIONS until that is done.
- It takes WRITE on the transactional id; without one IDEMPOTENT_WRITE on the cluster, or WRITE on any topic there might
  be.
- An empty transactional id: INVALID_REQUEST. A time-out that is not positive, or above transaction.max.timeout.ms:
  INVALID_TRANSACTION_TIMEOUT.

Departs from Kafka: with as many transactional ids as `ottla.transaction.state.max.bytes` has room for, a new one is
refused with POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.producer_ids import fresh_producer_id
from broker.on_demand import TRANSACTIONS
from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kproto.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

SAYS_FENCED: Final = 4
"""The version from which on clients know PRODUCER_FENCED."""


async def handle(request: InitProducerIdRequest, ctx: RequestContext) -> InitProducerIdResponse:
    """A producer id and its epoch."""
    _check_permission(request.transactional_id, ctx)
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "producer id and epoch must both be given, or neither")
    if request.transactional_id is None:
        return InitProducerIdResponse(
            producer_id=await fresh_producer_id(ctx.cluster.next_producer_id), producer_epoch=0
        )
    if not request.transactional_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
    await ctx.services.on_demand.imported(TRANSACTIONS)
    believed = None if request.producer_id == NO_PRODUCER_ID else (request.producer_id, request.producer_epoch)
    owner = await ctx.transactions.init_producer_id(request.transactional_id, request.transaction_timeout_ms, believed)
    return InitProducerIdResponse(producer_id=owner.producer_id, producer_epoch=owner.producer_epoch)


def _check_permission(transactional_id: str | None, ctx: RequestContext) -> None:
    """Raise TRANSACTIONAL_ID_AUTHORIZATION_FAILED or CLUSTER_AUTHORIZATION_FAILED."""
    if transactional_id is not None:
        ctx.require(Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id)
    elif not ctx.may(Operation.IDEMPOTENT_WRITE, Resource.CLUSTER, quiet=True) and not ctx.may_somewhere(
        Operation.WRITE, Resource.TOPIC
    ):
        raise KafkaError(REFUSAL[Resource.CLUSTER])


def refuse(request: InitProducerIdRequest, error: ErrorCode, version: int) -> InitProducerIdResponse:
    """The error, and no id."""
    if error is ErrorCode.PRODUCER_FENCED and version < SAYS_FENCED:
        error = ErrorCode.INVALID_PRODUCER_EPOCH
    return InitProducerIdResponse(error_code=error, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH)
