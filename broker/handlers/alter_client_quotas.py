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

from broker.coordinators.cluster.quotas import MAX_OPERATIONS, NAMED_TWICE, Entity, QuotaAlteration, entity_of
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    EntityData,
    RequestEntryData,
    ResponseEntryData,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AlterClientQuotasRequest, ctx: RequestContext) -> AlterClientQuotasResponse:
    """Change what may be changed, say why not for the rest."""
    slices = Slices()
    if sum([1 + len(entry.ops) async for entry in slices.over(request.entries)]) > MAX_OPERATIONS:
        raise KafkaError(ErrorCode.POLICY_VIOLATION)
    alterations: dict[Entity, QuotaAlteration] = {}
    twice: set[Entity] = set()
    async for entry in slices.over(request.entries):
        entity = _entity(entry)
        if entity in alterations:
            twice.add(entity)
        else:
            changes = [(op.key, None if op.remove else op.value) for op in entry.ops]
            alterations[entity] = QuotaAlteration(entity, changes)
    results = await ctx.cluster.alter_client_quotas(list(alterations.values()), validate_only=request.validate_only)
    return AlterClientQuotasResponse(
        entries=[
            _answer(entity, NAMED_TWICE if entity in twice else result)
            async for entity, result in slices.over(zip(alterations, results, strict=True))
        ]
    )


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
