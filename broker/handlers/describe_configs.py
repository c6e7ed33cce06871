"""DescribeConfigs (32): the configs of topics, brokers, groups, client metrics subscriptions, loggers.

v1 tells sources and synonyms (KIP-226), v3 types and documentation (KIP-569), v4 flexible. What is said about a
resource, and where values come from, is in `broker/admin/config_description.py`.

Each resource is answered on its own. No keys named means all keys; names that nobody knows are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.admin.config_description import ConfigEntry, describe
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from storage.seams.logging import process_lines

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: DescribeConfigsRequest, ctx: RequestContext) -> DescribeConfigsResponse:
    """Describe each resource."""
    return DescribeConfigsResponse(results=[_describe(resource, request, ctx) for resource in request.resources])


def refuse(request: DescribeConfigsRequest, error: ErrorCode, version: int) -> DescribeConfigsResponse:
    """The error on every resource."""
    return DescribeConfigsResponse(
        results=[_refusal(resource, error, error.sentence) for resource in request.resources]
    )


def _describe(
    resource: DescribeConfigsResource, request: DescribeConfigsRequest, ctx: RequestContext
) -> DescribeConfigsResult:
    try:
        entries = describe(
            resource.resource_type,
            resource.resource_name,
            image=ctx.cluster.image,
            config=ctx.config,
            lines=process_lines(),
            keys=resource.configuration_keys,
            documentation=request.include_documentation,
        )
    except KafkaError as error:
        return _refusal(resource, error.code, error.message)
    return DescribeConfigsResult(
        error_message="",  # as Kafka, which says null elsewhere
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=[_entry(entry, request.include_synonyms) for entry in entries],
    )


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
