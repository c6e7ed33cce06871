"""DescribeClientQuotas (48): the quotas of users, client ids and addresses (KIP-546).

- v1: flexible.
- Each component of the filter asks for one kind of entity: by name, by the default, or for any name. An entity is
  listed if it has all that the components ask for; with `strict` it may have nothing else.
- No components: all entities; with `strict` none, since an entity without parts has no quotas.
- INVALID_REQUEST: an empty kind, one that occurs twice, a name where none belongs or the other way round, an unknown
  match type, addresses together with users or client ids. An unknown kind is UNSUPPORTED_VERSION. Then `entries` is
  null; without an error the message is empty, as Kafka has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.quotas import CLIENT_ID, IP, USER, Entity
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_client_quotas import (
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
    EntityData,
    EntryData,
    ValueData,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

EXACT: Final = 0
DEFAULT: Final = 1
SPECIFIED: Final = 2


async def handle(request: DescribeClientQuotasRequest, ctx: RequestContext) -> DescribeClientQuotasResponse:
    """List what the filter matches."""
    try:
        wanted = _filter(request.components)
    except KafkaError as error:
        return DescribeClientQuotasResponse(error_code=error.code, error_message=error.message, entries=None)
    entries = [
        EntryData(
            entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
            values=[ValueData(key=key, value=value) for key, value in quotas.items()],
        )
        async for entity, quotas in Slices().over(ctx.cluster.image.client_quotas.items())
        if _matches(entity, wanted, request.strict)
    ]
    return DescribeClientQuotasResponse(error_message="", entries=entries)


def refuse(request: DescribeClientQuotasRequest, error: ErrorCode, version: int) -> DescribeClientQuotasResponse:
    """The error, and no entries."""
    return DescribeClientQuotasResponse(error_code=error, error_message=error.sentence, entries=None)


_ANY: Final = object()
"""In a filter: whatever name there is."""


def _filter(components: list[ComponentData]) -> dict[str, object]:
    """Kind -> the name that an entity must have, None for the default, or `_ANY`. Raises KafkaError."""
    wanted: dict[str, object] = {}
    for component in components:
        kind, name = component.entity_type, component.match
        if kind == "" or kind in wanted:
            raise _invalid("the filter names a kind of entity twice, or with an empty name")
        if kind not in (USER, CLIENT_ID, IP):
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"{kind!r} is no kind of entity")
        if component.match_type not in (EXACT, DEFAULT, SPECIFIED):
            raise _invalid(f"there is no match type {component.match_type}")
        if (name is not None) != (component.match_type == EXACT):
            raise _invalid("a name belongs to a filter for an exact name, and to no other")
        wanted[kind] = _ANY if component.match_type == SPECIFIED else name
    if IP in wanted and len(wanted) > 1:
        raise _invalid("a filter for addresses does not go with one for users or client ids")
    return wanted


def _matches(entity: Entity, wanted: dict[str, object], strict: bool) -> bool:
    if strict and len(entity) != len(wanted):
        return False
    names = dict(entity)
    return all(kind in names and (name is _ANY or names[kind] == name) for kind, name in wanted.items())


def _invalid(sentence: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, sentence)
