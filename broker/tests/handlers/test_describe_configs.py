"""DescribeConfigs over the wire; what is said about a resource is tested with `broker/admin/config_description.py`."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource

TOPIC, BROKER = 2, 4


def resource(kind: int, name: str, *keys: str) -> DescribeConfigsResource:
    return DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=list(keys) or None)


@pytest.mark.parametrize("version", versions_of(DescribeConfigsRequest))
async def test_every_version_tells_what_it_can_of_a_config(version: int) -> None:
    """Value and source always, type and documentation from v3 on, synonyms when asked for."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1, configs={"retention.ms": "5"})])
        request = DescribeConfigsRequest(
            resources=[resource(TOPIC, "t", "retention.ms", "cleanup.policy", "no.such.key")],
            include_synonyms=True,
            include_documentation=version >= 3,
        )
        [result] = (await w.ask(request, version)).results
        assert (result.error_code, result.error_message) == (0, "")
        assert (result.resource_type, result.resource_name) == (TOPIC, "t")
        configs = {config.name: config for config in result.configs}
        assert set(configs) == {"retention.ms", "cleanup.policy"}
        retention = configs["retention.ms"]
        assert (retention.value, retention.config_source, retention.read_only) == ("5", 1, False)
        assert retention.synonyms[0].name == "retention.ms"
        assert configs["cleanup.policy"].config_source == 5
        assert retention.config_type == (5 if version >= 3 else 0)
        assert bool(retention.documentation) == (version >= 3)


async def test_synonyms_and_documentation_come_only_when_asked_for() -> None:
    """They are most of the bytes."""
    async with world() as w:
        [result] = (await w.ask(DescribeConfigsRequest(resources=[resource(BROKER, "1")]), 4)).results
        assert len(result.configs) > 100
        assert all(not config.synonyms and config.documentation is None for config in result.configs)


async def test_resources_are_answered_each_on_its_own() -> None:
    """Unknown topic 3, impossible one 17, another broker 42; the rest is described."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1)])
        asked = [resource(TOPIC, "none"), resource(TOPIC, "b ad"), resource(BROKER, "2"), resource(TOPIC, "t")]
        response = await w.ask(DescribeConfigsRequest(resources=asked), 4)
        assert [result.error_code for result in response.results] == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            ErrorCode.INVALID_REQUEST,
            0,
        ]
        assert [bool(result.configs) for result in response.results] == [False, False, False, True]


async def test_an_empty_list_of_keys_means_all() -> None:
    """As Kafka."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1, 1)])
        empty = DescribeConfigsResource(resource_type=TOPIC, resource_name="t", configuration_keys=[])
        [result] = (await w.ask(DescribeConfigsRequest(resources=[empty]), 4)).results
        assert len(result.configs) > 30
