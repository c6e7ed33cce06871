"""InitProducerId (22): an id for an idempotent producer (KIP-98).

- v2: flexible.
- v3: the id and epoch that the producer has (KIP-360); both are given or both are absent, else INVALID_REQUEST.
- v4, v5: other errors of transactions only.
- Without a transactional id every request gets a new id with epoch 0, also one that names its old id: such a producer
  has no state here that could be fenced, and bumps its epoch on its own (Kafka:
  TransactionCoordinator.handleInitProducerId).
- An empty transactional id: INVALID_REQUEST, as in Kafka.

Departs from Kafka: there are no transactions yet. A transactional id is answered with
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which the Java client and librdkafka take as fatal at once; after any retriable
code they would wait for their time-out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kproto.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: InitProducerIdRequest, ctx: RequestContext) -> InitProducerIdResponse:
    """A new producer id."""
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "producer id and epoch must both be given, or neither")
    if request.transactional_id == "":
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
    if request.transactional_id is not None:
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactions are not served yet")
    try:
        producer_id = await ctx.cluster.next_producer_id()
    except KafkaError as error:
        if error.code is not ErrorCode.NOT_CONTROLLER:
            raise
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) from error
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def refuse(request: InitProducerIdRequest, error: ErrorCode, version: int) -> InitProducerIdResponse:
    """The error, and no id."""
    return InitProducerIdResponse(error_code=error, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH)
