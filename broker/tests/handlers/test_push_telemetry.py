"""PushTelemetry and GetTelemetrySubscriptions: answered always, and kept where that is asked for (KIP-714)."""

from __future__ import annotations

import gzip

import pytest

from broker.testing.contexts import World, world
from broker.tests.telemetry.test_payload import double, gauge, message
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)
from kproto.messages.push_telemetry import PushTelemetryRequest

WANTED = {"ottla.telemetry.enable": "true"}
GZIP = 1


async def asked(w: World) -> GetTelemetrySubscriptionsResponse:
    found: GetTelemetrySubscriptionsResponse = await w.ask(
        GetTelemetrySubscriptionsRequest(client_instance_id=ZERO_UUID), 0
    )
    return found


async def pushed(w: World, metrics: bytes, codec: int = 0) -> ErrorCode:
    """The code of a new client's first push."""
    given = await asked(w)
    request = PushTelemetryRequest(
        client_instance_id=given.client_instance_id,
        subscription_id=given.subscription_id,
        compression_type=codec,
        metrics=metrics,
    )
    return ErrorCode((await w.ask(request, 0)).error_code)


async def test_what_a_client_is_told() -> None:
    """An id, the interval, the largest push, and the codecs."""
    async with world({"telemetry.max.bytes": "5000"}) as w:
        found = await asked(w)
        assert found.client_instance_id != ZERO_UUID
        assert (found.push_interval_ms, found.telemetry_max_bytes) == (300_000, 5000)
        assert (found.accepted_compression_types, found.delta_temporality) == ([4, 3, 1, 2], True)
        assert found.requested_metrics == []
        again = await w.ask(GetTelemetrySubscriptionsRequest(client_instance_id=found.client_instance_id), 0)
        assert again == GetTelemetrySubscriptionsResponse(error_code=ErrorCode.THROTTLING_QUOTA_EXCEEDED)


async def test_what_is_pushed_is_kept_where_it_is_wanted() -> None:
    """With what the client is called."""
    async with world(WANTED) as w:
        w.peer.client_software = ("librdkafka", "2.3.0")
        assert await pushed(w, gzip.compress(message(gauge("a", double(1.5)))), GZIP) == ErrorCode.NONE
        assert w.services.telemetry is not None
        [found] = w.services.telemetry.statistics(w.services.clock.monotonic_millis())
        assert found.numbers == {"a": 1.5}
        assert found.parameters["client_software_name"] == "librdkafka"
        assert found.parameters["client_id"] == "test"


@pytest.mark.parametrize(
    ("wanted", "metrics", "codec", "expected"),
    [
        (True, b"nonsense", 0, ErrorCode.INVALID_RECORD),
        (False, b"nonsense", 0, ErrorCode.NONE),
        (True, b"nonsense", GZIP, ErrorCode.INVALID_RECORD),
        (False, b"nonsense", GZIP, ErrorCode.INVALID_RECORD),
        (True, gzip.compress(bytes(64 << 20)), GZIP, ErrorCode.INVALID_RECORD),
        (False, gzip.compress(bytes(64 << 20)), GZIP, ErrorCode.INVALID_RECORD),
        (True, b"", 0, ErrorCode.NONE),
        (True, bytes(1_048_577), 0, ErrorCode.TELEMETRY_TOO_LARGE),
    ],
)
async def test_what_cannot_be_read_is_refused(wanted: bool, metrics: bytes, codec: int, expected: ErrorCode) -> None:
    """As Kafka does: without a plugin it takes things out, and looks no further. Bombs are left where they grow."""
    async with world(WANTED if wanted else {}) as w:
        assert await pushed(w, metrics, codec) == expected
        assert w.services.telemetry is not None
        assert [each.numbers for each in w.services.telemetry.statistics(0)] == [{}]


async def test_nothing_is_kept_that_is_not_wanted() -> None:
    """Without the setting it is thrown away."""
    async with world() as w:
        assert await pushed(w, message(gauge("a", double(1.5)))) == ErrorCode.NONE
        assert w.services.telemetry is not None
        assert [each.numbers for each in w.services.telemetry.statistics(0)] == [{}]
