"""IncrementalAlterConfigs (44): set, delete, append to, subtract from single configs (KIP-339).

- Which changes are refused, and how: `broker/admin/config_changes.py`.
- Changes are computed inside the cluster coordinator's decision, so two clients that append to one list at the same
  time both succeed.
- It takes ALTER_CONFIGS on the topic or the group, for other resources on the cluster.
- Each resource is changed on its own; one that is named twice is refused each time.
- Levels of loggers (BROKER_LOGGER) change at once and are forgotten when the broker stops, as Kafka's are.
- With `validate_only` nothing is changed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.admin.alterations import alter_each
from broker.admin.config_changes import ConfigOp, incremental, new_logger_levels
from broker.admin.config_permissions import guarded_by
from broker.admin.tls_alterations import check_tls
from broker.coordinators.cluster import Alteration, ResourceType
from broker.security.operations import Operation
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.incremental_alter_configs import (
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from storage.seams.logging import process_lines
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: IncrementalAlterConfigsRequest, ctx: RequestContext) -> IncrementalAlterConfigsResponse:
    """Change the configs of each resource."""
    knows_elr = ctx.cluster.image.knows_elr

    def changed(resource: AlterConfigsResource) -> Alteration | None:
        kind, name = resource.resource_type, resource.resource_name
        ctx.require(Operation.ALTER_CONFIGS, *guarded_by(kind, name))
        ops = [ConfigOp(config.name, config.config_operation, config.value) for config in resource.configs]
        if kind == ResourceType.BROKER_LOGGER:
            _alter_loggers(name, ops, request.validate_only, ctx)
            return None
        return Alteration(kind, name, incremental(kind, name, ops, ctx.config, knows_elr=knows_elr))

    check = partial(check_tls, config=ctx.config, tls=ctx.services.tls, offload=ctx.offload)
    results = await alter_each(request.resources, changed, check, ctx.cluster, request.validate_only)
    return IncrementalAlterConfigsResponse(
        responses=[
            _answer(resource, result)
            async for resource, result in Slices().over(zip(request.resources, results, strict=True))
        ]
    )


def refuse(request: IncrementalAlterConfigsRequest, error: ErrorCode, version: int) -> IncrementalAlterConfigsResponse:
    """The error on every resource."""
    return IncrementalAlterConfigsResponse(
        responses=[_answer(resource, KafkaError(error)) for resource in request.resources]
    )


def _alter_loggers(name: str, ops: list[ConfigOp], validate_only: bool, ctx: RequestContext) -> None:
    lines = process_lines()
    levels = new_logger_levels(name, ops, lines, ctx.config)
    if not validate_only:
        lines.set_levels(levels)


def _answer(resource: AlterConfigsResource, result: KafkaError | None) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if result is None else result.code,
        error_message=None if result is None else result.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )
