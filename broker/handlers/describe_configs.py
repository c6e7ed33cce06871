"""DescribeConfigs (32): the configs of topics, brokers, groups, client metrics subscriptions, loggers.

- v1: sources and synonyms (KIP-226).
- v3: types and documentation (KIP-569).
- v4: flexible.
- Each resource is answered on its own.
- It takes DESCRIBE_CONFIGS on the topic or the group, for other resources on the cluster; whether the resource exists
  is not said without it.
- No keys named means all keys; unknown keys are left out.

What a resource has, and where values come from: `broker/admin/config_description.py`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from broker.admin.config_description import ConfigEntry, check_resource, describe
from broker.admin.config_permissions import guarded_by
from broker.security.operations import Operation
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from kproto.schema.declare import SharedArray
from storage.seams.logging import process_lines
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: DescribeConfigsRequest, ctx: RequestContext) -> DescribeConfigsResponse:
    """Describe each resource."""
    descriptions = _Descriptions(request, ctx)
    return DescribeConfigsResponse(
        results=[descriptions.of(resource) async for resource in Slices().over(request.resources)]
    )


def refuse(request: DescribeConfigsRequest, error: ErrorCode, version: int) -> DescribeConfigsResponse:
    """The error on every resource."""
    return DescribeConfigsResponse(
        results=[_refusal(resource, error, error.sentence) for resource in request.resources]
    )


class _Descriptions:
    """The answers to one request. A name of five bytes may bring a hundred thousand, and topics mostly look alike: what
    is the same is described once, shared, and encoded once."""

    def __init__(self, request: DescribeConfigsRequest, ctx: RequestContext) -> None:
        self._request = request
        self._ctx = ctx
        self._image = ctx.cluster.image
        self._config = ctx.config
        self._configs: dict[Hashable, SharedArray[DescribeConfigsResourceResult]] = {}

    def of(self, resource: DescribeConfigsResource) -> DescribeConfigsResult:
        """One resource."""
        try:
            configs = self._configs_of(resource)
        except KafkaError as error:
            return _refusal(resource, error.code, error.message)
        return DescribeConfigsResult(
            error_message="",  # as Kafka, which says null elsewhere
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=configs,
        )

    def _configs_of(self, resource: DescribeConfigsResource) -> SharedArray[DescribeConfigsResourceResult]:
        kind, name = resource.resource_type, resource.resource_name
        self._ctx.require(Operation.DESCRIBE_CONFIGS, *guarded_by(kind, name))
        check_resource(kind, name, image=self._image, config=self._config)
        keys = None if not resource.configuration_keys else frozenset(resource.configuration_keys)
        overrides = frozenset(self._image.configs_of(kind, name).items())
        like: Hashable = kind, bool(name), keys, overrides
        found = self._configs.get(like)
        if found is None:
            entries = describe(
                kind,
                name,
                image=self._image,
                config=self._config,
                lines=process_lines(),
                keys=keys,
                documentation=self._request.include_documentation,
            )
            found = SharedArray([_entry(entry, self._request.include_synonyms) for entry in entries])
            self._configs[like] = found
        return found


def _refusal(resource: DescribeConfigsResource, error: ErrorCode, message: str) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=error,
        error_message=message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def _entry(entry: ConfigEntry, with_synonyms: bool) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        is_sensitive=entry.sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
            for synonym in (entry.synonyms if with_synonyms else ())
        ],
        config_type=entry.type,
        documentation=entry.documentation,
    )
