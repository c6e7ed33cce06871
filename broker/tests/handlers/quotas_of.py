"""Requests about client quotas, short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from broker.testing.contexts import World
from kproto.messages.alter_client_quotas import AlterClientQuotasRequest, EntityData, OpData, RequestEntryData
from kproto.messages.describe_client_quotas import ComponentData, DescribeClientQuotasRequest

Part = tuple[str, str | None]


def entry(parts: Sequence[Part], **changes: float | None) -> RequestEntryData:
    """Numbers to set for one entity, None to remove one."""
    return RequestEntryData(
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in parts],
        ops=[OpData(key=key, value=value or 0.0, remove=value is None) for key, value in changes.items()],
    )


def alter(*entries: RequestEntryData, validate_only: bool = False) -> AlterClientQuotasRequest:
    """Set and remove quotas."""
    return AlterClientQuotasRequest(entries=list(entries), validate_only=validate_only)


def describe(*components: tuple[str, int, str | None], strict: bool = False) -> DescribeClientQuotasRequest:
    """Ask for quotas: kind, match type and name of each component."""
    return DescribeClientQuotasRequest(
        components=[ComponentData(entity_type=kind, match_type=how, match=name) for kind, how, name in components],
        strict=strict,
    )


async def described(
    w: World, *components: tuple[str, int, str | None], strict: bool = False, version: int = 1
) -> Mapping[tuple[Part, ...], Mapping[str, float]]:
    """Entity -> its quotas, as listed."""
    answer = await w.ask(describe(*components, strict=strict), version)
    assert (answer.error_code, answer.error_message) == (0, "")
    return {
        tuple((part.entity_type, part.entity_name) for part in each.entity): {
            value.key: value.value for value in each.values
        }
        for each in answer.entries
    }
