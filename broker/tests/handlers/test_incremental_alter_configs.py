"""IncrementalAlterConfigs over the wire; which changes are refused is tested with `broker/admin/config_changes.py`."""

from __future__ import annotations

import pytest
import trio

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from storage.seams.logging import process_lines

TOPIC, BROKER, BROKER_LOGGER, GROUP = 2, 4, 8, 32
SET, DELETE, APPEND = 0, 1, 2


def resource(kind: int, name: str, *ops: tuple[str, int, str | None]) -> AlterConfigsResource:
    return AlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[AlterableConfig(name=key, config_operation=operation, value=value) for key, operation, value in ops],
    )


def request(*resources: AlterConfigsResource, validate_only: bool = False) -> IncrementalAlterConfigsRequest:
    return IncrementalAlterConfigsRequest(resources=list(resources), validate_only=validate_only)


@pytest.mark.parametrize("version", versions_of(IncrementalAlterConfigsRequest))
async def test_every_version_changes_single_configs(version: int) -> None:
    """The others stay."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1, configs={"retention.ms": "5", "retention.bytes": "6"})])
        ops = [("retention.bytes", SET, "7"), ("retention.ms", DELETE, None), ("cleanup.policy", APPEND, "compact")]
        [result] = (await w.ask(request(resource(TOPIC, "t", *ops)), version)).responses
        assert (result.error_code, result.error_message) == (0, None)
        assert w.cluster.image.topics["t"].configs == {"retention.bytes": "7", "cleanup.policy": "delete,compact"}


async def test_resources_are_answered_each_on_its_own() -> None:
    """In the order of the request; groups need not exist."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1), NewTopic("u", 1, 1)])
        asked = [
            resource(TOPIC, "none", ("retention.ms", SET, "7")),
            resource(TOPIC, "t", ("no.such.key", SET, "7")),
            resource(GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")),
            resource(TOPIC, "u", ("retention.ms", SET, "7")),
            resource(TOPIC, "u", ("retention.ms", SET, "8")),
            resource(TOPIC, "t"),
        ]
        response = await w.ask(request(*asked), 1)
        assert [result.error_code for result in response.responses] == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.INVALID_REQUEST,
            0,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
        ]
        assert w.cluster.image.group_configs("g") == {"consumer.session.timeout.ms": "50000"}
        response = await w.ask(request(resource(TOPIC, "t", ("no.such.key", SET, "7")), resource(TOPIC, "u")), 1)
        assert [result.error_code for result in response.responses] == [ErrorCode.INVALID_CONFIG, 0]


async def test_validation_alone_changes_nothing() -> None:
    """It answers as if."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1)])
        asked = request(resource(TOPIC, "t", ("retention.ms", SET, "7")), validate_only=True)
        assert [result.error_code for result in (await w.ask(asked, 1)).responses] == [0]
        assert w.cluster.image.topics["t"].configs == {}


async def test_a_dynamic_broker_config_counts_from_the_next_request_on() -> None:
    """Of all brokers, and of this one, which wins; DescribeConfigs shows where a value comes from."""
    async with world() as w:
        await w.ask(request(resource(BROKER, "", ("log.retention.ms", SET, "1000000"))), 1)
        assert w.services.config.log_retention_ms == 1_000_000
        await w.ask(request(resource(BROKER, "1", ("log.retention.ms", SET, "2000000"))), 1)
        assert w.services.config.log_retention_ms == 2_000_000
        asked = DescribeConfigsResource(
            resource_type=BROKER, resource_name="1", configuration_keys=["log.retention.ms"]
        )
        [result] = (await w.ask(DescribeConfigsRequest(resources=[asked], include_synonyms=True), 4)).results
        [config] = result.configs
        assert (config.value, config.config_source) == ("2000000", 2)
        assert [(synonym.value, synonym.source) for synonym in config.synonyms][:2] == [("2000000", 2), ("1000000", 3)]
        await w.ask(request(resource(BROKER, "1", ("log.retention.ms", DELETE, None))), 1)
        assert w.services.config.log_retention_ms == 1_000_000


async def test_two_clients_that_append_at_once_both_succeed() -> None:
    """The change is computed inside the decision."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1)])
        key = "leader.replication.throttled.replicas"

        async def append(item: str) -> None:
            await w.ask(request(resource(TOPIC, "t", (key, APPEND, item))), 1)

        async with trio.open_nursery() as nursery:
            for partition in range(10):
                nursery.start_soon(append, f"{partition}:1")
        assert sorted(w.cluster.image.topics["t"].configs[key].split(",")) == [f"{part}:1" for part in range(10)]


async def test_levels_of_loggers_change_at_once() -> None:
    """BROKER_LOGGER (KIP-412): nothing is stored."""
    async with world() as w:
        before = process_lines().levels()
        root = process_lines().names()[0]
        try:
            asked = resource(BROKER_LOGGER, "1", (root, SET, "ERROR"))
            assert [result.error_code for result in (await w.ask(request(asked), 1)).responses] == [0]
            assert process_lines().levels()[root] == "error"
            assert not w.cluster.image.broker_configs(1)
        finally:
            process_lines().set_levels(before)
