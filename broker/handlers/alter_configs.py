"""AlterConfigs (33): replace all configs of a resource.

- A key that the request does not name falls back to its default, so what another client has set is lost. Only old
  clients need this API; the others have IncrementalAlterConfigs (KIP-339).
- Which values are refused, and how: `broker/admin/config_changes.py`.
- It takes ALTER_CONFIGS on the topic or the group, for other resources on the cluster.
- Each resource is changed on its own; one that is named twice is refused each time.
- With `validate_only` nothing is changed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.admin.alterations import alter_each
from broker.admin.config_changes import replacement
from broker.admin.config_permissions import guarded_by
from broker.admin.tls_alterations import check_tls
from broker.coordinators.cluster import Alteration
from broker.security.operations import Operation
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AlterConfigsRequest, ctx: RequestContext) -> AlterConfigsResponse:
    """Replace the configs of each resource."""
    knows_elr = ctx.cluster.image.knows_elr

    def replaced(resource: AlterConfigsResource) -> Alteration:
        kind, name = resource.resource_type, resource.resource_name
        ctx.require(Operation.ALTER_CONFIGS, *guarded_by(kind, name))
        values = [(config.name, config.value) for config in resource.configs]
        return Alteration(kind, name, replacement(kind, name, values, ctx.config, knows_elr=knows_elr))

    check = partial(check_tls, config=ctx.config, tls=ctx.services.tls, offload=ctx.offload)
    results = await alter_each(request.resources, replaced, check, ctx.cluster, request.validate_only)
    return AlterConfigsResponse(
        responses=[
            _answer(resource, result)
            async for resource, result in Slices().over(zip(request.resources, results, strict=True))
        ]
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
