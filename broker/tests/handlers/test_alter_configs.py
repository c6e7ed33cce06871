"""AlterConfigs over the wire; which values are refused is tested with `broker/admin/config_changes.py`."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.alter_configs import AlterableConfig, AlterConfigsRequest, AlterConfigsResource

TOPIC, BROKER = 2, 4


def resource(kind: int, name: str, **configs: str | None) -> AlterConfigsResource:
    return AlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[AlterableConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


@pytest.mark.parametrize("version", versions_of(AlterConfigsRequest))
async def test_every_version_replaces_all_configs(version: int) -> None:
    """What is not named falls back to its default."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1, configs={"retention.ms": "5", "retention.bytes": "6"})])
        [result] = (
            await w.ask(AlterConfigsRequest(resources=[resource(TOPIC, "t", retention_bytes="7")]), version)
        ).responses
        assert (result.error_code, result.error_message) == (0, None)
        assert (result.resource_type, result.resource_name) == (TOPIC, "t")
        assert w.cluster.image.topics["t"].configs == {"retention.bytes": "7"}


async def test_resources_are_answered_each_on_its_own() -> None:
    """In the order of the request; twice the same one is refused twice."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1), NewTopic("u", 1, 1)])
        asked = [
            resource(TOPIC, "none"),
            resource(TOPIC, "t", retention_ms="7"),
            resource(TOPIC, "u", retention_ms="8"),
            resource(TOPIC, "u", retention_ms="9"),
            resource(BROKER, "", log_retention_ms="x"),
        ]
        response = await w.ask(AlterConfigsRequest(resources=asked), 2)
        assert [result.error_code for result in response.responses] == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            0,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
        ]
        assert w.cluster.image.topics["t"].configs == {"retention.ms": "7"}
        assert w.cluster.image.topics["u"].configs == {}


async def test_validation_alone_changes_nothing() -> None:
    """It answers as if."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1)])
        asked = [resource(TOPIC, "t", retention_ms="7")]
        response = await w.ask(AlterConfigsRequest(resources=asked, validate_only=True), 2)
        assert [result.error_code for result in response.responses] == [0]
        assert w.cluster.image.topics["t"].configs == {}
