"""DescribeCluster (60): the brokers, the controller, the cluster's id.

- v1: the kind of endpoint that the client expects to talk to (KIP-919). This node is broker and controller, and its
  listeners are brokers' endpoints: a client that expects a controller's gets MISMATCHED_ENDPOINT_TYPE, one that
  expects an unknown kind UNSUPPORTED_ENDPOINT_TYPE, as in Kafka.
- v2: fenced brokers on request (KIP-1073): in a cluster of several, those that drain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.security.operations import NOT_ASKED
from kproto.errors import ErrorCode
from kproto.messages.describe_cluster import DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse

if TYPE_CHECKING:
    from broker.context import RequestContext

BROKERS = 1
CONTROLLERS = 2


async def handle(request: DescribeClusterRequest, ctx: RequestContext) -> DescribeClusterResponse:
    """Describe this node."""
    if request.endpoint_type == CONTROLLERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            error_message="this is an endpoint of a broker, and controllers were asked for",
        )
    if request.endpoint_type != BROKERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"there is no endpoint type {request.endpoint_type}",
        )
    return DescribeClusterResponse(
        cluster_id=ctx.store.cluster_id,
        controller_id=ctx.config.node_id if ctx.brokers is None else ctx.brokers.controller,
        brokers=_brokers(request, ctx),
        cluster_authorized_operations=(
            ctx.cluster_operations() if request.include_cluster_authorized_operations else NOT_ASKED
        ),
    )


def _brokers(request: DescribeClusterRequest, ctx: RequestContext) -> list[DescribeClusterBroker]:
    if ctx.brokers is None:
        host, port = ctx.advertised
        return [DescribeClusterBroker(broker_id=ctx.config.node_id, host=host, port=port, rack=ctx.config.broker_rack)]
    shown = set(ctx.brokers.node_ids)
    return [
        DescribeClusterBroker(
            broker_id=each.node_id,
            host=place.host,
            port=place.port,
            rack=each.rack,
            is_fenced=each.node_id not in shown,
        )
        for each in ctx.brokers.living
        if (each.node_id in shown or request.include_fenced_brokers)
        and (place := each.endpoints.get(ctx.listener)) is not None
    ]


def refuse(request: DescribeClusterRequest, error: ErrorCode, version: int) -> DescribeClusterResponse:
    """The error and its sentence."""
    return DescribeClusterResponse(error_code=error, error_message=error.sentence)
