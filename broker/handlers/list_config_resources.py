"""ListConfigResources (74): what can be described and changed by configs (KIP-1142).

- v0: the subscriptions to clients' metrics, and nothing else (KIP-714).
- v1: the kinds that are named, or all if none is; an unknown kind is UNSUPPORTED_VERSION.
- Topics are all there are, and brokers and their loggers are this node. Groups and subscriptions are listed if they
  have configs: they need not exist to have some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster import ResourceType
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

KINDS: Final = frozenset(kind for kind in ResourceType if kind is not ResourceType.UNKNOWN)


async def handle(request: ListConfigResourcesRequest, ctx: RequestContext) -> ListConfigResourcesResponse:
    """List the resources of each kind."""
    slices = Slices()
    if ctx.api_version == 0:
        kinds = {int(ResourceType.CLIENT_METRICS)}
    else:
        kinds = {kind async for kind in slices.over(request.resource_types)} or set(map(int, KINDS))
    if not kinds <= KINDS:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    image = ctx.cluster.image
    found: list[ConfigResource] = []
    for kind in (ResourceType.BROKER_LOGGER, ResourceType.BROKER):
        if kind in kinds:
            found.append(ConfigResource(resource_name=str(ctx.config.node_id), resource_type=kind))
    if ResourceType.TOPIC in kinds:
        async for name in slices.over(image.topics):
            found.append(ConfigResource(resource_name=name, resource_type=ResourceType.TOPIC))
    with_configs = kinds & {ResourceType.GROUP, ResourceType.CLIENT_METRICS}
    if with_configs:
        async for owner, name in slices.over(image.configs):
            if owner in with_configs:
                found.append(ConfigResource(resource_name=name, resource_type=owner))
    return ListConfigResourcesResponse(config_resources=found)


def refuse(request: ListConfigResourcesRequest, error: ErrorCode, version: int) -> ListConfigResourcesResponse:
    """The error, and no list."""
    return ListConfigResourcesResponse(error_code=error)
