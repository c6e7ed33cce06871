"""GetTelemetrySubscriptions (71): which metrics a client is to push, and how often (KIP-714).

- Listed by ApiVersions only with `ottla.telemetry.enable=true`; answered in any case, as Kafka does.
- A client that asks with an id of zeros is given one.
- THROTTLING_QUOTA_EXCEEDED for a client that asks again before its interval is over; the answer has nothing else then.
- Who may ask when, and what is wanted of whom: `broker/telemetry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.telemetry.instances import OFFERED
from kproto.errors import ErrorCode
from kproto.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: GetTelemetrySubscriptionsRequest, ctx: RequestContext) -> GetTelemetrySubscriptionsResponse:
    """What is wanted of this client."""
    now = ctx.clock.monotonic_millis()
    instance = ctx.telemetry.ask(request.client_instance_id, ctx.client_parameters, ctx.peer, now)
    return GetTelemetrySubscriptionsResponse(
        client_instance_id=instance.client,
        subscription_id=instance.subscription_id,
        accepted_compression_types=list(OFFERED),
        push_interval_ms=instance.wanted.interval_ms,
        telemetry_max_bytes=ctx.config.telemetry_max_bytes,
        delta_temporality=True,
        requested_metrics=list(instance.wanted.metrics),
    )


def refuse(
    request: GetTelemetrySubscriptionsRequest, error: ErrorCode, version: int
) -> GetTelemetrySubscriptionsResponse:
    """The error alone."""
    return GetTelemetrySubscriptionsResponse(error_code=error)
