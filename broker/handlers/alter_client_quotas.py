"""AlterClientQuotas (49): set and remove quotas of users, client ids and addresses (KIP-546).

- v1: flexible.
- Each entity is changed on its own, and answered in the order of the request; what is refused, and how, is in
  `broker/coordinators/cluster/quotas.py`.
- An entity that is named twice is answered once, with INVALID_REQUEST; the first time it was named counts all the same.
- With `validate_only` everything is checked and nothing is changed.
- A change is obeyed from its answer on, by connections that are open too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.quotas import MAX_OPERATIONS, Entity, QuotaAlteration, entity_of
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    EntityData,
    RequestEntryData,
    ResponseEntryData,
)

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AlterClientQuotasRequest, ctx: RequestContext) -> AlterClientQuotasResponse:
    """Change what may be changed, say why not for the rest."""
    if sum(1 + len(entry.ops) for entry in request.entries) > MAX_OPERATIONS:
        raise KafkaError(ErrorCode.POLICY_VIOLATION)
    alterations = [
        QuotaAlteration(_entity(entry), [(op.key, None if op.remove else op.value) for op in entry.ops])
        for entry in request.entries
    ]
    results = await ctx.cluster.alter_client_quotas(alterations, validate_only=request.validate_only)
    answered: dict[Entity, KafkaError | None] = {
        alteration.entity: result for alteration, result in zip(alterations, results, strict=True)
    }
    return AlterClientQuotasResponse(entries=[_answer(entity, result) for entity, result in answered.items()])


def refuse(request: AlterClientQuotasRequest, error: ErrorCode, version: int) -> AlterClientQuotasResponse:
    """The error on every entity."""
    return AlterClientQuotasResponse(entries=[_answer(_entity(entry), KafkaError(error)) for entry in request.entries])


def _entity(entry: RequestEntryData) -> Entity:
    return entity_of((part.entity_type, part.entity_name) for part in entry.entity)


def _answer(entity: Entity, result: KafkaError | None) -> ResponseEntryData:
    return ResponseEntryData(
        error_code=ErrorCode.NONE if result is None else result.code,
        error_message=None if result is None else result.message,
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
    )
