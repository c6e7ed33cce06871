"""PushTelemetry (72): metrics of a client (KIP-714).

- Listed by ApiVersions only with `ottla.telemetry.enable=true`; answered in any case, as Kafka does.
- What may be pushed, when and by which client: `broker/telemetry/instances.py`.
- What is compressed is taken out, in a thread, and what cannot be is INVALID_RECORD.
- With `ottla.telemetry.enable=true` it is read and kept, and what cannot be read is INVALID_RECORD too. Without, it is
  thrown away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.telemetry.payload import Malformed, numbers_in
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.push_telemetry import PushTelemetryRequest, PushTelemetryResponse
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: PushTelemetryRequest, ctx: RequestContext) -> PushTelemetryResponse:
    """Check it, and keep it if that is asked for."""
    telemetry = ctx.telemetry
    instance = telemetry.check_push(
        request.client_instance_id,
        ctx.client_parameters,
        ctx.peer,
        ctx.clock.monotonic_millis(),
        subscription_id=request.subscription_id,
        codec=request.compression_type,
        size=len(request.metrics),
        terminating=request.terminating,
    )
    wanted = ctx.config.ottla_telemetry_enable
    if len(request.metrics) and (wanted or request.compression_type):
        unpack = partial(numbers_in, request.compression_type, bytes(request.metrics), wanted)
        try:
            numbers = await ctx.offload.compute(unpack, lane=Lane.BATCHES)
        except (Malformed, KafkaError) as error:
            raise KafkaError(ErrorCode.INVALID_RECORD) from error
        if wanted:
            telemetry.keep(instance.client, numbers)
    return PushTelemetryResponse()


def refuse(request: PushTelemetryRequest, error: ErrorCode, version: int) -> PushTelemetryResponse:
    """The error alone."""
    return PushTelemetryResponse(error_code=error)
