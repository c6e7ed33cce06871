"""AlterConfigs (33): replace all configs of a resource.

What is not named falls back to its default, which loses whatever another client has set: IncrementalAlterConfigs is for
everybody but old clients (KIP-339). Which values are refused, and how, is in `broker/admin/config_changes.py`.

Each resource is changed on its own; one that is named twice is refused each time. With `validate_only` nothing is
changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.admin.config_changes import repeated_resources, replacement
from broker.coordinators.cluster import Alteration
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AlterConfigsRequest, ctx: RequestContext) -> AlterConfigsResponse:
    """Replace the configs of each resource."""
    repeated = repeated_resources((resource.resource_type, resource.resource_name) for resource in request.resources)
    results: list[KafkaError | None] = [None] * len(request.resources)
    alterations: dict[int, Alteration] = {}
    knows_elr = ctx.cluster.image.knows_elr
    for index, resource in enumerate(request.resources):
        kind, name = resource.resource_type, resource.resource_name
        try:
            if (kind, name) in repeated:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "the resource is named more than once")
            values = [(config.name, config.value) for config in resource.configs]
            alterations[index] = Alteration(
                kind, name, replacement(kind, name, values, ctx.config, knows_elr=knows_elr)
            )
        except KafkaError as error:
            results[index] = error
    altered = await ctx.cluster.alter_configs(list(alterations.values()), validate_only=request.validate_only)
    for index, result in zip(alterations, altered, strict=True):
        results[index] = result
    return AlterConfigsResponse(
        responses=[_answer(resource, result) for resource, result in zip(request.resources, results, strict=True)]
    )


def refuse(request: AlterConfigsRequest, error: ErrorCode, version: int) -> AlterConfigsResponse:
    """The error on every resource."""
    return AlterConfigsResponse(responses=[_answer(resource, KafkaError(error)) for resource in request.resources])


def _answer(resource: AlterConfigsResource, result: KafkaError | None) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if result is None else result.code,
        error_message=None if result is None else result.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )
