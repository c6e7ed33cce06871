"""ListConfigResources: what has configs, and what can have some."""

from __future__ import annotations

from typing import Final

import pytest

from broker.coordinators.cluster import Alteration, NewTopic, ResourceType
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.list_config_resources import ListConfigResourcesRequest

NEWEST: Final = versions_of(ListConfigResourcesRequest)[-1]
TOPIC, BROKER, LOGGER = ResourceType.TOPIC, ResourceType.BROKER, ResourceType.BROKER_LOGGER
METRICS, GROUP = ResourceType.CLIENT_METRICS, ResourceType.GROUP


async def populate(w: World) -> None:
    """Topics t and u, a group and a subscription that have configs."""
    await w.cluster.create_topics([NewTopic("t"), NewTopic("u")])
    results = await w.cluster.alter_configs(
        [
            Alteration(GROUP, "g", lambda _: {"consumer.session.timeout.ms": "50000"}),
            Alteration(METRICS, "m", lambda _: {"interval.ms": "10000"}),
        ]
    )
    assert results == [None, None]


async def listed(w: World, *kinds: int, version: int = NEWEST) -> set[tuple[int, str]]:
    request = ListConfigResourcesRequest(resource_types=list(kinds)) if version else ListConfigResourcesRequest()
    reply = await w.ask(request, version)
    assert reply.error_code == 0
    found = [(each.resource_type, each.resource_name) for each in reply.config_resources]
    assert len(found) == len(set(found))
    return set(found)


async def test_all_kinds_are_listed_if_none_is_named() -> None:
    """Every topic, this broker and its loggers; groups and subscriptions that have configs."""
    async with world() as w:
        await populate(w)
        everything = {(TOPIC, "t"), (TOPIC, "u"), (BROKER, "1"), (LOGGER, "1"), (GROUP, "g"), (METRICS, "m")}
        assert await listed(w) == everything
        assert await listed(w, TOPIC, BROKER, LOGGER, METRICS, GROUP) == everything


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ((TOPIC,), {(TOPIC, "t"), (TOPIC, "u")}),
        ((BROKER,), {(BROKER, "1")}),
        ((LOGGER,), {(LOGGER, "1")}),
        ((METRICS,), {(METRICS, "m")}),
        ((GROUP,), {(GROUP, "g")}),
        ((GROUP, BROKER, GROUP), {(GROUP, "g"), (BROKER, "1")}),
    ],
)
async def test_kinds_can_be_named(kinds: tuple[int, ...], wanted: set[tuple[int, str]]) -> None:
    """One that is named twice is listed once."""
    async with world() as w:
        await populate(w)
        assert await listed(w, *kinds) == wanted


async def test_the_oldest_version_lists_subscriptions_to_metrics() -> None:
    """It was made for them (KIP-714)."""
    async with world() as w:
        await populate(w)
        assert await listed(w, version=0) == {(METRICS, "m")}


@pytest.mark.parametrize("kind", [0, 1, 3, 64, -1])
async def test_an_unknown_kind_spoils_the_request(kind: int) -> None:
    """UNSUPPORTED_VERSION, and no list, as in Kafka."""
    async with world() as w:
        reply = await w.ask(ListConfigResourcesRequest(resource_types=[TOPIC, kind]), NEWEST)
        assert (reply.error_code, reply.config_resources) == (ErrorCode.UNSUPPORTED_VERSION, [])
